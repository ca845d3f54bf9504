"""Kernels of several methods as layers next to each other, on one colour scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_qpi.layers.conversion import METADATA_KEY, LayerData, add_layers
from napari_qpi.layers.geometry import Geometry, layer_geometry
from napari_qpi.layers.result import (
    CAPTIONS,
    UNDETERMINED_OPACITY,
    first_kernel_column,
    free_kernel_column,
    kernel_gap,
    kernel_layers,
    kernel_step,
    placed_result,
)
from qpi_kernels.kernel_files import kernel_name

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from qpi_kernels.result import KernelResult

__all__ = ["show_side_by_side", "side_by_side"]

_CAPTION_GAP = 0.3
_LAST_WORD = "bayes"


def side_by_side(
    results: Mapping[str, KernelResult], image: Image, first: int = 0
) -> list[LayerData]:
    """Show the kernels of several extractions of one image next to each other.

    Parameters
    ----------
    results : mapping of str to KernelResult
        What each method gave, in the order of the places.
    image : napari.layers.Image
        The observation's layer.
    first : int
        Columns to leave free between the image and the kernels, see `free_kernel_column`.

    Returns
    -------
    list of tuple
        Layer data: right of the image every method's kernels, all kinds, on the colour scale of
        bayes (of the last method, where bayes is missing), and one layer of captions above them.
    """
    plane = layer_geometry(image, ndim=2)
    made: dict[str, list[LayerData]] = {}
    captions: list[tuple[float, float, str]] = []
    for method, result in results.items():
        placed = placed_result(result, plane, image.name)
        made[method] = kernel_layers(placed, f" by {method} of {image.name}", ("kernel",), first)
        columns = len(made[method]) * kernel_step(result)
        middle = first_kernel_column(result) + first + (columns - kernel_gap(result) - 1) / 2
        caption = kernel_name(result, role=method)
        captions.append((-_CAPTION_GAP * kernel_gap(result), middle, caption))
        first += columns
    if not made:
        return []
    scale = made.get(_LAST_WORD, list(made.values())[-1])
    for layers in made.values():
        for (_, arguments, _), (_, scaled, _) in zip(layers, scale, strict=True):
            arguments["contrast_limits"] = _common_limits(arguments, scaled)
    shown = [layer for layers in made.values() for layer in layers]
    return [*shown, _captions(captions, plane, image.name)]


def show_side_by_side(
    viewer: ViewerModel, results: Mapping[str, KernelResult], image: Image
) -> None:
    """Add the layers of `side_by_side` in a free place."""
    if results:
        first = free_kernel_column(viewer, list(results.values()), image)
        add_layers(viewer, side_by_side(results, image, first))


def _common_limits(arguments: dict[str, Any], scaled: dict[str, Any]) -> tuple[float, float]:
    """Give the limits of the common scale; an undetermined kernel keeps that of its error."""
    low, high = scaled["contrast_limits"]
    if arguments.get("opacity") == UNDETERMINED_OPACITY:
        low, high = (
            min(low, arguments["contrast_limits"][0]),
            max(high, arguments["contrast_limits"][1]),
        )
    return low, high


def _captions(places: list[tuple[float, float, str]], plane: Geometry, name: str) -> LayerData:
    """Show the methods' names above their kernels."""
    arguments: dict[str, Any] = {
        "name": f"compared methods of {name}",
        # Upright, for text keeps its size on the screen when kernels get small and close.
        "features": {"method": [method.replace(" (", "\n(") for *_, method in places]},
        "text": {
            "string": "{method}",
            "size": 8,
            "color": "gray",
            "rotation": -90,
            "anchor": "lower_left",
        },
        "size": 0.1,
        "face_color": "transparent",
        "border_color": "transparent",
        "metadata": {METADATA_KEY: {"role": CAPTIONS, "beside": plane}},
    }
    data = np.array([place[:2] for place in places])
    return data, {**arguments, **plane}, "points"
