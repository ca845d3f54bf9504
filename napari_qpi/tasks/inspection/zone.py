"""The Brillouin zone of the lattice that a map or its topograph resolves."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels import inspect
from qpi_kernels.prepare import PreparationError

__all__ = ["find_zone"]


def find_zone(*images: xr.DataArray) -> NDArray[np.float64] | None:
    """Find Bragg peaks and outline the first Brillouin zone.

    Parameters
    ----------
    *images : xarray.DataArray
        ``(y, x)`` or ``(bias, y, x)`` of one frame; the first that resolves the lattice counts.

    Returns
    -------
    array or None, (N, 2)
        Corners ``(q_y, q_x)``, the first one again at the end; None where nothing resolves it.
    """
    for image in images:
        try:
            peaks = inspect.bragg_peaks(image)
            return np.asarray(inspect.brillouin_zone(peaks).values, float)
        except (PreparationError, inspect.InspectionError):
            continue  # most images resolve no atoms
    return None
