"""``residual_around``: the residual averaged over the marks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import xarray as xr

from qpi_kernels.inspect.figures.kind import FigureError, FigureKind, FigurePanel
from qpi_kernels.inspect.figures.planes import require_result

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["KIND"]


def _panel(result: Any) -> FigurePanel:
    """Make the panel of the mean residual about a mark."""
    checks = require_result(result, "residual_around").quality.checks
    if checks is None or not checks.around:
        raise FigureError("the residual of this result was not checked around its marks")
    distance = xr.DataArray(
        checks.radius_px, dims="distance", attrs={"units": "px", "long_name": "distance"}
    )
    attributes = {"units": "sigma", "long_name": "mean residual"}
    data = xr.Dataset(
        {
            "around": ("distance", checks.around, attributes),
            "around_band": ("distance", checks.around_band, attributes),
        },
        coords={"distance": distance},
    )

    def draw(axes: Axes, data: xr.Dataset) -> None:
        """Draw it over the band of noise."""
        checks.plot_around(axes)

    caption = (
        "The whitened residual over the distance from a mark, mean over all marks and directions, "
        "in standard deviations; the band is two standard deviations of noise. Rings that leave "
        "the band are what the kernel lacks around every defect."
    )
    return FigurePanel("Residual around the marks", caption, data, draw)


KIND = FigureKind("residual_around", "the residual averaged over the marks", _panel)
