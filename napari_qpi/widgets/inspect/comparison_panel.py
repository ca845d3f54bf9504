"""`ComparisonPanel`: the kernel beside its map in q space."""

from __future__ import annotations

import xarray as xr
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QVBoxLayout

from napari_qpi.tasks.inspection.panel_files import figure_of
from napari_qpi.tasks.inspection.shown_units import in_shown_units
from napari_qpi.tasks.inspection.state import Inspection
from napari_qpi.tasks.scripts.inspection import plane_code
from napari_qpi.widgets.inspect.panel import Panel
from napari_qpi.widgets.inspect.plots.curve_plot import Curve, CurvePlot, curve_color
from napari_qpi.widgets.inspect.plots.momentum_view import MomentumView
from qpi_kernels import inspect
from qpi_kernels.inspect.figures.kind import FigurePanel
from qpi_kernels.inspect.figures.kinds.transforms.fourier_profiles import profiles_panel

__all__ = ["ComparisonPanel"]

_COLORS = {"kernel": curve_color(0), "observation": curve_color(1)}
_SIDE = 180
_NAMES = {"kernel": "kernel", "observation": "map"}


class ComparisonPanel(Panel):
    """Fourier amplitudes of kernel and map on one grid of q, and their radial profiles.

    Attributes
    ----------
    views : dict of str to MomentumView
        Of ``"observation"`` and ``"kernel"``.
    profiles : CurvePlot
        Radial profiles with the floors of white noise.
    comparison : FourierComparison or None
        What is drawn.
    """

    title = "Compare"
    help = (
        "The kernel beside its map in q space: the map's transform is the kernel's times the "
        "speckle of its defects' places."
    )

    def __init__(self, inspection: Inspection) -> None:
        super().__init__(inspection)
        self.comparison: inspect.FourierComparison | None = None
        self.views = {name: MomentumView(_SIDE) for name in ("observation", "kernel")}
        self.views["observation"].follow_view(self.views["kernel"])
        self.profiles = CurvePlot()
        self.scale_choice = QComboBox()
        for scale in ("root", "linear", "log"):
            self.scale_choice.addItem(scale, scale)
        self.scale_choice.setToolTip(
            "<qt>Colours by the amplitude, its root or its logarithm.</qt>"
        )
        self.missing = QLabel()
        self.missing.setWordWrap(True)
        pictures, options = QHBoxLayout(), QHBoxLayout()
        for view in self.views.values():
            pictures.addWidget(view)
        options.addWidget(QLabel("Each image has its own colour limits"), 1)
        options.addWidget(self.scale_choice)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        column.addLayout(options)
        column.addWidget(self.missing)
        column.addLayout(pictures, 1)
        column.addWidget(self.profiles, 1)
        self.scale_choice.currentIndexChanged.connect(self.redraw)

    def draw(self) -> None:
        """Compare kernel and map at the bias on show."""
        kernel, observation = (self.inspection.plane(role) for role in ("kernel", "map"))
        if kernel is None or observation is None:
            self._clear("Choose a map and the kernel that was extracted from it.")
            return
        try:
            self.comparison = inspect.compare_fourier(
                kernel.compute(),
                observation.compute(),
                mask=self.inspection.mask_of("map"),
                window=self.inspection.window,
            )
        except inspect.InspectionError as error:
            self._clear(f"{str(error)[0].upper()}{str(error)[1:]}.")
            return
        self.missing.setVisible(False)
        for name, view in self.views.items():
            view.show_units(self.inspection.q_factor, self.inspection.q_unit)
            transform = getattr(self.comparison, name)
            role = "kernel" if name == "kernel" else "map"
            words = f"|FT| of {self.inspection.title(role)}"
            view.show_transform(transform, words, scale=self.scale_choice.currentData())
        self._draw_profiles()

    def _clear(self, reason: str) -> None:
        """Draw nothing, and say why."""
        self.comparison = None
        self.missing.setText(reason)
        self.missing.setVisible(True)
        for view in self.views.values():
            view.clear()
        self.profiles.show_curves([], "")

    def _draw_profiles(self) -> None:
        """Draw the radial profiles."""
        assert self.comparison is not None
        curves = []
        for name in ("observation", "kernel"):
            profile = getattr(self.comparison, f"{name}_profile")
            shown = in_shown_units(profile, self.inspection)
            color = _COLORS[name]
            curves.append(Curve(_NAMES[name], shown["mean"], shown["std"], color))
            floor = shown["floor"].broadcast_like(shown["mean"])
            curves.append(Curve(f"{_NAMES[name]}, floor", floor, color=color, look="dots"))
        title = f"Radial profiles of {self.inspection.title('map')}, and of its kernel"
        self.profiles.show_curves(curves, title, logarithmic=True)

    def export(self) -> list[xr.DataArray | xr.Dataset]:
        """Return both transforms and both profiles."""
        if self.comparison is None:
            return []
        made = self.comparison
        return [
            made.observation.rename("map"),
            made.kernel.rename("kernel"),
            made.observation_profile.assign_attrs(title="map profile"),
            made.kernel_profile.assign_attrs(title="kernel profile"),
        ]

    def figures(self) -> list[FigurePanel]:
        """Return the panels of both transforms, and of both profiles in one."""
        if self.comparison is None:
            return []
        made = self.comparison
        images = made.observation.rename("map"), made.kernel.rename("kernel")
        profiles = {"map": made.observation_profile, "kernel": made.kernel_profile}
        return [*(figure_of(image, self.title) for image in images), profiles_panel(profiles)]

    def script(self) -> str:
        """Write the lines that compare."""
        if self.comparison is None:
            return ""
        kernel, observation = (plane_code(self.inspection, role) for role in ("kernel", "map"))
        mask = "" if self.inspection.mask_of("map") is None else ", mask=mask"
        return (
            f"comparison = qk.inspect.compare_fourier(\n    {kernel},\n    {observation}{mask},\n"
            f"    window={self.inspection.window!r},\n)\n"
            "figure = Figure()\n"
            "comparison.plot(figure.add_subplot())\n"
            'figure.savefig("comparison.pdf")'
        )
