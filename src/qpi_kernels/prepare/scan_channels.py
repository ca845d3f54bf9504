"""The channels of a scan that steps ask for, found beside an image."""

from __future__ import annotations

import numpy as np
import xarray as xr

__all__ = ["channels_beside"]


def channels_beside(scan: xr.Dataset, image: xr.DataArray) -> dict[str, xr.DataArray]:
    """Find the channels that belong to an image, by what they are to the steps.

    Parameters
    ----------
    scan : xarray.Dataset
        As `qpi_kernels.open_scan` gives it.
    image : xarray.DataArray
        One of its channels, or planes of one.

    Returns
    -------
    dict
        As ``channels=`` of `qpi_kernels.prepare.run` takes it: ``topography`` and ``current`` of
        the image's scan direction (else of the other), ``retrace``, the image's own quantity in
        the other direction, and ``topography_retrace`` where both directions were recorded.
    """
    direction = image.attrs.get("direction", "none")
    other = {"forward": "backward", "backward": "forward"}.get(direction, "none")
    found = {
        "topography": _channel(scan, "topography", direction) or _channel(scan, "topography"),
        "topography_retrace": _channel(scan, "topography", other),
        "current": _channel(scan, "current", direction) or _channel(scan, "current"),
    }
    quantity = image.attrs.get("quantity", "other")
    same = [
        name
        for name, channel in scan.data_vars.items()
        if channel.attrs.get("quantity") == quantity
        and channel.attrs.get("direction") == other != "none"
        and (quantity != "other" or channel.attrs.get("long_name") == image.attrs.get("long_name"))
    ]
    found["retrace"] = str(same[0]) if same else None
    if found["topography_retrace"] == found["topography"]:  # one direction only: no lag in it
        found["topography_retrace"] = None
    sizes = {dim: image.sizes[dim] for dim in ("y", "x")}
    return {
        name: _same_planes(scan[variable], image)
        for name, variable in found.items()
        if variable is not None and {dim: scan[variable].sizes.get(dim) for dim in sizes} == sizes
    }


def _channel(scan: xr.Dataset, quantity: str, direction: str | None = None) -> str | None:
    """Name the first recorded channel of a quantity, of one direction where it is given."""
    names = [
        str(name)
        for name, channel in scan.data_vars.items()
        if channel.attrs.get("quantity") == quantity
        and {"y", "x"} <= set(channel.dims)
        and direction in (None, channel.attrs.get("direction"))
    ]
    names.sort(key=lambda name: bool(scan[name].attrs.get("derived")))
    return names[0] if names else None


def _same_planes(channel: xr.DataArray, image: xr.DataArray) -> xr.DataArray:
    """Take the planes of a channel at the image's biases, where both are stacks of them."""
    if "bias" not in channel.dims or "bias" not in image.coords:
        return channel
    known, wanted = channel["bias"].values, image["bias"].values
    if np.array_equal(known, wanted) or not np.isin(wanted, known).all():
        return channel
    # A sweep there and back has every bias twice, so that the labels cannot be looked up.
    return channel.isel(bias=np.abs(known - wanted[..., None]).argmin(axis=-1))
