"""`Dock`: the base of the dock widgets, which disconnects from the viewer when it is closed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import napari
from qtpy.QtCore import QEvent, QObject, QSize, Qt, QTimer
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QComboBox,
    QFrame,
    QGroupBox,
    QHBoxLayout,
    QMainWindow,
    QScrollArea,
    QSlider,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

__all__ = ["Dock", "collapsed", "group"]

_MIN_WIDTH = 300
_MIN_HEIGHT = 200


class Dock(QWidget):
    """A scrolling dock widget on one viewer.

    A subclass adds its parts to `column`, connects with `follow`, and has its entry in the
    manifest. The mouse wheel changes none of its controls but the one that has the focus.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer, or napari's public proxy of it. Its name is what napari injects by.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        # Layers reached through the proxy are proxies too, and `is` fails between them.
        self.viewer: napari.Viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self._docked = False
        self._connections = ExitStack()
        self.destroyed.connect(self._connections.close)
        self.content = QWidget()
        self.column = QVBoxLayout(self.content)
        self.column.setContentsMargins(8, 8, 8, 8)
        self._scroll = scroll = _VerticalScroll()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setWidget(self.content)
        self.content.installEventFilter(self)
        frame = QVBoxLayout(self)
        frame.setContentsMargins(0, 0, 0, 0)
        frame.addWidget(scroll)
        self.follow(self.viewer.layers.events.removing, self._make_canvas_current)

    def follow(self, emitter: Any, slot: Callable[..., object]) -> None:
        """Connect a slot to an emitter (napari's, psygnal's) until the panel is closed."""
        emitter.connect(slot)
        self.when_closed(lambda: emitter.disconnect(slot))

    def when_closed(self, callback: Callable[[], object]) -> None:
        """Call back once the panel is closed or its window destroyed; touch no Qt object there."""
        self._connections.callback(callback)

    def delayed(self, milliseconds: int, slot: Callable[[], object]) -> QTimer:
        """Make a timer that calls a slot once, so long after its latest start."""
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(milliseconds)
        timer.timeout.connect(slot)
        return timer

    def remove_from_viewer(self) -> None:
        """Take away the layers that only belong to the open panel; the window still lives."""

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 - Qt's name
        """Leave the wheel over a control without the focus to the scrolling of the dock."""
        if event is None or not isinstance(watched, QWidget):
            return False
        if event.type() == QEvent.Type.LayoutRequest:
            self._watch_controls()
            # Rows that unfold may be wider than the dock; Qt asks again only when it is told to.
            self._scroll.updateGeometry()
        if event.type() != QEvent.Type.Wheel or watched is self.content or watched.hasFocus():
            return False
        event.ignore()
        return True

    def _make_canvas_current(self, event: object = None) -> None:
        """Let napari delete a layer's textures in the OpenGL context that has them.

        napari 0.9.2 deletes them in whatever context is current; on Mesa the next layer then ends
        in a segmentation fault.
        """
        window: QWidget | None = self
        while window is not None and not isinstance(window, QMainWindow):
            window = window.parentWidget()
        for canvas in [] if window is None else window.findChildren(QOpenGLWidget):
            canvas.makeCurrent()

    def _watch_controls(self) -> None:
        for kind in (QAbstractSpinBox, QComboBox, QSlider):
            for control in self.findChildren(kind):
                control.installEventFilter(self)
                # Qt's own policy for these gives the focus to what the wheel turns over.
                control.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def event(self, event: QEvent | None) -> bool:
        """Notice that napari took the panel out of its dock: that is how a dock is closed."""
        handled: bool = super().event(event)
        if event is not None and event.type() == QEvent.Type.ParentChange:
            if self._docked and self.parent() is None:
                self._connections.close()
                self.remove_from_viewer()
                self.deleteLater()
            self._docked = self.parent() is not None
            self._watch_controls()
        return handled


class _VerticalScroll(QScrollArea):
    """Scrolls up and down, and is never narrower than what it shows."""

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Ask for the content's width."""
        content, bar = self.widget(), self.verticalScrollBar()
        assert content is not None
        assert bar is not None
        width = max(content.minimumSizeHint().width(), content.minimumWidth())
        width += bar.sizeHint().width()
        return QSize(max(width, _MIN_WIDTH), _MIN_HEIGHT)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Ask for the content's size."""
        content = self.widget()
        assert content is not None
        return content.sizeHint().expandedTo(self.minimumSizeHint())


def group(title: str, *rows: QWidget | tuple[QWidget, ...]) -> QGroupBox:
    """Frame rows under a title; the widgets of a tuple stand side by side."""
    box = QGroupBox(title)
    column = QVBoxLayout(box)
    for row in rows:
        if isinstance(row, tuple):
            line = QHBoxLayout()
            for widget in row:
                line.addWidget(widget)
            column.addLayout(line)
        else:
            column.addWidget(row)
    return box


def collapsed(title: str, content: QWidget) -> QCollapsible:
    """Fold rows away that are rarely needed."""
    fold = QCollapsible(title)
    fold.setDuration(0)
    fold.addWidget(content)
    return fold
