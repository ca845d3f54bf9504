"""``fourier_profiles``: radial profiles of the transforms of kernel and map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import xarray as xr

from qpi_kernels.inspect.figures.images import axis_label
from qpi_kernels.inspect.figures.kind import FigureKind, FigurePanel
from qpi_kernels.inspect.figures.kinds.transforms.fourier import comparison_of
from qpi_kernels.inspect.figures.lines import draw_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["KIND", "profiles_panel"]

_COLORS = {"map": "C5", "kernel": "C1"}


def profiles_panel(
    profiles: Mapping[str, xr.Dataset], *, where: str = "", doubt: str = ""
) -> FigurePanel:
    """Make the panel of profiles with their errors, and floors where they have them.

    Parameters
    ----------
    profiles : mapping of str to xarray.Dataset
        ``map``, ``kernel`` or both: as of `radial_profile`, with a number ``floor`` that was not
        subtracted.
    where : str
        Words for the bias.
    doubt : str
        Words behind the kernel's name.
    """
    # Each has rings of its own resolution.
    data = xr.Dataset()
    for name, profile in profiles.items():
        axis = f"q_{name}"
        one = profile[["mean", "std", "count"]].rename(q=axis)
        one[axis].attrs["long_name"] = "q"
        data = data.merge(
            one.reset_coords(drop=True).rename(
                {part: f"{name}_{part}" for part in ("mean", "std", "count")}
            )
        )
        if "floor" in profile:
            data[f"{name}_floor"] = profile["floor"].reset_coords(drop=True)
    names = list(profiles)
    floors = [f"{name}_floor" for name in names if f"{name}_floor" in data]

    def draw(axes: Axes, data: xr.Dataset) -> None:
        """Draw the profiles, and their floors as dotted lines."""
        for name in names:
            label = f"{name}{doubt if name == 'kernel' else ''}"
            color = _COLORS.get(name)
            draw_curve(axes, data[f"{name}_mean"], data[f"{name}_std"], label=label, color=color)
            if f"{name}_floor" in floors:
                level, words = float(data[f"{name}_floor"]), f"{name}, level of white noise"
                axes.axhline(level, color=color, linestyle=":", label=words)
        axes.set_xlabel(axis_label(data[f"q_{names[0]}"], "$q$"))
        axes.set_ylabel(axis_label(data[f"{names[0]}_mean"], "Fourier amplitude"))
        axes.set_yscale("log")
        levels = [float(data[floor]) for floor in floors]
        if levels and min(levels) > 0:
            axes.set_ylim(bottom=0.3 * min(levels))
        axes.legend()

    caption = f"Fourier amplitudes{where}, root mean square over rings, with one standard deviation"
    if floors:
        caption += "; dotted, the level of white noise by the edge of each, which is not subtracted"
    return FigurePanel("Profiles in q", f"{caption}.", data, draw, mark=where.removeprefix(" at "))


def _panel(
    result: Any, *, bias: float | None = None, kind_of_defect: str | None = None
) -> FigurePanel:
    """Make the panel of both profiles with errors and floors."""
    comparison, where = comparison_of(result, bias, kind_of_defect, "fourier_profiles")
    doubt = " (undetermined)" if result.quality.undetermined(kind_of_defect) else ""
    profiles = {"map": comparison.observation_profile, "kernel": comparison.kernel_profile}
    panel = profiles_panel(profiles, where=where, doubt=doubt)
    if doubt:
        panel = replace(panel, caption=f"{panel.caption} The kernel is undetermined.")
    return panel


KIND = FigureKind("fourier_profiles", "radial profiles of |FT| of kernel and map", _panel)
