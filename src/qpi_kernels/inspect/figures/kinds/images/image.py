"""``image``: any image with its colours and axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import xarray as xr

from qpi_kernels.inspect.figures.images import (
    draw_image,
    image_aspect,
    limits_in_words,
    with_limits,
)
from qpi_kernels.inspect.figures.kind import FigureError, FigureKind, FigurePanel
from qpi_kernels.inspect.figures.planes import bias_words, one_plane

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["KIND", "image_panel", "labelled"]


def image_panel(
    image: xr.DataArray,
    title: str,
    caption: str,
    *,
    signed: bool | None = None,
    from_zero: bool = False,
) -> FigurePanel:
    """Make the panel of an image ``(y, x)`` or ``(q_y, q_x)``.

    Parameters
    ----------
    image : xarray.DataArray
        The image; its name becomes that of the variable.
    title, caption : str
        The limits of the colours are added to the caption.
    signed : bool, optional
        Diverging colours about zero; left out, where there are values of both signs.
    from_zero : bool
        Colours begin at zero, so that small differences look small.
    """
    mark = bias_words(image).removeprefix(" at ")
    image = labelled(image)
    if signed is None:
        signed = bool((image.values < 0).any() and (image.values > 0).any())
    image = with_limits(image, signed=signed)
    if from_zero and image.attrs["colour_limits"][1] > 0:
        image = image.assign_attrs(colour_limits=(0.0, image.attrs["colour_limits"][1]))
    name = str(image.name)

    def draw(axes: Axes, data: xr.Dataset) -> None:
        """Draw the image."""
        draw_image(axes, data[name])

    words = f"{caption} {limits_in_words(image)}"
    return FigurePanel(title, words, image.to_dataset(), draw, image_aspect(image), mark)


def labelled(image: xr.DataArray) -> xr.DataArray:
    """Give an image a name, coordinates and units where it has none, and drop others."""
    image = image.rename(image.name or "image")
    for dim in image.dims:
        if dim not in image.coords:
            places = xr.DataArray(range(image.sizes[dim]), dims=(dim,), attrs={"units": "pixel"})
            image = image.assign_coords({dim: places})
    image = image.reset_coords(drop=True)
    return image.assign_attrs({"long_name": str(image.name), "units": ""} | image.attrs)


def _panel(image: Any, *, bias: float | None = None) -> FigurePanel:
    """Make the panel of any image or stack."""
    if not isinstance(image, xr.DataArray):
        raise FigureError(f"an image is an xarray.DataArray, not {type(image).__name__}")
    plane = one_plane(image, bias)
    name = str(plane.attrs.get("long_name", plane.name or "image"))
    return image_panel(plane, name, f"{name}{bias_words(plane)}.")


KIND = FigureKind("image", "any image or plane of a stack", _panel)
