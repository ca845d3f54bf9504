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
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
)

from napari_qpi.layers.conversion import (
    LayerConversionError,
    mask_from_layer,
    observation_from_layer,
    shown_plane,
)
from napari_qpi.layers.defect_points import DefectPoints, KindError, Snapshot, is_defect_layer
from napari_qpi.layers.geometry import layer_geometry
from napari_qpi.tasks.annotation import (
    AutomaticChange,
    Computation,
    detection,
    snapping,
    tidying,
)
from napari_qpi.tasks.job import Job, JobState, SingleCall
from napari_qpi.widgets.annotate.activation_preview import ActivationPreview
from napari_qpi.widgets.annotate.kind_table import KindTable
from napari_qpi.widgets.common.dock import Dock, collapsed, group
from napari_qpi.widgets.common.layer_combo import NO_MAP, LayerCombo, can_exclude, is_map
from napari_qpi.widgets.common.parameter_form import ParameterForm, explain
from qpi_kernels.defects import (
    DefectFormatError,
    Defects,
    DetectionParameters,
    SnappingParameters,
)

__all__ = ["AnnotateDefects"]

_REFRESH_MS = 80
_CSV = "Defects (*.csv)"


class AnnotateDefects(Dock):
    """Marks the defects of an image: clicks, detection, snapping, kinds, and their table as CSV.

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
        self._undo: tuple[str, Points, Snapshot] | None = None
        self._refresh_timer = QTimer(self)
        self._refresh_timer.setSingleShot(True)
        self._refresh_timer.setInterval(_REFRESH_MS)
        self._refresh_timer.timeout.connect(self._refresh)
        self._build()
        self._connect()
        self._on_points_chosen(self.points_choice.layer)
        self._show_state()

    # -- building ---------------------------------------------------------------------------

    def _build(self) -> None:
        layers = self.viewer.layers
        self.image_choice = LayerCombo(layers, is_map, placeholder=NO_MAP)
        self.points_choice = LayerCombo(
            layers, is_defect_layer, placeholder="none yet: made when needed"
        )
        self.new_button = QPushButton("New")
        self.new_button.setToolTip("<qt>A new, empty layer of defects over the image.</qt>")
        points = QHBoxLayout()
        points.addWidget(self.points_choice, 1)
        points.addWidget(self.new_button)
        choice = QFormLayout()
        choice.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        choice.addRow("Image", self.image_choice)
        choice.addRow("Defects", points)
        self.mask_choice = LayerCombo(layers, can_exclude, placeholder="nothing", optional=True)
        self.mask_choice.setToolTip(
            "<qt>Under these labels or inside these shapes nothing is detected, and snapping does "
            "not look: bad scan lines, steps, islands.</qt>"
        )
        choice.addRow("Leave out", self.mask_choice)

        self.mark_button = QPushButton("Mark by clicking")
        self.mark_button.setToolTip("<qt>Every click on the image adds a defect.</qt>")
        self.detect_button = QPushButton("Detect")
        self.detect_button.setToolTip(
            "<qt>Find the defects of the marked kind on the plane that is shown; replaces the "
            "points of that kind.</qt>"
        )
        self.snap_button = QPushButton("Snap")
        self.snap_button.setToolTip("<qt>Move all points onto the local pattern, sub-pixel.</qt>")
        self.duplicates_button = QPushButton("Remove duplicates")
        self.duplicates_button.setToolTip(
            "<qt>Leave one of any points closer to each other than the snap radius.</qt>"
        )
        self.undo_button = QPushButton("Undo")
        self.undo_button.setToolTip("<qt>Take back the last automatic change.</qt>")

        self.detection_form = ParameterForm(
            DetectionParameters, ("polarity", "size_px", "threshold")
        )
        self.detection_details = ParameterForm(
            DetectionParameters, ("isolation", "min_distance_px", "exclude_border", "max_count")
        )
        self.snapping_form = ParameterForm(SnappingParameters, ("method", "radius_px"))
        self.snapping_details = ParameterForm(SnappingParameters, ("pattern_px", "size_px"))

        self.kind_table = KindTable()
        self.preview_box = QCheckBox("Show activation map M")
        self.preview_box.setToolTip(
            "<qt>The map that the kernel is convolved with: one weight per defect, spread over "
            "the pixels around its sub-pixel position.</qt>"
        )
        self.save_button = QPushButton("Save CSV…")
        self.load_button = QPushButton("Load CSV…")
        self.busy_bar = QProgressBar()
        self.busy_bar.setRange(0, 0)
        self.busy_bar.setTextVisible(False)
        self.cancel_button = QPushButton("Cancel")
        self.status = QLabel()
        self.status.setWordWrap(True)

        self.column.addLayout(choice)
        self.column.addWidget(group("Kinds", self.kind_table))
        self.column.addWidget(
            group(
                "Find defects",
                self.mark_button,
                self.detection_form,
                collapsed("More about detection", self.detection_details),
                self.detect_button,
            )
        )
        self.column.addWidget(
            group(
                "Refine positions",
                self.snapping_form,
                collapsed("More about snapping", self.snapping_details),
                (self.snap_button, self.duplicates_button),
            )
        )
        self.column.addWidget(self.preview_box)
        keep = QGridLayout()
        keep.addWidget(self.undo_button, 0, 0)
        keep.addWidget(self.load_button, 0, 1)
        keep.addWidget(self.save_button, 0, 2)
        self.column.addLayout(keep)
        under_way = QHBoxLayout()
        under_way.addWidget(self.busy_bar, 1)
        under_way.addWidget(self.cancel_button)
        self.column.addLayout(under_way)
        self.column.addWidget(self.status)
        self.column.addStretch()

    def _connect(self) -> None:
        for choice in (self.image_choice, self.points_choice, self.mask_choice):
            self.when_closed(choice.disconnect_events)
        self.when_closed(self._unfollow_points)
        self.when_closed(self.job.cancel)
        self.follow(self.job.state_changed, self._show_state)
        self.follow(self.job.failed, self._on_failed)
        self.follow(self.job.succeeded, self._on_succeeded)
        self.image_choice.layer_changed.connect(self._on_image_chosen)
        self.points_choice.layer_changed.connect(self._on_points_chosen)
        self.new_button.clicked.connect(lambda: self.new_points())
        self.mark_button.clicked.connect(self.mark_by_clicking)
        self.detect_button.clicked.connect(self.detect)
        self.snap_button.clicked.connect(self.snap)
        self.duplicates_button.clicked.connect(self.remove_duplicates)
        self.undo_button.clicked.connect(self.undo)
        self.cancel_button.clicked.connect(self.job.abandon)
        self.preview_box.toggled.connect(self._refresh)
        self.save_button.clicked.connect(self._ask_save)
        self.load_button.clicked.connect(self._ask_load)
        table = self.kind_table
        table.chosen.connect(lambda kind: self._change_kinds(partial(self._choose_kind, kind)))
        table.added.connect(lambda: self._change_kinds(lambda points: points.add_kind()))
        table.removed.connect(self._remove_kind)
        table.renamed.connect(
            lambda old, new: self._change_kinds(lambda points: points.rename_kind(old, new))
        )
        table.recoloured.connect(
            lambda kind, colour: self._change_kinds(lambda points: points.recolour(kind, colour))
        )
        table.assigned.connect(self._assign_kind)

    # -- what a person or a script may call -------------------------------------------------

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
        """Start looking for defects of the current kind on the plane that is shown."""
        values = self.detection_form.values() | self.detection_details.values()
        self._start(
            "Detect",
            lambda image, points: detection(
                self._shown_plane(image), self._counted(image), values, points.current_kind
            ),
        )

    def snap(self) -> None:
        """Start moving all points onto the local pattern."""
        values = self.snapping_form.values() | self.snapping_details.values()
        self._start(
            "Snap",
            lambda image, points: snapping(self._shown_plane(image), self._counted(image), values),
        )

    def remove_duplicates(self) -> None:
        """Leave one of any points closer than the snap radius."""
        values = self.snapping_form.values()
        self._start("Remove duplicates", lambda image, points: tidying(values))

    def undo(self) -> None:
        """Take back the last automatic change."""
        if self._undo is None:
            return
        what, layer, snapshot = self._undo
        self._undo = None
        DefectPoints(layer).restore(snapshot)
        self._show_status(f"{what} was taken back.")
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
                self._show_status(f"Saved {len(defects)} defects to {Path(path).name}.")

    def load_csv(self, path: str | Path) -> None:
        """Replace the points by a table in pixels of the image."""
        try:
            defects = Defects.from_csv(path)
        except (DefectFormatError, OSError) as error:
            self._show_status(str(error))
            return
        points = self._points or self.new_points()
        if points is not None:
            self._change("Load", points, lambda: points.replace(defects, self.image_choice.layer))
            self._show_status(f"Loaded {len(defects)} defects from {Path(path).name}.")

    def remove_from_viewer(self) -> None:
        """Take the preview away when the panel is closed."""
        self._refresh_timer.stop()
        self.preview.hide()

    # -- automatic changes in a worker ------------------------------------------------------

    def _start(self, what: str, prepare: Callable[[Image, DefectPoints], Computation]) -> None:
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
            change = AutomaticChange(what, points, image, points.snapshot(), moves=what == "Snap")
            self.job.start(lambda: SingleCall(lambda: (change, compute(before)), what))

    def _on_succeeded(self, outcome: tuple[AutomaticChange, Defects]) -> None:
        change, defects = outcome
        what = change.what
        if change.points.layer not in self.viewer.layers:
            self._show_status(f"{what}: the points layer was removed; nothing was changed.")
        elif change.points.snapshot() != change.before:
            self._show_status(f"{what}: the points were edited meanwhile; repeat it.")
        else:
            self._change(what, change.points, lambda: change.apply(defects))
            self._show_status(change.summary(defects))

    def _on_failed(self, error: Exception) -> None:
        self._show_status(f"Failed: {error}")

    def _change(self, what: str, points: DefectPoints, change: Callable[[], object]) -> None:
        snapshot = points.snapshot()
        change()
        self._undo = (what, points.layer, snapshot)
        self._refresh()

    def _shown_plane(self, image: Image) -> Any:
        return np.array(shown_plane(observation_from_layer(image), image, self.viewer))

    def _counted(self, image: Image) -> Any:
        excluded = self.mask_choice.layer
        return None if excluded is None else mask_from_layer(excluded, image)

    # -- following the layers ---------------------------------------------------------------

    def _on_image_chosen(self, image: Image | None) -> None:
        self._refresh()

    def _on_points_chosen(self, layer: Points | None) -> None:
        self._unfollow_points()
        self._points = None if layer is None else DefectPoints(layer)
        if layer is not None:
            for emitter in _emitters(layer):
                emitter.connect(self._on_points_edited)
        self._refresh()

    def _unfollow_points(self) -> None:
        if self._points is not None:
            for emitter in _emitters(self._points.layer):
                emitter.disconnect(self._on_points_edited)

    def _on_points_edited(self, event: object = None) -> None:
        self._refresh_timer.start()

    def _refresh(self) -> None:
        points, image = self._points, self.image_choice.layer
        if self._undo is not None and self._undo[1] not in self.viewer.layers:
            self._undo = None
        if points is None:
            self.kind_table.show_kinds({}, {}, "")
        else:
            points.complete()
            self.kind_table.show_kinds(points.kinds, points.counts(), points.current_kind)
        self._show_preview(image, points)
        self._show_state()

    def _show_preview(self, image: Image | None, points: DefectPoints | None) -> None:
        if not self.preview_box.isChecked() or points is None or image is None:
            self.preview.hide()
            return
        try:
            self.preview.show(image, points.defects(image))
        except DefectFormatError as error:
            self.preview.hide()
            self._show_status(str(error))

    def _show_state(self, state: JobState | None = None) -> None:
        busy = self.job.state.busy
        has_image = self.image_choice.layer is not None
        count = 0 if self._points is None else len(self._points.layer.data)
        self.new_button.setEnabled(has_image)
        self.mark_button.setEnabled(has_image)
        self.detect_button.setEnabled(has_image and not busy)
        self.load_button.setEnabled(has_image and not busy)
        for button in (self.snap_button, self.duplicates_button):
            button.setEnabled(has_image and count > 0 and not busy)
        self.save_button.setEnabled(has_image and count > 0)
        self.kind_table.setEnabled(self._points is not None and not busy)
        self.undo_button.setEnabled(self._undo is not None and not busy)
        self.undo_button.setText("Undo" if self._undo is None else f"Undo {self._undo[0].lower()}")
        for widget in (self.busy_bar, self.cancel_button):
            widget.setVisible(busy)
        if state is JobState.RUNNING:
            self._show_status("Working…")
        elif state is JobState.CANCELLED:
            self._show_status("Cancelled; nothing was changed.")

    # -- kinds ------------------------------------------------------------------------------

    def _choose_kind(self, kind: str, points: DefectPoints) -> None:
        if kind:
            points.current_kind = kind

    def _remove_kind(self, kind: str) -> None:
        def remove(points: DefectPoints) -> None:
            count = points.counts()[kind]
            self._change(f"remove {kind}", points, lambda: points.remove_kind(kind))
            self._show_status(f"Removed the kind {kind!r} with its {count} points.")

        self._change_kinds(remove)

    def _assign_kind(self, kind: str) -> None:
        def assign(points: DefectPoints) -> None:
            selected = sorted(points.layer.selected_data)
            if not selected:
                self._show_status("Select points first: press 3 and drag around them.")
                return
            self._change(f"assign {kind}", points, lambda: points.assign(selected, kind))
            self._show_status(f"{len(selected)} points are {kind!r} now.")

        self._change_kinds(assign)

    def _change_kinds(self, change: Callable[[DefectPoints], object]) -> None:
        if self._points is not None:
            try:
                change(self._points)
            except KindError as error:
                self._show_status(f"{error}.")
            self._refresh()

    # -- files ------------------------------------------------------------------------------

    def _ask_save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save defects", "defects.csv", _CSV)
        if path:
            self.save_csv(path)

    def _ask_load(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Load defects", "", _CSV)
        if path:
            self.load_csv(path)

    def _show_status(self, text: str) -> None:
        self.status.setText(text)


def _emitters(layer: Points) -> tuple[Any, ...]:
    return layer.events.data, layer.events.features, layer.events.feature_defaults
