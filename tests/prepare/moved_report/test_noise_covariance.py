"""The covariance of interpolated noise, against noise that was interpolated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.prepare import (
    Crop,
    Level,
    Prepared,
    Rebin,
    Rotate,
    load_prepared,
    run,
    save_prepared,
)
from qpi_kernels.prepare.geometry.frame import Frame
from qpi_kernels.prepare.geometry.resampling import resample
from qpi_kernels.prepare.moved_report.noise_covariance import (
    difference_share,
    known_covariance,
    power_on,
    resampled_covariance,
)

Array = NDArray[Any]
SIDE, MIDDLE = 96, 7


def covariance_of(scan: Prepared) -> Array:
    known = known_covariance(scan.report)
    assert known is not None
    return known


def turned(angle: float, scale: float = 1.0) -> Array:
    rows, columns = np.indices((SIDE, SIDE)) - SIDE / 2
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    return np.stack([cosine * rows + sine * columns, cosine * columns - sine * rows]) + SIDE / 2


def waving() -> Array:
    rows, columns = np.indices((SIDE, SIDE), float)
    down = 1.5 * np.sin(rows / 15) * np.cos(columns / 15 + 1)
    return np.stack([rows + down, columns - 1.2 * np.cos(rows / 20)])


def measured(positions: Array, draws: int = 60) -> tuple[Array, float]:
    """Average products of pixels, and the median square of second differences, over draws."""
    rng = np.random.default_rng(0)
    products, differences = np.zeros((5, 9)), []
    for _ in range(draws):
        white = rng.standard_normal((SIDE, SIDE))
        read = scipy.ndimage.map_coordinates(white, positions, order=5, mode="grid-wrap")
        inner = read[:-4, 4:-4]
        for down, right in np.ndindex(products.shape):
            other = read[down : down + len(inner), right : right + inner.shape[1]]
            products[down, right] += (inner * other).mean() / draws
        twice = read[1:, 1:] - read[1:, :-1] - read[:-1, 1:] + read[:-1, :-1]
        differences.append(twice.ravel() / 2)
    return products, float(np.median(np.abs(np.concatenate(differences))) / 0.6745) ** 2


@pytest.mark.parametrize(
    "positions",
    [
        np.indices((SIDE, SIDE)) + 0.5,
        np.indices((SIDE, SIDE)) + np.array([0.0, 0.4])[:, None, None],
        turned(0.35),
        turned(1.0, scale=0.6),
        waving(),
    ],
    ids=["half a pixel", "along rows", "turned", "zoomed", "drift"],
)
def test_noise_is_correlated_as_told(positions: Array) -> None:
    found = resampled_covariance(positions, 5)
    products, differences = measured(positions)
    np.testing.assert_allclose(
        found[MIDDLE : MIDDLE + 5, MIDDLE - 4 : MIDDLE + 5], products, atol=0.012
    )
    share = differences / products[0, 4]
    assert difference_share(found) == pytest.approx(share, rel=0.07, abs=0.01)


def test_pixels_that_are_copied_stay_white() -> None:
    copied: Array = 3.0 + np.indices((40, 30))
    found = resampled_covariance(copied, 5)
    expected = np.zeros((15, 15))
    expected[MIDDLE, MIDDLE] = 1.0
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert difference_share(found) == pytest.approx(1.0)


def test_the_power_is_that_of_the_counted_pixels() -> None:
    mask = np.ones((SIDE, SIDE), bool)
    mask[:30, 50:] = False
    positions: Array = np.indices((SIDE, SIDE)) + 0.5
    rng = np.random.default_rng(1)
    power = np.zeros(mask.shape)
    for _ in range(100):
        white = rng.standard_normal(mask.shape)
        read = scipy.ndimage.map_coordinates(white, positions, order=5, mode="grid-wrap")
        power += np.abs(np.fft.fft2(read * mask)) ** 2 / mask.size / 100
    expected = power_on(resampled_covariance(positions, 5), mask)
    assert expected.mean() == pytest.approx(power.mean(), rel=0.02)
    smooth = scipy.ndimage.gaussian_filter(power, 2, mode="wrap")
    ratio = smooth / scipy.ndimage.gaussian_filter(expected, 2, mode="wrap")
    np.testing.assert_allclose(ratio[expected > 0.05], 1.0, atol=0.15)


def start() -> Prepared:
    return Prepared.start(xr.DataArray(np.zeros((SIDE, SIDE)), dims=("y", "x")))


def shifted(scan: Prepared, down: float, right: float) -> Prepared:
    return resample(scan, Frame((SIDE, SIDE), np.eye(2), np.array([down, right])))


def test_only_interpolation_is_reported() -> None:
    copied = run(start(), [Crop(rows=(3, 80), columns=(0, 96)), Rotate(angle_deg=90.0)])
    assert known_covariance(copied.report) is None
    turned_once = run(start(), [Rotate(angle_deg=20.0, canvas="same")])
    assert list(turned_once.report) == ["resampling", "rotate"]
    again = run(turned_once, [Level(), Rotate(angle_deg=5.0, canvas="same")])
    assert list(again.report) == ["resampling", "rotate", "level", "rotate_2"]
    twice, once = covariance_of(again)[MIDDLE, MIDDLE], covariance_of(turned_once)[MIDDLE, MIDDLE]
    assert twice < 0.95 * once
    told = again.report["resampling"]["noise_variance_share"]
    assert told == pytest.approx(twice)


def test_moves_in_a_row_interpolate_once() -> None:
    twice = shifted(shifted(start(), 0.2, 0.1), 0.3, 0.2)
    once = shifted(start(), 0.5, 0.3)
    np.testing.assert_allclose(covariance_of(twice), covariance_of(once), atol=5e-3)


def test_a_change_of_values_between_two_moves_makes_two_interpolations() -> None:
    first = shifted(start(), 0.0, 0.5)
    changed = Prepared(first.image + 1, first.mask, report=first.report)
    second = covariance_of(shifted(changed, 0.0, 0.5))
    white = np.random.default_rng(0).standard_normal((400, 256))
    for _ in range(2):
        white = scipy.ndimage.shift(white, (0, -0.5), order=5, mode="grid-wrap")
    expected = [(white * np.roll(white, lag, axis=1)).mean() for lag in range(4)]
    np.testing.assert_allclose(second[MIDDLE, MIDDLE : MIDDLE + 4], expected, atol=0.015)


def test_the_covariance_turns_with_the_pixels() -> None:
    along_rows = shifted(start(), 0.0, 0.5)
    quarter = run(along_rows, [Rotate(angle_deg=90.0)])
    np.testing.assert_allclose(covariance_of(quarter), covariance_of(along_rows).T, atol=1e-12)
    blocks = run(along_rows, [Rebin(factor=2)])
    assert known_covariance(blocks.report) is None


def test_the_covariance_is_saved(tmp_path: Any) -> None:
    moved = shifted(start(), 0.3, 0.5)
    back = load_prepared(save_prepared(moved, tmp_path / "moved.nc"))
    np.testing.assert_array_equal(covariance_of(back), covariance_of(moved))
