"""Limits of colours that neither outliers nor NaN spoil, without computing a whole lazy array."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["colour_limits"]

_MAX_VALUES = 400_000
_LAZY_PLANES = 3
_PERCENTILES = (0.3, 99.7)
# A kernel's waves are far weaker than its core.
_SIGNED_PERCENTILES = (1.0, 99.0)


def colour_limits(values: Any, *, signed: bool) -> tuple[float, float]:
    """Choose the limits of an image's colours, in figures and in napari alike.

    Parameters
    ----------
    values : array
        numpy, xarray or dask, the image in the last two axes. NaN does not count. Of a large array
        a regular sample is looked at; of a lazy stack only three planes are read.
    signed : bool
        Zero has the colour in the middle.

    Returns
    -------
    tuple of float
        Lower and upper limit, never equal: of 0.3 % of the values at each end the colours end,
        of signed ones of 1 %. (0, 1) where nothing is finite, (-1, 1) if signed.
    """
    known = _sample(getattr(values, "data", values) if hasattr(values, "dims") else values)
    known = known[np.isfinite(known)]
    if not known.size:
        return (-1.0, 1.0) if signed else (0.0, 1.0)
    percentiles = _SIGNED_PERCENTILES if signed else _PERCENTILES
    low, high = (float(limit) for limit in np.percentile(known, percentiles))
    if signed:
        high = max(abs(low), abs(high)) or float(np.abs(known).max())
        low = -high
    if high > low:
        return (low, high)
    half = abs(low) * 1e-3 or 0.5
    return (low - half, high + half)


def _sample(values: Any) -> NDArray[np.float64]:
    """Read enough of an array to know its values."""
    if not isinstance(values, np.ndarray) and values.ndim > 2:
        planes = np.unique(np.linspace(0, values.shape[0] - 1, _LAZY_PLANES).astype(int))
        return np.concatenate([_sample(values[index]) for index in planes.tolist()])
    if values.ndim < 2:
        return np.asarray(values, float).ravel()
    stride = max(1, int(np.sqrt(values.size / _MAX_VALUES)))
    return np.asarray(values[..., ::stride, ::stride], float).ravel()
