"""The plane from which a step takes its parameters."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.prepare.prepared import PreparationError, Prepared

__all__ = ["counted_plane", "mean_plane"]


def mean_plane(image: xr.DataArray) -> NDArray[np.float64]:
    """Average an image over its biases, (y, x) in float64; NaN where no bias was measured."""
    if image.ndim == 2:
        return np.asarray(image.values, np.float64)
    return np.asarray(image.astype(np.float64).mean(str(image.dims[0]), skipna=True).values)


def counted_plane(scan: Prepared, channel: str | None = None) -> NDArray[np.float64]:
    """Return the mean plane with NaN wherever a pixel does not count.

    Parameters
    ----------
    scan : Prepared
        The image.
    channel : str, optional
        Another channel of the same pixels, such as ``topography``.

    Returns
    -------
    array, (y, x)
        float64.

    Raises
    ------
    PreparationError
        If there is no such channel, or not one pixel counts.
    """
    if channel is None:
        image = scan.image
    elif channel in scan.channels:
        image = scan.channels[channel]
    else:
        raise PreparationError(
            f"this needs the channel {channel!r} of the same scan; give it with channels="
        )
    plane = np.where(scan.mask, mean_plane(image), np.nan)
    if not np.isfinite(plane).any():
        raise PreparationError("no pixel counts: all are masked or were not measured")
    return plane
