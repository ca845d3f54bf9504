"""``map``: the observation with the marked defects and what did not count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.defects import Defects
from qpi_kernels.inspect.figures.images import (
    draw_image,
    draw_marks,
    draw_mask,
    image_aspect,
    limits_in_words,
    with_limits,
)
from qpi_kernels.inspect.figures.kind import FigureKind, FigurePanel
from qpi_kernels.inspect.figures.kinds.images.image import labelled
from qpi_kernels.inspect.figures.planes import (
    bias_words,
    clearest_bias,
    one_plane,
    require_result,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["KIND"]


def _panel(result: Any, *, bias: float | None = None, marks: bool = True) -> FigurePanel:
    """Make the panel of a result's observation; ``marks`` are the defects."""
    known = require_result(result, "map")
    plane = one_plane(known.observation, clearest_bias(known) if bias is None else bias)
    where = bias_words(plane)
    mask = known.mask
    image = labelled(plane)
    # What does not count may be far off.
    counted = image if mask is None else image.where(mask.values)
    limits = with_limits(counted, signed=False).attrs["colour_limits"]
    image = image.assign_attrs(colour_limits=limits)
    data = image.to_dataset()
    caption = f"The observation{where} that the kernel was extracted from"
    if mask is not None:
        data["counted"] = mask.drop_vars(list(mask.coords)).astype(np.int8)
        caption += f"; {100 * float(1 - mask.mean()):.3g} % of its pixels (shaded) did not count"
    if marks:
        data = data.assign(_mark_variables(known.defects, image))
        caption += f"; {known.defects.in_words()} marked"

    def draw(axes: Axes, data: xr.Dataset) -> None:
        """Draw the map, then what lies over it."""
        draw_image(axes, data["observation"])
        if "counted" in data:
            draw_mask(axes, data["counted"] > 0)
        limits = axes.axis()
        if "defect_y" in data:
            places = np.stack([data["defect_y"].values, data["defect_x"].values], axis=1)
            draw_marks(axes, places, data["defect_kind"].values)
        axes.axis(limits)

    caption = f"{caption}. {limits_in_words(image)}"
    return FigurePanel(
        "Observation", caption, data, draw, image_aspect(image), where.removeprefix(" at ")
    )


def _mark_variables(defects: Defects, image: xr.DataArray) -> dict[str, xr.DataArray]:
    """Return the places of defects in units of the image, their kinds and strengths."""
    found: dict[str, xr.DataArray] = {}
    for axis, pixels in zip(("y", "x"), defects.positions.T, strict=True):
        found[f"defect_{axis}"] = xr.DataArray(
            _places(image[axis].values, pixels),
            dims="defect",
            attrs={"units": image[axis].attrs.get("units", ""), "long_name": axis},
        )
    found["defect_kind"] = xr.DataArray(defects.kind.astype(object), dims="defect")
    found["defect_strength"] = xr.DataArray(defects.strength, dims="defect")
    return found


def _places(coordinate: NDArray[Any], pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert pixel positions, possibly beyond the edge, to an even coordinate."""
    step = (coordinate[-1] - coordinate[0]) / max(len(coordinate) - 1, 1)
    return np.asarray(coordinate[0] + pixels * step, np.float64)


KIND = FigureKind("map", "the observation with defects and mask", _panel)
