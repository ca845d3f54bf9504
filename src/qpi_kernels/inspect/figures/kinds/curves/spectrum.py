"""``spectrum``: the kernel over bias at one point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from qpi_kernels.inspect.figures.kind import FigureError, FigureKind, FigurePanel
from qpi_kernels.inspect.figures.lines import draw_curve
from qpi_kernels.inspect.figures.planes import one_kind, require_result

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["KIND"]


def _panel(
    result: Any, *, y: float = 0.0, x: float = 0.0, kind_of_defect: str | None = None
) -> FigurePanel:
    """Make the panel of a kernel's pixel nearest to ``(y, x)``, counted from the defect."""
    known = require_result(result, "spectrum")
    kernel, std = (one_kind(one, kind_of_defect) for one in (known.kernel, known.std))
    if "bias" not in kernel.dims:
        raise FigureError("a spectrum needs a kernel over bias")
    pixel = {
        axis: int(np.abs(kernel[axis].values - place).argmin())
        for axis, place in {"y": y, "x": x}.items()
    }
    at = kernel.isel(pixel)
    data = xr.Dataset({"kernel": at, "std": std.isel(pixel)})
    data = data.reset_coords(drop=True)
    data["bias"].attrs["long_name"] = "bias"

    def draw(axes: Axes, data: xr.Dataset) -> None:
        """Draw the spectrum with its error."""
        draw_curve(axes, data["kernel"], data["std"])

    units = str(kernel["y"].attrs.get("units", ""))
    caption = (
        f"The kernel at y = {float(at['y']):.3g}, x = {float(at['x']):.3g} {units} from the "
        "defect over bias, with one standard deviation."
    )
    return FigurePanel("Spectrum", caption, data, draw)


KIND = FigureKind("spectrum", "the kernel over bias at one point", _panel, of_kernel=True)
