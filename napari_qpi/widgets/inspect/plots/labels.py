"""Labels of axes and quantities, from what an array says of itself."""

from __future__ import annotations

import xarray as xr

__all__ = ["axis_label", "quantity_label", "readable_unit"]

_SIGNS = {"rad/nm": "rad nm⁻¹", "1/nm": "nm⁻¹"}


def quantity_label(array: xr.DataArray) -> str:
    """Name the quantity of an array, with its unit."""
    name = str(array.attrs.get("long_name") or array.name or "")
    unit = readable_unit(str(array.attrs.get("units", "")))
    return f"{name} ({unit})" if unit else name


def axis_label(array: xr.DataArray, dim: str) -> str:
    """Name one axis of an array, with its unit."""
    axis = array[dim]
    if not axis.attrs.get("long_name"):
        axis = axis.assign_attrs(long_name=dim.replace("_", " "))
    return quantity_label(axis)


def readable_unit(unit: str) -> str:
    """Write a unit as it is printed."""
    return _SIGNS.get(unit) or unit.replace("^2", "²").replace("^-1", "⁻¹")
