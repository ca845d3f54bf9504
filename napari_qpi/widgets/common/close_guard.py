"""`CloseGuard`: has a say when napari's window is about to close."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QMainWindow, QWidget

__all__ = ["CloseGuard"]


class CloseGuard(QObject):
    """Asks before the main window around a widget closes.

    Parameters
    ----------
    widget : QWidget
        Docked in the window; the guard lives as long as it does.
    may_close : callable
        Called with whether the window can still stay open: False when a script closes the viewer,
        whose canvas is gone by then. Returns whether the window may close.
    """

    def __init__(self, widget: QWidget, may_close: Callable[[bool], bool]) -> None:
        super().__init__(widget)
        self._may_close = may_close
        self._window: QMainWindow | None = None

    def watch(self, widget: QWidget) -> None:
        """Watch the window around a widget from now on."""
        self.disconnect_events()
        window: QWidget | None = widget
        while window is not None and not isinstance(window, QMainWindow):
            window = window.parentWidget()
        self._window = window
        if self._window is not None:
            self._window.installEventFilter(self)

    def disconnect_events(self) -> None:
        """Watch no more."""
        if self._window is not None:
            self._window.removeEventFilter(self)
            self._window = None

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 - Qt's name
        """Keep the window open when it may not close."""
        if event is None or event.type() != QEvent.Type.Close or watched is not self._window:
            return False
        if self._may_close(self._can_stay()):
            return False
        event.ignore()
        return True

    def _can_stay(self) -> bool:
        """Return whether the window can be left open: it is shown, with all it holds."""
        assert self._window is not None
        central = self._window.centralWidget()
        if central is None or not self._window.isVisible():
            return False
        only_here = Qt.FindChildOption.FindDirectChildrenOnly
        return not any(
            child.isHidden() for child in central.findChildren(QWidget, options=only_here)
        )
