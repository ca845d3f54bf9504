"""``curves``: any curves over one axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import xarray as xr

from qpi_kernels.inspect.figures.images import axis_label
from qpi_kernels.inspect.figures.kind import FigureError, FigureKind, FigurePanel
from qpi_kernels.inspect.figures.lines import draw_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["KIND", "curves_panel"]

_NOT_DRAWN = ("count",)


def curves_panel(curves: xr.DataArray | xr.Dataset, title: str, caption: str) -> FigurePanel:
    """Make the panel of curves over their only axis.

    Parameters
    ----------
    curves : xarray.DataArray or xarray.Dataset
        Of a data set ``std`` is the error of ``mean`` and ``NAME_std`` that of ``NAME``; numbers
        without an axis, such as a floor, are level lines; ``count`` is not drawn. ``quantity`` in
        its attributes names what several curves show.
    title, caption : str
        What is shown.

    Raises
    ------
    FigureError
        If the variables do not share one axis.
    """
    data = (
        curves.to_dataset(name=curves.name or "value")
        if isinstance(curves, xr.DataArray)
        else curves
    )
    data = data.reset_coords(drop=True)
    if len(data.dims) != 1:
        raise FigureError(f"curves have one axis, not {tuple(data.dims)}")

    def draw(axes: Axes, data: xr.Dataset) -> None:
        """Draw each variable with its error."""
        drawn = [name for name in data if not _is_error(data, str(name)) and name not in _NOT_DRAWN]
        for name in drawn:
            label = str(data[name].attrs.get("long_name", name)) if len(drawn) > 1 else ""
            if not data[name].dims:
                axes.axhline(float(data[name]), color="0.4", linestyle=":", label=label)
                continue
            draw_curve(axes, data[name], _error(data, str(name)), label=label)
        if len(drawn) > 1:
            if "quantity" in data.attrs:
                axes.set_ylabel(axis_label(data[drawn[0]], str(data.attrs["quantity"])))
            axes.legend()

    return FigurePanel(title, caption, data, draw)


def _error(data: xr.Dataset, name: str) -> xr.DataArray | None:
    """Return the standard deviation of a variable, if there is one."""
    found = data.get("std" if name == "mean" else f"{name}_std")
    return found if isinstance(found, xr.DataArray) else None


def _is_error(data: xr.Dataset, name: str) -> bool:
    """Return whether a variable is the standard deviation of another one."""
    return (name == "std" and "mean" in data) or (
        name.endswith("_std") and name.removesuffix("_std") in data
    )


def _panel(curves: Any) -> FigurePanel:
    """Make the panel of any curves."""
    if not isinstance(curves, xr.DataArray | xr.Dataset):
        raise FigureError(f"curves are a DataArray or a Dataset, not {type(curves).__name__}")
    named = curves.name if isinstance(curves, xr.DataArray) else curves.attrs.get("name")
    name = str(curves.attrs.get("long_name") or named or "curves")
    return curves_panel(curves, name, f"{name}.")


KIND = FigureKind("curves", "any curves over one axis, with their errors", _panel)
