"""`ExtractKernel`: the dock widget that extracts the single-defect kernel of an image."""

from __future__ import annotations

from pathlib import Path
from time import monotonic

import napari
import numpy as np
from napari.layers import Image, Points
from napari.utils.notifications import show_error
from pydantic import ValidationError
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QApplication,
    QFileDialog,
    QFormLayout,
    QLabel,
    QPushButton,
)

from napari_qpi.extraction_input import ExtractionInput
from napari_qpi.jobs import Job, JobState
from napari_qpi.layers import LayerConversionError, observation_from_layer
from napari_qpi.result_layers import show_result
from napari_qpi.script import python_script
from napari_qpi.trained_models import known_models, models_changed
from napari_qpi.widgets.bias_range import BiasRange
from napari_qpi.widgets.defect_points import is_defect_layer
from napari_qpi.widgets.device_choices import device_choices
from napari_qpi.widgets.editors import PairEditor
from napari_qpi.widgets.kernel_size import KernelSize
from napari_qpi.widgets.layer_choice import NO_MAP, LayerChoice, can_exclude, is_map
from napari_qpi.widgets.panel import Panel, collapsed, group
from napari_qpi.widgets.parameter_form import ParameterForm, explain
from napari_qpi.widgets.quality_card import QualityCard
from napari_qpi.widgets.run_row import RunRow
from qpi_kernels.defects import DefectFormatError
from qpi_kernels.extraction import ExtractionParameters
from qpi_kernels.result import KernelResult

__all__ = ["ExtractKernel"]

_MAIN_FIELDS = ("kernel_shape", "method", "model", "symmetry", "background")
_ADVANCED_FIELDS = (
    "refine",
    "ridge",
    "device",
    "dtype",
    "tolerance",
    "max_iterations",
    "samples",
    "seed",
)
# Of marked defects: blind finds its own, from Python and the command line.
_METHODS = [
    (name.replace("_", " "), name) for name in ("least_squares", "average", "two_step", "one_step")
]
_USED_BY = {
    "model": ("two_step", "one_step"),
    "samples": ("two_step", "one_step"),
    "refine": ("least_squares",),
    "ridge": ("least_squares",),
    "tolerance": ("least_squares",),
    "max_iterations": ("least_squares",),
}
_SYMMETRIES = [
    ("none", None),
    *((name, name) for name in ("C2", "C3", "C4", "C6", "Cs", "C2v", "C3v", "C4v", "C6v")),
]
_REFINEMENTS = [
    ("no", None),
    ("positions", "positions"),
    ("positions and strengths", "positions+strengths"),
]
_REFRESH_MS = 80
_KERNEL_FILES = (
    "All of the result, lossless (*.nc);;Kernel for Gwyddion (*.gwy);;"
    "Kernel as TIFF (*.tif);;Kernel for NumPy (*.npz)"
)


class ExtractKernel(Panel):
    """Extracts the kernel of an image from its defects.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer whose layers are offered and that gets the results.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.job = Job()
        self.task: ExtractionInput | None = None
        self.result: KernelResult | None = None
        self._running: ExtractionInput | None = None
        self._started = 0.0
        self._followed_points: Points | None = None
        self._refresh_timer = QTimer(self)
        self._refresh_timer.setSingleShot(True)
        self._refresh_timer.setInterval(_REFRESH_MS)
        self._refresh_timer.timeout.connect(self._refresh)
        self._build()
        self._connect()
        self._on_image_chosen(self.image_choice.layer)
        self._on_points_chosen(self.points_choice.layer)

    def _build(self) -> None:
        layers = self.viewer.layers
        self.image_choice = LayerChoice(layers, is_map, placeholder=NO_MAP)
        self.points_choice = LayerChoice(
            layers, is_defect_layer, placeholder="mark defects first (Annotate defects)"
        )
        self.mask_choice = LayerChoice(layers, can_exclude, placeholder="nothing", optional=True)
        self.mask_choice.setToolTip(
            "<qt>Pixels under these labels or inside these shapes do not count: steps, adsorbates, "
            "broken scan lines.</qt>"
        )
        self.bias_range = BiasRange()
        self.bias_label = QLabel("Bias")
        self.layer_rows = QFormLayout()
        self.layer_rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.layer_rows.addRow("Image", self.image_choice)
        self.layer_rows.addRow("Defects", self.points_choice)
        self.layer_rows.addRow("Leave out", self.mask_choice)
        self.layer_rows.addRow(self.bias_label, self.bias_range)

        self.form = ParameterForm(
            ExtractionParameters,
            _MAIN_FIELDS,
            choices={"method": _METHODS, "symmetry": _SYMMETRIES, "model": _models("two_step")},
        )
        self.advanced_form = ParameterForm(
            ExtractionParameters,
            _ADVANCED_FIELDS,
            choices={"device": device_choices(), "refine": _REFINEMENTS},
        )
        size_editor = self.form.editor("kernel_shape")
        assert isinstance(size_editor, PairEditor)
        self.kernel_size = KernelSize(self.viewer, size_editor)
        self.run_row = RunRow("Extract")
        self.card = QualityCard()
        self.copy_button = QPushButton("Copy as Python")
        self.copy_button.setToolTip(
            "<qt>Put a script on the clipboard that gives the same kernel without napari.</qt>"
        )
        self.save_button = QPushButton("Save kernel…")

        self.column.addLayout(self.layer_rows)
        self.column.addWidget(group("Kernel", self.form, self.kernel_size))
        self.column.addWidget(collapsed("Advanced", self.advanced_form))
        self.column.addWidget(self.run_row)
        self.column.addWidget(self.card)
        self.column.addWidget(group("Keep", (self.copy_button, self.save_button)))
        self.column.addStretch()

    def _connect(self) -> None:
        for choice in (self.image_choice, self.points_choice, self.mask_choice):
            self.when_closed(choice.let_go)
        self.when_closed(self._unfollow_points)
        self.when_closed(self.job.cancel)
        self.follow(self.job.state_changed, self._on_state)
        self.follow(self.job.progressed, self.run_row.show_event)
        self.follow(self.job.succeeded, self._on_succeeded)
        self.follow(self.job.failed, self._on_failed)
        self.follow(models_changed, self._offer_models)
        self.when_closed(self.kernel_size.let_go)
        self.image_choice.layer_changed.connect(self._on_image_chosen)
        self.points_choice.layer_changed.connect(self._on_points_chosen)
        self.form.editor("method").changed.connect(self._offer_models)
        self.form.changed.connect(self._refresh)
        self.kernel_size.changed.connect(self._refresh)
        self.run_row.run_button.clicked.connect(self.extract)
        self.run_row.cancel_button.clicked.connect(self.job.cancel)
        self.copy_button.clicked.connect(self.copy_as_python)
        self.save_button.clicked.connect(self._ask_save)

    # -- what a person or a script may call -------------------------------------------------

    def extract(self) -> None:
        """Copy the input and start the extraction."""
        image, points = self.image_choice.layer, self.points_choice.layer
        if image is None or points is None or self.job.state.busy:
            return
        try:
            task = ExtractionInput.copy_from(
                image,
                points,
                self.parameters(),
                excluded=self.mask_choice.layer,
                bias_range=self.bias_range.value(),
            )
        except ValidationError as error:
            self.run_row.say(explain(error))
        except (LayerConversionError, DefectFormatError) as error:
            self.run_row.say(str(error))
        else:
            self._running = task
            self._started = monotonic()
            self.job.start(task.start)

    def parameters(self) -> ExtractionParameters:
        """What is entered.

        Raises
        ------
        pydantic.ValidationError
            If an entry is out of range.
        """
        values = self.form.values() | self.advanced_form.values()
        if values["method"] not in _USED_BY["refine"]:
            values["refine"] = None
        return ExtractionParameters.model_validate(values)

    def script(self, array_path: str | None = None) -> str:
        """The Python script of the last extraction; see `python_script`."""
        if self.task is None or self.result is None:
            return ""
        return python_script(self.task, array_path=array_path, expected=self.result.provenance)

    def copy_as_python(self) -> None:
        """Put the script on the clipboard; data that came from no scan file are saved first."""
        if self.task is None:
            return
        array_path = None
        if self.task.source is None:
            array_path, _ = QFileDialog.getSaveFileName(
                self, "This image came from no scan file; save its data", "observation.npy"
            )
            if array_path:
                np.save(array_path, np.asarray(self.task.observation))
        clipboard = QApplication.clipboard()
        assert clipboard is not None
        clipboard.setText(self.script(array_path or None))
        self.run_row.say("The script is on the clipboard.")

    def save_kernel(self, path: str | Path) -> list[Path]:
        """Save the last result.

        Parameters
        ----------
        path : path-like
            ``.nc`` keeps everything; ``.gwy``, ``.tif`` and ``.npz`` hold the kernel, one file per
            kind.

        Returns
        -------
        list of Path
            The files written.
        """
        path = Path(path)
        if self.result is None:
            return []
        if path.suffix.lower() == ".nc":
            return [self.result.save(path)]
        from qpi_kernels.io.exporters import export_array

        kernel = self.result.kernel
        if "kind" not in kernel.dims:
            return [Path(export_array(kernel, path))]
        return [
            Path(export_array(kernel.sel(kind=kind), path.with_stem(f"{path.stem}_{kind}")))
            for kind in kernel["kind"].values.tolist()
        ]

    def remove_from_viewer(self) -> None:
        """Take the window away when the panel is closed."""
        self._refresh_timer.stop()
        self.kernel_size.kernel_window.hide()

    # -- the job ----------------------------------------------------------------------------

    def _on_state(self, state: JobState) -> None:
        self.run_row.show_state(state)
        if not state.busy:
            # torch is loaded now and knows the devices.
            self.advanced_form.set_choices("device", device_choices())
        self._refresh()

    def _on_succeeded(self, result: KernelResult) -> None:
        task = self._running
        if task is None:
            return
        name = task.image.name
        placed = show_result(self.viewer, result, task.image)
        self.task, self.result = task, placed
        # The kernels lie beside the image, out of sight until the view is fitted.
        self.viewer.reset_view()
        self.card.show_result(placed)
        self.run_row.say(f"Kernel of {name} in {monotonic() - self._started:.1f} s.")
        self._refresh()

    def _on_failed(self, error: Exception) -> None:
        self.run_row.say(f"Failed: {error}")
        if not isinstance(error, ValueError):
            show_error(f"Extraction failed: {error}")

    # -- following the layers ---------------------------------------------------------------

    def _on_image_chosen(self, image: Image | None) -> None:
        observation = None if image is None else observation_from_layer(image)
        stack = observation is not None and "bias" in observation.dims
        self.bias_range.show_stack(observation)
        if observation is not None and stack:
            self.bias_label.setText(f"Bias ({observation['bias'].attrs.get('units', 'V')})")
        self.bias_range.setVisible(stack)
        self.bias_label.setVisible(stack)
        self.kernel_size.forget_centre()
        self._refresh()

    def _on_points_chosen(self, points: Points | None) -> None:
        self._unfollow_points()
        self._followed_points = points
        if points is not None:
            points.events.data.connect(self._on_points_edited)
        self.kernel_size.forget_centre()
        self._refresh()

    def _unfollow_points(self) -> None:
        if self._followed_points is not None:
            self._followed_points.events.data.disconnect(self._on_points_edited)
            self._followed_points = None

    def _on_points_edited(self, event: object = None) -> None:
        self._refresh_timer.start()

    def _offer_models(self) -> None:
        """Offer the models of the chosen method, and let go of one of another method."""
        method = self.form.editor("method").value()
        if method not in _USED_BY["model"]:
            return
        editor = self.form.editor("model")
        chosen = editor.value()
        if chosen in map(str, known_models()) and chosen not in map(str, known_models(method)):
            editor.set_value("bundled")
        self.form.set_choices("model", _models(method))

    def _refresh(self) -> None:
        self._enable_used_fields()
        image, points = self.image_choice.layer, self.points_choice.layer
        missing = ""
        if image is None:
            missing = "Open a map or a bias stack first."
        elif points is None or not len(points.data):
            missing = "Mark the defects first."
        self.run_row.show_ready(self.job.state, missing)
        for button in (self.copy_button, self.save_button):
            button.setEnabled(self.result is not None)
        self.kernel_size.show_on(image, points)

    def _enable_used_fields(self) -> None:
        method = self.form.editor("method").value()
        for name, methods in _USED_BY.items():
            form = self.form if name in _MAIN_FIELDS else self.advanced_form
            form.editor(name).setEnabled(method in methods)

    # -- files ------------------------------------------------------------------------------

    def _ask_save(self) -> None:
        path, chosen = QFileDialog.getSaveFileName(self, "Save kernel", "kernel", _KERNEL_FILES)
        if not path:
            return
        if not Path(path).suffix:
            path += chosen.rpartition("*")[2].rstrip(")")
        try:
            saved = self.save_kernel(path)
        except (OSError, ValueError) as error:
            self.run_row.say(f"Not saved: {error}")
        else:
            self.run_row.say("Saved " + ", ".join(file.name for file in saved) + ".")


def _models(method: str) -> list[tuple[str, str]]:
    """The bundled model of a method and those that were trained here, the newest first."""
    trained = [(f"{path.parent.name}/{path.name}", str(path)) for path in known_models(method)]
    return [("bundled", "bundled"), *trained]
