"""The paper's parameters, and what a person changes of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from qpi_kernels import simulate
from qpi_kernels.cli.train import with_preset
from qpi_kernels.progress import drive
from qpi_kernels.train.parameters import TrainingParameters
from qpi_kernels.train.published import published


def test_epochs_become_steps() -> None:
    kernels, alignment, one_step = (
        published("kernels"),
        published("alignment"),
        published("one-step"),
    )
    assert kernels.steps == 300 * 80 // 8
    assert alignment.steps == one_step.steps == 50 * 80 * 250 // 8
    assert kernels.decay_every == 20 * 10
    assert alignment.decay_every == 5 * 2500
    assert (kernels.learning_rate, alignment.learning_rate) == (1e-4, 5e-5)
    assert (kernels.gradient_clip, one_step.gradient_clip) == (1.0, 0.0)
    assert (alignment.decoded_weight, alignment.log_variance) == (0.0, "published")
    assert (kernels.average, kernels.weight_decay, kernels.keep) == (0.0, 0.0, "last")


def test_what_is_given_counts() -> None:
    changed = published("kernels", kernels=8, batch_size=16, learning_rate=1e-3, preset="compact")
    assert changed.steps == 150
    assert (changed.learning_rate, changed.preset) == (1e-3, "compact")


def test_a_data_set_tells_the_length_of_an_epoch(tmp_path: Path) -> None:
    parameters = simulate.ProtocolParameters(kernels=5, observations=10, layout="netcdf")
    drive(simulate.PaperProtocol(tmp_path, parameters))
    found = published("alignment", data=str(tmp_path))
    split_kernels = 5 - 1
    assert found.steps == 50 * split_kernels * 8 // 8
    assert found.data == str(tmp_path)


def test_the_command_fills_in_the_published_values() -> None:
    given = TrainingParameters(preset="paper", stage="one-step", learning_rate=1e-4)
    filled = with_preset(given)
    assert filled == published("one-step", learning_rate=1e-4)
    compact = TrainingParameters(steps=5)
    assert with_preset(compact) is compact


def test_a_default_that_is_asked_for_stays() -> None:
    default = TrainingParameters().batch_size
    assert with_preset(TrainingParameters(preset="paper", batch_size=default)).batch_size == default


@pytest.mark.parametrize("stage", ["kernels", "alignment", "one-step"])
def test_it_is_looked_at_now_and_then(stage: str) -> None:
    found = published(stage)  # type: ignore[arg-type]
    assert 20 <= found.steps / found.validate_every <= 100
