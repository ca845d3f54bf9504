"""Kernels sharper than pixels are told, and found on finer ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.extraction import ExtractionError, extract, oversample
from qpi_kernels.extraction.sampling.sharpness import short_wave_share
from qpi_kernels.prepare.prepared import Prepared

Array = NDArray[Any]
SIDE, WINDOW = 96, 17


def atoms(seed: int = 0) -> tuple[Array, Array]:
    """Places and heights of spots about a defect."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-6, 6, (25, 2)), rng.normal(size=25)


def image(marks: Array, blur: float, side: int = SIDE, seed: int = 0) -> Array:
    """Spots about all defects, seen at the middle of each pixel: nothing is interpolated."""
    places, heights = atoms(seed)
    at = (marks[:, None] + places).reshape(-1, 2)
    down, across = (np.exp(-((np.arange(side) - one[:, None]) ** 2) / 2 / blur**2) for one in at.T)
    return np.asarray(np.einsum("s,sy,sx->yx", np.tile(heights, len(marks)), down, across))


def kernel(blur: float, factor: int = 1) -> Array:
    side = factor * WINDOW
    places, heights = atoms()
    grid = (np.arange(side) - side // 2) / factor
    down, across = (np.exp(-((grid - one[:, None]) ** 2) / 2 / blur**2) for one in places.T)
    return np.asarray(np.einsum("s,sy,sx->yx", heights, down, across))


def noisy(clean: Array, snr: float) -> Array:
    return clean + clean.std() / snr**0.5 * np.random.default_rng(9).normal(size=clean.shape)


MARKS = np.random.default_rng(1).uniform(4, SIDE - 4, (40, 2))


@pytest.mark.parametrize("method", ["bayes", "least_squares"])
@pytest.mark.parametrize(("blur", "told"), [(0.5, True), (1.1, False)])
def test_sharp_kernels_are_told(method: str, blur: float, told: bool) -> None:
    found = extract(noisy(image(MARKS, blur), 100), MARKS, kernel_shape=(17, 17), method=method)
    reasons = {reason.code: reason for reason in found.quality.reasons}
    assert ("undersampled" in reasons) == told
    if told:
        assert reasons["undersampled"].number > 0.05
        assert "sharper than the pixels" in str(found.quality.verdict)


def test_whole_pixels_need_no_shift() -> None:
    whole = np.rint(MARKS)
    found = extract(noisy(image(whole, 0.5), 100), whole, kernel_shape=(17, 17))
    assert "undersampled" not in {reason.code for reason in found.quality.reasons}


def test_finer_pixels_find_what_a_sharp_kernel_is_and_rounding_does_not() -> None:
    blur = 0.5
    observation = noisy(image(MARKS, blur), 1000)
    truth = kernel(blur)
    plain, rounded = (
        extract(observation, marks, kernel_shape=truth.shape).kernel.values
        for marks in (MARKS, np.rint(MARKS))
    )
    fine, marks = oversample(observation, MARKS)
    found = extract(fine, marks, kernel_shape=(2 * WINDOW, 2 * WINDOW)).kernel.values
    error, by_rounding = (np.std(one - truth) / truth.std() for one in (plain, rounded))
    expected = kernel(blur, factor=2)
    assert np.std(found - expected) / expected.std() < 0.5 * error
    assert by_rounding > error


def test_shares_are_those_of_waves_not_of_noise_or_edges() -> None:
    rows, columns = np.indices((32, 32))
    nothing = np.zeros((32, 32))
    assert short_wave_share(np.cos(0.9 * np.pi * rows), nothing) > 0.98
    assert short_wave_share(np.cos(0.37 * columns + 1), nothing) < 1e-3
    noise = np.random.default_rng(0).normal(size=(32, 32))
    smooth = 3 * np.exp(-((rows - 16) ** 2 + (columns - 16) ** 2) / 40)
    assert short_wave_share(smooth + 0.3 * noise, np.full((32, 32), 0.3)) < 0.05
    assert short_wave_share(noise, np.ones((32, 32))) == 0.0


def test_finer_maps_keep_axes_biases_and_kinds() -> None:
    coarse = xr.DataArray(
        np.arange(24.0).reshape(2, 3, 4),
        dims=("bias", "y", "x"),
        coords={"bias": [0.1, 0.2], "y": [0.0, 0.5, 1.0], "x": [2.0, 2.5, 3.0, 3.5]},
    )
    fine, marks = oversample(coarse, [[1.0, 2.5]], factor=3)
    assert fine.shape == (2, 9, 12)
    xr.testing.assert_equal(fine.isel(y=slice(0, 9, 3), x=slice(0, 12, 3)), coarse)
    assert int(np.isfinite(fine).sum()) == 24
    np.testing.assert_allclose(np.diff(fine["x"]), 0.5 / 3)
    np.testing.assert_allclose(marks.positions, [[3.0, 7.5]])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"factor": 0}, "at least 1"),
        ({"defects": None}, "no defects"),
        ({"mask": np.ones((4, 3), bool)}, "the map's shape"),
        ({"mask": np.ones((3, 4))}, "boolean"),
        ({"observation": np.ones(3)}, "of shape"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, Any], words: str) -> None:
    given = {"observation": np.ones((3, 4)), "defects": [[1.0, 2.5]]} | options
    with pytest.raises(ExtractionError, match=words):
        oversample(**given)


def test_masked_pixels_are_not_measured_on_finer_ones() -> None:
    counted = np.ones((3, 4), bool)
    counted[1, 2] = False
    prepared = Prepared.start(np.ones((3, 4)), counted, [[1.0, 2.5]])
    other = np.ones((3, 4), bool)
    other[0, 0] = False
    measured = [
        np.isfinite(fine.values)[::2, ::2]
        for fine, _ in (
            oversample(np.ones((3, 4), int), [[1.0, 2.5]], mask=counted),
            oversample(prepared),
            oversample(prepared, mask=other),
        )
    ]
    for found, expected in zip(measured, (counted, counted, counted & other), strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(oversample(prepared)[1].positions, [[2.0, 5.0]])
