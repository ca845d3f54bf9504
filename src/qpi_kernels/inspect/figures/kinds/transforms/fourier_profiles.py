"""``fourier_profiles``: radial profiles of the transforms of kernel and map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import xarray as xr

from qpi_kernels.inspect.figures.images import axis_label
from qpi_kernels.inspect.figures.kind import FigureKind, Panel
from qpi_kernels.inspect.figures.kinds.transforms.fourier import comparison_of
from qpi_kernels.inspect.figures.lines import draw_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["KIND"]


def _panel(result: Any, *, bias: float | None = None, kind_of_defect: str | None = None) -> Panel:
    """Make the panel of both profiles with errors and floors."""
    comparison, where = comparison_of(result, bias, kind_of_defect, "fourier_profiles")
    doubt = " (undetermined)" if result.quality.undetermined(kind_of_defect) else ""
    parts = {
        "map": comparison.observation_profile,
        "kernel": comparison.kernel_profile,
    }
    # Each has rings of its own resolution.
    data = xr.Dataset()
    for name, profile in parts.items():
        axis = f"q_{name}"
        one = profile[["mean", "std", "count"]].rename(q=axis)
        one[axis].attrs["long_name"] = "q"
        data = data.merge(
            one.reset_coords(drop=True).rename(
                {part: f"{name}_{part}" for part in ("mean", "std", "count")}
            )
        )
        data[f"{name}_floor"] = profile["floor"].reset_coords(drop=True)

    def draw(axes: Axes, data: xr.Dataset) -> None:
        """Draw both profiles, and their floors as dotted lines."""
        for name, label, colour in (("map", "map", "C5"), ("kernel", f"kernel{doubt}", "C1")):
            draw_curve(axes, data[f"{name}_mean"], data[f"{name}_std"], label=label, color=colour)
            floor = float(data[f"{name}_floor"])
            axes.axhline(floor, color=colour, linestyle=":", label=f"{name}, level of white noise")
        axes.set_xlabel(axis_label(data["q_map"], "$q$"))
        axes.set_ylabel(axis_label(data["map_mean"], "Fourier amplitude"))
        axes.set_yscale("log")
        floors = [float(data[f"{name}_floor"]) for name in ("map", "kernel")]
        if min(floors) > 0:
            axes.set_ylim(bottom=0.3 * min(floors))
        axes.legend()

    caption = (
        f"Fourier amplitudes{where}, root mean square over rings, with one standard deviation; "
        "dotted, the level of white noise by the edge of each, which is not subtracted."
    )
    if doubt:
        caption += " The kernel is undetermined."
    return Panel("Profiles in q", caption, data, draw, mark=where.removeprefix(" at "))


KIND = FigureKind("fourier_profiles", "radial profiles of |FT| of kernel and map", _panel)
