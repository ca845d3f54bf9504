"""`PlotFrame`: one pair of axes in the colours of napari's theme."""

from __future__ import annotations

from html import escape
from typing import Any

from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtGui import QFont, QFontMetrics, QResizeEvent
from qtpy.QtWidgets import QMenu, QSizePolicy

from napari_qpi.widgets.common.plotting import PlotWidget, pg

__all__ = ["PlotFrame"]

_MIN_WIDTH, _MIN_HEIGHT, _HEIGHT = 180, 120, 150
_ABOVE = 10
_TITLE_POINTS, _TITLE_MARGIN = 8, 60
_LABEL_MARGIN = 50
_MIN_NAME = 45


class PlotFrame(PlotWidget):
    """A title over axes with labels; subclasses add what is drawn.

    The plot says in its title what it shows, so that it can stay when a layer leaves the viewer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.plot: Any = self.canvas.addPlot(viewBox=pg.ViewBox(enableMenu=False))
        self.plot.setMenuEnabled(False)
        # As windows of their own the menus that nobody opens would outlive the plot.
        for menu in (self.plot.ctrlMenu, *self.plot.ctrlMenu.findChildren(QMenu)):
            menu.setParent(self, Qt.WindowType.Widget)
            menu.hide()
        self.plot.setMouseEnabled(False, False)
        self.plot.hideButtons()
        self.canvas.ci.layout.setContentsMargins(0, 0, 6, 4)
        self._title = ""
        self._labels: dict[str, str] = {}
        for side in ("left", "bottom"):
            axis = self.plot.getAxis(side)
            # Else pyqtgraph writes 0.05 V as 50 with a factor beside the label.
            axis.enableAutoSIPrefix(False)
            axis.setStyle(hideOverlappingLabels=True)
        self._now = pg.InfiniteLine(angle=90)
        self._now.setZValue(_ABOVE)
        self._now.setVisible(False)
        self.plot.addItem(self._now, ignoreBounds=True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._show_axes()
        self.follow_theme()

    @property
    def title(self) -> str:
        """Title of the plot."""
        return self._title

    def set_title(self, title: str) -> None:
        """Say what the plot shows; nothing is shown without a title."""
        self._title = title
        self._show_axes()
        self.setToolTip(f"<qt>{escape(title)}</qt>")
        self._show_title()

    def _show_axes(self) -> None:
        """Show axes while something is drawn; else they would count from 0 to 1 of nothing."""
        for side in ("left", "bottom"):
            self.plot.showAxis(side, bool(self._title))
        if not self._title:
            self._now.setVisible(False)

    def set_labels(self, bottom: str, left: str) -> None:
        """Name both axes."""
        self._labels = {"bottom": bottom, "left": left}
        self._show_labels()

    def _show_labels(self) -> None:
        """Write the names as far as they fit along their axes, and the units."""
        for side, room in (("bottom", self.width()), ("left", self.height())):
            words = self._labels.get(side, "")
            if self._elided(words, self.font(), room - _LABEL_MARGIN) != words:
                words = self._shortened(words, room - _LABEL_MARGIN)
            if side in self._labels:
                # The plot's own way to set a label would show the axis, too.
                self.plot.getAxis(side).setLabel(escape(words))

    def _shortened(self, words: str, room: int) -> str:
        """Cut the name of an axis before its unit, or leave it out where hardly any of it fits."""
        name, bracket, unit = words.partition(" (")
        metrics = QFontMetrics(self.font())
        left = room - metrics.horizontalAdvance(bracket + unit)
        if left < _MIN_NAME:
            return unit[:-1]
        return metrics.elidedText(name, Qt.TextElideMode.ElideRight, left) + bracket + unit

    def _show_title(self) -> None:
        """Write the title as far as it fits: pyqtgraph would make the plot as wide as its title."""
        font = QFont(self.font())
        font.setPointSize(_TITLE_POINTS)
        words = self._elided(self._title, font, self.width() - _TITLE_MARGIN)
        self.plot.setTitle(escape(words), color=self.text_color, size=f"{_TITLE_POINTS}pt")

    @staticmethod
    def _elided(words: str, font: QFont, room: int) -> str:
        """Cut words in their middle."""
        return QFontMetrics(font).elidedText(
            words, Qt.TextElideMode.ElideMiddle, max(room, _TITLE_MARGIN)
        )

    def mark(self, value: float | None, *, horizontal: bool = False) -> None:
        """Mark a value on an axis, such as the bias that the viewer shows; None marks nothing."""
        self._now.setVisible(value is not None and bool(self._title))
        self._now.setAngle(0 if horizontal else 90)
        if value is not None:
            self._now.setValue(value)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Ask for enough to read."""
        return QSize(2 * _HEIGHT, _HEIGHT)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Ask for enough to read."""
        return QSize(_MIN_WIDTH, _MIN_HEIGHT)

    def follow_theme(self) -> None:
        """Draw axes and texts in the colours of the theme."""
        for side in ("left", "bottom"):
            axis = self.plot.getAxis(side)
            axis.setPen(self.text_color)
            axis.setTextPen(self.text_color)
        self._now.setPen(pg.mkPen(self.text_color, style=Qt.PenStyle.DashLine))
        if self._title:
            self._show_title()

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802 - Qt's name
        """Write as much of title and labels as fits now."""
        super().resizeEvent(event)
        self._show_labels()
        if self._title:
            self._show_title()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 - Qt's name
        """Leave the wheel to the scrolling of the dock."""
        if event is None or event.type() != QEvent.Type.Wheel:
            return False
        event.ignore()
        return True
