"""`CurvePlot`: a few curves over one axis, with errors, floors and a legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor

from napari_qpi.layers.conversion import KIND_COLORS
from napari_qpi.widgets.common.plotting import pg
from napari_qpi.widgets.inspect.plots.frame import PlotFrame
from napari_qpi.widgets.inspect.plots.labels import axis_label, quantity_label

__all__ = ["Curve", "CurvePlot", "Look", "curve_color"]

Array = NDArray[np.float64]
Look = Literal["line", "points", "dashes", "dots"]

_PENS = {
    "line": Qt.PenStyle.SolidLine,
    "dashes": Qt.PenStyle.DashLine,
    "dots": Qt.PenStyle.DotLine,
}
_FAINT = 70
_LEGEND_SIZE = "8pt"
_SYMBOL_SIZE = 5
_ROOM = 0.05
# Per cent of logarithmic values that the axis may leave out, so many decades below the others.
_FEW, _DECADES_BELOW = 2.0, 0.5


@dataclass(frozen=True, eq=False)
class Curve:
    """One curve of a plot.

    Parameters
    ----------
    name : str
        In the legend; empty for none.
    values : xarray.DataArray
        One axis.
    std : xarray.DataArray, optional
        Its standard error, drawn as a band, or as bars with points.
    color : str
        Of the curve.
    look : {"line", "points", "dashes", "dots"}
        How it is drawn.
    """

    name: str
    values: xr.DataArray
    std: xr.DataArray | None = None
    color: str = KIND_COLORS[1]
    look: Look = "line"

    @property
    def style(self) -> tuple[object, ...]:
        """Look of the items that draw it, beside its numbers and its name."""
        return bool(self.name), self.std is not None, self.color, self.look


def curve_color(number: int) -> str:
    """Choose a colour for the n-th curve, distinct for colour-blind people."""
    return KIND_COLORS[number % len(KIND_COLORS)]


class CurvePlot(PlotFrame):
    """Draw curves that share an axis.

    Parameters
    ----------
    legend : bool
        Name the curves in the plot.
    """

    def __init__(self, *, legend: bool = True) -> None:
        super().__init__()
        self._drawn: list[_DrawnCurve] = []
        self._curves: tuple[Curve, ...] = ()
        self._logarithmic = False
        self._legend = None
        if legend:
            self._legend = self.plot.addLegend(
                offset=(-4, 4), labelTextSize=_LEGEND_SIZE, verSpacing=-6
            )
            self._legend.setLabelTextColor(self.text_color)

    @property
    def curves(self) -> tuple[Curve, ...]:
        """The curves that are drawn."""
        return self._curves

    def show_curves(
        self, curves: Sequence[Curve], title: str, *, logarithmic: bool = False
    ) -> None:
        """Draw curves in place of those on show.

        Parameters
        ----------
        curves : sequence of Curve
            The first one names the axes.
        title : str
            What is shown.
        logarithmic : bool
            Draw the decadic logarithm of the values; what is not positive is left out.
        """
        before, self._curves = self._curves, tuple(curves)
        same = logarithmic == self._logarithmic
        if same and [one.style for one in before] == [one.style for one in self._curves]:
            self._change()
        else:
            self._logarithmic = logarithmic
            self._redraw()
        if self._curves:
            first = self._curves[0].values
            self.set_labels(axis_label(first, str(first.dims[0])), quantity_label(first))
        self.set_title(title)
        self._fit(logarithmic)

    def follow_theme(self) -> None:
        """Draw axes, texts and the legend in the colours of the theme."""
        super().follow_theme()
        legend = getattr(self, "_legend", None)
        if legend is not None:
            legend.setLabelTextColor(self.text_color)
            for _, label in legend.items:
                label.setText(label.text, color=self.text_color)

    def _fit(self, logarithmic: bool) -> None:
        """Let the axes reach just beyond what is drawn."""
        places, values = [], []
        for curve in self._curves:
            drawn = _with_bars(curve)
            known = np.isfinite(drawn) & ((drawn > 0) | (not logarithmic))
            across = np.asarray(curve.values[curve.values.dims[0]].values, float)
            places.append(np.broadcast_to(across, drawn.shape)[known])
            values.append(np.log10(drawn[known]) if logarithmic else drawn[known])
        if not sum(each.size for each in places):
            return
        across, up = np.concatenate(places), np.concatenate(values)
        low, high = float(up.min()), float(up.max())
        if logarithmic:
            # A single value near zero would take most of the axis.
            low = max(low, float(np.percentile(up, _FEW)) - _DECADES_BELOW)
        if low == high:
            low, high = low - (abs(low) or 1.0), high + (abs(high) or 1.0)
        self.plot.setRange(
            xRange=(float(across.min()), float(across.max())), yRange=(low, high), padding=_ROOM
        )

    def _redraw(self) -> None:
        """Draw all curves in place of others."""
        for drawn in self._drawn:
            for item in drawn.items:
                self.plot.removeItem(item)
        self.plot.setLogMode(False, self._logarithmic)
        self._drawn = [_DrawnCurve(curve, self._logarithmic) for curve in self._curves]
        for drawn in self._drawn:
            for item in drawn.items:
                self.plot.addItem(item)

    def _change(self) -> None:
        """Give the curves that are drawn other numbers and names; new ones would take longer."""
        for drawn, curve in zip(self._drawn, self._curves, strict=True):
            drawn.show(curve)
            label = None if self._legend is None else self._legend.getLabel(drawn.line)
            if label is not None and label.text != curve.name:
                label.setText(curve.name, color=self.text_color, size=_LEGEND_SIZE)


class _DrawnCurve:
    """The items of one curve: its line or points, and its errors below them.

    Parameters
    ----------
    curve : Curve
        What to draw at first.
    logarithmic : bool
        As for `CurvePlot.show_curves`.
    """

    def __init__(self, curve: Curve, logarithmic: bool) -> None:
        self._logarithmic = logarithmic
        self._bars: Any = None
        self._edges: tuple[Any, ...] = ()
        arguments: dict[str, Any] = {"name": curve.name} if curve.name else {}
        if curve.look == "points":
            arguments |= {
                "pen": None,
                "symbol": "o",
                "symbolSize": _SYMBOL_SIZE,
                "symbolBrush": curve.color,
                "symbolPen": None,
            }
        else:
            arguments["pen"] = pg.mkPen(curve.color, width=1.5, style=_PENS[curve.look])
        self.line = pg.PlotDataItem(connect="finite", **arguments)
        self.items: list[Any] = []
        if curve.std is not None and curve.look == "points" and not logarithmic:
            self._bars = pg.ErrorBarItem(pen=curve.color)
            self.items.append(self._bars)
        elif curve.std is not None and curve.look != "points":
            faint = QColor(curve.color)
            faint.setAlpha(_FAINT)
            self._edges = pg.PlotCurveItem(), pg.PlotCurveItem()
            self.items.append(pg.FillBetweenItem(*self._edges, brush=faint))
        self.items.append(self.line)
        self.show(curve)

    def show(self, curve: Curve) -> None:
        """Draw the numbers of a curve of the same style."""
        places = np.asarray(curve.values[curve.values.dims[0]].values, float)
        values = np.asarray(curve.values.values, float)
        if curve.std is not None:
            errors = np.nan_to_num(np.asarray(curve.std.values, float), posinf=0.0)
            if self._bars is not None:
                self._bars.setData(x=places, y=values, height=2 * errors)
            if self._edges:
                self._show_band(places, values, errors)
        if self._logarithmic:
            values = np.where(values > 0, values, np.nan)
        self.line.setData(places, values)

    def _show_band(self, places: Array, values: Array, errors: Array) -> None:
        """Draw errors as a band."""
        known = np.isfinite(values)
        low, high = (values - errors)[known], (values + errors)[known]
        if self._logarithmic:
            positive = values[known][values[known] > 0]
            low = np.maximum(low, positive.min() / 10 if positive.size else 1.0)
            low, high = np.log10(low), np.log10(np.maximum(high, low))
        for edge, reach in zip(self._edges, (low, high), strict=True):
            edge.setData(places[known], reach)


def _with_bars(curve: Curve) -> Array:
    """Return the values that the axes have to reach: of points the ends of their bars, too."""
    values = np.asarray(curve.values.values, float)
    if curve.std is None or curve.look != "points":
        return values[None]
    errors = np.nan_to_num(np.asarray(curve.std.values, float), posinf=0.0)
    return np.stack([values - errors, values + errors])
