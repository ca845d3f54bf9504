"""Size of blocks whose noise tells little of their neighbours': from a residual's correlation."""

from __future__ import annotations

import math

import numpy as np
import scipy.fft
from numpy.typing import NDArray

__all__ = ["choose_block_size", "correlation_length"]

# Correlation that is taken for none.
_UNCORRELATED = 0.1
_MIN_BLOCK_PX, _MAX_BLOCK_PX = 4, 32
# Blocks along the shorter side of a map, at least.
_MIN_BLOCKS_A_SIDE = 8


def choose_block_size(residuals: NDArray[np.floating], mask: NDArray[np.bool_]) -> int:
    """Choose the side of blocks: twice the correlation length of the residual, in pixels.

    At least 4 pixels, and at most 32 or an eighth of the map's shorter side.

    Parameters
    ----------
    residuals : array, (plane, rows, columns)
        Residuals of an extraction.
    mask : array of bool, (rows, columns)
        True where a pixel counts.
    """
    lengths = [correlation_length(one, mask) for one in residuals]
    highest = int(min(_MAX_BLOCK_PX, min(mask.shape) // _MIN_BLOCKS_A_SIDE))
    return max(_MIN_BLOCK_PX, min(highest, math.ceil(2 * float(np.median(lengths)))))


def correlation_length(residual: NDArray[np.floating], mask: NDArray[np.bool_]) -> float:
    """Measure the distance at which a residual's correlation has fallen to a tenth, in pixels.

    Along rows or columns, whichever is longer; 0.9 for white noise.

    Parameters
    ----------
    residual : array, (rows, columns)
        Residual of an extraction.
    mask : array of bool, (rows, columns)
        True where a pixel counts.
    """
    values = np.where(mask, residual - residual[mask].mean(), 0.0)
    size = [scipy.fft.next_fast_len(2 * side, real=True) for side in mask.shape]
    products, pairs = (
        scipy.fft.irfft2(np.abs(scipy.fft.rfft2(one, s=size)) ** 2, s=size)
        for one in (values, mask.astype(np.float64))
    )
    covariance = products / np.maximum(pairs, 1.0)
    if not covariance[0, 0] > 0:
        return 0.0
    lines = (covariance[: mask.shape[0] // 2, 0], covariance[0, : mask.shape[1] // 2])
    return max(_first_below(line / covariance[0, 0]) for line in lines)


def _first_below(correlation: NDArray[np.float64]) -> float:
    """Find where a correlation falls below the threshold, between two lags."""
    below = np.flatnonzero(correlation < _UNCORRELATED)
    if not len(below):
        return float(len(correlation))
    lag = int(below[0])
    high, low = correlation[lag - 1], correlation[lag]
    return float(lag - 1 + (high - _UNCORRELATED) / (high - low))
