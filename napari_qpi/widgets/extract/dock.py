"""`ExtractKernel`: the dock widget that extracts the single-defect kernel of an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import napari
from napari.layers import Image, Points
from pydantic import ValidationError
from qtpy.QtWidgets import QCheckBox, QFormLayout, QLabel, QPushButton

from napari_qpi.layers.comparison import show_side_by_side
from napari_qpi.layers.conversion import (
    LayerConversionError,
    add_layers,
    observation_from_layer,
    points_from_defects,
)
from napari_qpi.layers.planned import planned_layers
from napari_qpi.layers.result import show_result
from napari_qpi.tasks.extraction import ExtractionInput
from napari_qpi.tasks.job import JobState
from napari_qpi.tasks.method_comparison import COMPARED, Comparison, MethodComparison
from napari_qpi.tasks.planning.map_plan import MapPlanInput
from napari_qpi.tasks.trained_models import models_changed
from napari_qpi.widgets.common.dock import collapsed, group
from napari_qpi.widgets.common.layer_combo import (
    NO_MAP,
    DefectsCombo,
    LayerCombo,
    MaskCombo,
    is_map,
)
from napari_qpi.widgets.common.parameter_form import explain
from napari_qpi.widgets.common.run_dock import RunDock
from napari_qpi.widgets.common.unprepared_notice import UnpreparedNotice
from napari_qpi.widgets.common.value_editors import PairEditor
from napari_qpi.widgets.extract.bias_range import BiasRange
from napari_qpi.widgets.extract.comparison_table import ComparisonTable
from napari_qpi.widgets.extract.defect_review import DefectReview
from napari_qpi.widgets.extract.export_buttons import ExportButtons
from napari_qpi.widgets.extract.form import ExtractionForm
from napari_qpi.widgets.extract.kernel_size import KernelSize
from napari_qpi.widgets.extract.map_plan import MapPlanBox
from napari_qpi.widgets.extract.prediction_view import PredictionView
from napari_qpi.widgets.extract.quality_summary import QualitySummary
from qpi_kernels.defects import DefectFormatError
from qpi_kernels.extraction import EstimatorParameters, ExtractionError, start_warm_up
from qpi_kernels.result import KernelResult

if TYPE_CHECKING:
    from qpi_kernels.extraction.planning.proposal import MapProposal

__all__ = ["ExtractKernel"]

_REFRESH_MS = 80
# The dock is drawn first; then the libraries of the first extraction are loaded.
_WARM_UP_MS = 500


class ExtractKernel(RunDock):
    """Extracts the kernel of an image from its defects.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer whose layers are offered and that gets the results.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer, "Extract", "Extraction")
        self.task: ExtractionInput | None = None
        self.result: KernelResult | None = None
        self._followed_points: Points | None = None
        self._refresh_timer = self.delayed(_REFRESH_MS, self.show_ready)
        self._build()
        self._connect()
        self._on_image_chosen(self.image_choice.layer)
        self._on_points_chosen(self.points_choice.layer)
        self._warm_up_timer = self.delayed(_WARM_UP_MS, self._warm_up)
        self._warm_up_timer.start()

    def _build(self) -> None:
        """Lay out the dock."""
        layers = self.viewer.layers
        self.image_choice = LayerCombo(layers, is_map, placeholder=NO_MAP)
        self.points_choice = DefectsCombo(
            layers, self.image_choice, placeholder="mark defects first (Annotate defects)"
        )
        self.mask_choice = MaskCombo(layers, self.image_choice)
        self.mask_choice.setToolTip(
            "<qt>Pixels under these labels or inside these shapes do not count: steps, adsorbates, "
            "broken scan lines. Of a prepared image its own mask counts when none is chosen.</qt>"
        )
        self.bias_range = BiasRange()
        self.bias_label = QLabel("Bias")
        self.layer_rows = QFormLayout()
        self.layer_rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.layer_rows.addRow("Image", self.image_choice)
        self.points_label = QLabel("Defects")
        self.layer_rows.addRow(self.points_label, self.points_choice)
        self.layer_rows.addRow("Leave out", self.mask_choice)
        self.layer_rows.addRow(self.bias_label, self.bias_range)

        self.extraction_form = ExtractionForm()
        self.form, self.advanced_form = self.extraction_form.main, self.extraction_form.advanced
        size_editor = self.form.editor("kernel_shape")
        assert isinstance(size_editor, PairEditor)
        self.kernel_size = KernelSize(self.viewer, size_editor)
        self.card = QualitySummary()
        self.compare_button = QPushButton("Compare methods")
        self.compare_button.setToolTip(
            "<qt>Run average, least squares, two step and bayes on the same image and defects, and "
            "show their kernels next to each other, on the colour scale of bayes. All have the "
            "window that is entered, and positions are not refined.</qt>"
        )
        self.predict_box = QCheckBox("Predict left-out blocks (6 times as long)")
        self.predict_box.setChecked(True)
        self.predict_box.setToolTip(
            "<qt>Leave out a fifth of the map at a time, in blocks, and predict it from the rest: "
            "shows without a known kernel which method is better, and whether that is real.</qt>"
        )
        self.comparison_table = ComparisonTable()
        self.prediction_view = PredictionView()
        self.defect_review = DefectReview(self.viewer)
        self.export_buttons = ExportButtons()
        self.map_plan = MapPlanBox()

        self.notice = UnpreparedNotice(self, self.image_choice, self.points_choice)

        self.column.addLayout(self.layer_rows)
        self.column.addWidget(self.notice)
        self.column.addWidget(group("Kernel", self.form, self.kernel_size))
        self.column.addWidget(collapsed("Advanced", self.advanced_form))
        self.column.addWidget(self.run_controls)
        self.column.addWidget(self.card)
        self.column.addWidget(group("Check the defects", self.defect_review))
        self.column.addWidget(
            group(
                "Compare",
                self.compare_button,
                self.predict_box,
                self.comparison_table,
                self.prediction_view,
            )
        )
        self.column.addWidget(group("Keep", self.export_buttons))
        self.column.addWidget(collapsed("Plan a map", self.map_plan))
        self.column.addStretch()

    def _connect(self) -> None:
        """Connect the widgets with the viewer."""
        for choice in (self.image_choice, self.points_choice, self.mask_choice):
            self.when_closed(choice.disconnect_events)
        self.when_closed(self._unfollow_points)
        self.follow(models_changed, self.extraction_form.offer_models)
        self.when_closed(self.kernel_size.disconnect_events)
        self.when_closed(self.defect_review.disconnect_events)
        self.when_closed(self.export_buttons.disconnect_events)
        self.image_choice.layer_changed.connect(self._on_image_chosen)
        self.points_choice.layer_changed.connect(self._on_points_chosen)
        self.extraction_form.changed.connect(self.show_ready)
        self.kernel_size.changed.connect(self.show_ready)
        self.run_controls.run_button.clicked.connect(self.extract)
        self.compare_button.clicked.connect(self.compare)
        self.defect_review.propose_button.clicked.connect(self.propose)
        self.defect_review.status.connect(self.run_controls.show_status)
        self.export_buttons.status.connect(self.run_controls.show_passing)
        self.map_plan.plan_button.clicked.connect(self.plan)
        self.map_plan.status.connect(self.run_controls.show_passing)

    # -- what the user or a script may call -------------------------------------------------

    def extract(self) -> None:
        """Copy the input and start the extraction."""
        for task in self._tasks(lambda form: [form.parameters()]):
            points = None if self._finds_defects else self.points_choice.layer
            self.start(task.start, partial(self._show_result, task, points))

    def compare(self) -> None:
        """Start several methods on the same input, one after the other."""
        tasks = self._tasks(lambda form: form.parameters_of_each(COMPARED))
        if tasks:
            image = tasks[0].image
            predict = self.predict_box.isChecked()
            self.start(
                lambda: MethodComparison(tasks, predict=predict),
                partial(self._show_comparison, image),
            )

    def propose(self) -> None:
        """Start looking for defects that the last extraction suggests, and for doubtful marks."""
        search = self.defect_review.search()
        if search is not None and not self.job.state.busy:
            self.start(search, self.defect_review.show_proposals)

    def plan(self) -> None:
        """Start planning a map from the image and its defects."""
        for task in self._tasks(lambda form: [form.parameters()]):
            try:
                wanted = self.map_plan.plan_of(task)
            except ValidationError as error:
                self.run_controls.show_status(explain(error))
                return
            self.start(wanted.start, partial(self._show_plan, wanted))

    def parameters(self) -> EstimatorParameters:
        """Return the entered parameters, validated.

        Raises
        ------
        ExtractionError
            If an entry is out of range.
        """
        return self.extraction_form.parameters()

    def remove_from_viewer(self) -> None:
        """Take the window away when the panel is closed."""
        self._refresh_timer.stop()
        self._warm_up_timer.stop()
        self.kernel_size.kernel_window.hide()

    def _warm_up(self) -> None:
        """Load in the background what the first extraction needs."""
        self.when_closed(start_warm_up().cancel)

    # -- the job ----------------------------------------------------------------------------

    @property
    def _finds_defects(self) -> bool:
        return self.extraction_form.finds_defects

    def _tasks(
        self, choose: Callable[[ExtractionForm], Sequence[EstimatorParameters]]
    ) -> list[ExtractionInput]:
        """Copy the input for every choice of parameters, or describe what is wrong with it."""
        image, points = self.image_choice.layer, self.points_choice.layer
        if image is None or self.job.state.busy:
            return []
        try:
            chosen = choose(self.extraction_form)
            if all(parameters.finds_defects for parameters in chosen):
                points = None
            elif points is None:
                return []
            task = ExtractionInput.copy_from(
                image,
                points,
                chosen[0],
                excluded=self.mask_choice.layer,
                bias_range=self.bias_range.value(),
            )
        except (ExtractionError, LayerConversionError, DefectFormatError) as error:
            self.run_controls.show_status(str(error))
        else:
            return [replace(task, parameters=parameters) for parameters in chosen]
        return []

    def _on_state(self, state: JobState) -> None:
        super()._on_state(state)
        self.defect_review.show_busy(state.busy)
        if not state.busy:
            self.extraction_form.offer_devices()

    def _show_result(
        self, task: ExtractionInput, points: Points | None, result: KernelResult
    ) -> None:
        """Show a result's layers and its quality."""
        name = task.image.name
        placed = show_result(self.viewer, result, task.image)
        self.task, self.result = task, placed
        status = f"Kernel of {name} in {self.seconds:.1f} s."
        if task.parameters.choose_window:
            side = result.kernel.sizes["y"]
            status += f" A window of {side} px predicts best."
        if points is None:
            found = points_from_defects(result.defects, task.image, name=f"{name} found defects")
            (points,) = add_layers(self.viewer, [found])
            status += f" {result.defects.in_words()} found."
        # The kernels lie beside the image, out of sight until the view is fitted.
        self.viewer.reset_view()
        self.card.show_result(placed)
        self.export_buttons.show_result(task, placed)
        self.defect_review.show_result(task, placed, points)
        self.run_controls.show_status(status)

    def _show_comparison(self, image: Image, comparison: Comparison) -> None:
        """Show the results of several methods side by side."""
        runs = comparison.runs
        results = {run.title: run.result for run in runs if run.result is not None}
        show_side_by_side(self.viewer, results, image)
        self.viewer.reset_view()
        self.comparison_table.show_comparison(comparison)
        self.prediction_view.show_comparison(comparison)
        failed = [f"{run.title}: {run.reason}" for run in runs if run.result is None]
        done = f"{len(results)} methods in {self.seconds:.1f} s."
        self.run_controls.show_status(" ".join([done, *failed]))

    def _show_plan(self, wanted: MapPlanInput, proposal: MapProposal) -> None:
        """Show where to scan, and the numbers of the plan."""
        add_layers(self.viewer, planned_layers(proposal, wanted.task.image))
        self.map_plan.show_proposal(proposal, wanted)
        self.run_controls.show_status(f"Planned in {self.seconds:.1f} s.")

    # -- following the layers ---------------------------------------------------------------

    def _on_image_chosen(self, image: Image | None) -> None:
        """Follow another image."""
        observation = None if image is None else observation_from_layer(image)
        stack = observation is not None and "bias" in observation.dims
        self.bias_range.show_stack(observation)
        if observation is not None and stack:
            self.bias_label.setText(f"Bias ({observation['bias'].attrs.get('units', 'V')})")
        self.bias_range.setVisible(stack)
        self.bias_label.setVisible(stack)
        self.kernel_size.forget_centre()
        self._clear_result()
        self.show_ready()

    def _clear_result(self) -> None:
        """Forget the extraction of an earlier image."""
        self.task = self.result = None
        if not self.job.state.busy:
            self.run_controls.show_status("")
        self.card.clear()
        self.comparison_table.clear_runs()
        self.prediction_view.clear()
        self.export_buttons.clear()
        self.defect_review.clear()
        self.map_plan.clear()

    def _on_points_chosen(self, points: Points | None) -> None:
        self._unfollow_points()
        self._followed_points = points
        if points is not None:
            points.events.data.connect(self._on_points_edited)
        self.kernel_size.forget_centre()
        self.show_ready()

    def _unfollow_points(self) -> None:
        if self._followed_points is not None:
            self._followed_points.events.data.disconnect(self._on_points_edited)
            self._followed_points = None

    def _on_points_edited(self, event: object = None) -> None:
        self._refresh_timer.start()

    def show_ready(self) -> None:
        """Show which actions are possible now."""
        image, points = self.image_choice.layer, self.points_choice.layer
        marked = points is not None and len(points.data) > 0
        for widget in (self.points_label, self.points_choice):
            widget.setVisible(not self._finds_defects)
        missing = ""
        if image is None:
            missing = "Open a map or a bias stack first."
        elif not marked and not self._finds_defects:
            missing = "Mark the defects first."
        self.run_controls.show_ready(self.job.state, missing)
        ready = image is not None and marked and not self.job.state.busy
        self.compare_button.setEnabled(ready)
        self.map_plan.plan_button.setEnabled(ready and not self._finds_defects)
        self.kernel_size.show_on(image, points)
