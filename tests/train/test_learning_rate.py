"""The learning rate of each step."""

from __future__ import annotations

import pytest

from qpi_kernels.train.learning_rate import learning_rate
from qpi_kernels.train.parameters import TrainingParameters

RISING_AND_FALLING = TrainingParameters(steps=110, warmup=10, learning_rate=2e-3)


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 2e-4), (4, 1e-3), (9, 2e-3), (10, 2e-3), (60, 1.02e-3), (110, 4e-5)],
)
def test_the_rate_rises_over_the_warmup_and_falls_as_half_a_cosine(step: int, rate: float) -> None:
    assert learning_rate(RISING_AND_FALLING, step) == pytest.approx(rate)


def test_the_rate_rises_only_in_the_warmup() -> None:
    rates = [learning_rate(RISING_AND_FALLING, step) for step in range(111)]
    assert rates[:10] == sorted(set(rates[:10]))
    assert rates[10:] == sorted(set(rates[10:]), reverse=True)


def test_without_a_warmup_the_first_step_has_the_full_rate() -> None:
    assert learning_rate(RISING_AND_FALLING.model_copy(update={"warmup": 0}), 0) == 2e-3
