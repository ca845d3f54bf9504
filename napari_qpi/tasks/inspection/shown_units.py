"""Scattering vectors in the unit that the user chose."""

from __future__ import annotations

from typing import TypeVar

import xarray as xr

from napari_qpi.tasks.inspection.state import Inspection

__all__ = ["in_shown_units"]

Labelled = TypeVar("Labelled", xr.DataArray, xr.Dataset)


def in_shown_units(array: Labelled, inspection: Inspection) -> Labelled:
    """Give the axis of an array that counts rad per unit of length in the unit on show."""
    if inspection.units == "rad/nm":
        return array
    changed = {}
    for dim in array.dims:
        axis = array[dim]
        if str(axis.attrs.get("units", "")).startswith("rad/"):
            attrs = {**axis.attrs, "units": inspection.q_unit}
            changed[dim] = (dim, axis.values * inspection.q_factor, attrs)
    return array.assign_coords(changed)
