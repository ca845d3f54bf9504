"""`Panel`: the base of what the Inspect dock shows, one in front at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import napari
import xarray as xr
from psygnal import SignalInstance
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QWidget

from napari_qpi.tasks.inspection.panel_files import figure_of
from napari_qpi.tasks.inspection.state import Inspection
from qpi_kernels.inspect.figures.kind import FigurePanel

__all__ = ["Panel"]


class Panel(QWidget):
    """One view of an `Inspection`, drawn only while it is in front.

    A subclass lays out its widgets in ``__init__`` and overrides `draw`; where another bias or
    line takes less than all of that, `draw_bias` and `draw_line`, too. What it draws comes from
    `qpi_kernels.inspect`. Its file is entered in `napari_qpi.widgets.inspect.panels`.

    Parameters
    ----------
    inspection : Inspection
        Shared by all panels of the dock.

    Attributes
    ----------
    title, help : str
        Of its tab.
    said : str
        Text for display below the panel while it is in front.
    status : Signal(str)
        It was said anew.
    """

    title: ClassVar[str] = ""
    help: ClassVar[str] = ""
    status = Signal(str)

    def __init__(self, inspection: Inspection) -> None:
        super().__init__()
        self.inspection = inspection
        self.said = ""
        self._stale = True
        self._closers: list[Callable[[], object]] = []
        self._followed: list[tuple[SignalInstance, Callable[..., object]]] = []
        self.follow(inspection.data_changed, self._on_data)
        self.follow(inspection.bias_changed, self._on_bias)
        self.follow(inspection.units_changed, self._on_data)
        self.follow(inspection.window_changed, self._on_data)
        self.follow(inspection.line_changed, self._on_line)

    def follow(self, signal: SignalInstance, slot: Callable[..., object]) -> None:
        """Connect a slot to a psygnal signal until the dock is closed."""
        signal.connect(slot)
        self._followed.append((signal, slot))

    def when_closed(self, callback: Callable[[], object]) -> None:
        """Call back when the dock is closed or its window destroyed; touch no Qt object there."""
        self._closers.append(callback)

    def say(self, text: str) -> None:
        """Show a text below this panel, in place of the one there."""
        self.said = text
        self.status.emit(text)

    # -- what a subclass gives ----------------------------------------------------------------

    def connect_viewer(self, viewer: napari.Viewer) -> None:
        """Take the viewer, once, for what is drawn or followed there; by default nothing is."""

    def remove_from_viewer(self) -> None:
        """Take away what `connect_viewer` gave; the dock is being closed, its window lives."""

    def draw(self) -> None:
        """Draw everything: the arrays, the unit of q or the panel's own choices have changed."""
        raise NotImplementedError

    def draw_bias(self) -> None:
        """Draw what depends on the bias."""
        self.draw()

    def draw_line(self) -> None:
        """Draw what depends on the line; by default nothing does."""

    def export(self) -> list[xr.DataArray | xr.Dataset]:
        """Return what is drawn, named and with units, for a figure and for tables."""
        return []

    def figures(self) -> list[FigurePanel]:
        """Return figures of what is drawn; by default one of each export."""
        return [figure_of(export, self.title) for export in self.export()]

    def script(self) -> str:
        """Write the lines that compute what is drawn.

        They may use ``observation``, ``mask``, ``kernel``, ``std``, ``residual`` (whole stacks)
        and ``bias``, which `inspection_script` provides, and ``qk`` and ``np``.
        """
        return ""

    # -- drawing only what is seen ------------------------------------------------------------

    def redraw(self) -> None:
        """Draw everything now, or when the panel comes to the front."""
        self._stale = not self.isVisible()
        if not self._stale:
            self.draw()

    def disconnect_events(self) -> None:
        """Follow the inspection no more, and stop what is under way."""
        for signal, slot in self._followed:
            signal.disconnect(slot, missing_ok=True)
        for callback in self._closers:
            callback()

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802 - Qt's name
        """Draw what has changed behind other panels."""
        super().showEvent(event)
        if self._stale:
            self._stale = False
            self.draw()

    def _on_data(self) -> None:
        # What was said of other arrays is out of date.
        self.say("")
        self.redraw()

    def _on_bias(self) -> None:
        self._stale = self._stale or not self.isVisible()
        if not self._stale:
            self.draw_bias()

    def _on_line(self) -> None:
        self._stale = self._stale or not self.isVisible()
        if not self._stale:
            self.draw_line()
