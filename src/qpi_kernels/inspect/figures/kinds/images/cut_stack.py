"""``cut_stack``: a quantity over bias and one more axis, E(x) or E(q)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import xarray as xr

from qpi_kernels.inspect.figures.images import (
    axis_label,
    draw_colour_bar,
    limits_in_words,
    with_limits,
)
from qpi_kernels.inspect.figures.kind import FigureError, FigureKind, FigurePanel
from qpi_kernels.inspect.figures.kinds.images.image import labelled
from qpi_kernels.inspect.figures.style import DIVERGING, SEQUENTIAL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["KIND", "stack_panel"]


def stack_panel(
    stack: xr.DataArray, title: str, caption: str, *, signed: bool | None = None
) -> FigurePanel:
    """Make the panel of a stack of cuts or profiles, the first axis upwards.

    Parameters
    ----------
    stack : xarray.DataArray
        Such as ``(bias, distance)``; biases may be uneven.
    title, caption, signed
        As for `image_panel`.
    """
    stack = labelled(stack)
    if signed is None:
        signed = bool((stack.values < 0).any() and (stack.values > 0).any())
    stack = with_limits(stack, signed=signed)
    name = str(stack.name)

    def draw(axes: Axes, data: xr.Dataset) -> None:
        """Draw the pixels at their places."""
        shown = data[name]
        up, across = shown.dims
        low, high = shown.attrs["colour_limits"]
        drawn = axes.pcolormesh(
            shown[across].values,
            shown[up].values,
            shown.values,
            cmap=DIVERGING if low == -high else SEQUENTIAL,
            vmin=low,
            vmax=high,
            rasterized=True,
        )
        draw_colour_bar(axes, drawn, shown)
        axes.set_xlabel(axis_label(shown[across]))
        axes.set_ylabel(axis_label(shown[up]))

    return FigurePanel(title, f"{caption} {limits_in_words(stack)}", stack.to_dataset(), draw)


def _panel(stack: Any) -> FigurePanel:
    """Make the panel of a stack of cuts."""
    if not isinstance(stack, xr.DataArray) or stack.ndim != 2:
        raise FigureError("cuts over bias are a DataArray with two axes, as `cut_stack` returns")
    name = str(stack.attrs.get("long_name", stack.name or "stack"))
    return stack_panel(stack, name, f"{name}.")


KIND = FigureKind("cut_stack", "a cut or a profile over bias: E(x), E(q)", _panel)
