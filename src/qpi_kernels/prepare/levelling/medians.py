"""Medians of rows and robust centres, with NaN where a pixel does not count."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["ROUNDING", "densest_third", "filled", "median_of_five", "robust_std", "row_medians"]

# Below this share of the range of an image differences are of rounding.
ROUNDING = 1e-9

_MAD_TO_STD = 1.4826
# Half the width of the middle third of a normal distribution, in standard deviations.
_HALF_WIDTH = 0.4307


def row_medians(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take the median of every row, (n,); NaN for rows without a number."""
    ordered = np.sort(values, axis=1)  # NaN comes last; much faster than nanmedian
    count = np.isfinite(ordered).sum(axis=1)
    rows = np.arange(len(ordered))
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, values.shape[1] - 1)
    middle = (ordered[rows, low] + ordered[rows, high]) / 2
    return np.where(count > 0, middle, np.nan)


def median_of_five(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Filter with the median of five pixels along an axis, mirrored at the edges.

    A network of minima and maxima takes 5 ms for 512 x 512, `scipy.ndimage.median_filter` 90 ms.
    """
    width = [(2, 2) if number == axis else (0, 0) for number in range(values.ndim)]
    padded = np.moveaxis(np.pad(values, width, mode="reflect"), axis, 0)
    size = values.shape[axis]
    a, b, c, d, e = (padded[first : first + size] for first in range(5))
    low = np.maximum(np.minimum(a, b), np.minimum(c, d))
    high = np.minimum(np.maximum(a, b), np.maximum(c, d))
    median = np.maximum(np.minimum(low, high), np.minimum(np.maximum(low, high), e))
    return np.moveaxis(median, 0, axis)


def robust_std(values: NDArray[np.float64]) -> float:
    """Estimate the standard deviation from the median absolute deviation; NaN is left out."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0
    return _MAD_TO_STD * float(np.median(np.abs(finite - np.median(finite))))


def densest_third(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the centre and the standard deviation of the densest third of finite values.

    It stands on one of up to three terraces, where median and mean lie between them; after the
    shortest half of P. J. Rousseeuw, J. Am. Stat. Assoc. 79, 871 (1984).
    """
    ordered = np.sort(values)
    third = ordered.size // 3
    widths = ordered[third:] - ordered[: ordered.size - third]
    first = int(np.argmin(widths))
    centre = (ordered[first] + ordered[first + third]) / 2
    return float(centre), float(widths[first]) / (2 * _HALF_WIDTH)


def filled(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fill NaN with the nearest number, for filters that need one; never for a result."""
    missing = ~np.isfinite(plane)
    if not missing.any():
        return plane
    from scipy import ndimage

    nearest = ndimage.distance_transform_edt(missing, return_distances=False, return_indices=True)
    return np.asarray(plane[tuple(nearest)])
