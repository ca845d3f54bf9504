"""Saved prepared images as layers, and prepared layers as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_qpi.layers.conversion import (
    MASK,
    METADATA_KEY,
    LayerData,
    bias_values,
    points_from_defects,
)
from napari_qpi.layers.geometry import GEOMETRY_KEY, last_axes, layer_geometry, scan_geometry
from napari_qpi.layers.prepared import (
    LEFT_OUT_COLORS,
    PREPARED,
    PreparationRecord,
    prepared_of,
)
from qpi_kernels.inspect.colours import colour_limits
from qpi_kernels.prepare import Prepared, load_prepared, save_prepared

if TYPE_CHECKING:
    from napari.layers import Image

__all__ = ["prepared_file_layers", "write_prepared_layer"]


def write_prepared_layer(layer: Image, path: str | Path) -> Path | None:
    """Save the `Prepared` of a layer with its place; None if the layer shows none.

    Parameters
    ----------
    layer : napari.layers.Image
        The layer; it need not be in a viewer.
    path : path-like
        Ends in ``.nc``.
    """
    prepared = prepared_of(layer)
    if prepared is None:
        return None
    placed = prepared.image.assign_attrs({GEOMETRY_KEY: layer_geometry(layer)})
    return save_prepared(
        Prepared(
            placed,
            prepared.mask,
            prepared.defects,
            prepared.report,
            prepared.history,
            prepared.channels,
        ),
        path,
    )


def prepared_file_layers(path: Path) -> list[LayerData]:
    """Read a saved `Prepared`: its image, the pixels left out, and its defects.

    Raises
    ------
    PreparationError
        If the file is damaged.
    """
    prepared = load_prepared(path)
    image, name = prepared.image, path.stem
    offset, angle = image.attrs.get("offset_nm", (0.0, 0.0)), image.attrs.get("scan_angle_deg", 0.0)
    geometry = image.attrs.get(GEOMETRY_KEY) or scan_geometry(image, offset, angle)
    plane = last_axes(geometry, 2)
    record = PreparationRecord(
        image, name, None, None, {}, None, None, len(prepared.history), str(path)
    )
    known: dict[str, Any] = {
        "role": PREPARED,
        "channel": str(image.name),
        "quantity": image.attrs.get("quantity", "other"),
        "units": image.attrs.get("units", ""),
        "bias": bias_values(image),
        "scan": {"offset_nm": offset, "scan_angle_deg": angle},
        "preparation": {"history": prepared.history, "report": prepared.report},
        PREPARED: prepared,
        "record": record,
        "file": str(path),
    }
    arguments = {
        "name": name,
        "contrast_limits": colour_limits(image.data, signed=False),
        "metadata": {METADATA_KEY: known},
        **geometry,
    }
    layers: list[LayerData] = [(image.data, arguments, "image")]
    if not prepared.mask.all():
        marks = {
            "name": f"{name} left out",
            "opacity": 0.5,
            "colormap": LEFT_OUT_COLORS,
            "metadata": {METADATA_KEY: {"role": MASK, "file": str(path)}},
            **plane,
        }
        layers.append(((~prepared.mask).astype(np.uint8), marks, "labels"))
    if prepared.defects is not None and len(prepared.defects):
        layers.append(points_from_defects(prepared.defects, plane, name=f"{name} defects"))
    return layers
