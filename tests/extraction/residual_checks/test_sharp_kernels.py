"""Faults of maps whose kernel is too sharp for its pixels, and what that alone looks like."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from qpi_kernels.extraction import extract

SIDE, WINDOW = 96, 17
OTHERS = {"undersampled", "waves_beyond_window", "residual_structure", "residual_excess"}


def spots(marks: NDArray[np.float64], blur: float, seed: int) -> NDArray[np.float64]:
    """Sum spots about all marks, seen at the middle of each pixel: nothing is interpolated."""
    random = np.random.default_rng(seed)
    places, heights = random.uniform(-6, 6, (25, 2)), random.normal(size=25)
    at = (marks[:, None] + places).reshape(-1, 2)
    down, across = (np.exp(-((np.arange(SIDE) - one[:, None]) ** 2) / 2 / blur**2) for one in at.T)
    return np.asarray(np.einsum("s,sy,sx->yx", np.tile(heights, len(marks)), down, across))


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("none", ""),
        ("tip", "tip_change"),
        ("empty", "marks_empty"),
        ("unmarked", "unmarked_defects"),
        ("kind", "second_kind"),
    ],
)
@pytest.mark.parametrize(("blur", "snr"), [(0.4, 10), (0.5, 100)])
def test_a_fault_is_told_beside_sharpness(fault: str, code: str, blur: float, snr: float) -> None:
    random = np.random.default_rng(3)
    true = random.uniform(2, SIDE - 3, (30, 2))
    image, marks = spots(true, blur, 1), true
    if fault == "tip":
        image[50:] *= 0.7
    elif fault == "empty":
        marks = np.concatenate([true, random.uniform(0, SIDE, (10, 2))])
    elif fault == "unmarked":
        marks = true[6:]
    elif fault == "kind":
        image = spots(true[:15], blur, 1) + spots(true[15:], blur, 2)
    image = image + image.std() / snr**0.5 * random.normal(size=image.shape)
    quality = extract(image, marks, kernel_shape=(WINDOW, WINDOW), method="least_squares").quality
    codes = {one.code for one in quality.reasons}
    assert "undersampled" in codes
    assert codes - OTHERS == ({code} if code else set())
