"""Contrast limits that neither outliers nor NaN spoil, without computing a whole lazy array."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["robust_limits"]

_MAX_VALUES = 100_000
_PLANES = 3
_PERCENTILES = (0.3, 99.7)
# A kernel's waves are far weaker than its core.
_SYMMETRIC_PERCENTILES = (1.0, 99.0)


def robust_limits(data: Any, *, symmetric: bool = False) -> tuple[float, float]:
    """Choose contrast limits from a sample of an array.

    Parameters
    ----------
    data : array
        numpy or dask, any shape with the image in the last two axes. Of a stack three planes are
        looked at, so of a lazy array only these are read.
    symmetric : bool
        Put zero in the middle, for signed data on a diverging colour map.

    Returns
    -------
    tuple of float
        Lower and upper limit, always different; (0, 1) where nothing is finite.
    """
    if data.ndim > 2:
        planes = np.unique(np.linspace(0, data.shape[0] - 1, _PLANES).astype(int))
        values = np.concatenate([_sample(data[index]) for index in planes.tolist()])
    else:
        values = _sample(data)
    values = values[np.isfinite(values)]
    if not values.size:
        return (0.0, 1.0)
    percentiles = _SYMMETRIC_PERCENTILES if symmetric else _PERCENTILES
    low, high = (float(limit) for limit in np.percentile(values, percentiles))
    if symmetric:
        high = max(abs(low), abs(high))
        low = -high
    if high > low:
        return (low, high)
    half = abs(low) * 1e-3 or 0.5
    return (low - half, high + half)


def _sample(data: Any) -> np.ndarray:
    stride = max(1, int(np.sqrt(data.size / _MAX_VALUES)))
    return np.asarray(data[..., ::stride, ::stride], dtype=float).ravel()
