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

Look = Literal["line", "points", "dashes", "dots"]

_PENS = {
    "line": Qt.PenStyle.SolidLine,
    "dashes": Qt.PenStyle.DashLine,
    "dots": Qt.PenStyle.DotLine,
}
_FAINT = 70
_SYMBOL_SIZE = 5
_ROOM = 0.05


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
        self._items: list[Any] = []
        self._curves: tuple[Curve, ...] = ()
        self._legend = None
        if legend:
            self._legend = self.plot.addLegend(offset=(-4, 4), labelTextSize="8pt", verSpacing=-6)
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
        self._curves = tuple(curves)
        self._clear()
        self.plot.setLogMode(False, logarithmic)
        for curve in self._curves:
            self._draw(curve, logarithmic)
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
        if low == high:
            low, high = low - (abs(low) or 1.0), high + (abs(high) or 1.0)
        self.plot.setRange(
            xRange=(float(across.min()), float(across.max())), yRange=(low, high), padding=_ROOM
        )

    def _clear(self) -> None:
        for item in self._items:
            self.plot.removeItem(item)
        self._items = []

    def _draw(self, curve: Curve, logarithmic: bool) -> None:
        """Add one curve and its errors."""
        places = np.asarray(curve.values[curve.values.dims[0]].values, float)
        values = np.asarray(curve.values.values, float)
        if curve.std is not None:
            self._draw_errors(curve, places, values, logarithmic)
        if logarithmic:
            values = np.where(values > 0, values, np.nan)
        arguments: dict[str, Any] = {"pen": None}
        if curve.look == "points":
            arguments |= {
                "symbol": "o",
                "symbolSize": _SYMBOL_SIZE,
                "symbolBrush": curve.color,
                "symbolPen": None,
            }
        else:
            arguments["pen"] = pg.mkPen(curve.color, width=1.5, style=_PENS[curve.look])
        named = {"name": curve.name} if curve.name else {}
        self._add(pg.PlotDataItem(places, values, connect="finite", **arguments, **named))

    def _draw_errors(self, curve: Curve, places: Any, values: Any, logarithmic: bool) -> None:
        """Draw errors as a band below a line, as bars at points."""
        assert curve.std is not None
        errors = np.nan_to_num(np.asarray(curve.std.values, float), posinf=0.0)
        if curve.look == "points":
            if not logarithmic:
                bars = pg.ErrorBarItem(x=places, y=values, height=2 * errors, pen=curve.color)
                self._add(bars)
            return
        known = np.isfinite(values)
        low, high = (values - errors)[known], (values + errors)[known]
        if logarithmic:
            positive = values[known][values[known] > 0]
            low = np.maximum(low, positive.min() / 10 if positive.size else 1.0)
            high = np.maximum(high, low)
        if logarithmic:
            low, high = np.log10(low), np.log10(high)
        faint = QColor(curve.color)
        faint.setAlpha(_FAINT)
        edges = [pg.PlotCurveItem(places[known], edge) for edge in (low, high)]
        self._add(pg.FillBetweenItem(*edges, brush=faint))

    def _add(self, item: Any) -> None:
        self.plot.addItem(item)
        self._items.append(item)


def _with_bars(curve: Curve) -> NDArray[np.float64]:
    """Return the values that the axes have to reach: of points the ends of their bars, too."""
    values = np.asarray(curve.values.values, float)
    if curve.std is None or curve.look != "points":
        return values[None]
    errors = np.nan_to_num(np.asarray(curve.std.values, float), posinf=0.0)
    return np.stack([values - errors, values + errors])
