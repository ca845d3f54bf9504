"""`Simulate`: the dock widget that makes maps with a known answer, with a live preview."""

from __future__ import annotations

import secrets
from functools import partial
from typing import Any

import napari
from pydantic import ValidationError
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
)

from napari_qpi.layers.conversion import add_layers
from napari_qpi.layers.placement import beside_others
from napari_qpi.layers.simulated import simulated_layers
from napari_qpi.tasks.job import Job, JobState
from napari_qpi.tasks.scripts.simulation import simulation_script
from napari_qpi.tasks.simulation_preview import SimulatedPlane, SimulationPreview, start_simulation
from napari_qpi.widgets.common.dock import collapsed, group
from napari_qpi.widgets.common.export import copy_script
from napari_qpi.widgets.common.parameter_form import ParameterForm, explain
from napari_qpi.widgets.common.run_dock import RunDock
from napari_qpi.widgets.common.value_editors import Editor, NumberEditor
from napari_qpi.widgets.simulate.preview import PreviewImages
from qpi_kernels.simulate.materials import known_materials
from qpi_kernels.simulate.scan.parameters import SimulatedScanParameters

__all__ = ["Simulate"]

_MAIN_FIELDS = (
    "material",
    "bias",
    "last_bias",
    "biases",
    "impurity",
    "strength",
    "phase_deg",
    "density",
    "noise",
    "seed",
)
_ADVANCED_FIELDS = (
    "broadening",
    "temperature",
    "modulation",
    "pixel_nm",
    "image_shape",
    "kernel_shape",
    "arrangement",
    "margin",
    "artefacts",
    "multiple_scattering",
)
_MATERIALS_OWN = [
    name for name, field in SimulatedScanParameters.model_fields.items() if field.default is None
]
# Of numbers that start at zero or have no scale of their own.
_STEPS = {"noise": 0.05, "phase_deg": 10.0, "temperature": 1.0, "modulation": 1e-3}
_PREVIEW_MS = 100
_SLOW_MS = 500
_BIAS_STEPS = 20
_MAX_SEED = 10_000


class Simulate(RunDock):
    """Simulates maps of named materials.

    The form always shows every number. Those that the user has not chosen are the material's own
    and follow the material.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer that gets the layers.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer, "Add layers", "Simulation")
        self.preview_job = Job()
        self.parameters: SimulatedScanParameters | None = SimulatedScanParameters()
        self._chosen: dict[str, Any] = {}
        self._shown: dict[str, Any] = {}
        self._preview_again = False
        self._timer = self.delayed(_PREVIEW_MS, self._start_preview)
        self._slow_timer = self.delayed(_SLOW_MS, self._on_slow_preview)
        self._build()
        self._connect()
        self._read_form()

    def _build(self) -> None:
        """Lay out form, preview and controls."""
        self.preview = PreviewImages()
        self.bias_slider = QSlider(Qt.Orientation.Horizontal)
        self.bias_label = QLabel()
        self.fft_box = QCheckBox("|FFT| of the map")
        self.fft_box.setToolTip("<qt>Transform the map, as in an experiment; else the kernel.</qt>")
        line = QHBoxLayout()
        line.addWidget(self.bias_slider, 1)
        line.addWidget(self.bias_label)
        line.addStretch()
        line.addWidget(self.fft_box)
        self.run_controls.run_button.setToolTip(
            "<qt>Add the map, its true defects and its true kernel to the viewer.</qt>"
        )
        self.description = QLabel()
        self.description.setWordWrap(True)
        materials = [(material.label, name) for name, material in known_materials().items()]
        self.form = ParameterForm(
            SimulatedScanParameters,
            _MAIN_FIELDS,
            choices={"material": materials, "impurity": _impurities("Ag111")},
            spin_boxes=True,
        )
        self.advanced_form = ParameterForm(
            SimulatedScanParameters, _ADVANCED_FIELDS, spin_boxes=True
        )
        self.seed_button = QPushButton("New seed")
        self.seed_button.setToolTip("<qt>Other places and other noise.</qt>")
        for name, step in _STEPS.items():
            self._number(name).set_step(step)
        seed_line = self.form.editor("seed").layout()
        assert seed_line is not None
        seed_line.addWidget(self.seed_button)
        self.copy_button = QPushButton("Copy as Python")
        self.copy_button.setToolTip(
            "<qt>Put a script on the clipboard that simulates the same without napari.</qt>"
        )
        self.column.addWidget(self.preview)
        self.column.addLayout(line)
        self.column.addWidget(self.run_controls)
        self.column.addWidget(group("Scan", self.description, self.form))
        self.column.addWidget(collapsed("Advanced", self.advanced_form))
        self.column.addWidget(self.copy_button)
        self.column.addStretch()

    def _connect(self) -> None:
        """Connect the widgets with the simulation and the preview."""
        self.when_closed(self.preview_job.cancel)
        self.follow(self.preview_job.state_changed, self._on_preview_state)
        self.follow(self.preview_job.succeeded, self._on_preview)
        self.follow(self.preview_job.failed, self._on_preview_failed)
        for form in (self.form, self.advanced_form):
            form.changed.connect(self._read_form)
        self.bias_slider.valueChanged.connect(self._on_bias)
        self.fft_box.toggled.connect(lambda ticked: self.preview.show_fft_of(not ticked))
        self.seed_button.clicked.connect(self.new_seed)
        self.run_controls.run_button.clicked.connect(self.simulate)
        self.copy_button.clicked.connect(self.copy_as_python)

    # -- what the user or a script may call -------------------------------------------------

    def set_values(self, **values: Any) -> None:
        """Choose values of `SimulatedScanParameters` by name, as if the user had entered them."""
        for name, value in values.items():
            self._editor(name).set_value(value)

    def new_seed(self) -> None:
        """Draw another seed."""
        self.set_values(seed=secrets.randbelow(_MAX_SEED))

    def simulate(self) -> None:
        """Simulate all biases and add the layers."""
        if self.parameters is not None and not self.job.state.busy:
            self.start(partial(start_simulation, self.parameters), self._show_result)

    def copy_as_python(self) -> None:
        """Put the script on the clipboard."""
        parameters = self.parameters
        if parameters is not None:
            done = copy_script(self, lambda _: simulation_script(parameters))
            self.run_controls.show_passing(done)

    def remove_from_viewer(self) -> None:
        """Start no more previews when the panel is closed."""
        self._timer.stop()
        self._slow_timer.stop()

    # -- the form ---------------------------------------------------------------------------

    def _editor(self, name: str) -> Editor:
        return (self.form if name in _MAIN_FIELDS else self.advanced_form).editor(name)

    def _number(self, name: str) -> NumberEditor:
        editor = self._editor(name)
        assert isinstance(editor, NumberEditor)
        return editor

    def _read_form(self) -> None:
        """Validate the entries, and keep what the user changed."""
        entered = self.form.values() | self.advanced_form.values()
        changed = {
            name: value for name, value in entered.items() if value != self._shown.get(name, value)
        }
        if "material" in changed:
            self._chosen = {
                name: value for name, value in self._chosen.items() if name not in _MATERIALS_OWN
            }
        self._chosen |= changed
        self._shown = entered
        try:
            self.parameters = SimulatedScanParameters.model_validate(self._chosen)
        except ValidationError as error:
            self.parameters = None
            self._timer.stop()
            self.preview_job.cancel()
            self._show_problem(explain(error))
        else:
            self._show_parameters(self.parameters)
            self._request_preview()
        self.copy_button.setEnabled(self.parameters is not None)

    def _show_parameters(self, parameters: SimulatedScanParameters) -> None:
        """Fill the form in; nothing of it counts as chosen."""
        material = parameters.known_material
        self.description.setText(material.description)
        forms = (self.form, self.advanced_form)
        blocked = [form.blockSignals(True) for form in forms]
        self.form.set_choices("impurity", _impurities(parameters.material))
        for name, value in parameters.model_dump().items():
            if value != self._shown[name]:
                self._editor(name).set_value(value)
        for form, before in zip(forms, blocked, strict=True):
            form.blockSignals(before)
        first, last = material.bias_range
        for name in ("bias", "last_bias"):
            self._number(name).set_step((last - first) / _BIAS_STEPS)
        self._editor("last_bias").setEnabled(parameters.biases > 1)
        self._editor("phase_deg").setEnabled(parameters.impurity == "phase_shift")
        self._editor("strength").setEnabled(parameters.impurity != "phase_shift")
        self._shown = self.form.values() | self.advanced_form.values()
        self._show_biases(parameters)

    def _show_biases(self, parameters: SimulatedScanParameters) -> None:
        self.bias_slider.setVisible(parameters.biases > 1)
        blocked = self.bias_slider.blockSignals(True)
        self.bias_slider.setRange(0, parameters.biases - 1)
        self.bias_slider.blockSignals(blocked)
        self.bias_label.setText(f"{parameters.bias_values[self.bias_slider.value()]:.4g} V")

    def _on_bias(self, index: int) -> None:
        if self.parameters is not None:
            self.bias_label.setText(f"{self.parameters.bias_values[index]:.4g} V")
            self._request_preview()

    # -- the preview ------------------------------------------------------------------------

    def _request_preview(self) -> None:
        # Not started anew by the next change, so that pictures follow while someone drags.
        if not self._timer.isActive():
            self._timer.start()

    def _start_preview(self) -> None:
        """Simulate the preview, after a running one has been cancelled."""
        if self.parameters is None:
            return
        if self.preview_job.state.busy:
            self._preview_again = True
            self.preview_job.cancel()
            return
        bias = float(self.parameters.bias_values[self.bias_slider.value()])
        self.preview_job.start(partial(SimulationPreview, self.parameters, bias))
        self._slow_timer.start()

    def _on_slow_preview(self) -> None:
        if self.preview_job.state.busy:
            self.preview.fade()
            if not self.job.state.busy:
                self.run_controls.show_status("Simulating…")

    def _on_preview_state(self, state: JobState) -> None:
        if not state.busy and self._preview_again:
            self._preview_again = False
            self._request_preview()

    def _on_preview(self, plane: SimulatedPlane) -> None:
        self.preview.show_plane(plane)
        self._show_summary(_summary(plane))

    def _on_preview_failed(self, error: Exception) -> None:
        self._show_problem(_words(error))

    def _show_problem(self, problem: str) -> None:
        self.preview.fade()
        self.run_controls.show_ready(self.job.state, problem)
        if not self.job.state.busy:
            self.run_controls.show_status(problem)

    def _show_summary(self, summary: str) -> None:
        self.run_controls.show_ready(self.job.state, "")
        if not self.job.state.busy:
            self.run_controls.show_status(summary)

    # -- adding layers ----------------------------------------------------------------------

    def _show_result(self, scan: Any) -> None:
        """Add the simulated scan as layers."""
        from qpi_kernels.simulate.scan.simulation import simulated_scan_dataset

        name = scan.parameters.known_material.label
        layers = simulated_layers(simulated_scan_dataset(scan), name, with_kernel=True)
        made = add_layers(self.viewer, beside_others(self.viewer.layers, layers))
        self.viewer.reset_view()
        self.run_controls.show_status(f"Added {', '.join(layer.name for layer in reversed(made))}.")


def _impurities(material: str) -> list[tuple[str, str]]:
    return [(kind.replace("_", " "), kind) for kind in known_materials()[material].impurities]


def _words(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text if isinstance(error, ValueError) else f"{type(error).__name__}: {text}"


def _summary(plane: SimulatedPlane) -> str:
    scan = plane.scan
    rows, columns = (size * scan.parameters.pixel_nm for size in scan.parameters.image_shape)
    return f"{scan.defects.in_words()} in {rows:.3g} × {columns:.3g} nm."  # noqa: RUF001
