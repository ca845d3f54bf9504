"""`LossPlot`: numbers over training steps, drawn live with a logarithmic axis."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSize
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_qpi.widgets.common.plotting import PlotWidget, pg

__all__ = ["LossPlot", "log_ticks"]

_HEIGHT = 120
_AXIS_WIDTH = 44
# Below this many steps each is drawn; above, means of as many neighbours as fit.
_MAX_POINTS = 40
_MIN_TICKS, _MAX_TICKS = 3, 5
_ROOM = 0.04
_FAINT = 60
_MIN_DECADES = 0.15

Points = Sequence[tuple[int, float]]


class LossPlot(PlotWidget):
    """Draw one curve over steps; the colours of axes and text are the theme's.

    A curve with many points is drawn as its running mean over a faint line of all points.

    Parameters
    ----------
    title : str
        The quantity, with its unit if it has one.
    color : str
        Of the curve, visible on dark and light.
    """

    def __init__(self, title: str, color: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title = title
        self._color = QColor(color)
        self._points = np.empty((0, 2))
        self._label = self.canvas.addLabel("", row=0, col=1)
        self._values = _LogAxis("left")
        self._values.setWidth(_AXIS_WIDTH)
        self._steps = pg.AxisItem("bottom")
        self._view = pg.ViewBox(enableMenu=False, enableMouse=False, defaultPadding=0)
        self.canvas.addItem(self._values, row=1, col=0)
        self.canvas.addItem(self._view, row=1, col=1)
        self.canvas.addItem(self._steps, row=2, col=1)
        for axis in (self._values, self._steps):
            axis.linkToView(self._view)
        self._values.setGrid(_FAINT)
        faint = QColor(color)
        faint.setAlpha(_FAINT)
        self._all = pg.PlotDataItem(pen=pg.mkPen(faint), autoDownsample=True)
        self._mean = pg.PlotDataItem(
            pen=pg.mkPen(color, width=2), symbolBrush=color, symbolPen=None, symbolSize=4
        )
        for curve in (self._all, self._mean):
            self._view.addItem(curve, ignoreBounds=True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.follow_theme()
        self.show_points((), 1)

    @property
    def points(self) -> NDArray[np.float64]:
        """The points that are drawn: (number, 2) steps and values."""
        return self._points

    @property
    def step_range(self) -> tuple[float, float]:
        """First and last step of the axis."""
        first, last = self._view.viewRange()[0]
        return float(first), float(last)

    def show_points(self, points: Points, last_step: float) -> None:
        """Draw a curve.

        Parameters
        ----------
        points : sequence of (int, float)
            Steps and positive values; others can not be drawn and are left out.
        last_step : float
            End of the step axis.
        """
        values = np.array(points, float).reshape(-1, 2)
        self._points = values[np.isfinite(values[:, 1]) & (values[:, 1] > 0)]
        steps, logarithms = self._points[:, 0], np.log10(self._points[:, 1])
        mean_steps, means = _thinned(steps, logarithms)
        thinned = len(means) < len(steps)
        self._all.setData(steps, logarithms) if thinned else self._all.clear()
        self._mean.setData(mean_steps, means, symbol="o" if len(means) < _MAX_POINTS // 2 else None)
        low, high = _limits(logarithms)
        for axis in (self._values, self._steps):
            axis.setStyle(showValues=len(self._points) > 0)
        self._view.setRange(xRange=(0, max(last_step, 1)), yRange=(low, high), padding=0)
        self._show_title()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Ask for enough to read."""
        return QSize(2 * _HEIGHT, _HEIGHT)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Ask for enough to read."""
        return QSize(_HEIGHT, _HEIGHT)

    def follow_theme(self) -> None:
        """Draw axes and title in the colours of the theme."""
        for axis in (self._values, self._steps):
            axis.setPen(self.text_color)
            axis.setTextPen(self.text_color)
        self._show_title()

    def _show_title(self) -> None:
        latest = f": {self._points[-1, 1]:.3g}" if len(self._points) else ""
        words = f"{self._title}{latest}"
        self.setToolTip(f"<qt>{words}</qt>")
        line = f'<span style="color:{self._color.name()}">━</span>'
        self._label.setText(f"{line} {words}", color=self.text_color, size="8pt", justify="left")


class _LogAxis(pg.AxisItem):  # type: ignore[misc]
    """An axis of logarithms that is labelled within a decade, too."""

    def tickValues(self, low: float, high: float, size: float) -> list[tuple[float, list[float]]]:  # noqa: N802 - pyqtgraph's name
        """Choose round values."""
        return [(1.0, [log10(tick) for tick in log_ticks(10**low, 10**high)])]

    def tickStrings(self, values: Sequence[float], scale: float, spacing: float) -> list[str]:  # noqa: N802 - pyqtgraph's name
        """Write the values, not their logarithms."""
        return [f"{10**value:.3g}" for value in values]


def log_ticks(low: float, high: float) -> list[float]:
    """Choose round numbers between two positive ones for a logarithmic axis, few enough to read."""
    decades = range(floor(log10(low)), ceil(log10(high)) + 1)
    for digits in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7), tuple(np.arange(10, 100) / 10)):
        ticks = [float(digit * 10.0**decade) for decade in decades for digit in digits]
        inside = [tick for tick in ticks if low <= tick <= high]
        if len(inside) >= _MIN_TICKS:
            break
    # By distance, not by number: above a power of ten the finest ones are ten times as far apart.
    distance = log10(high / low) / (_MAX_TICKS + 1)
    apart: list[float] = []
    for tick in inside:
        if not apart or log10(tick / apart[-1]) >= distance:
            apart.append(tick)
    return apart


def _limits(logarithms: NDArray[np.float64]) -> tuple[float, float]:
    """Choose the ends of the value axis."""
    if not len(logarithms):
        return -1.0, 0.0
    low, high = float(logarithms.min()), float(logarithms.max())
    room = max(_MIN_DECADES - (high - low), 0.0) / 2 + _ROOM * (high - low)
    return low - room, high + room


def _thinned(
    steps: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Average neighbours where there are many."""
    if len(steps) <= _MAX_POINTS:
        return steps, values
    means = [
        np.array([part.mean() for part in np.array_split(numbers, _MAX_POINTS)])
        for numbers in (steps, values)
    ]
    return means[0], means[1]
