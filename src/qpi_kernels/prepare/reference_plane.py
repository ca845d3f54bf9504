"""The plane from which a step takes its parameters."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.prepare.prepared import PreparationError, Prepared

__all__ = ["counted_plane", "mean_plane", "reference_plane"]


def mean_plane(image: xr.DataArray) -> NDArray[np.float64]:
    """Average an image over its biases, (y, x) in float64; NaN where no bias was measured.

    Where biases differ in what was measured, each is averaged about its level on the pixels that
    all have in common, or on its own if there are none: else the mean steps where a bias ends.
    """
    if image.ndim == 2:
        return np.asarray(image.values, np.float64)
    values = xr.DataArray(image.data, dims=("bias", "y", "x")).astype(np.float64)
    measured = values.notnull()
    common = (measured | ~measured.any(["y", "x"])).all("bias")
    # One pass over a lazy cube.
    found = xr.Dataset(
        {
            "mean": values.mean("bias", skipna=True),
            "common": common,
            "measured": measured.any("bias"),
        }
    ).compute()
    if np.array_equal(found["common"], found["measured"]):
        return np.asarray(found["mean"].values)
    shared = values.where(found["common"]) if found["common"].any() else values
    levels = shared.mean(["y", "x"], skipna=True).compute()
    about = (values - levels).mean("bias", skipna=True) + levels.mean(skipna=True)
    return np.asarray(about.values)


def reference_plane(
    scan: Prepared, image: xr.DataArray | None = None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Average a scan over its biases, and mark the pixels that count and were measured, (y, x).

    Parameters
    ----------
    scan : Prepared
        The image and its mask.
    image : DataArray, optional
        Another channel of the same pixels to average instead.

    Raises
    ------
    PreparationError
        If not one pixel counts.
    """
    plane = mean_plane(scan.image if image is None else image)
    counted = scan.mask & np.isfinite(plane)
    if not counted.any():
        raise PreparationError("no pixel counts: all are masked or were not measured")
    return plane, counted


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
    plane, counted = reference_plane(scan, image)
    return np.where(counted, plane, np.nan)
