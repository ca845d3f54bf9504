"""`StackImage`: values over bias and one more axis, E(x) or E(q), with curves over it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from qtpy.QtCore import QRectF, Qt

from napari_qpi.widgets.common.plotting import color_table, pg
from napari_qpi.widgets.inspect.plots.curve_plot import Curve
from napari_qpi.widgets.inspect.plots.frame import PlotFrame
from napari_qpi.widgets.inspect.plots.labels import axis_label, quantity_label
from qpi_kernels.inspect.colours import colour_limits

__all__ = ["StackImage"]

_MAX_ROWS = 512
_UNEVEN = 0.02
_SYMBOL_SIZE = 5
_MARK = "#c8c8c8"


class StackImage(PlotFrame):
    """Show ``(bias, distance)`` with the bias upwards."""

    def __init__(self) -> None:
        super().__init__()
        self._tables = color_table("magma"), color_table("coolwarm")
        self.image_item: Any = pg.ImageItem(axisOrder="row-major")
        self.plot.addItem(self.image_item)
        self._over: list[Any] = []
        self._shown: xr.DataArray | None = None

    @property
    def shown(self) -> xr.DataArray | None:
        """The stack that is drawn, None before the first."""
        return self._shown

    def show_stack(
        self, stack: xr.DataArray, title: str, *, signed: bool = False, logarithmic: bool = False
    ) -> None:
        """Draw a stack.

        Parameters
        ----------
        stack : xarray.DataArray
            Two axes, the first one drawn upwards.
        title : str
            What is shown.
        signed : bool
            Put zero in the middle of the colour map.
        logarithmic : bool
            Let colours go with the logarithm of the values, which are positive then.
        """
        self._shown = stack
        up, across = (str(dim) for dim in stack.dims)
        rows, low, high = _even_rows(np.asarray(stack[up].values, float))
        values = np.asarray(stack.values, np.float32)
        if logarithmic:
            values = np.log10(np.where(values > 0, values, np.nan))
        left, right = _edges(np.asarray(stack[across].values, float))
        limits = colour_limits(values, signed=signed)
        self.image_item.setImage(values[rows], levels=limits, lut=self._tables[signed])
        self.image_item.setRect(QRectF(left, low, right - left, high - low))
        self.set_labels(axis_label(stack, across), axis_label(stack, up))
        self.set_title(title)
        low_color, high_color = (10**limit if logarithmic else limit for limit in limits)
        self.setToolTip(
            f"<qt>{escape(title)}: {quantity_label(stack)}, colours from {low_color:.3g} to "
            f"{high_color:.3g}</qt>"
        )
        self.plot.setRange(xRange=(left, right), yRange=(low, high), padding=0)

    def clear(self) -> None:
        """Draw nothing."""
        self._shown = None
        self.image_item.clear()
        self.show_over([])
        self.set_title("")

    def show_up_to(self, reach: float) -> None:
        """Cut the lower axis off beyond a value, to show more of the rest."""
        (left, right), _ = self.plot.viewRange()
        self.plot.setXRange(left, min(reach, right), padding=0)

    def follow_theme(self) -> None:
        """Draw axes and texts in the colours of the theme, the mark as the image needs it."""
        super().follow_theme()
        self._now.setPen(pg.mkPen(_MARK, style=Qt.PenStyle.DashLine))

    def show_over(self, curves: Sequence[Curve]) -> None:
        """Draw curves of the bias over the image: their values lie on the lower axis."""
        for item in self._over:
            self.plot.removeItem(item)
        self._over = []
        for curve in curves:
            places = np.asarray(curve.values.values, float)
            biases = np.asarray(curve.values[curve.values.dims[0]].values, float)
            if curve.look == "points":
                item = pg.ScatterPlotItem(
                    places, biases, size=_SYMBOL_SIZE, brush=curve.color, pen=None
                )
                if curve.std is not None:
                    width = 2 * np.nan_to_num(np.asarray(curve.std.values, float))
                    bars = pg.ErrorBarItem(x=places, y=biases, width=width, pen=curve.color)
                    self._over.append(bars)
            else:
                item = pg.PlotDataItem(
                    places, biases, pen=pg.mkPen(curve.color, width=2), connect="finite"
                )
            self._over.append(item)
        for item in self._over:
            self.plot.addItem(item, ignoreBounds=True)


def _edges(centres: NDArray[np.float64]) -> tuple[float, float]:
    """Give the outer edges of pixels with these centres."""
    if centres.size == 1:
        return float(centres[0]) - 0.5, float(centres[0]) + 0.5
    first, last = centres[1] - centres[0], centres[-1] - centres[-2]
    return float(centres[0] - first / 2), float(centres[-1] + last / 2)


def _even_rows(biases: NDArray[np.float64]) -> tuple[NDArray[np.intp], float, float]:
    """Choose the row nearest to each of evenly spaced biases, and the ends of the axis.

    An image has rows of one height; of uneven biases some are drawn more than once.
    """
    order = np.argsort(biases)
    ascending = biases[order]
    low, high = _edges(ascending)
    steps = np.diff(ascending)
    if steps.size == 0 or np.ptp(steps) <= _UNEVEN * steps.mean():
        return order, low, high
    smallest = float(steps[steps > 0].min()) if (steps > 0).any() else 1.0
    count = min(_MAX_ROWS, int(np.ceil((high - low) / smallest)))
    centres = low + (np.arange(count) + 0.5) * (high - low) / count
    middles = (ascending[1:] + ascending[:-1]) / 2
    return order[np.searchsorted(middles, centres)], low, high
