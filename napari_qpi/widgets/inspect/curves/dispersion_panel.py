"""`DispersionPanel`: the band that the kernel's waves follow, over E(q), with errors."""

from __future__ import annotations

from functools import partial
from html import escape
from typing import TYPE_CHECKING

import xarray as xr
from qtpy.QtWidgets import (
    QApplication,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
)

from napari_qpi.tasks.inspection.background_call import BackgroundCall
from napari_qpi.tasks.inspection.dispersion_fit import (
    DispersionFit,
    NamedValuesError,
    fit_in_words,
)
from napari_qpi.tasks.inspection.shown_units import in_shown_units
from napari_qpi.tasks.inspection.state import Inspection
from napari_qpi.tasks.job import Job, JobState
from napari_qpi.widgets.common.run_controls import RunControls
from napari_qpi.widgets.inspect.curves.fit_entries import FitEntries
from napari_qpi.widgets.inspect.panel import Panel
from napari_qpi.widgets.inspect.plots.curve_plot import Curve, CurvePlot, curve_color
from napari_qpi.widgets.inspect.plots.stack_image import StackImage
from qpi_kernels import inspect
from qpi_kernels.inspect.dispersion.tables import (
    parameter_table,
    scattering_vectors,
    spreadsheet_text,
    wave_table,
)
from qpi_kernels.inspect.figures.kind import FigurePanel, make_panel
from qpi_kernels.progress import CancelToken

if TYPE_CHECKING:
    from qpi_kernels.inspect.dispersion.result import Dispersion

__all__ = ["DispersionPanel"]

_QUANTITIES = {
    "residual": "k minus band",
    "damping": "damping Im k",
    "self_energy": "|Im Σ|",
    "lifetime": "lifetime",
    "coherence_length": "coherence length",
    "phase": "phase of C",
}
_POINTS, _BAND = "#00e5ff", "#ffffff"
_ROOM = 1.5
_WORDS_HEIGHT = 64
_NO_KERNEL = "Extract a kernel from a stack over bias first: its waves give E(k)."


class DispersionPanel(Panel):
    """Fit a dispersion to the kernel in a worker thread, and draw it over the kernel's E(q).

    Attributes
    ----------
    entries : FitEntries
        How to fit.
    job : Job
        The fit.
    fit : DispersionFit or None
        What the dispersion on show was fitted to.
    dispersion : Dispersion or None
        The one on show.
    overlay : list of Curve
        Its band and its points, as they are drawn over E(q).
    """

    title = "E(k)"
    help = "Dispersion from the kernel's waves: mass, onset, lifetimes, each with its error."

    def __init__(self, inspection: Inspection) -> None:
        super().__init__(inspection)
        self.job = Job()
        self.fit: DispersionFit | None = None
        self.dispersion: Dispersion | None = None
        self.overlay: list[Curve] = []
        self._running: DispersionFit | None = None
        self._build()
        self.follow(inspection.transforms.ready, self._draw_image)
        self.follow(self.job.state_changed, self._on_state)
        self.follow(self.job.progressed, self.run_controls.show_event)
        self.follow(self.job.succeeded, self._on_fitted)
        self.follow(self.job.failed, self._on_failed)
        self.when_closed(self.job.cancel)
        self._averaging = BackgroundCall(_ring_means, "Averaging Fourier transforms")
        self.follow(self._averaging.ready, self._draw_image)
        self.follow(self._averaging.failed, self.say)
        self.when_closed(self._averaging.cancel)

    def _build(self) -> None:
        """Lay out the panel."""
        self.entries = FitEntries()
        self.run_controls = RunControls("Fit dispersion")
        self.stack_image, self.curve_plot = StackImage(), CurvePlot(legend=False)
        self.words = QPlainTextEdit()
        self.words.setReadOnly(True)
        self.words.setFrameShape(QFrame.Shape.NoFrame)
        self.words.setStyleSheet("font-size: 8pt; background: transparent; padding: 0px;")
        self.words.setFixedHeight(_WORDS_HEIGHT)
        self.quantity_choice = QComboBox()
        for quantity, words in _QUANTITIES.items():
            self.quantity_choice.addItem(words, quantity)
        self.quantity_choice.setToolTip("<qt>What the lower plot shows over bias.</qt>")
        self.copy_button = QPushButton("Copy table")
        self.copy_button.setToolTip("<qt>Parameters and wave numbers, for a spreadsheet.</qt>")
        self.copy_button.setEnabled(False)
        below = QHBoxLayout()
        below.addWidget(self.quantity_choice)
        below.addWidget(self.copy_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        column.setSpacing(3)
        column.addWidget(self.entries)
        column.addWidget(self.run_controls)
        column.addWidget(self.stack_image, 3)
        column.addWidget(self.words)
        column.addLayout(below)
        column.addWidget(self.curve_plot, 2)
        self.run_controls.run_button.clicked.connect(self.run_fit)
        self.run_controls.cancel_button.clicked.connect(self.job.cancel)
        self.quantity_choice.currentIndexChanged.connect(self._draw_quantity)
        self.copy_button.clicked.connect(self.copy_table)
        for widget in (self.words, self.curve_plot):
            widget.setVisible(False)

    # -- the fit ------------------------------------------------------------------------------

    def run_fit(self) -> None:
        """Start the fit of the kernel under inspection."""
        kernel, std = self.inspection.data.kernel.image, self.inspection.data.kernel.std
        if kernel is None or not self.inspection.is_stack("kernel") or self.job.state.busy:
            return
        try:
            self._running = self.entries.fit_of(kernel, std, self.inspection.data.kernel.name)
        except NamedValuesError as error:
            self.run_controls.show_status(str(error))
            self._show_ready()
            return
        token = CancelToken()
        self.job.start(partial(self._running.start, token), token)

    def _on_state(self, state: JobState) -> None:
        self.run_controls.show_state(state)
        self._show_ready()

    def _on_failed(self, error: Exception) -> None:
        self.run_controls.show_status(str(error) or type(error).__name__)
        self._show_ready()

    def _on_fitted(self, dispersion: Dispersion) -> None:
        """Show a fit; it stays until the next one, whatever happens to the kernel's layer."""
        self.fit, self.dispersion = self._running, dispersion
        self.entries.show_fitted(dispersion)
        self.run_controls.show_status("")
        self.copy_button.setEnabled(True)
        self.redraw()

    def copy_table(self) -> None:
        """Put parameters and wave numbers on the clipboard."""
        clipboard = QApplication.clipboard()
        if self.dispersion is not None and clipboard is not None:
            clipboard.setText(spreadsheet_text(self.dispersion))
            self.say("The table is on the clipboard.")

    # -- drawing ------------------------------------------------------------------------------

    def draw(self) -> None:
        """Draw the kernel's E(q) and the fit."""
        self._show_ready()
        if self.inspection.data.kernel.image is not None and self.inspection.is_stack("kernel"):
            self.entries.show_kernel(self.inspection.data.kernel.image)
        self._draw_image()
        self._draw_quantity()

    def draw_bias(self) -> None:
        """Mark another bias."""
        self.stack_image.mark(self.inspection.bias, horizontal=True)
        self.curve_plot.mark(self.inspection.bias)

    def _show_ready(self) -> None:
        missing = "" if self.inspection.is_stack("kernel") else _NO_KERNEL
        self.run_controls.show_ready(self.job.state, missing)
        self.run_controls.status.setVisible(bool(self.run_controls.status.text()))

    def _draw_image(self) -> None:
        """Draw E(q) of the kernel, and over it the wave numbers and the band."""
        if not self.isVisible():
            return
        if not self.inspection.is_stack("kernel"):
            self.stack_image.clear()
            return
        transform = self.inspection.fourier_stack("kernel")
        if transform is None:
            self.stack_image.set_title("E(q): Fourier transforms are being made…")
            return
        profile = self._averaging.get(transform)
        if profile is None:
            self.stack_image.set_title("E(q): Fourier transforms are being averaged…")
            return
        words = f"E(q) of {self.inspection.data.kernel.name}"
        curves = []
        if self.dispersion is not None and self.fit is not None:
            of = "" if self.fit.name == self.inspection.data.kernel.name else f" of {self.fit.name}"
            words += f"; q = 2k{of} ({self.fit.method}, {self.fit.model})"
            found = scattering_vectors(self.dispersion)
            factor = self.inspection.q_factor
            points, errors = factor * found["q_fitted"], factor * found["q_fitted_std"]
            curves = [Curve("k", points, errors, _POINTS, "points")]
            if "q_band" in found:
                curves.insert(0, Curve("band", factor * found["q_band"], color=_BAND))
        shown = in_shown_units(profile, self.inspection)
        self.stack_image.show_stack(shown, words)
        self.overlay = curves
        self.stack_image.show_over(curves)
        largest = max(
            (float(curve.values.max()) for curve in curves if curve.values.size), default=0
        )
        if largest > 0:
            self.stack_image.show_up_to(_ROOM * largest)
        self.stack_image.mark(self.inspection.bias, horizontal=True)

    def _draw_quantity(self) -> None:
        """Draw the chosen quantity over bias, and the parameters in words."""
        dispersion = self.dispersion
        for widget in (self.words, self.curve_plot):
            widget.setVisible(dispersion is not None)
        if dispersion is None or self.fit is None:
            return
        self.words.setPlainText(fit_in_words(dispersion))
        self.words.setToolTip(f"<qt>{escape(dispersion.summary()).replace(chr(10), '<br>')}</qt>")
        quantity = self.quantity_choice.currentData()
        table = dispersion.wave_numbers
        used = table.isel(bias=table["used"].values)
        error = "k_std" if quantity == "residual" else f"{quantity}_std"
        std = used.get(error)
        curves = [Curve("", used[quantity], std, curve_color(0), "points")]
        title = f"{_QUANTITIES[quantity]}, {self.fit.name}"
        if used[quantity].isnull().all():
            curves, title = [], f"{_QUANTITIES[quantity]}: not by method {dispersion.method}"
        self.curve_plot.show_curves(curves, title)
        self.curve_plot.mark(self.inspection.bias)

    # -- ways out -----------------------------------------------------------------------------

    def export(self) -> list[xr.DataArray | xr.Dataset]:
        """Return parameters, wave numbers and what was fitted."""
        dispersion = self.dispersion
        if dispersion is None:
            return []
        tables = {
            "band": parameter_table(dispersion),
            "wave numbers": wave_table(dispersion),
            "what was fitted": dispersion.profiles,
        }
        return [table.assign_attrs(table.attrs, title=title) for title, table in tables.items()]

    def figures(self) -> list[FigurePanel]:
        """Return the figure of wave numbers and band, and that of both over E(q)."""
        if self.dispersion is None or self.fit is None:
            return []
        figures, data = [make_panel("dispersion", self.dispersion)], self.inspection.data
        if data.kernel.result is not None and self.fit.kernel is data.kernel.image:
            options = {"dispersion": self.dispersion, "kind_of_defect": data.kernel.kind}
            figures.append(make_panel("energy_q", data.kernel.result, **options))
        return figures

    def script(self) -> str:
        """Write the fit on show, if it is of the kernel under inspection."""
        if self.fit is None or self.fit.kernel is not self.inspection.data.kernel.image:
            return ""
        return self.fit.code()


def _ring_means(transform: xr.DataArray) -> xr.DataArray:
    """Average a padded transform over rings as fine as its pixels: it is only looked at."""
    step = float(transform["q_x"][1] - transform["q_x"][0])
    return inspect.radial_profile(transform, step=step)["mean"]
