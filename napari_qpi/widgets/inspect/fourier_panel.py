"""`FourierPanel`: |FT| of map, kernel or residual at the bias on show."""

from __future__ import annotations

from dataclasses import replace

import xarray as xr
from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QCheckBox, QComboBox, QGridLayout, QLabel, QVBoxLayout

from napari_qpi.tasks.inspection.background_call import BackgroundCall
from napari_qpi.tasks.inspection.marker import MarkerReading
from napari_qpi.tasks.inspection.state import Inspection
from napari_qpi.tasks.inspection.zone import find_zone
from napari_qpi.tasks.scripts.curves import fourier_code
from napari_qpi.tasks.scripts.inspection import VARIABLES, plane_code
from napari_qpi.widgets.inspect.panel import Panel
from napari_qpi.widgets.inspect.plots.momentum_view import MomentumView, Place
from napari_qpi.widgets.inspect.role_choice import RoleChoice
from qpi_kernels import inspect
from qpi_kernels.scripts.parts import short_numbers

__all__ = ["FourierPanel"]

_WINDOWS = {
    "hann": "Hann window",
    "none": "no window",
    "tukey": "Tukey window",
    "hamming": "Hamming window",
    "blackman": "Blackman window",
}
_SCALES = {"root": "root", "linear": "linear", "log": "log"}


class FourierPanel(Panel):
    """The Fourier amplitude on axes of q, with the Brillouin zone, a marker and the line of cuts.

    Attributes
    ----------
    view : MomentumView
        Draws it.
    transform : xarray.DataArray or None
        What is drawn.
    """

    title = "|FT|"
    help = "Fourier amplitude of map, kernel or residual: what disperses, and with which q."

    def __init__(self, inspection: Inspection) -> None:
        super().__init__(inspection)
        self.transform: xr.DataArray | None = None
        self._zone = BackgroundCall(find_zone, "Looking for Bragg peaks")
        self._build()
        self.follow(self._zone.ready, self._show_zone)
        self.follow(self._zone.failed, self.say)
        self.when_closed(self._zone.cancel)
        self.follow(inspection.transforms.ready, self.redraw)
        self.follow(inspection.transforms.failed, self.say)

    def _build(self) -> None:
        """Lay out the panel."""
        self.role_choice = RoleChoice(self.inspection)
        self.window_choice, self.scale_choice = QComboBox(), QComboBox()
        for choice, offered in ((self.window_choice, _WINDOWS), (self.scale_choice, _SCALES)):
            for value, words in offered.items():
                choice.addItem(words, value)
        self.window_choice.setToolTip(
            "<qt>The window that the image is multiplied with, here and in all cuts of |FT|. "
            "Without one the edges of the image show as a cross.</qt>"
        )
        self.scale_choice.setToolTip(
            "<qt>Colours by the amplitude, by its root, which shows weak rings beside strong "
            "peaks, or by its logarithm.</qt>"
        )
        self.mean_box = QCheckBox("Minus energy mean")
        self.mean_box.setToolTip(
            "<qt>Subtract at each q the mean over all biases. What does not disperse vanishes: "
            "Bragg peaks, charge density waves, pickup, rings of the set point.</qt>"
        )
        self.zone_box = QCheckBox("Brillouin zone")
        self.zone_box.setChecked(True)
        self.zone_box.setToolTip(
            "<qt>Outline of the first Brillouin zone, where the topograph of the scan or the map "
            "itself resolves the lattice.</qt>"
        )
        self.view = MomentumView()
        self.reading = QLabel()
        self.reading.setWordWrap(True)
        self.reading.setToolTip(
            "<qt>At the cross: the scattering vector q, the wavelength of its pattern, and the "
            "wave number k of electrons that are scattered back by q = 2k.</qt>"
        )
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.addWidget(self.role_choice, 0, 0)
        grid.addWidget(self.window_choice, 0, 1)
        grid.addWidget(self.scale_choice, 0, 2)
        grid.addWidget(self.mean_box, 1, 0, 1, 2)
        grid.addWidget(self.zone_box, 1, 2)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        column.addLayout(grid)
        column.addWidget(self.view, 1)
        column.addWidget(self.reading)
        self.role_choice.currentIndexChanged.connect(self.redraw)
        self.scale_choice.currentIndexChanged.connect(self.redraw)
        self.mean_box.toggled.connect(self.redraw)
        self.zone_box.toggled.connect(self._show_zone)
        self.window_choice.currentIndexChanged.connect(self._on_window)
        self.view.marker_moved.connect(self._show_reading)
        self.view.line_moved.connect(self._on_line_dragged)

    # -- drawing ------------------------------------------------------------------------------

    def draw(self) -> None:
        """Draw the transform at the bias on show."""
        self.role_choice.show_state()
        with QSignalBlocker(self.window_choice):
            self.window_choice.setCurrentIndex(self.window_choice.findData(self.inspection.window))
        self.mean_box.setVisible(len(self.inspection.biases) > 1)
        self.view.show_units(self.inspection.q_factor, self.inspection.q_unit)
        self.draw_bias()
        self.draw_line()
        self._show_zone()

    def draw_bias(self) -> None:
        """Draw another plane."""
        role = self.role_choice.role
        words = f"|FT| of {self.inspection.title(role)}"
        try:
            if not self._subtracts(role):
                transform = self.inspection.fourier(role)
            else:
                words += " minus energy mean"
                transform = self._less_mean(role)
                if transform is None:
                    self.say("The Fourier transforms of all biases are being made…")
                    return
        except inspect.InspectionError as error:
            self.say(str(error))
            return
        if transform is None:
            self.transform = None
            self.view.clear()
            self.reading.setText("")
            return
        self.say("")
        self.transform = transform
        self.view.show_transform(transform, words, scale=self.scale_choice.currentData())
        self._show_reading()

    def draw_line(self) -> None:
        """Draw the line of cuts, where it lies in q."""
        line = self.inspection.line
        if line is None or line.space != "q":
            self.view.show_line(None)
        elif self.view.line_ends() != (line.start, line.stop):
            self.view.show_line(line.start, line.stop)

    def _subtracts(self, role: str) -> bool:
        """Return whether the mean over all biases is subtracted."""
        array = self.inspection.data.image(role)
        return self.mean_box.isChecked() and array is not None and "bias" in array.dims

    def _less_mean(self, role: str) -> xr.DataArray | None:
        """Return the plane on show less the mean of all; None while the others are transformed."""
        stack = self.inspection.fourier_stack(role)
        plane = self.inspection.plane(role)
        if stack is None or plane is None:
            return None
        return inspect.without_energy_mean(stack, float(plane["bias"]))

    def _show_zone(self) -> None:
        """Draw the zone, or begin to look for it."""
        data = self.inspection.data
        images = [each for each in (data.map.topograph, data.map.image) if each is not None]
        outline = self._zone.get(*images) if self.zone_box.isChecked() and images else None
        self.view.show_zone(outline)
        found = outline is not None or not images or not self._zone.is_made(*images)
        self.zone_box.setText("Brillouin zone" if found else "Brillouin zone: no lattice seen")

    def _show_reading(self, place: object = None) -> None:
        """Read the transform at the marker."""
        if self.transform is not None:
            reading = MarkerReading.of(self.transform, self.view.marker_place)
            words = reading.in_words(self.inspection.q_factor, self.inspection.q_unit)
            self.reading.setText(words)

    # -- what the user does -------------------------------------------------------------------

    def _on_window(self) -> None:
        self.inspection.window = self.window_choice.currentData()

    def _on_line_dragged(self, start: Place, stop: Place) -> None:
        line = self.inspection.line
        if line is not None:
            self.inspection.line = replace(line, start=start, stop=stop)

    # -- ways out -----------------------------------------------------------------------------

    def export(self) -> list[xr.DataArray | xr.Dataset]:
        """Return the transform."""
        return [] if self.transform is None else [self.transform]

    def script(self) -> str:
        """Write the lines that transform."""
        if self.transform is None:
            return ""
        role = self.role_choice.role
        if self._subtracts(role):
            plane = self.inspection.plane(role)
            assert plane is not None
            (bias,) = short_numbers([float(plane["bias"])])
            lines = (
                f"stack = {fourier_code(self.inspection, role, VARIABLES[role])}\n"
                f"transform = qk.inspect.without_energy_mean(stack, {bias!r})"
            )
        else:
            image = plane_code(self.inspection, role)
            lines = f"transform = {fourier_code(self.inspection, role, image)}"
        return f"{lines}\nprint(transform)"
