"""The spectrum of noise that the planes of a stack share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qpi_kernels import extract
from qpi_kernels.result import KernelResult
from shared.planted import random_waves, shift_and_add

Array = NDArray[Any]
SIDE, WINDOW = 48, (12, 12)
POSITIONS = np.random.default_rng(1).integers(0, SIDE, (12, 2))


def plane(seed: int) -> Array:
    """Draw a map with noise along rows, of half the signal's deviation."""
    clean = shift_and_add(random_waves(WINDOW, seed), POSITIONS, (SIDE, SIDE))
    white = np.random.default_rng(seed).standard_normal((SIDE, SIDE + 8))
    lines = np.stack([white[:, shift : shift + SIDE] for shift in range(8)]).mean(axis=0)
    return np.asarray(clean + 0.5 * clean.std() / lines.std() * lines)


def extracted(stack: Array) -> KernelResult:
    return extract(stack, POSITIONS.astype(float), kernel_shape=WINDOW)


def away(first: Array, second: Array) -> Array:
    """Return the root mean square difference of kernels, (plane,)."""
    return np.asarray(np.sqrt(np.square(first - second).mean(axis=(-2, -1))))


def test_beside_a_dead_plane_another_is_as_alone() -> None:
    sound = plane(0)
    alone, together = extracted(sound), extracted(np.stack([sound, 0 * sound]))
    assert alone.provenance["priors"][0]["noise"] == together.provenance["priors"][0]["noise"]
    difference = away(together.kernel.values[0], alone.kernel.values)
    assert difference < 0.02 * alone.std.values.mean()


@pytest.mark.parametrize("fault", ["dead", "streaky"])
def test_a_plane_with_a_fault_does_not_spoil_the_others(fault: str) -> None:
    """With a median of five spectra; two planes have only their mean."""
    stack = np.stack([plane(seed) for seed in range(5)])
    truth = np.stack([random_waves(WINDOW, seed) for seed in range(5)])
    spoilt = stack.copy()
    if fault == "dead":
        spoilt[-1] = 0.0
    else:
        streaks = np.random.default_rng(9).standard_normal((7, 1))
        spoilt[-1, ::7] += 5 * stack.std() * streaks
    sound, found = (
        away(extracted(one).kernel.values, truth)[:-1].mean() for one in (stack, spoilt)
    )
    assert found < 1.1 * sound


def test_planes_under_shared_noise_are_no_worse_than_alone() -> None:
    """A family that does not fit under white noise may fit under that of the stack."""
    stack = np.stack([plane(seed) for seed in range(5)])
    truth = np.stack([random_waves(WINDOW, seed) for seed in range(5)])
    alone = np.stack([extracted(one).kernel.values for one in stack])
    together = extracted(stack).kernel.values
    assert away(together, truth).mean() < 1.08 * away(alone, truth).mean()
