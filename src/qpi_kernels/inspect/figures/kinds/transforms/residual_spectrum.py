"""``residual_spectrum``: the power spectrum of the residual."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from qpi_kernels.inspect.axes import nearest_plane
from qpi_kernels.inspect.figures.images import axis_label
from qpi_kernels.inspect.figures.kind import FigureKind, FigurePanel
from qpi_kernels.inspect.figures.lines import draw_curve
from qpi_kernels.inspect.figures.planes import (
    bias_words,
    clearest_bias,
    one_plane,
    plane_axis,
    require_result,
)
from qpi_kernels.inspect.fourier_transform import fourier
from qpi_kernels.inspect.profiles import radial_profile

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["KIND"]


def _panel(result: Any, *, bias: float | None = None) -> FigurePanel:
    """Make the panel of the residual's mean power over rings, beside that of its pixel noise."""
    known = require_result(result, "residual_spectrum")
    bias = clearest_bias(known) if bias is None else bias
    plane = one_plane(known.residual, bias)
    mask = known.mask
    psd = fourier(plane, scale="psd", mask=None if mask is None else mask.values)
    data = radial_profile(psd)
    data = data.reset_coords(drop=True)
    planes = plane_axis(known.residual)
    index = 0 if planes is None or bias is None else nearest_plane(planes, bias)
    pixel = float(np.prod([abs(float(plane[axis][1] - plane[axis][0])) for axis in ("y", "x")]))
    data["white_noise"] = xr.DataArray(
        known.quality.noise_sigma[index] ** 2 * pixel, attrs=data["mean"].attrs
    )

    def draw(axes: Axes, data: xr.Dataset) -> None:
        """Draw the spectrum and the level of white noise."""
        draw_curve(axes, data["mean"], data["std"], label="residual")
        level = float(data["white_noise"])
        axes.axhline(level, color="0.4", linestyle=":", label="white noise of the pixels")
        axes.set_ylabel(axis_label(data["mean"], "power"))
        axes.set_yscale("log")
        axes.legend()

    caption = (
        f"Power spectral density of the residual{bias_words(plane)}, mean over rings with its "
        "standard deviation; dotted, that of white noise as large as the estimated pixel noise. "
        "A bump is a wave that the kernels do not explain; a rise to small q is coloured noise."
    )
    mark = bias_words(plane).removeprefix(" at ")
    return FigurePanel("Spectrum of the residual", caption, data, draw, mark=mark)


KIND = FigureKind("residual_spectrum", "the power spectrum of the residual", _panel)
