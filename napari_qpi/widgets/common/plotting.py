"""pyqtgraph on napari's Qt binding and in the colours of its theme, for small live plots."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import qtpy
from napari.utils.colormaps import ensure_colormap
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QColor, QPalette, QResizeEvent
from qtpy.QtWidgets import QWidget

# pyqtgraph chooses a binding when it is imported; two in one process crash.
os.environ["PYQTGRAPH_QT_LIB"] = qtpy.API_NAME
import pyqtgraph as pg

__all__ = ["PlotWidget", "color_table", "pg"]


class PlotWidget(QWidget):
    """A canvas of pyqtgraph that leaves mouse and wheel to the dock around it.

    Attributes
    ----------
    canvas : pyqtgraph.GraphicsLayoutWidget
        Where a subclass puts its plots.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        # Without a layout: with one, Qt asks that and not the widget for its height.
        self.canvas: Any = pg.GraphicsLayoutWidget(parent=self)
        self.canvas.setBackground(None)
        self.canvas.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.canvas.ci.layout.setContentsMargins(0, 0, 0, 0)
        self.canvas.ci.layout.setSpacing(0)

    @property
    def text_color(self) -> QColor:
        """Colour of text in the theme."""
        return self.palette().color(QPalette.ColorRole.WindowText)

    def follow_theme(self) -> None:
        """Draw axes and texts in the colours of the theme."""

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802 - Qt's name
        """Let the canvas fill the widget."""
        super().resizeEvent(event)
        self.canvas.setGeometry(self.rect())

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802 - Qt's name
        """Notice that the theme was changed."""
        super().changeEvent(event)
        changes = (QEvent.Type.PaletteChange, QEvent.Type.StyleChange)
        if event is not None and event.type() in changes:
            self.canvas.resetCachedContent()
            self.follow_theme()


def color_table(colormap: str) -> NDArray[np.uint8]:
    """Sample a napari colour map: RGB of 256 shades, (256, 3)."""
    colors = ensure_colormap(colormap).map(np.linspace(0, 1, 256))
    return np.asarray(255 * colors[:, :3] + 0.5, np.uint8)
