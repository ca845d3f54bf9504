"""`PredictionView`: how much better methods predict left-out pixels, with error bars and words."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_qpi.widgets.common.plotting import PlotWidget, pg

if TYPE_CHECKING:
    from napari_qpi.tasks.method_comparison import Comparison
    from qpi_kernels.extraction.cross_validation.validation import CrossValidation

__all__ = ["PredictionPlot", "PredictionView"]

_ROW_HEIGHT, _AXIS_HEIGHT, _NAME_WIDTH = 22, 46, 92
_ROOM = 0.08


class PredictionView(QWidget):
    """Differences between what methods predict, drawn and in words.

    Hidden until there is something to show.
    """

    def __init__(self) -> None:
        super().__init__()
        self.plot = PredictionPlot()
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.words.setTextFormat(Qt.TextFormat.RichText)
        self.words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.plot)
        column.addWidget(self.words)
        self.setVisible(False)

    def show_comparison(self, comparison: Comparison) -> None:
        """Draw the differences of a comparison, or say why there are none."""
        validation, lines = comparison.validation, []
        if comparison.reason:
            lines.append(f"Nothing was predicted: {comparison.reason}")
        scored = validation is not None and bool(validation.sums)
        self.plot.setVisible(scored)
        if validation is not None and scored:
            self.plot.show_differences(validation)
            lines += validation.sentences()
        if validation is not None:
            lines += [f"{name}: {why}" for name, why in validation.failures.items()]
        self.words.setText("<br>".join(escape(line) for line in lines))
        self.setVisible(bool(lines))

    def clear(self) -> None:
        """Forget the last comparison and hide."""
        self.words.clear()
        self.setVisible(False)


class PredictionPlot(PlotWidget):
    """R squared of each method less that of the best, with two paired standard errors."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._names, self._values = pg.AxisItem("left"), pg.AxisItem("bottom")
        self._names.setWidth(_NAME_WIDTH)
        self._values.enableAutoSIPrefix(False)
        self._values.setLabel("R² less that of the best")
        self._view = pg.ViewBox(enableMenu=False, enableMouse=False, defaultPadding=0)
        self.canvas.addItem(self._names, row=0, col=0)
        self.canvas.addItem(self._view, row=0, col=1)
        self.canvas.addItem(self._values, row=1, col=1)
        for axis in (self._names, self._values):
            axis.linkToView(self._view)
        self._bars = pg.ErrorBarItem(beam=0.3)
        self._points = pg.ScatterPlotItem(size=7, pen=None)
        self._best = pg.InfiniteLine(0.0)
        for item in (self._bars, self._points, self._best):
            self._view.addItem(item, ignoreBounds=True)
        self.setToolTip(
            "<qt>R² of left-out pixels less that of the best method. A bar is two standard errors "
            "over the blocks; what makes a block hard to predict is the same for both methods and "
            "cancels. Where the bar does not reach the line, the difference is real.</qt>"
        )
        self.follow_theme()

    def show_differences(self, validation: CrossValidation) -> None:
        """Draw the alternatives of a comparison in the order they were given."""
        names, best = list(validation.sums), validation.ranking[0]
        gaps = [validation.difference(name, best) for name in names]
        values = np.array([gap.r_squared for gap in gaps])
        errors = np.array([2 * gap.r_squared_error for gap in gaps])
        places = -np.arange(len(names), dtype=float)
        self._bars.setData(x=values, y=places, left=errors, right=errors)
        self._points.setData(x=values, y=places)
        titles = [name.replace("_", " ") for name in names]
        self._names.setTicks([list(zip(places.tolist(), titles, strict=True))])
        low, high = float((values - errors).min()), float((values + errors).max())
        room = _ROOM * (high - low) or 1e-6
        self._view.setRange(
            xRange=(low - room, high + room), yRange=(0.5 - len(names), 0.5), padding=0
        )
        self.setFixedHeight(_AXIS_HEIGHT + _ROW_HEIGHT * len(names))

    def follow_theme(self) -> None:
        """Draw everything in the colour of the theme's text."""
        pen = pg.mkPen(self.text_color)
        for axis in (self._names, self._values):
            axis.setPen(pen)
            axis.setTextPen(pen)
        self._bars.setData(pen=pen)
        self._points.setBrush(self.text_color)
        self._best.setPen(pg.mkPen(self.text_color, style=Qt.PenStyle.DashLine))
