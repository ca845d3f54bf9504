"""Error bars of kernels whose defects were placed by a fit."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from qpi_kernels import Defects, extract
from qpi_kernels.extraction.refine.position_doubt import with_position_doubt
from shared.planted import random_waves, shift_and_add, with_noise

WORST = {"uncertain": "large_error", "undetermined": "error_exceeds_kernel"}


def packet(shift: tuple[float, float] = (0.0, 0.0)) -> NDArray[np.float64]:
    """Draw waves of 4 pixels under an envelope, shifted by a fraction of a pixel."""
    rows, cols = (np.arange(16) - 8.0 - by for by in shift)
    waves = np.cos(1.5 * rows[:, None] + 0.4) + np.cos(1.1 * rows[:, None] - 1.1 * cols)
    return np.asarray(waves * np.exp(-(rows[:, None] ** 2 + cols**2) / 40))


def test_a_shift_widens_the_flanks_of_a_kernel_by_its_derivative() -> None:
    positions = np.random.default_rng(0).integers(0, 64, (12, 2))
    image = with_noise(shift_and_add(packet(), positions, (64, 64)), 1e4, 0)
    marks = Defects(positions.astype(float))
    result = extract(image, marks, kernel_shape=(16, 16), method="least_squares")
    (kind,) = marks.kinds
    same = with_position_doubt(result, np.zeros((12, 2)), {})
    assert np.array_equal(same.std.values, result.std.values)
    wide = with_position_doubt(result, np.zeros((12, 2)), {kind: 0.1})
    slopes = [
        (packet(ahead) - packet(behind)) / 0.02
        for ahead, behind in (((0.01, 0), (-0.01, 0)), ((0, 0.01), (0, -0.01)))
    ]
    expected = 0.1 * np.hypot(*slopes)
    added = np.sqrt(np.square(wide.std.values) - np.square(result.std.values))
    # Differences of neighbouring pixels would be a quarter too small.
    assert added[2:-2, 2:-2] == pytest.approx(expected[2:-2, 2:-2], abs=0.05 * expected.max())
    own = with_position_doubt(result, np.full((12, 2), 0.1 * 12**0.5), {})
    assert own.std.values == pytest.approx(wide.std.values, rel=1e-5)


def test_each_kind_has_a_doubt_of_its_own() -> None:
    kernel = random_waves((12, 12), 2)
    positions = np.random.default_rng(1).integers(0, 64, (14, 2))
    kinds = np.array(["a", "b"])[np.arange(14) % 2]
    image = with_noise(shift_and_add(kernel, positions, (64, 64)), 30.0, 0)
    stack = np.stack([image, 2 * image])
    marks = Defects(positions.astype(float), kind=kinds)
    result = extract(stack, marks, kernel_shape=(12, 12), method="least_squares")
    wide = with_position_doubt(result, np.zeros((14, 2)), {"b": 0.3})
    assert wide.std.dims == result.std.dims
    assert np.array_equal(wide.std.sel(kind="a"), result.std.sel(kind="a"))
    assert (wide.std.sel(kind="b") >= result.std.sel(kind="b")).all()
    assert float(wide.std.sel(kind="b").mean()) > 1.02 * float(result.std.sel(kind="b").mean())
    expected = [
        float(np.sqrt(np.square(wide.std.sel(kind=kind)).mean()))
        / float(np.sqrt(np.square(wide.kernel.sel(kind=kind)).mean()))
        for kind in "ab"
    ]
    assert wide.quality.expected_error == pytest.approx(max(expected), rel=1e-6)


def test_the_trust_falls_where_a_shift_hides_the_kernel() -> None:
    kernel = random_waves((16, 16), 1)
    positions = np.random.default_rng(0).integers(0, 64, (12, 2))
    image = with_noise(shift_and_add(kernel, positions, (64, 64)), 100.0, 0)
    result = extract(image, positions, kernel_shape=(16, 16), method="least_squares")
    assert result.quality.expected_error < 0.5
    trusts = []
    for shift in (0.0, 0.5, 5.0):
        wide = with_position_doubt(result, np.zeros((12, 2)), {"defect": shift}).quality
        told = {reason.code: reason for reason in wide.reasons}
        trusts.append(wide.trust)
        assert wide.trust == "good" or told[WORST[wide.trust]].number == wide.expected_error
        assert len(told) == len(wide.reasons)
    assert trusts == ["good", "uncertain", "undetermined"]


@pytest.mark.parametrize("seed", range(4, 7))
def test_a_kernel_without_a_centre_is_covered_though_clicks_were_off(seed: int) -> None:
    """Only the mean of the clicks tells where such a kernel's origin is."""
    side = 20
    rows = np.arange(side) - side // 2
    kernel = random_waves((side, side), seed) * np.exp(-np.hypot(rows[:, None], rows) / 6)
    positions = np.random.default_rng(3).integers(0, 96, (16, 2))
    image = with_noise(shift_and_add(kernel, positions, (96, 96)), 30.0, 0)
    clicks = positions + 0.5 * np.random.default_rng(seed).standard_normal((16, 2))
    found = extract(
        image, clicks, kernel_shape=(side, side), method="least_squares", refine="positions"
    )
    inside = np.abs(found.kernel.values - kernel) < 1.96 * found.std.values
    assert inside.mean() > 0.72
