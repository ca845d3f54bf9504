"""Checks that standard deviations are neither too small nor too large."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

# A standard deviation multiplied or divided by 1.4 is outside, wherever it was inside: 1.18² < 1.4.
CALIBRATED = 1.18


def relative_error(found: ArrayLike, std: ArrayLike, truth: ArrayLike) -> float:
    """Return the root mean square of errors in standard deviations; 1 where these are right."""
    return float(np.sqrt(np.mean(((np.asarray(found) - truth) / np.asarray(std)) ** 2)))


def assert_calibrated(found: ArrayLike, std: ArrayLike, truth: ArrayLike) -> None:
    """Check that errors are as large as their standard deviations, up to a factor of 1.18."""
    ratio = relative_error(found, std, truth)
    assert 1 / CALIBRATED < ratio < CALIBRATED, f"errors are {ratio:.2f} standard deviations (rms)"
