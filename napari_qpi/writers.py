"""The npe2 writers: kernels and maps with units, defects as a table.

Each takes a path and layers as tuples, and returns a list with the one file that it wrote.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import xarray as xr

from napari_qpi.layers.conversion import (
    METADATA_KEY,
    LayerConversionError,
    LayerData,
    ascending,
    defects_from_points,
    is_observation,
    observation_from_layer,
)
from napari_qpi.layers.geometry import GEOMETRY_KEY, Geometry, layer_geometry
from qpi_kernels.kernel_files import kernel_notes
from qpi_kernels.result import KernelResult

__all__ = ["NotSavedError", "export_image", "write_defects", "write_netcdf"]


class NotSavedError(OSError):
    """Layers can not be saved as asked; the message says what to do.

    No ValueError, because napari takes that for "no writer found" and hides the message.
    """


@contextmanager
def _reasons_shown() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise NotSavedError(str(error)) from error


@_reasons_shown()
def write_netcdf(path: str, layers: list[LayerData]) -> list[str]:
    """Save image layers as ``.nc``, without loss.

    Parameters
    ----------
    path : str
        The file; its folder must exist.
    layers : list of tuple
        Layers of one `KernelResult`, which is saved once and whole, or a single other image, which
        keeps its values, units and place; a prepared one its mask, defects and history, too.

    Raises
    ------
    NotSavedError
        If several layers do not belong to one result, or an image is in colour or has more than
        three axes.
    """
    results = [_unchanged_result(layer) for layer in layers]
    first = results[0]
    if first is not None and all(result is first for result in results):
        return [str(first.save(path))]
    if len(layers) > 1:
        raise LayerConversionError(
            "these are not the images of one extraction; select and save them one at a time"
        )
    from napari.layers import Layer

    from napari_qpi.layers.prepared_file import write_prepared_layer
    from qpi_kernels.io.formats.netcdf import save_scan

    saved = write_prepared_layer(Layer.create(*layers[0]), path)
    if saved is not None:
        return [str(saved)]
    return [str(save_scan(_image_dataset(layers[0]), path))]


@_reasons_shown()
def export_image(path: str, layers: list[LayerData]) -> list[str]:
    """Write an image layer for other programs, with pixel size and biases.

    Parameters
    ----------
    path : str
        ``.tif``, ``.gwy`` or ``.npz``, see `qpi_kernels.io.exporters.export_array`.
    layers : list of tuple
        One image.

    Raises
    ------
    NotSavedError
        If there are other layers too, or the image is in colour or has more than three axes.
    """
    from qpi_kernels.io.exporters import export_array

    array, geometry = _placed_image(_only_layer(layers))
    return [str(export_array(array.assign_attrs({GEOMETRY_KEY: geometry}), path))]


@_reasons_shown()
def write_defects(path: str, layers: list[LayerData]) -> list[str]:
    """Save a points layer as ``.csv`` that napari and `qpi_kernels.Defects.from_csv` read.

    Parameters
    ----------
    path : str
        The file.
    layers : list of tuple
        One points layer, whose last two axes are written in its own pixels with the features
        ``kind`` and ``strength``, and where it lies.

    Raises
    ------
    NotSavedError
        If there are other layers too.
    """
    from napari.layers import Layer

    points = Layer.create(*_only_layer(layers))
    defects_from_points(points).to_csv(path, frame=layer_geometry(points, ndim=2))
    return [path]


def _unchanged_result(layer: LayerData) -> KernelResult | None:
    """Give the result that a layer shows, unless the user has changed the layer's values."""
    data, arguments, _ = layer
    known = arguments.get("metadata", {}).get(METADATA_KEY, {})
    result = known.get("result")
    if not isinstance(result, KernelResult):
        return None
    shown: xr.DataArray = getattr(result, known["role"])
    if known.get("kind") is not None:
        shown = shown.sel(kind=known["kind"])
    shown, _ = ascending(shown)
    return result if np.array_equal(np.asarray(data), shown.values, equal_nan=True) else None


def _only_layer(layers: list[LayerData]) -> LayerData:
    # The manifest must allow a second layer for these writers to rank behind napari's own.
    if len(layers) != 1:
        raise LayerConversionError("select one layer; images and points go into files of their own")
    return layers[0]


def _placed_image(layer: LayerData) -> tuple[xr.DataArray, Geometry]:
    """Take an image as an array that knows its quantity and kind, and where it lies."""
    from napari.layers import Layer

    made = Layer.create(*layer)
    array = observation_from_layer(made)
    known = made.metadata.get(METADATA_KEY, {})
    array.attrs |= {
        "quantity": known.get("quantity", "other"),
        "direction": "none",
        "derived": known.get("derived", ""),
    }
    if known.get("kind") is not None:
        array.attrs["kind"] = str(known["kind"])
    if not is_observation(made):
        array.attrs["role"] = known["role"]
        array.attrs |= {"trust": known["trust"]} if known.get("trust") else {}
    if known.get("result") is not None:
        array.attrs |= kernel_notes(known["result"], known.get("kind"), known["role"])
    return array, layer_geometry(made, ndim=array.ndim)


def _image_dataset(layer: LayerData) -> xr.Dataset:
    """Make the scan that keeps an image without loss."""
    array, geometry = _placed_image(layer)
    attributes = {
        "source": "",
        "format": "napari layer",
        "offset_nm": (0.0, 0.0),
        "scan_angle_deg": 0.0,
        "setpoint": "",
        "complete": True,
        "header": {},
    }
    scan = layer[1].get("metadata", {}).get(METADATA_KEY, {}).get("scan", {})
    return array.to_dataset(promote_attrs=False).assign_attrs(
        {**attributes, **scan, GEOMETRY_KEY: geometry}
    )
