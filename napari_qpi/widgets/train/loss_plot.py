"""`LossPlot`: numbers over training steps, drawn live with a logarithmic axis."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFontMetricsF, QPainter, QPaintEvent, QPalette, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

__all__ = ["LossPlot", "linear_ticks", "log_ticks"]

_FONT_PX = 11
_HEIGHT = 120
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 8.0, 18.0, 18.0
# Below this many steps each is drawn; above, means of as many neighbours as fit.
_MAX_POINTS = 40
_MAX_TICKS = 5
# Shown before the first step.
_FIRST_STEPS = 10
_ROOM = 0.04
_FAINT = 60
_MIN_DECADES = 0.15

Points = Sequence[tuple[int, float]]


class LossPlot(QWidget):
    """Draws one curve over steps; the colours of axes and text are the theme's.

    A curve with many points is drawn as its running mean over a faint line of all points.

    Parameters
    ----------
    title : str
        What is drawn, with its unit if it has one.
    color : str
        Of the curve, to be seen on dark and light.
    """

    def __init__(self, title: str, color: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title = title
        self._color = QColor(color)
        self._points = np.empty((0, 2))
        self._last_step = _FIRST_STEPS
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setSizePolicy(policy)

    @property
    def points(self) -> NDArray[np.float64]:
        """What is drawn: (number, 2) steps and values."""
        return self._points

    def show_points(self, points: Points, last_step: int) -> None:
        """Draw a curve.

        Parameters
        ----------
        points : sequence of (int, float)
            Steps and positive values; others can not be drawn and are left out.
        last_step : int
            Of the training, the axis' end.
        """
        values = np.array(points, float).reshape(-1, 2)
        self._points = values[np.isfinite(values[:, 1]) & (values[:, 1] > 0)]
        self._last_step = max(last_step, 1)
        self.setToolTip(f"<qt>{self._title}{self._latest()}</qt>")
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Ask for enough to read."""
        return QSize(2 * _HEIGHT, _HEIGHT)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Ask for enough to read."""
        return QSize(_HEIGHT, _HEIGHT)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802 - Qt's name
        """Paint axes, legend and curve."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = painter.font()
        font.setPixelSize(_FONT_PX)
        painter.setFont(font)
        frame = QRectF(self.rect()).adjusted(_LEFT, _TOP, -_RIGHT, -_BOTTOM)
        axes = _Axes(frame, self._points, self._last_step)
        text = self.palette().color(QPalette.ColorRole.WindowText)
        _paint_axes(painter, QFontMetricsF(font), axes, text)
        self._paint_legend(painter, QFontMetricsF(font), frame, text)
        if len(self._points):
            self._paint_curve(painter, axes)

    def _latest(self) -> str:
        return f" {self._points[-1, 1]:.3g}" if len(self._points) else ""

    def _paint_legend(
        self, painter: QPainter, metrics: QFontMetricsF, frame: QRectF, text: QColor
    ) -> None:
        """Draw the names of the curves."""
        middle = frame.top() - _TOP / 2
        painter.setPen(QPen(self._color, 2))
        painter.drawLine(QPointF(frame.left(), middle), QPointF(frame.left() + 16, middle))
        painter.setPen(text)
        place = QPointF(frame.left() + 22, middle + metrics.ascent() / 2 - 1)
        painter.drawText(place, f"{self._title}{self._latest()}")

    def _paint_curve(self, painter: QPainter, axes: _Axes) -> None:
        """Draw one curve."""
        painter.setClipRect(axes.frame.adjusted(-1, -1, 1, 1))
        drawn = _thinned(self._points)
        if len(drawn) < len(self._points):
            faint = QColor(self._color)
            faint.setAlpha(_FAINT)
            painter.setPen(QPen(faint, 1))
            stride = max(1, len(self._points) // (4 * int(axes.frame.width()) + 1))
            painter.drawPolyline(axes.polygon(self._points[::stride]))
        painter.setPen(QPen(self._color, 2))
        painter.drawPolyline(axes.polygon(drawn))
        if len(drawn) <= _MAX_POINTS // 2:
            painter.setBrush(self._color)
            for step, value in drawn:
                painter.drawEllipse(QPointF(axes.x(step), axes.y(value)), 1.5, 1.5)


class _Axes:
    """Where steps and values lie on the screen."""

    def __init__(self, frame: QRectF, points: NDArray[np.float64], last_step: int) -> None:
        self.frame = frame
        reached = points[-1, 0] if len(points) else 0.0
        # The axis grows with the run: of a long one, the beginning would be a line at the left.
        self.last = min(float(last_step), max(1.25 * reached, _FIRST_STEPS))
        low, high = (points[:, 1].min(), points[:, 1].max()) if len(points) else (0.1, 1.0)
        self.low, self.high = log10(low), log10(high)
        lacking = _MIN_DECADES - (self.high - self.low)
        if lacking > 0:
            self.low, self.high = self.low - lacking / 2, self.high + lacking / 2
        room = _ROOM * (self.high - self.low)
        self.low, self.high = self.low - room, self.high + room

    def x(self, step: float) -> float:
        """Horizontal place of a step."""
        return self.frame.left() + self.frame.width() * step / self.last

    def y(self, value: float) -> float:
        """Vertical place of a value."""
        share = (log10(value) - self.low) / (self.high - self.low)
        return self.frame.bottom() - self.frame.height() * share

    def polygon(self, points: NDArray[np.float64]) -> QPolygonF:
        """Places of points."""
        return QPolygonF([QPointF(self.x(step), self.y(value)) for step, value in points])


def _paint_axes(painter: QPainter, metrics: QFontMetricsF, axes: _Axes, text: QColor) -> None:
    """Draw the axes with their ticks."""
    frame = axes.frame
    line = QColor(text)
    line.setAlpha(_FAINT)
    for value in log_ticks(10**axes.low, 10**axes.high):
        y = axes.y(value)
        painter.setPen(line)
        painter.drawLine(QPointF(frame.left(), y), QPointF(frame.right(), y))
        painter.setPen(text)
        place = QRectF(0, y - metrics.height() / 2, frame.left() - 5, metrics.height())
        painter.drawText(place, Qt.AlignmentFlag.AlignRight, f"{value:.3g}")
    for step in linear_ticks(axes.last):
        x = axes.x(step)
        painter.setPen(text)
        painter.drawLine(QPointF(x, frame.bottom()), QPointF(x, frame.bottom() + 3))
        words = "step 0" if step == 0 else f"{step:g}"
        width = metrics.horizontalAdvance(words)
        left = min(max(x - width / 2, 0.0), frame.right() + _RIGHT - width)
        painter.drawText(QPointF(left, frame.bottom() + 4 + metrics.ascent()), words)
    painter.drawLine(frame.bottomLeft(), frame.bottomRight())
    painter.drawLine(frame.bottomLeft(), frame.topLeft())


def linear_ticks(last: float) -> list[float]:
    """Round whole numbers from 0 to a last one, few enough to read."""
    power = 10.0 ** max(floor(log10(last / _MAX_TICKS)), 0)
    gap = next(digit * power for digit in (1, 2, 5, 10) if digit * power * _MAX_TICKS >= last)
    return [number * gap for number in range(floor(last / gap * 1.0001) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers between two positive ones for a logarithmic axis, few enough to read."""
    decades = range(floor(log10(low)), ceil(log10(high)) + 1)
    for digits in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7), tuple(np.arange(10, 100) / 10)):
        ticks = [float(digit * 10.0**decade) for decade in decades for digit in digits]
        inside = [tick for tick in ticks if low <= tick <= high]
        if len(inside) >= 2:
            return inside[:: ceil(len(inside) / _MAX_TICKS)]
    return inside


def _thinned(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of neighbours; the mean of logarithms, as they are drawn."""
    if len(points) <= _MAX_POINTS:
        return points
    parts = np.array_split(points, _MAX_POINTS)
    return np.array([[part[:, 0].mean(), np.exp(np.log(part[:, 1]).mean())] for part in parts])
