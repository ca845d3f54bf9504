"""`SpectrumPanel`: spectra of map and kernel under the cursor, and at pinned places."""

from __future__ import annotations

from html import escape

import napari
import xarray as xr
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
)
from superqt.utils import QSignalThrottler

from napari_qpi.tasks.inspection.inspected import ROLES
from napari_qpi.tasks.inspection.spectra import (
    Spectrum,
    spectra_figures,
    spectra_table,
    spectrum_at,
)
from napari_qpi.tasks.inspection.state import Inspection
from napari_qpi.tasks.scripts.inspection import VARIABLES
from napari_qpi.widgets.inspect.in_viewer.cursor import CursorFollower, World, pixel_under
from napari_qpi.widgets.inspect.in_viewer.pin_layer import PinLayer
from napari_qpi.widgets.inspect.panel import Panel
from napari_qpi.widgets.inspect.plots.curve_plot import Curve, CurvePlot, curve_color
from qpi_kernels.inspect.figures.kind import FigurePanel

__all__ = ["SpectrumPanel"]

_REDRAW_MS = 50
_LIST_HEIGHT = 90
_HELP = (
    "Move the mouse over the image; Shift + click keeps a spectrum. Values are those of the pixel."
)
_NO_STACK = "A stack over bias has spectra; neither the map nor the kernel is one."


class SpectrumPanel(Panel):
    """The spectra under the mouse, of every stack that lies there, beside pinned ones.

    Attributes
    ----------
    under_cursor, pinned : list of Spectrum
        What is drawn.
    """

    title = "Spectrum"
    help = "Spectra of map and kernel under the cursor, and at places that were pinned."

    def __init__(self, inspection: Inspection) -> None:
        super().__init__(inspection)
        self.under_cursor: list[Spectrum] = []
        self.pinned: list[Spectrum] = []
        self._place: World | None = None
        self._last_place: World | None = None
        self._follower: CursorFollower | None = None
        self._marks: PinLayer | None = None
        self._throttle = QSignalThrottler(parent=self)
        self._throttle.setTimeout(_REDRAW_MS)
        self._throttle.triggered.connect(self._on_place)
        self.curve_plot = CurvePlot()
        self.words = QLabel(_HELP)
        self.words.setWordWrap(True)
        self.pins = QListWidget()
        self.pins.setMaximumHeight(_LIST_HEIGHT)
        self.pin_button, self.remove_button = QPushButton("Pin last"), QPushButton("Remove")
        self.pin_button.setToolTip("<qt>Keep the spectra that were last under the cursor.</qt>")
        self.remove_button.setToolTip("<qt>Remove the chosen pin, or all if none is chosen.</qt>")
        buttons = QHBoxLayout()
        buttons.addWidget(self.pin_button)
        buttons.addWidget(self.remove_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        column.addWidget(self.words)
        column.addWidget(self.curve_plot, 1)
        column.addWidget(self.pins)
        column.addLayout(buttons)
        self.pin_button.clicked.connect(self.pin_last)
        self.remove_button.clicked.connect(self.remove_pins)
        self._show_pins()

    def connect_viewer(self, viewer: napari.Viewer) -> None:
        """Follow the mouse in a viewer."""
        self._marks = PinLayer(viewer)
        self._follower = CursorFollower(viewer)
        self.follow(self._follower.moved, self._on_moved)
        self.follow(self._follower.pinned, self._on_pinned)
        self.when_closed(self._follower.disconnect_events)

    def remove_from_viewer(self) -> None:
        """Take the marks of the pins away."""
        if self._marks is not None:
            self._marks.hide()

    # -- the mouse ----------------------------------------------------------------------------

    def _on_moved(self, place: World) -> None:
        if self.isVisible():
            self._place = place
            self._throttle.throttle()

    def _on_pinned(self, place: World) -> None:
        if self.isVisible():
            self._place = place
            self._on_place()
            self.pin_last()

    def _on_place(self) -> None:
        """Draw the spectra at the mouse; beside all stacks the last ones stay."""
        found = [] if self._place is None else self._spectra_at(self._place)
        if not found:
            return
        self._last_place = self._place
        known = [(each.role, each.pixel) for each in self.under_cursor]
        if [(each.role, each.pixel) for each in found] != known:
            self.under_cursor = found
            self._draw_curves()

    def _spectra_at(self, place: World) -> list[Spectrum]:
        """Take the spectra of all stacks at a place in the world."""
        inspection, data = self.inspection, self.inspection.data
        layers = {"map": inspection.map_layer, "kernel": inspection.kernel_layer}
        found = []
        for role, layer in layers.items():
            stack = data.image(role)
            if layer is None or stack is None or not inspection.is_stack(role):
                continue
            pixel = pixel_under(layer, place)
            if pixel is not None and pixel[0] < stack.sizes["y"] and pixel[1] < stack.sizes["x"]:
                std = data.kernel.std if role == "kernel" else None
                found.append(spectrum_at(role, data.name(role), stack, pixel, std))
        return found

    # -- pins ---------------------------------------------------------------------------------

    def pin_last(self) -> None:
        """Keep the spectra that were last under the cursor."""
        known = {(each.name, each.pixel) for each in self.pinned}
        new = [each for each in self.under_cursor if (each.name, each.pixel) not in known]
        self.pinned.extend(new)
        if new:
            self._show_pins()
            self._draw_curves()

    def remove_pins(self) -> None:
        """Remove the chosen pin, or all of them."""
        row = self.pins.currentRow()
        if row >= 0:
            del self.pinned[row]
        else:
            self.pinned.clear()
        self._show_pins()
        self._draw_curves()

    def _show_pins(self) -> None:
        """List the pins in the colours of their curves."""
        self.pins.clear()
        for number, spectrum in enumerate(self.pinned):
            item = QListWidgetItem(f"━ {spectrum.label}: {spectrum.name}")
            item.setForeground(_color(number))
            self.pins.addItem(item)
        self.pins.setCurrentRow(-1)
        self._mark_pins()
        self.pins.setVisible(bool(self.pinned))
        self.remove_button.setEnabled(bool(self.pinned))

    def _mark_pins(self) -> None:
        """Mark the pins in the viewer, as far as their layers are under inspection."""
        if self._marks is None:
            return
        layers = {"map": self.inspection.map_layer, "kernel": self.inspection.kernel_layer}
        found = [
            (layer, spectrum.pixel, curve_color(number))
            for number, spectrum in enumerate(self.pinned)
            if (layer := layers[spectrum.role]) is not None
            and spectrum.name == self.inspection.data.name(spectrum.role)
        ]
        self._marks.show(found)

    # -- drawing ------------------------------------------------------------------------------

    def draw(self) -> None:
        """Draw the spectra; those of other arrays stay as they were pinned."""
        known = any(map(self.inspection.is_stack, ROLES))
        self.words.setText(escape(_HELP if known else _NO_STACK))
        # Without a layer there is no place any more, and the spectra stay.
        found = [] if self._last_place is None else self._spectra_at(self._last_place)
        self.under_cursor = found or self.under_cursor
        self._draw_curves()

    def draw_bias(self) -> None:
        """Mark another bias."""
        self.curve_plot.mark(self.inspection.bias)

    def _draw_curves(self) -> None:
        """Draw what is under the cursor over what is pinned."""
        curves = [
            Curve("", spectrum.values, spectrum.std, _color(number).name())
            for number, spectrum in enumerate(self.pinned)
        ]
        color = self.curve_plot.text_color.name()
        curves += [
            Curve(spectrum.role, spectrum.values, spectrum.std, color)
            for spectrum in self.under_cursor
        ]
        shown = self.under_cursor or self.pinned
        places = ", ".join(spectrum.label for spectrum in shown[:2])
        self.curve_plot.show_curves(curves, f"Spectra: {places}" if places else "")
        self.curve_plot.mark(self.inspection.bias)

    # -- ways out -----------------------------------------------------------------------------

    def export(self) -> list[xr.DataArray | xr.Dataset]:
        """Return the pinned spectra, without any those under the cursor."""
        return list(spectra_table(self.pinned or self.under_cursor))

    def figures(self) -> list[FigurePanel]:
        """Return a panel of the spectra of each array."""
        return spectra_figures(self.pinned or self.under_cursor)

    def script(self) -> str:
        """Write the lines that take the spectra; those of other layers are left out."""
        data = self.inspection.data
        lines = []
        for spectrum in self.pinned or self.under_cursor:
            if spectrum.name == data.name(spectrum.role):
                row, column = spectrum.pixel
                lines.append(f"    {VARIABLES[spectrum.role]}.isel(y={row}, x={column}),")
        return "\n".join(["spectra = [", *lines, "]"]) if lines else ""


def _color(number: int) -> QColor:
    return QColor(curve_color(number))
