"""Drawing of curves with their errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

if TYPE_CHECKING:
    from matplotlib.axes import Axes

from qpi_kernels.inspect.figures.images import axis_label

__all__ = ["draw_curve"]


def draw_curve(
    axes: Axes,
    values: xr.DataArray,
    error: xr.DataArray | None = None,
    *,
    label: str = "",
    **style: Any,
) -> None:
    """Draw values over their only axis, with a band of one standard deviation.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where to draw; gets labels with units.
    values, error : xarray.DataArray, (n,)
        Values and their standard deviations.
    label : str
        For the legend.
    **style
        As `matplotlib.axes.Axes.plot` takes it.
    """
    (dim,) = values.dims
    places = values[dim].values if dim in values.coords else np.arange(values.size)
    (line,) = axes.plot(places, values.values, label=label or None, **style)
    if error is not None:
        low, high = values.values - error.values, values.values + error.values
        axes.fill_between(places, low, high, color=line.get_color(), alpha=0.25, linewidth=0)
    axes.set_xlabel(axis_label(values[dim]))
    axes.set_ylabel(axis_label(values))
