"""Errors drawn with a kernel whose defects were placed by a fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from qpi_kernels import Defects, KernelResult, extract
from qpi_kernels.extraction.refine.position_doubt import with_position_doubt
from shared.planted import random_waves, shift_and_add, with_noise


def packet(shift: tuple[float, float] = (0.0, 0.0)) -> NDArray[np.float64]:
    """Draw waves of 4 pixels under an envelope, shifted by a fraction of a pixel."""
    rows, cols = (np.arange(16) - 8.0 - by for by in shift)
    waves = np.cos(1.5 * rows[:, None] + 0.4) + np.cos(1.1 * rows[:, None] - 1.1 * cols)
    return np.asarray(waves * np.exp(-(rows[:, None] ** 2 + cols**2) / 40))


def rms(values: NDArray[np.float64]) -> float:
    """Compute the root of the mean square."""
    return float(np.sqrt(np.square(values).mean()))


def with_drawn_errors(result: KernelResult) -> KernelResult:
    """Give a result of least squares errors that are independent from pixel to pixel."""
    drawn = np.random.default_rng(3).standard_normal((8, *result.std.shape))
    return replace(result, draws=result.std.expand_dims(draw=8) * drawn)


def test_draws_move_the_kernel_as_far_as_its_place_is_uncertain() -> None:
    positions = np.random.default_rng(0).integers(0, 64, (12, 2))
    image = with_noise(shift_and_add(packet(), positions, (64, 64)), 1e4, 0)
    found = extract(image, positions, kernel_shape=(16, 16), method="least_squares")
    result = with_drawn_errors(found)
    wide = with_position_doubt(result, np.zeros((12, 2)), {"defect": 0.2})
    moves = (wide.draws - result.draws).values.reshape(8, -1)
    slopes = np.stack(
        [
            ((packet(ahead) - packet(behind)) / 0.02).ravel()
            for ahead, behind in (((0.01, 0), (-0.01, 0)), ((0, 0.01), (0, -0.01)))
        ]
    )
    numbers = np.linalg.lstsq(slopes.T, moves.T)[0]
    assert np.sqrt(np.square(numbers).mean(axis=1)) == pytest.approx([0.2, 0.2], rel=0.03)
    assert rms(moves - numbers.T @ slopes) < 0.1 * rms(moves)
    still = with_position_doubt(result, np.zeros((12, 2)), {})
    assert np.array_equal(still.draws, result.draws)
    assert with_position_doubt(found, np.zeros((12, 2)), {"defect": 0.2}).draws is None


def test_draws_over_maps_are_as_large_as_the_standard_deviation() -> None:
    drawn, told = [], []
    for seed in range(2):
        positions = np.random.default_rng(seed).integers(0, 48, (10, 2))
        image = with_noise(shift_and_add(packet(), positions, (48, 48)), 30.0, seed)
        clicks = positions + 0.3 * np.random.default_rng([seed, 1]).standard_normal((10, 2))
        result = extract(image, clicks, kernel_shape=(16, 16), refine="positions")
        drawn.append(result.draws.values)
        told.append(result.std.values)
    # Without moves draws have half of the standard deviation, a third where moves count most.
    assert rms(np.stack(drawn)) == pytest.approx(rms(np.stack(told)), rel=0.1)
    spread = np.sqrt(np.square(drawn).mean(axis=1))
    flanks = np.asarray(told) > np.quantile(told, 0.9)
    assert rms(spread[flanks]) == pytest.approx(rms(np.asarray(told)[flanks]), rel=0.1)


def test_kinds_move_by_themselves_and_biases_together() -> None:
    positions = np.random.default_rng(1).integers(0, 64, (14, 2))
    kinds = np.array(["a", "b"])[np.arange(14) % 2]
    image = with_noise(shift_and_add(random_waves((12, 12), 2), positions, (64, 64)), 30.0, 0)
    marks = Defects(positions.astype(float), kind=kinds)
    stack = np.stack([image, 2 * image])
    found = extract(stack, marks, kernel_shape=(12, 12), method="least_squares")
    result = with_drawn_errors(found)
    wide = with_position_doubt(result, np.zeros((14, 2)), {"b": 0.3})
    assert wide.draws.dims == result.draws.dims
    assert np.array_equal(wide.draws.sel(kind="a"), result.draws.sel(kind="a"))
    for one in (wide.draws - result.draws).sel(kind="b").values:
        assert rms(one[0]) > 0
        assert np.corrcoef(one[0].ravel(), one[1].ravel())[0, 1] > 0.9
