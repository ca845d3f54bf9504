"""Free places beside what a viewer shows, so that no new layer lies over an existing one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_qpi.layers.conversion import type_of
from napari_qpi.layers.geometry import pixel_to_pixel, unit_factor

if TYPE_CHECKING:
    from napari.layers import Layer
    from numpy.typing import NDArray

    from napari_qpi.layers.conversion import LayerData

__all__ = ["beside_others", "free_column", "gap_columns"]

_GAP = 0.05


def gap_columns(width: int) -> int:
    """Return the gap beside an image of `width` columns, in its pixels."""
    return max(2, round(_GAP * width))


def free_column(
    layers: Iterable[Layer], image: Layer, *, rows: int, columns: int, first: int
) -> int:
    """Find the place right of an image where a block of pixels covers no other image.

    Parameters
    ----------
    layers : iterable of napari.layers.Layer
        The layers of the viewer, visible or not.
    image : napari.layers.Image
        The image whose pixels are counted; it need not be among the layers.
    rows, columns : int
        Size of the block, whose first row is that of the image.
    first : int
        The first column allowed, right of the image.

    Returns
    -------
    int
        Column of the image's pixels where the block begins.
    """
    gap = gap_columns(image.data.shape[-1])
    start = first
    for low, high in sorted(_occupied_columns(layers, image, rows)):
        if low < start + columns and high > start - 0.5:
            start = math.ceil(high) + gap
    return start


def _occupied_columns(
    layers: Iterable[Layer], image: Layer, rows: int
) -> Iterable[tuple[float, float]]:
    """Yield the first and last column of every image that reaches into the first `rows` rows."""
    for layer in layers:
        if type_of(layer) not in ("image", "labels"):
            continue
        corners = pixel_to_pixel(_corners(layer.extent.data), layer, image)
        (top, left), (bottom, right) = corners.min(axis=0), corners.max(axis=0)
        if top < rows - 0.5 and bottom > -0.5:
            yield float(left), float(right)


def beside_others(layers: Iterable[Layer], new: list[LayerData]) -> list[LayerData]:
    """Move new layers together to the right of a viewer's images if they would cover one.

    Parameters
    ----------
    layers : iterable of napari.layers.Layer
        The layers of the viewer, visible or not.
    new : list of tuple
        Layer data with images among them.

    Returns
    -------
    list of tuple
        The same layer data, shifted in the world by one vector: unchanged where they cover
        nothing, else with a small gap right of all images, the upper edges at one height.
    """
    from napari.layers import Layer

    taken = [_world_box(layer) for layer in layers if type_of(layer) in ("image", "labels")]
    boxes = [_world_box(Layer.create(*data)) for data in new if data[2] == "image"]
    if not taken or not boxes or not any(_overlap(one, two) for one in taken for two in boxes):
        return new
    occupied, group = _union(taken), _union(boxes)
    gap = _GAP * (group[1] - group[0])[1]
    shift = np.array([occupied[0, 0] - group[0, 0], occupied[1, 1] + gap - group[0, 1]])
    return [_shifted(data, shift) for data in new]


def _shifted(layer: LayerData, shift_nm: NDArray[np.float64]) -> LayerData:
    """Shift layer data in the plane by a vector in nm (pixels where the layer counts pixels)."""
    data, arguments, kind = layer
    units = arguments.get("units", ("pixel", "pixel"))
    translate = np.array(arguments.get("translate", np.zeros(len(units))), float)
    translate[-2:] += shift_nm / (unit_factor(units[-1], "nm") or 1.0)
    return data, {**arguments, "translate": translate.tolist()}, kind


def _world_box(layer: Layer) -> NDArray[np.float64]:
    """Return the upper left and lower right corner, in nm where the unit is a length."""
    box: NDArray[np.float64] = np.asarray(layer.extent.world, float)[:, -2:]
    return box * (unit_factor(layer.units[-1], "nm") or 1.0)


def _overlap(one: NDArray[np.float64], two: NDArray[np.float64]) -> bool:
    return bool((one[0] < two[1]).all() and (two[0] < one[1]).all())


def _union(boxes: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    corners: Any = np.array(boxes)
    return np.stack([corners[:, 0].min(axis=0), corners[:, 1].max(axis=0)])


def _corners(box: NDArray[np.float64]) -> NDArray[np.float64]:
    (top, left), (bottom, right) = np.asarray(box, float)[:, -2:]
    return np.array([[top, left], [top, right], [bottom, left], [bottom, right]])
