"""The ridge of least squares where the residual is not white noise."""

import os
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from qpi_kernels import extract
from qpi_kernels.io import open_scan

DEPTH = 0.02


def dots(positions, shape):
    """Dark dots two pixels wide, in closed form."""
    rows, cols = np.indices(shape, dtype=float)
    return -DEPTH * sum(
        np.exp(-((rows - row) ** 2 + (cols - col) ** 2) / 2) for row, col in positions
    )


def levelled_terrace(positions, seed=0):
    """A flat terrace with dots, and the rims that levelling leaves at its ends and along a step."""
    shape = (160, 160)
    rows, cols = np.indices(shape, dtype=float)
    edge = 20 + 12 * np.sin(rows / 30)
    rims = 0.2 * np.exp(-rows / 6) - 0.2 * np.exp(-(159 - rows) / 6)
    rims += 0.15 * np.exp(-np.abs(cols - edge) / 4) * np.sign(cols - edge)
    noise = 0.0004 * np.random.default_rng(seed).standard_normal(shape)
    return dots(positions, shape) + rims + noise


MARKS = np.array([[45, 80], [60, 120], [90, 70], [110, 130], [120, 95]])


def test_structure_that_no_defect_describes_does_not_erase_the_kernel():
    result = extract(levelled_terrace(MARKS), MARKS, kernel_shape=(48, 48), method="least_squares")
    assert result.quality.ridge[0] < len(MARKS)
    assert result.kernel.values[24, 24] == pytest.approx(-DEPTH, rel=0.35)
    error = result.kernel.values - dots([(24, 24)], (48, 48))
    assert np.sqrt(np.mean(error**2)) < 2 * np.sqrt(np.mean(result.std.values**2))


def test_white_noise_without_a_signal_still_gives_no_kernel():
    image = np.random.default_rng(1).standard_normal((96, 96))
    result = extract(image, MARKS // 2, kernel_shape=(25, 25), method="least_squares")
    assert result.quality.ridge[0] > len(MARKS)
    assert np.abs(result.kernel.values).max() < 0.2


def test_dots_on_a_real_levelled_terrace():
    folder = os.environ.get("NAPARI_QPI_SAMPLES")
    if not folder:
        pytest.skip("NAPARI_QPI_SAMPLES is not set: no real scans to read")
    path = Path(folder) / "createc_step_defects_100nm.dat"
    height = open_scan(path)["topography_forward"].values.astype(float)
    levelled = height - ndimage.median_filter(height, 41)
    steep = ndimage.gaussian_gradient_magnitude(height, 1.5)
    flat = ~ndimage.binary_dilation(steep > 0.02, iterations=4)
    marks = [[127, 133], [177, 205], [196, 205], [197, 95], [202, 119]]
    result = extract(levelled, marks, kernel_shape=(64, 64), mask=flat, method="least_squares")
    measured = np.mean([levelled[row, col] for row, col in marks])
    assert measured == pytest.approx(-0.024, abs=0.002)
    assert result.kernel.values[32, 32] == pytest.approx(measured, rel=0.25)
