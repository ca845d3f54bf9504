"""`ProfilesPanel`: averages of |FT| over rings or sectors, of kernel and map in one plot."""

from __future__ import annotations

import xarray as xr
from qtpy.QtWidgets import QCheckBox, QComboBox, QGridLayout, QHBoxLayout, QLabel, QVBoxLayout

from napari_qpi.tasks.inspection.background_call import BackgroundCall
from napari_qpi.tasks.inspection.panel_files import figure_of
from napari_qpi.tasks.inspection.shown_units import in_shown_units
from napari_qpi.tasks.inspection.state import Inspection
from napari_qpi.tasks.scripts.curves import profile_code
from napari_qpi.widgets.inspect.curves.number_box import number_box
from napari_qpi.widgets.inspect.curves.sector_view import SectorView
from napari_qpi.widgets.inspect.panel import Panel
from napari_qpi.widgets.inspect.plots.curve_plot import Curve, CurvePlot, curve_color
from napari_qpi.widgets.inspect.plots.stack_image import StackImage
from napari_qpi.widgets.inspect.role_choice import RoleChoice
from qpi_kernels import inspect
from qpi_kernels.inspect.figures.kind import FigurePanel
from qpi_kernels.inspect.figures.kinds.transforms.fourier_profiles import profiles_panel
from qpi_kernels.inspect.profiles import white_floor

__all__ = ["ProfilesPanel"]

_DIRECTIONS = {"all": "all directions", "sector": "a sector"}
_FLOOR = {"long_name": "floor of white noise"}
_COLORS = {"map": curve_color(1), "kernel": curve_color(0)}


class ProfilesPanel(Panel):
    """Profiles of |FT| at the bias on show, and over all biases: E(q).

    Attributes
    ----------
    profiles : dict of str to xarray.Dataset
        By role, at the bias on show.
    stack : xarray.Dataset or None
        Of one array, at all biases.
    sector_view : SectorView
        |FT| with the sector, while there is one.
    """

    title = "Profiles"
    help = "|FT| averaged over rings or a sector: kernel and map in one plot, and E(q)."

    def __init__(self, inspection: Inspection) -> None:
        super().__init__(inspection)
        self.profiles: dict[str, xr.Dataset] = {}
        self.stack: xr.Dataset | None = None
        self._build()
        self._averaging = BackgroundCall(_average, "Averaging Fourier transforms")
        self.follow(inspection.transforms.ready, self._draw_stack)
        self.follow(inspection.transforms.failed, self.say)
        self.follow(self._averaging.ready, self._draw_stack)
        self.follow(self._averaging.failed, self.say)
        self.when_closed(self._averaging.cancel)

    def _build(self) -> None:
        """Lay out the panel."""
        self.direction_choice = QComboBox()
        for direction, words in _DIRECTIONS.items():
            self.direction_choice.addItem(words, direction)
        self.angle_box = number_box(
            0.0,
            -360.0,
            360.0,
            "Direction of the sector, anticlockwise as seen; the cross on |FT| turns it, too.",
            " °",
            prefix="at ",
            step=5.0,
            decimals=1,
        )
        self.angle_box.setWrapping(True)
        self.width_box = number_box(
            20.0,
            1.0,
            360.0,
            "Full width of the sector.",
            " °",
            prefix="width ",
            step=5.0,
            decimals=1,
        )
        self.log_box = QCheckBox("Log")
        self.log_box.setChecked(True)
        self.floor_box = QCheckBox("Minus floor")
        self.floor_box.setToolTip(
            "<qt>Subtract the power of white noise, which is read near the edge of |FT|. Until "
            "then its level is drawn dashed: what is below it is noise.</qt>"
        )
        self.role_choice = RoleChoice(self.inspection)
        self.role_choice.setToolTip("<qt>Which array the picture below shows.</qt>")
        self.sector_view = SectorView(self.inspection)
        self.curve_plot, self.stack_image = CurvePlot(), StackImage()
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.addWidget(self.direction_choice, 0, 0)
        grid.addWidget(self.angle_box, 0, 1)
        grid.addWidget(self.width_box, 0, 2)
        grid.addWidget(self.floor_box, 1, 0)
        grid.addWidget(self.log_box, 1, 1)
        self.stacked_label = QLabel("E(q) of")
        stacked = QHBoxLayout()
        stacked.addWidget(self.stacked_label)
        stacked.addWidget(self.role_choice, 1)
        grid.addLayout(stacked, 1, 2)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        column.addLayout(grid)
        at_one_bias = QHBoxLayout()
        at_one_bias.addWidget(self.sector_view, 2)
        at_one_bias.addWidget(self.curve_plot, 3)
        column.addLayout(at_one_bias, 1)
        column.addWidget(self.stack_image, 1)
        self.direction_choice.currentIndexChanged.connect(self.redraw)
        self.role_choice.currentIndexChanged.connect(self._on_role)
        self.sector_view.turned.connect(self.angle_box.setValue)
        for box in (self.angle_box, self.width_box):
            box.valueChanged.connect(self.redraw)
        for check in (self.log_box, self.floor_box):
            check.toggled.connect(self.redraw)

    @property
    def sector(self) -> tuple[float, float] | None:
        """Direction and full width of the sector in degrees, None for all directions."""
        if self.direction_choice.currentData() == "all":
            return None
        return self.angle_box.value(), self.width_box.value()

    def _on_role(self) -> None:
        """Show another array in the pictures; the curves are of all."""
        self.sector_view.show_state(self.role_choice.role, self.sector)
        self._draw_stack()

    def draw(self) -> None:
        """Draw the profiles of map and kernel."""
        self.role_choice.show_state()
        for box in (self.angle_box, self.width_box):
            box.setEnabled(self.sector is not None)
        self._draw_curves()
        self._draw_stack()

    def draw_bias(self) -> None:
        """Draw the profiles at another bias."""
        self._draw_curves()
        self.stack_image.mark(self.inspection.bias, horizontal=True)

    def _draw_curves(self) -> None:
        """Draw the profiles at the bias on show, with their errors and floors."""
        curves, self.profiles = [], {}
        subtracted = self.floor_box.isChecked()
        self.sector_view.show_state(self.role_choice.role, self.sector)
        angle, width = self.sector or (None, None)
        for role in _COLORS:
            try:
                transform = self.inspection.fourier(role)
            except inspect.InspectionError as error:
                self.say(str(error))
                continue
            if transform is None:
                continue
            found = _average(transform, angle, width, subtracted)
            floor = white_floor(transform) ** 0.5
            if not subtracted:
                found = found.assign(floor=floor.assign_attrs(found["mean"].attrs | _FLOOR))
            self.profiles[role] = found
            shown = in_shown_units(found, self.inspection)
            color = _COLORS[role]
            curves.append(Curve(self.inspection.title(role), shown["mean"], shown["std"], color))
            if not subtracted:
                level = xr.full_like(shown["mean"], float(floor))
                curves.append(Curve("", level, color=color, look="dots"))
        words = self._words() if curves else ""
        self.curve_plot.show_curves(curves, words, logarithmic=self.log_box.isChecked())

    def _draw_stack(self) -> None:
        """Draw the profiles of one array at all biases."""
        role = self.role_choice.role
        stacked = self.inspection.is_stack(role)
        for widget in (self.stack_image, self.role_choice, self.stacked_label):
            widget.setVisible(stacked)
        self.stack = None
        if not stacked or not self.isVisible():
            return
        transform = self.inspection.fourier_stack(role)
        if transform is None:
            self.stack_image.set_title("E(q): Fourier transforms are being made…")
            return
        angle, width = self.sector or (None, None)
        self.stack = self._averaging.get(transform, angle, width, self.floor_box.isChecked())
        if self.stack is None:
            self.stack_image.set_title("E(q): Fourier transforms are being averaged…")
            return
        self.stack_image.show_stack(
            in_shown_units(self.stack["mean"], self.inspection),
            f"E(q) of {self.inspection.data.name(role)}, {self._direction()}",
            logarithmic=self.log_box.isChecked(),
        )
        self.stack_image.mark(self.inspection.bias, horizontal=True)

    def _direction(self) -> str:
        """Say over which directions was averaged."""
        sector = self.sector
        if sector is None:
            return "all directions"
        return f"{sector[0]:g}° ± {sector[1] / 2:g}°"

    def _words(self) -> str:
        """Say what the curves show; their names and biases are in the legend."""
        return f"Profiles of |FT|, {self._direction()}"

    def export(self) -> list[xr.DataArray | xr.Dataset]:
        """Return the profiles of each array, and those over all biases."""
        made: list[xr.DataArray | xr.Dataset] = [
            found.assign_attrs(found.attrs, title=f"profile of {role}")
            for role, found in self.profiles.items()
        ]
        if self.stack is not None:
            made.append(self.stack["mean"].rename(f"profile of {self.role_choice.role} over bias"))
        return made

    def figures(self) -> list[FigurePanel]:
        """Return the panel of both profiles, and that of one over all biases."""
        if not self.profiles:
            return []
        stacks = [made for made in self.export() if isinstance(made, xr.DataArray)]
        return [profiles_panel(self.profiles), *(figure_of(stack, self.title) for stack in stacks)]

    def script(self) -> str:
        """Write the lines that average."""
        if not self.profiles:
            return ""
        role = self.role_choice.role
        return profile_code(
            self.inspection,
            list(self.profiles),
            self.sector,
            floor=self.floor_box.isChecked(),
            stacked=role if self.inspection.is_stack(role) else None,
        )


def _average(
    transform: xr.DataArray,
    angle_deg: float | None = None,
    width_deg: float | None = None,
    floor: bool = False,
) -> xr.Dataset:
    """Average transforms over rings, or over a sector of them."""
    if angle_deg is None or width_deg is None:
        return inspect.radial_profile(transform, floor=floor)
    return inspect.sector_profile(transform, angle_deg, width_deg=width_deg, floor=floor)
