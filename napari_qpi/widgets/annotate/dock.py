"""`AnnotateDefects`: the dock widget for marking defects by hand and automatically."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import napari
import numpy as np
from napari.layers import Image, Points
from pydantic import ValidationError
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QUndoGroup
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
)

from napari_qpi.layers.conversion import (
    LayerConversionError,
    mask_from_layer,
    observation_from_layer,
    shown_plane,
)
from napari_qpi.layers.defect_points import DefectPoints, change_emitters
from napari_qpi.layers.geometry import layer_geometry
from napari_qpi.tasks.annotation import AutomaticChange, Computation, detection, snapping, tidying
from napari_qpi.tasks.job import Job, JobState, SingleCall
from napari_qpi.widgets.annotate.activation_preview import ActivationPreview
from napari_qpi.widgets.annotate.form import AnnotationForm, show_action
from napari_qpi.widgets.annotate.kind_editor import KindEditor
from napari_qpi.widgets.common.dock import Dock, group
from napari_qpi.widgets.common.export import ask_save_path
from napari_qpi.widgets.common.layer_combo import (
    NO_MAP,
    DefectsCombo,
    LayerCombo,
    MaskCombo,
    is_map,
)
from napari_qpi.widgets.common.parameter_form import explain
from napari_qpi.widgets.common.points_history import history_of
from napari_qpi.widgets.common.run_controls import BusyRow
from napari_qpi.widgets.common.unprepared_notice import UnpreparedNotice
from qpi_kernels.defects import DefectFormatError, Defects

__all__ = ["AnnotateDefects"]

_REFRESH_MS = 80
_CSV = "Defects (*.csv)"


class AnnotateDefects(Dock):
    """Mark the defects of an image: clicks, detection, snapping, kinds, and their table as CSV.

    Every change of the points, by hand or automatic, can be undone.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer whose layers are offered.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.job = Job()
        self.preview = ActivationPreview(self.viewer)
        self._points: DefectPoints | None = None
        self._histories = QUndoGroup(self)
        self._refresh_timer = self.delayed(_REFRESH_MS, self._refresh)
        self._build()
        self._connect()
        self._on_points_chosen(self.points_choice.layer)
        self._show_state()

    # -- building ---------------------------------------------------------------------------

    def _build(self) -> None:
        """Lay out the dock."""
        layers = self.viewer.layers
        self.image_choice = LayerCombo(layers, is_map, placeholder=NO_MAP)
        self.points_choice = DefectsCombo(
            layers, self.image_choice, placeholder="none yet: made when needed"
        )
        self.new_button = QPushButton("New")
        self.new_button.setToolTip("<qt>A new, empty layer of defects over the image.</qt>")
        points = QHBoxLayout()
        points.addWidget(self.points_choice, 1)
        points.addWidget(self.new_button)
        self.mask_choice = MaskCombo(layers, self.image_choice)
        self.mask_choice.setToolTip(
            "<qt>Under these labels or inside these shapes nothing is detected, and snapping does "
            "not look: bad scan lines, steps, islands.</qt>"
        )
        choice = QFormLayout()
        choice.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        choice.addRow("Image", self.image_choice)
        choice.addRow("Defects", points)
        choice.addRow("Leave out", self.mask_choice)
        self.kind_editor = KindEditor()
        self.form = AnnotationForm()
        self.preview_box = QCheckBox("Show activation map M")
        self.preview_box.setToolTip(
            "<qt>The map that the kernel is convolved with: one weight per defect, spread over "
            "the pixels around its sub-pixel position.</qt>"
        )
        self.status = QLabel()
        self.status.setWordWrap(True)
        self.notice = UnpreparedNotice(self, self.image_choice, self.points_choice)
        self.column.addLayout(choice)
        self.column.addWidget(self.notice)
        # Above the forms, which end below the window of a small screen.
        self.column.addLayout(self._build_undo_row())
        self.busy_row = BusyRow()
        self.column.addWidget(self.busy_row)
        self.column.addWidget(self.status)
        self.column.addWidget(group("Kinds", self.kind_editor))
        self.column.addWidget(self.form)
        self.column.addWidget(self.preview_box)
        self.column.addLayout(self._build_file_row())
        self.column.addStretch()

    def _build_undo_row(self) -> QHBoxLayout:
        """Make the row of undo and redo."""
        row = QHBoxLayout()
        self.undo_button, self.redo_button = QPushButton(), QPushButton()
        keys = QKeySequence.StandardKey
        # Kept here: Qt leaves the actions of a group to their caller.
        self._undo_action = self._histories.createUndoAction(self, "Undo")
        self._redo_action = self._histories.createRedoAction(self, "Redo")
        for button, action, key in (
            (self.undo_button, self._undo_action, keys.Undo),
            (self.redo_button, self._redo_action, keys.Redo),
        ):
            assert action is not None
            action.setShortcut(QKeySequence(key))
            action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            self.addAction(action)
            action.changed.connect(partial(show_action, button, action))
            button.clicked.connect(action.trigger)
            button.setToolTip(f"<qt>{action.shortcut().toString()}, here or on the points.</qt>")
            show_action(button, action)
            row.addWidget(button, 1)
        return row

    def _build_file_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        self.load_button, self.save_button = QPushButton("Load CSV…"), QPushButton("Save CSV…")
        row.addWidget(self.load_button)
        row.addWidget(self.save_button)
        return row

    def _connect(self) -> None:
        """Connect the widgets with the viewer and the job."""
        for choice in (self.image_choice, self.points_choice, self.mask_choice):
            self.when_closed(choice.disconnect_events)
        self.when_closed(self._unfollow_points)
        self.when_closed(self.job.cancel)
        self.follow(self.job.state_changed, self._show_state)
        self.follow(self.job.failed, self._on_failed)
        self.follow(self.job.succeeded, self._on_succeeded)
        self.image_choice.layer_changed.connect(self._refresh)
        self.points_choice.layer_changed.connect(self._on_points_chosen)
        self._histories.indexChanged.connect(self._on_points_edited)
        self.new_button.clicked.connect(lambda: self.new_points())
        self.form.mark_button.clicked.connect(self.mark_by_clicking)
        self.form.detect_button.clicked.connect(self.detect)
        self.form.snap_button.clicked.connect(self.snap)
        self.form.duplicates_button.clicked.connect(self.remove_duplicates)
        self.busy_row.cancel_button.clicked.connect(self.job.abandon)
        self.preview_box.toggled.connect(self._refresh)
        self.save_button.clicked.connect(self._ask_save)
        self.load_button.clicked.connect(self._ask_load)
        self.kind_editor.edited.connect(self._refresh)
        self.kind_editor.status.connect(self._show_status)

    # -- what the user or a script may call -------------------------------------------------

    @property
    def points(self) -> DefectPoints | None:
        """The chosen defects."""
        return self._points

    def new_points(self) -> DefectPoints | None:
        """Add an empty layer of defects over the image and choose it."""
        image = self.image_choice.layer
        if image is None:
            self._show_status("Open an image first.")
            return None
        points = DefectPoints.new(image)
        self.viewer.add_layer(points.layer)
        self.points_choice.layer = points.layer
        return self._points

    def mark_by_clicking(self) -> None:
        """Make the points layer active, so that clicks add defects."""
        points = self._points or self.new_points()
        if points is not None:
            self.viewer.layers.selection.active = points.layer
            points.layer.visible = True
            points.layer.mode = "add"
            self._show_status("Click on the defects; press 3 to select and move points, 4 to pan.")

    def detect(self) -> None:
        """Start the detection of defects of the current kind on the plane that is shown."""
        values = self.form.detection_values()
        self._start(
            "Detect",
            lambda image, points: detection(
                self._shown_plane(image), self._counted(image), values, points.current_kind
            ),
        )

    def snap(self) -> None:
        """Start moving all points onto the local pattern."""
        values = self.form.snapping_values()
        self._start(
            "Snap",
            lambda image, points: snapping(self._shown_plane(image), self._counted(image), values),
        )

    def remove_duplicates(self) -> None:
        """Keep one of any points closer than the snap radius."""
        values = self.form.snapping.values()
        self._start("Remove duplicates", lambda image, points: tidying(values))

    def undo(self) -> None:
        """Take the last change of the points back."""
        if self._points is not None:
            history_of(self._points.layer).undo()
            self._refresh()

    def redo(self) -> None:
        """Make the change again that was taken back last."""
        if self._points is not None:
            history_of(self._points.layer).redo()
            self._refresh()

    def save_csv(self, path: str | Path) -> None:
        """Write the table, in pixels of the image."""
        if self._points is not None and self.image_choice.layer is not None:
            try:
                image = self.image_choice.layer
                defects = self._points.defects(image)
                defects.to_csv(path, frame=layer_geometry(image, ndim=2))
            except (DefectFormatError, OSError) as error:
                self._show_status(f"Not saved: {error}")
            else:
                self._show_status(f"Saved {defects.in_words()} to {Path(path).name}.")

    def load_csv(self, path: str | Path) -> None:
        """Replace the points by a table in pixels of the image."""
        try:
            defects = Defects.from_csv(path)
        except (DefectFormatError, OSError) as error:
            self._show_status(str(error))
            return
        points = self._points or self.new_points()
        if points is not None:
            with history_of(points.layer).change("load"):
                points.replace(defects, self.image_choice.layer)
            self._refresh()
            self._show_status(f"Loaded {defects.in_words()} from {Path(path).name}.")

    def remove_from_viewer(self) -> None:
        """Take the preview away when the panel is closed."""
        self._refresh_timer.stop()
        self.preview.hide()

    # -- automatic changes in a worker ------------------------------------------------------

    def _start(self, name: str, prepare: Callable[[Image, DefectPoints], Computation]) -> None:
        """Start a detection or a snapping as a job."""
        image = self.image_choice.layer
        points = self._points or self.new_points()
        if image is None or points is None or self.job.state.busy:
            return
        try:
            compute, before = prepare(image, points), points.defects(image)
        except ValidationError as error:
            self._show_status(explain(error))
        except (DefectFormatError, LayerConversionError) as error:
            self._show_status(str(error))
        else:
            change = AutomaticChange(name, points, image, points.snapshot(), moves=name == "Snap")
            self.job.start(lambda: SingleCall(lambda: (change, compute(before)), name))

    def _on_succeeded(self, outcome: tuple[AutomaticChange, Defects]) -> None:
        """Put the found positions into the points layer."""
        change, defects = outcome
        if change.points.layer not in self.viewer.layers:
            self._show_status(f"{change.name}: the points layer was removed; nothing was changed.")
        elif change.outdated:
            self._show_status(f"{change.name}: the points were edited meanwhile; repeat it.")
        else:
            with history_of(change.points.layer).change(change.name.lower()):
                change.apply(defects)
            self._show_status(change.summary(defects))
            self._refresh()

    def _on_failed(self, error: Exception) -> None:
        self._show_status(f"Failed: {error}")

    def _shown_plane(self, image: Image) -> Any:
        return np.array(shown_plane(observation_from_layer(image), image, self.viewer))

    def _counted(self, image: Image) -> Any:
        excluded = self.mask_choice.layer
        return None if excluded is None else mask_from_layer(excluded, image)

    # -- following the layers ---------------------------------------------------------------

    def _on_points_chosen(self, layer: Points | None) -> None:
        """Follow another points layer."""
        self._unfollow_points()
        self._points = None if layer is None else DefectPoints(layer)
        stack = None if layer is None else history_of(layer).stack
        if stack is not None:
            self._histories.addStack(stack)
        self._histories.setActiveStack(stack)
        if layer is not None:
            for emitter in change_emitters(layer):
                emitter.connect(self._on_points_edited)
        self._refresh()

    def _unfollow_points(self) -> None:
        if self._points is not None:
            for emitter in change_emitters(self._points.layer):
                emitter.disconnect(self._on_points_edited)

    def _on_points_edited(self, event: object = None) -> None:
        self._refresh_timer.start()

    def _refresh(self) -> None:
        self.kind_editor.show_points(self._points)
        self._show_preview(self.image_choice.layer, self._points)
        self._show_state()

    def _show_preview(self, image: Image | None, points: DefectPoints | None) -> None:
        """Show or remove the activation map's preview."""
        if not self.preview_box.isChecked() or points is None or image is None:
            self.preview.hide()
            return
        try:
            self.preview.show(image, points.defects(image))
        except DefectFormatError as error:
            self.preview.hide()
            self._show_status(str(error))

    def _show_state(self, state: JobState | None = None) -> None:
        """Show which actions are possible now."""
        busy = self.job.state.busy
        has_image = self.image_choice.layer is not None
        count = 0 if self._points is None else len(self._points.layer.data)
        if busy:
            self.busy_row.show_busy()
        self.new_button.setEnabled(has_image)
        self.form.show_possible(
            mark=has_image,
            detect=has_image and not busy,
            refine=has_image and count > 0 and not busy,
        )
        self.load_button.setEnabled(has_image and not busy)
        self.save_button.setEnabled(has_image and count > 0)
        self.kind_editor.setEnabled(self._points is not None and not busy)
        if not busy:
            self.busy_row.show_idle(self.form.detect_button)
        if state is JobState.RUNNING:
            self._show_status("Working…")
        elif state is JobState.CANCELLED:
            self._show_status("Cancelled; nothing was changed.")

    # -- files ------------------------------------------------------------------------------

    def _ask_save(self) -> None:
        path = ask_save_path(self, "Save defects", "defects.csv", _CSV)
        if path:
            self.save_csv(path)

    def _ask_load(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Load defects", "", _CSV)
        if path:
            self.load_csv(path)

    def _show_status(self, text: str) -> None:
        self.status.setText(text)
