"""From napari layers to the library's arrays and tables, and from its results back to layers.

What napari has no place for travels in ``layer.metadata["napari_qpi"]``: the layer's ``role``, true
biases, data units, and with a kernel the whole `KernelResult`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from napari_qpi.layers.geometry import (
    Geometry,
    last_axes,
    layer_geometry,
    layer_pitch,
    pixel_to_pixel,
    unit_factor,
)
from qpi_kernels.defects.table import DEFAULT_KIND, Defects

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer, Points

    from qpi_kernels.result import KernelResult

__all__ = [
    "KIND_COLORS",
    "MASK",
    "METADATA_KEY",
    "PROPOSALS",
    "LayerConversionError",
    "LayerData",
    "add_layers",
    "ascending",
    "bias_values",
    "defects_from_points",
    "defects_from_table",
    "detached",
    "feature_columns",
    "image_id",
    "is_observation",
    "layer_geometry",
    "mask_from_layer",
    "observation_from_layer",
    "points_from_defects",
    "result_of",
    "shown_plane",
    "type_of",
]

METADATA_KEY = "napari_qpi"

# The roles of points that an extraction suggests to mark, and of labels on pixels left out.
PROPOSALS = "proposals"
MASK = "mask"

# What an extraction or a simulation made, saved or not: no observations.
_RESULT_ROLES = ("residual", "reconstruction", "std", "kernel", "true kernel")

LayerData = tuple[Any, dict[str, Any], str]

# Okabe and Ito's palette without black: distinct for colour-blind people, visible on any map.
KIND_COLORS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#D55E00", "#CC79A7", "#0072B2")

_POINT_SIZE_PX = 9.0


class LayerConversionError(ValueError):
    """A layer can not be used for this; the message says what to do with it."""


def type_of(layer: Layer) -> str:
    """Name a layer's type as npe2 does: ``"image"``, ``"labels"``, ``"points"``, ..."""
    from napari import layers

    for name in ("Labels", "Image", "Points", "Shapes"):
        if isinstance(layer, getattr(layers, name)):
            return name.lower()
    return type(layer).__name__.lower()


def image_id(image: Layer) -> str:
    """Identify an image in this session; a copy made for a computation has the image's own."""
    copied = image.metadata.get(METADATA_KEY, {}).get("copy_of")
    return str(copied or image.unique_id)


def detached(image: Image, data: Any) -> Image:
    """Copy name, place and look of an image to a layer with other data that is in no viewer."""
    known = {**image.metadata.get(METADATA_KEY, {}), "copy_of": image_id(image)}
    return type(image)(
        data,
        name=image.name,
        colormap=image.colormap,
        contrast_limits=list(image.contrast_limits),
        metadata={**image.metadata, METADATA_KEY: known},
        **layer_geometry(image, data.ndim),
    )


def observation_from_layer(layer: Image) -> xr.DataArray:
    """Take an image layer as the observation to extract a kernel from.

    Parameters
    ----------
    layer : napari.layers.Image
        Two axes, or three with the bias first (leading axes of length 1 are dropped). Of a
        multiscale image the full resolution is taken.

    Returns
    -------
    xarray.DataArray
        Floating point, ``(y, x)`` or ``(bias, y, x)``; a lazy layer stays lazy. Coordinates count
        from the first pixel's centre in nm when the layer's units are lengths (from ``layer.scale``
        or an affine), else in pixels. Biases are the recorded ones where the layer knows them,
        else the first axis in V, or in the layer's own unit when that is no voltage.

    Raises
    ------
    LayerConversionError
        If the layer is no image, in colour, or has too many axes.
    """
    if type_of(layer) != "image":
        raise LayerConversionError(f"layer {layer.name!r} is not an image; choose an image layer")
    if layer.rgb:
        raise LayerConversionError(
            f"layer {layer.name!r} is a colour picture; split its channels "
            "(right-click, Split RGB) and choose one"
        )
    data = layer.data[0] if layer.multiscale else layer.data
    if not hasattr(data, "dask"):
        data = np.asarray(data)
    while data.ndim > 3 and data.shape[0] == 1:
        data = data[0]
    if data.ndim not in (2, 3):
        raise LayerConversionError(
            f"layer {layer.name!r} has {data.ndim} axes; a map (y, x) or a stack (bias, y, x) is "
            "needed (right-click, Split Stack)"
        )
    if data.dtype.kind != "f" or data.dtype.itemsize < 4:
        data = data.astype(np.float32 if data.dtype.itemsize <= 2 else np.float64)
    if isinstance(data, np.ndarray):
        data = np.ascontiguousarray(data)  # a stack shown turned over has strides torch refuses
    known = layer.metadata.get(METADATA_KEY, {})
    pitch, length_unit = layer_pitch(layer)
    coords: dict[str, Any] = {
        axis: (axis, np.arange(size) * step, {"units": length_unit})
        for axis, size, step in zip(("y", "x"), data.shape[-2:], pitch, strict=True)
    }
    bias = known.get("bias")
    if data.ndim == 3:
        coords["bias"] = _bias_coordinate(layer, bias, data.shape[0])
    elif bias is not None and np.ndim(bias) == 0:
        coords["bias"] = ((), float(bias), {"units": "V"})
    return xr.DataArray(
        data,
        dims=("bias", "y", "x")[3 - data.ndim :],
        coords=coords,
        name=known.get("channel") or "observation",
        attrs={"long_name": layer.name, "units": known.get("units", "")},
    )


def _bias_coordinate(layer: Layer, known: Any, count: int) -> tuple[str, Any, dict[str, str]]:
    """Take the recorded biases, else the first axis of the layer."""
    if known is not None and np.shape(known) == (count,):
        return "bias", np.asarray(known, float), {"units": "V"}
    values = layer.translate[-3] + layer.scale[-3] * np.arange(count)
    factor = unit_factor(layer.units[-3], "V")
    if factor is None:
        return "bias", values, {"units": str(layer.units[-3])}
    return "bias", values * factor, {"units": "V"}


def defects_from_points(points: Points, image: Layer | None = None) -> Defects:
    """Take a points layer as a table of defects.

    Parameters
    ----------
    points : napari.layers.Points
        The last two axes count, so points on a ``(bias, y, x)`` stack serve too. ``features`` may
        have the columns ``kind`` and ``strength``.
    image : napari.layers.Layer, optional
        The image the positions refer to: where the two layers lie differently in the world,
        positions are carried over. Left out, the points' own data are the pixel positions.

    Returns
    -------
    Defects
        In pixels (row, col) of the image.
    """
    if type_of(points) != "points":
        raise LayerConversionError(f"layer {points.name!r} holds no points; choose a points layer")
    positions = np.asarray(points.data, float).reshape(-1, points.ndim)[:, -2:]
    if image is not None and len(positions):
        positions = pixel_to_pixel(positions, points, image)
    return defects_from_table(positions, points.features)


def defects_from_table(positions: NDArray[np.float64], features: Any) -> Defects:
    """Take pixel positions ``(N, 2)`` and a points layer's feature table as defects.

    A missing kind is the default kind, a missing strength or probability is 1.
    """
    kind = None
    if "kind" in features:
        kind = [DEFAULT_KIND if _missing(value) else str(value) for value in features["kind"]]
    strength, probability = (
        [1.0 if _missing(value) else float(value) for value in features[name]]
        if name in features and len(positions)
        else None
        for name in ("strength", "probability")
    )
    return Defects(positions, kind or None, strength, probability)


def _missing(value: Any) -> bool:
    return value is None or value != value or value == ""


def feature_columns(defects: Defects) -> dict[str, NDArray[Any]]:
    """Make a points layer's features of a table: ``probability`` only where it is not 1."""
    features: dict[str, NDArray[Any]] = {
        "kind": np.array(defects.kind, dtype=object),
        "strength": np.array(defects.strength),
    }
    if not (defects.probability == 1).all():
        features["probability"] = np.array(defects.probability)
    return features


def points_from_defects(
    defects: Defects, image: Layer | Geometry | None = None, name: str = "defects"
) -> LayerData:
    """Show a table of defects as a points layer, one colour per kind.

    Parameters
    ----------
    defects : Defects
        In pixels of the image.
    image : napari.layers.Layer or dict, optional
        The image or its geometry; the points get its geometry in the last two axes.
    name : str
        Name of the new layer.

    Returns
    -------
    tuple
        Layer data with the features ``kind`` and ``strength``, and ``probability`` where a
        computer found the defects.
    """
    features = feature_columns(defects)
    defaults: dict[str, Any] = {"kind": (defects.kinds or (DEFAULT_KIND,))[0], "strength": 1.0}
    if "probability" in features:
        defaults["probability"] = 1.0
    arguments: dict[str, Any] = {
        "name": name,
        "ndim": 2,
        "features": features,
        "feature_defaults": defaults,
        "size": _POINT_SIZE_PX,
        "symbol": "ring",
        "border_width": 0.0,
        "metadata": {METADATA_KEY: {"role": "defects"}},
    }
    if len(defects):
        arguments |= {"face_color": "kind", "face_color_cycle": list(KIND_COLORS)}
    else:
        arguments["face_color"] = KIND_COLORS[0]
    if isinstance(image, dict):
        arguments |= last_axes(image, 2)
    elif image is not None:
        arguments |= layer_geometry(image, ndim=2)
        arguments["metadata"][METADATA_KEY]["image"] = image_id(image)
    return np.array(defects.positions), arguments, "points"


def mask_from_layer(excluded: Layer, image: Image) -> NDArray[np.bool_]:
    """Turn a layer that marks what to leave out into the mask that `qpi_kernels.extract` takes.

    Parameters
    ----------
    excluded : napari.layers.Layer
        Labels (everything but 0 is left out), shapes (their inside is left out), or an image
        (everything but 0 is left out). A third axis is merged: what is marked in one plane is
        left out of all.
    image : napari.layers.Image
        The observation; a layer that lies differently in the world is carried over to its pixels.

    Returns
    -------
    array of bool, (y, x)
        True where a pixel of the image *counts*.

    Raises
    ------
    LayerConversionError
        If the layer is of another type.
    """
    shape = (image.data[0] if image.multiscale else image.data).shape[-2:]
    match type_of(excluded):
        case "shapes":
            marked = _inside_shapes(excluded, image, shape)
        case "labels" | "image" if not getattr(excluded, "rgb", False):
            marked = _marked_pixels(excluded, image, shape)
        case _:
            raise LayerConversionError(
                f"layer {excluded.name!r} can not exclude pixels; use labels, shapes or an image"
            )
    counted: NDArray[np.bool_] = np.logical_not(marked)
    return counted


def _inside_shapes(layer: Layer, image: Layer, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Mark the image's pixels inside shapes."""
    from napari.layers import Shapes

    if not len(layer.data):
        return np.zeros(shape, bool)
    corners = [pixel_to_pixel(np.asarray(data)[:, -2:], layer, image) for data in layer.data]
    drawn = Shapes(corners, shape_type=layer.shape_type).to_labels(shape)
    return np.asarray(drawn, dtype=bool)


def _marked_pixels(layer: Layer, image: Layer, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Mark the image's pixels where another layer is not 0."""
    data = np.asarray(layer.data[0] if layer.multiscale else layer.data)
    marked = (data != 0) & (data == data)
    marked = marked.any(axis=tuple(range(marked.ndim - 2)))
    rows, cols = np.indices(shape)
    positions = np.stack([rows.ravel(), cols.ravel()], axis=1)
    found = np.rint(pixel_to_pixel(positions, image, layer)).astype(int)
    inside = ((found >= 0) & (found < marked.shape)).all(axis=1)
    result = np.zeros(len(found), bool)
    result[inside] = marked[tuple(found[inside].T)]
    return result.reshape(shape)


def result_of(layer: Layer) -> KernelResult | None:
    """Give the `KernelResult` that a layer was made from, or None."""
    found: KernelResult | None = layer.metadata.get(METADATA_KEY, {}).get("result")
    return found


def is_observation(layer: Layer) -> bool:
    """Return whether a layer may be measured: it is no part of a result, saved or not."""
    return layer.metadata.get(METADATA_KEY, {}).get("role") not in _RESULT_ROLES


def add_layers(viewer: ViewerModel, layers: Iterable[LayerData]) -> list[Layer]:
    """Add layer data to a viewer, in the GUI thread, and give the layers made."""
    from napari.layers import Layer

    made = [Layer.create(*layer) for layer in layers]
    viewer.layers.extend(made)
    return made


def shown_plane(observation: xr.DataArray, layer: Image, viewer: ViewerModel) -> xr.DataArray:
    """Give the map ``(y, x)`` that the viewer's sliders show of a stack; a map as it is."""
    if observation.ndim == 2:
        return observation
    index = round(float(layer.world_to_data(viewer.dims.point)[-3]))
    return observation[min(max(index, 0), len(observation) - 1)]


def ascending(array: xr.DataArray) -> tuple[xr.DataArray, bool]:
    """Turn a stack over, lazily, whose first axis (bias or another sweep) falls.

    Returns
    -------
    DataArray, bool
        The stack with a rising axis, and whether it was turned.
    """
    first = array.dims[0]
    if array.ndim == 2 or first not in array.coords or len(array) < 2:
        return array, False
    if not float(array[first][-1]) < float(array[first][0]):
        return array, False
    return array[::-1], True


def bias_values(array: xr.DataArray) -> list[float] | float | None:
    """Give an array's biases in V as plain numbers: one per plane, one in all, or None."""
    if "bias" not in array.coords or array["bias"].attrs.get("units", "V") != "V":
        return None
    values: list[float] | float = np.asarray(array["bias"].values, float).tolist()
    return values
