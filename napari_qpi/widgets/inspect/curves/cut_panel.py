"""`CutPanel`: values along a line on the image or on |FT|, at the bias on show and at all."""

from __future__ import annotations

from dataclasses import replace
from math import atan2, cos, degrees, hypot, radians, sin

import napari
import xarray as xr
from napari.layers import Shapes
from qtpy.QtCore import QSignalBlocker
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
)
from superqt.utils import QSignalThrottler

from napari_qpi.tasks.inspection.background_call import BackgroundCall
from napari_qpi.tasks.inspection.cut_lines import CutLines, Space
from napari_qpi.tasks.inspection.shown_units import in_shown_units
from napari_qpi.tasks.inspection.state import Inspection, Line
from napari_qpi.tasks.scripts.curves import cut_code
from napari_qpi.widgets.inspect.curves.line_view import LineView
from napari_qpi.widgets.inspect.curves.number_box import number_box
from napari_qpi.widgets.inspect.in_viewer.line_layer import LineLayer, Place
from napari_qpi.widgets.inspect.panel import Panel
from napari_qpi.widgets.inspect.plots.curve_plot import Curve, CurvePlot
from napari_qpi.widgets.inspect.plots.stack_image import StackImage
from napari_qpi.widgets.inspect.role_choice import RoleChoice
from qpi_kernels import inspect

__all__ = ["CutPanel"]

_REDRAW_MS = 100
_SPACES = {"real": "on the image", "q": "on |FT|"}


class CutPanel(Panel):
    """A line's values at the bias on show, and over all biases: E(x), E(q).

    Attributes
    ----------
    curve_plot : CurvePlot
        The cut at the bias on show.
    stack_image : StackImage
        Cuts at all biases.
    line_view : LineView
        |FT| with the line, while it lies there.
    """

    title = "Cut"
    help = "Values along a line on the image or on |FT|, at this bias and at all: E(x), E(q)."

    def __init__(self, inspection: Inspection) -> None:
        super().__init__(inspection)
        self._lines = CutLines(inspection)
        self._handle: LineLayer | None = None
        self.curve: xr.DataArray | None = None
        self.stack: xr.DataArray | None = None
        self._reading: BackgroundCall[xr.DataArray] = BackgroundCall(_read, "Reading the stack")
        self._throttle = QSignalThrottler(parent=self)
        self._throttle.setTimeout(_REDRAW_MS)
        self._throttle.triggered.connect(self._draw_cuts)
        self._build()
        self.follow(inspection.transforms.ready, self.redraw)
        self.follow(inspection.transforms.failed, self.say)
        self.follow(self._reading.ready, self.redraw)
        self.follow(self._reading.failed, self.say)
        self.when_closed(self._reading.cancel)

    def _build(self) -> None:
        """Lay out the panel."""
        self.space_choice = QComboBox()
        for space, words in _SPACES.items():
            self.space_choice.addItem(words, space)
        self.role_choice = RoleChoice(self.inspection)
        self.grab_button = QPushButton("Grab line")
        self.grab_button.setToolTip(
            "<qt>Make the ends of the line ready for the mouse; a line that was deleted comes "
            "back.</qt>"
        )
        self.width_box = number_box(0.0, 0.0, 1e4, "Average over so much across the line.")
        self.angle_box = number_box(
            0.0,
            -360.0,
            360.0,
            "Direction of the line, anticlockwise as seen.",
            " °",
            step=5.0,
            decimals=1,
        )
        self.mean_box = QCheckBox("Minus energy mean")
        self.mean_box.setToolTip(
            "<qt>Subtract at each point the mean over all biases: what does not disperse (Bragg "
            "peaks, charge density waves, pickup) vanishes from the picture below.</qt>"
        )
        self.log_box = QCheckBox("Log")
        self.curve_plot, self.stack_image = CurvePlot(legend=False), StackImage()
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        rows = (
            (QLabel("Line"), self.space_choice, self.role_choice, self.grab_button),
            (QLabel("Width"), self.width_box, QLabel("Angle"), self.angle_box),
        )
        for row, widgets in enumerate(rows):
            for number, widget in enumerate(widgets):
                grid.addWidget(widget, row, number)
        checks = QHBoxLayout()
        checks.addWidget(self.mean_box)
        checks.addWidget(self.log_box)
        checks.addStretch()
        for number, stretch in ((1, 5), (2, 4)):
            grid.setColumnStretch(number, stretch)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        column.addLayout(grid)
        column.addLayout(checks)
        self.line_view = LineView(self.inspection)
        at_one_bias = QHBoxLayout()
        at_one_bias.addWidget(self.line_view, 2)
        at_one_bias.addWidget(self.curve_plot, 3)
        column.addLayout(at_one_bias, 1)
        column.addWidget(self.stack_image, 1)
        for choice in (self.space_choice, self.role_choice):
            choice.currentIndexChanged.connect(self.redraw)
        for box in (self.mean_box, self.log_box):
            box.toggled.connect(self.redraw)
        self.width_box.valueChanged.connect(self._on_width)
        self.angle_box.valueChanged.connect(self._on_angle)
        self.grab_button.clicked.connect(self.grab_line)

    # -- the line -----------------------------------------------------------------------------

    @property
    def space(self) -> Space:
        """Place of the line."""
        space: Space = self.space_choice.currentData()
        return space

    @property
    def role(self) -> str:
        """Which array is cut."""
        return self.role_choice.role

    @property
    def line_layer(self) -> Shapes | None:
        """The layer with the line, None while it is not in the viewer."""
        return None if self._handle is None else self._handle.layer

    def connect_viewer(self, viewer: napari.Viewer) -> None:
        """Draw the line in a viewer."""
        self._handle = LineLayer(viewer)
        self.follow(self._handle.moved, self._on_dragged)

    def remove_from_viewer(self) -> None:
        """Take the line away."""
        if self._handle is not None:
            self._handle.hide()

    def grab_line(self) -> None:
        """Draw the line, and make its ends ready for the mouse."""
        self._show_handle()
        if self._handle is not None and self.space == "real":
            self._handle.grab()

    def _show_handle(self) -> None:
        """Draw the line over the layer of the array that is cut."""
        line, handle = self.inspection.line, self._handle
        data = self.inspection.data
        layer = self.inspection.kernel_layer if self.role == "kernel" else self.inspection.map_layer
        array = data.kernel.image if self.role == "kernel" else data.map.image
        if handle is None:
            return
        if line is None or line.space == "q" or layer is None or array is None:
            handle.hide()
            return
        handle.show(layer, array, line.start, line.stop)

    def _on_dragged(self, start: Place, stop: Place) -> None:
        line = self.inspection.line
        if line is not None and line.space == "real":
            self.inspection.line = replace(line, start=start, stop=stop)

    def _on_width(self, width: float) -> None:
        line = self.inspection.line
        if line is not None:
            factor = self.inspection.q_factor if line.space == "q" else 1.0
            self.inspection.line = replace(line, width=width / factor)

    def _on_angle(self, angle: float) -> None:
        """Turn the line about its start."""
        line = self.inspection.line
        if line is not None:
            length = hypot(line.stop[0] - line.start[0], line.stop[1] - line.start[1])
            down, right = -length * sin(radians(angle)), length * cos(radians(angle))
            self.inspection.line = replace(line, stop=(line.start[0] + down, line.start[1] + right))

    def _show_entries(self, line: Line) -> None:
        """Show the width and the angle of a line."""
        factor = self.inspection.q_factor if line.space == "q" else 1.0
        down, right = line.stop[0] - line.start[0], line.stop[1] - line.start[1]
        with QSignalBlocker(self.width_box), QSignalBlocker(self.angle_box):
            self.width_box.setValue(line.width * factor)
            self.angle_box.setValue(degrees(atan2(-down, right)))

    # -- drawing ------------------------------------------------------------------------------

    def draw(self) -> None:
        """Draw the cuts of the chosen array."""
        self.role_choice.show_state()
        line = self._lines.use(self.space, self.role)
        if line is None:
            return
        unit = self.inspection.q_unit if self.space == "q" else self.inspection.length_unit
        self.width_box.setSuffix(f" {unit}")
        self._show_entries(line)
        self._show_handle()
        self._draw_cuts()

    def draw_bias(self) -> None:
        """Draw the cut at another bias."""
        self._draw_curve()
        self._mark_bias()

    def draw_line(self) -> None:
        """Draw the cuts along another line, at most ten times a second."""
        line = self.inspection.line
        if line is not None:
            if line.space != self.space:
                with QSignalBlocker(self.space_choice):
                    self.space_choice.setCurrentIndex(self.space_choice.findData(line.space))
            self._show_entries(line)
            self._show_handle()
            self._throttle.throttle()

    def _draw_cuts(self) -> None:
        self._draw_curve()
        self._draw_stack()

    def _draw_curve(self) -> None:
        """Draw the cut at the bias on show, and the line where it lies."""
        self.line_view.show_state(self.role)
        line, inspection = self.inspection.line, self.inspection
        if line is None:
            return
        try:
            plane = (
                inspection.fourier(self.role) if line.space == "q" else inspection.plane(self.role)
            )
            if plane is None:
                return
            self.curve = inspect.line_cut(plane, line.start, line.stop, width=line.width)
        except inspect.InspectionError as error:
            self.say(str(error))
            return
        shown = in_shown_units(self.curve, inspection)
        self.curve_plot.show_curves(
            [Curve("", shown)], self._words(line), logarithmic=self.log_box.isChecked()
        )

    def _draw_stack(self) -> None:
        """Draw the cuts at all biases."""
        line, stacked = self.inspection.line, self.inspection.is_stack(self.role)
        self.stack_image.setVisible(stacked)
        self.mean_box.setVisible(stacked)
        self.stack = None
        if line is None or not stacked:
            return
        if line.space == "q":
            stack = self.inspection.fourier_stack(self.role)
        else:
            stack = self._in_memory(self.inspection.data.image(self.role))
        if stack is None:
            self.stack_image.set_title("The stack is being read and transformed…")
            return
        less_mean = self.mean_box.isChecked()
        try:
            self.stack = inspect.cut_stack(
                stack, line.start, line.stop, width=line.width, subtract_energy_mean=less_mean
            )
        except inspect.InspectionError as error:
            self.say(str(error))
            return
        axes = "E(q)" if line.space == "q" else "E(x)"
        words = f"{axes} of {self.inspection.data.name(self.role)}"
        self.stack_image.show_stack(
            in_shown_units(self.stack, self.inspection),
            words + (" minus energy mean" if less_mean else ""),
            signed=less_mean or (line.space == "real" and self.role != "map"),
            logarithmic=self.log_box.isChecked() and not less_mean,
        )
        self._mark_bias()

    def _in_memory(self, stack: xr.DataArray | None) -> xr.DataArray | None:
        """Return a stack whose file was read, or begin to read it: each cut needs all planes."""
        if stack is None or not hasattr(stack.data, "dask"):
            return stack
        return self._reading.get(stack)

    def _mark_bias(self) -> None:
        self.stack_image.mark(self.inspection.bias, horizontal=True)

    def _words(self, line: Line) -> str:
        """Say what the curve shows."""
        of = "|FT| of " if line.space == "q" else ""
        return f"Cut of {of}{self.inspection.title(self.role)}"

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802 - Qt's name
        """Show the line in the viewer again."""
        super().showEvent(event)
        self._show_handle()

    def hideEvent(self, event: QHideEvent | None) -> None:  # noqa: N802 - Qt's name
        """Take the line out of the viewer while another panel is in front."""
        super().hideEvent(event)
        window = self.window()
        # A window that closes, or is made an icon, keeps its layers.
        if self._handle is not None and window is not None and window.isVisible():
            self._handle.hide()

    # -- ways out -----------------------------------------------------------------------------

    def export(self) -> list[xr.DataArray | xr.Dataset]:
        """Return the cut, and that at all biases."""
        named = [("cut", self.curve), ("cut over bias", self.stack)]
        return [array.rename(name) for name, array in named if array is not None]

    def script(self) -> str:
        """Write the lines that cut."""
        line = self.inspection.line
        if line is None or self.curve is None:
            return ""
        return cut_code(self.inspection, self.role, line, less_mean=self.mean_box.isChecked())


def _read(stack: xr.DataArray) -> xr.DataArray:
    return stack.compute()
