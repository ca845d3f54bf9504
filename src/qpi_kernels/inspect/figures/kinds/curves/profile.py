"""``profile``: the kernel over the distance from the defect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import xarray as xr

from qpi_kernels.inspect.figures.kind import FigureKind, FigurePanel
from qpi_kernels.inspect.figures.lines import draw_curve
from qpi_kernels.inspect.figures.planes import (
    bias_words,
    clearest_bias,
    one_kind,
    one_plane,
    require_result,
)
from qpi_kernels.inspect.profiles import radial_profile

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["KIND"]


def _panel(
    result: Any, *, bias: float | None = None, kind_of_defect: str | None = None
) -> FigurePanel:
    """Make the panel of the kernel's mean over rings."""
    known = require_result(result, "profile")
    bias = clearest_bias(known) if bias is None else bias
    kernel = one_plane(one_kind(known.kernel, kind_of_defect), bias)
    data = radial_profile(kernel)
    data = data.reset_coords(drop=True)

    def draw(axes: Axes, data: xr.Dataset) -> None:
        """Draw the mean with its error."""
        draw_curve(axes, data["mean"], data["std"])
        axes.axhline(0.0, color="0.7", linewidth=0.5, zorder=0)

    caption = (
        f"Angular mean of the kernel{bias_words(kernel)} over the distance from the defect, with "
        "the standard deviation of the mean from the scatter in each ring."
    )
    return FigurePanel(
        "Radial profile", caption, data, draw, mark=bias_words(kernel).removeprefix(" at ")
    )


KIND = FigureKind("profile", "the kernel over the distance from the defect", _panel, of_kernel=True)
