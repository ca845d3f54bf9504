"""Keys of a report that name the unit of the image."""

from __future__ import annotations

import xarray as xr

__all__ = ["with_unit"]


def with_unit(name: str, image: xr.DataArray) -> str:
    """Append the image's unit to the name of a number, such as ``rms_nm``; none if unknown."""
    unit = "".join(part for part in str(image.attrs.get("units", "")) if part.isalnum())
    return f"{name}_{unit}" if unit else name
