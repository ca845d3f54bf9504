"""Notes beside an exported array: attributes that the file's own fields have no place for.

They are one JSON text: an array ``notes`` in ``.npz``, a line ``notes=`` in an ImageJ TIFF's
description. ``offset_nm`` and ``scan_angle_deg`` (see `scan_dataset`) and ``layer_geometry`` place
the frame; everything else describes the channel.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from qpi_kernels.io.array_geometry import pitch_of

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["describe", "frame_centre_nm", "frame_of", "notes_of", "read_notes"]

_IN_FIELDS_OF_THEIR_OWN = ("long_name", "units")
_OF_THE_FRAME = ("offset_nm", "scan_angle_deg", "layer_geometry")


def notes_of(array: xr.DataArray, *, named: bool = False) -> str:
    """Write an array's attributes and the centre of its frame as JSON; skip what JSON cannot.

    Parameters
    ----------
    array : xarray.DataArray
        Image or stack.
    named : bool
        Write its name, too, for a file without a field for that.
    """
    notes = {}
    for name, value in array.attrs.items():
        try:
            text = json.dumps(value)
        except TypeError:
            continue
        skipped = name in _IN_FIELDS_OF_THEIR_OWN and not (named and name == "long_name")
        if not skipped and value not in ("", None):
            notes[str(name)] = json.loads(text)
    centre = frame_centre_nm(array, float(array.attrs.get("scan_angle_deg", 0.0)))
    if centre is not None:
        notes.setdefault("offset_nm", centre)
    return json.dumps(notes)


def frame_centre_nm(array: xr.DataArray, scan_angle_deg: float = 0.0) -> tuple[float, float] | None:
    """Return the frame's centre ``(x, y)``, y upwards, where coordinates in nm do not begin at 0.

    The coordinates of a kernel count from its centre; those of a scan from its first pixel, which
    tells nothing about its place. The scan angle turns the frame about the zero of the coordinates.
    """
    coordinates = [array.coords.get(axis) for axis in ("x", "y")]
    if any(axis is None or axis.attrs.get("units") != "nm" for axis in coordinates):
        return None
    (left, right), (top, bottom) = (
        np.asarray(axis.values, float)[[0, -1]] for axis in coordinates if axis is not None
    )
    if left == top == 0:
        return None
    # The coordinates run along the frame, which may be turned clockwise on the screen.
    angle = math.radians(scan_angle_deg)
    along, up = (left + right) / 2, -(top + bottom) / 2
    return (
        float(along * math.cos(angle) + up * math.sin(angle)),
        float(up * math.cos(angle) - along * math.sin(angle)),
    )


def frame_of(scan: xr.Dataset | xr.DataArray) -> dict[str, Any]:
    """Return size, pitch, place and angle of a scan's images, for files that lie beside it."""
    import xarray as xr

    images = [scan] if isinstance(scan, xr.DataArray) else scan.data_vars.values()
    image = next(image for image in images if {"y", "x"} <= set(image.dims))
    return {
        "shape": [image.sizes["y"], image.sizes["x"]],
        "pixel_nm": pitch_of(image),
        "offset_nm": scan.attrs.get("offset_nm", (0.0, 0.0)),
        "scan_angle_deg": scan.attrs.get("scan_angle_deg", 0.0),
    }


def read_notes(text: object) -> dict[str, Any]:
    """Read what `notes_of` wrote; of any other text nothing."""
    try:
        notes = json.loads(str(text))
    except ValueError:
        return {}
    return notes if isinstance(notes, dict) else {}


def describe(dataset: xr.Dataset, notes: Mapping[str, Any]) -> xr.Dataset:
    """Give notes back to a scan of one main channel, the first variable."""
    for name, value in notes.items():
        if name in _OF_THE_FRAME:
            dataset.attrs[name] = tuple(value) if name == "offset_nm" else value
        else:
            next(iter(dataset.data_vars.values())).attrs[name] = value
    return dataset
