"""``energy_q``: E(q), the Fourier amplitude of a kernel over q and bias."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import xarray as xr

from qpi_kernels.inspect.cuts import cut_stack
from qpi_kernels.inspect.dispersion.result import Dispersion
from qpi_kernels.inspect.dispersion.tables import scattering_vectors
from qpi_kernels.inspect.figures.images import (
    axis_label,
    draw_colour_bar,
    limits_in_words,
    with_limits,
)
from qpi_kernels.inspect.figures.kind import FigureError, FigureKind, FigurePanel
from qpi_kernels.inspect.figures.planes import one_kind, require_result
from qpi_kernels.inspect.figures.style import SEQUENTIAL
from qpi_kernels.inspect.fourier_transform import KERNEL_PADDING, fourier
from qpi_kernels.inspect.profiles import radial_profile

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["KIND"]


def _panel(
    result: Any,
    *,
    start: tuple[float, float] | None = None,
    stop: tuple[float, float] | None = None,
    cut_width: float = 0.0,
    dispersion: Dispersion | None = None,
    kind_of_defect: str | None = None,
) -> FigurePanel:
    """Make the panel of a kernel's |FT| over bias: the mean over rings, or a cut.

    ``start`` and ``stop`` are (q_y, q_x) in rad/nm, ``cut_width`` is averaged across. The 2k of a
    dispersion is drawn over the mean.
    """
    known = require_result(result, "energy_q")
    kernel = one_kind(known.kernel, kind_of_defect)
    if "bias" not in kernel.dims:
        raise FigureError("E(q) needs a kernel over bias")
    transform = fourier(kernel, padding=KERNEL_PADDING)
    if (start is None) != (stop is None):
        raise FigureError("give both ends of the cut, start and stop, or neither")
    if start is not None and stop is not None:
        image = cut_stack(transform, start, stop, width=cut_width).rename(distance="q")
        where = f"along the line from (q_y, q_x) = {start} to {stop}, {cut_width:g} wide"
    else:
        profile = radial_profile(transform)
        image, where = profile["mean"], "root mean square over directions"
    image = image.transpose("bias", "q").rename("amplitude")
    image = image.reset_coords(drop=True)
    image["bias"].attrs["long_name"] = "bias"
    image = with_limits(image.assign_attrs(long_name="Fourier amplitude"), signed=False)
    data = image.to_dataset()
    if dispersion is not None and start is None:
        data = data.assign(scattering_vectors(dispersion))

    def draw(axes: Axes, data: xr.Dataset) -> None:
        """Draw the image, and 2k with its errors."""
        amplitude = data["amplitude"]
        low, high = amplitude.attrs["colour_limits"]
        q, bias = amplitude["q"].values, amplitude["bias"].values
        drawn = axes.pcolormesh(
            q, bias, amplitude.values, cmap=SEQUENTIAL, vmin=low, vmax=high, rasterized=True
        )
        draw_colour_bar(axes, drawn, amplitude)
        if "q_fitted" in data:
            fitted = data["q_fitted"]
            error = data["q_fitted_std"].values
            axes.errorbar(
                fitted.values, data["fitted_bias"].values, xerr=error, fmt="o", color="white",
                markeredgecolor="black", markeredgewidth=0.4, ecolor="white", label="2k fitted",
            )  # fmt: skip
            if "q_band" in data:
                axes.plot(
                    data["q_band"].values, data["band_bias"].values, color="white",
                    linestyle="--", label=dispersion.model if dispersion else None,
                )  # fmt: skip
            axes.legend(facecolor="0.3", labelcolor="white", frameon=True, framealpha=0.6)
            axes.set_xlim(0, q[-1])
            axes.set_ylim(bias.min(), bias.max())
        axes.set_xlabel(axis_label(amplitude["q"], "$q$"))
        axes.set_ylabel(axis_label(amplitude["bias"]))

    caption = f"E(q): Fourier amplitude of the kernel, {where}. {limits_in_words(image)}"
    if "q_fitted" in data:
        caption += " Points: 2k as fitted in real space, with errors; dashed: the band. The "
        caption += "maximum of |FT| lies beside 2k, by how much depends on the phase shift."
    return FigurePanel("E(q) of the kernel", caption, data, draw)


KIND = FigureKind("energy_q", "E(q), the Fourier amplitude over q and bias", _panel, of_kernel=True)
