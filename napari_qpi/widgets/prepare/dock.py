"""`PrepareImage`: the dock widget that turns a raw image into one that an extraction may trust."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import napari
import numpy as np
from napari.layers import Image
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut, QUndoStack  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QLabel, QMenu, QPushButton

from napari_qpi.layers.conversion import LayerConversionError
from napari_qpi.layers.prepared import channel_layers
from napari_qpi.tasks.fourier_marks import BRAGG_FIELD
from napari_qpi.tasks.job import SingleCall
from napari_qpi.tasks.preparation import (
    PreparationInput,
    needed_channels,
    report_notes,
    show_prepared,
)
from napari_qpi.tasks.preparation_preview import PreviewedPlane, lazily
from napari_qpi.widgets.common.dock import group
from napari_qpi.widgets.common.layer_combo import (
    NO_MAP,
    DefectsCombo,
    MaskCombo,
    SourceCombo,
    is_map,
)
from napari_qpi.widgets.common.run_dock import RunDock
from napari_qpi.widgets.prepare.channel_rows import ChannelRows
from napari_qpi.widgets.prepare.live_preview import LivePreview, PreviewInput
from napari_qpi.widgets.prepare.recipe_buttons import RecipeButtons
from napari_qpi.widgets.prepare.step_list import ListedStep, StepList
from napari_qpi.widgets.prepare.step_row import first_line, step_title
from napari_qpi.widgets.prepare.undo import ListChange, Run
from qpi_kernels.defects import DefectFormatError
from qpi_kernels.prepare import (
    PreparationError,
    Prepared,
    Step,
    Suggestion,
    known_steps,
    presets,
    suggest,
)

__all__ = ["PrepareImage"]

# So that forms which are unfolded later find room, and the transform is large enough to see rings.
_WIDTH = 340
_UNUSABLE = (LayerConversionError, PreparationError, DefectFormatError)


class PrepareImage(RunDock):
    """Prepare an image by a list of steps, with a live preview.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer whose layers are offered and that gets the results.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer, "Prepare", "Preparation")
        self._task: PreparationInput | None = None
        self._scan: Prepared | None = None
        self._history, self._undoing = QUndoStack(self), False
        self._listed: tuple[ListedStep, ...] = ()
        self._build()
        self._connect()
        self._on_input_changed()

    # -- building ---------------------------------------------------------------------------

    def _build(self) -> None:
        """Lay out the dock."""
        layers = self.viewer.layers
        self.image_choice = SourceCombo(layers, is_map, placeholder=NO_MAP)
        self.points_choice = DefectsCombo(layers, self.image_choice, placeholder="none marked")
        self.points_choice.setToolTip(
            "<qt>They move along with the pixels, and no step takes them for bad pixels.</qt>"
        )
        self.mask_choice = MaskCombo(layers, self.image_choice)
        self.mask_choice.setToolTip(
            "<qt>No step looks at pixels under these labels or shapes.</qt>"
        )
        rows = QFormLayout()
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        rows.addRow("Image", self.image_choice)
        rows.addRow("Defects", self.points_choice)
        rows.addRow("Leave out", self.mask_choice)
        self.preset_button, self.suggest_button = QPushButton("Preset"), QPushButton("Suggest")
        self.add_button = QPushButton("Add")
        self.preset_button.setMenu(self._menu_of_presets())
        self.add_button.setMenu(self._menu_of_steps())
        self.suggest_button.setToolTip(
            "<qt>Look at the image and propose steps, each with the reason.</qt>"
        )
        self.step_list = StepList()
        self.channel_rows = ChannelRows(layers)
        self.biases = QLabel()
        self.biases.setWordWrap(True)
        self.preview = LivePreview(self.viewer, self._describe_preview)
        self.recipe_buttons = RecipeButtons(layers)
        self.content.setMinimumWidth(_WIDTH)
        self.column.addLayout(rows)
        buttons = (self.suggest_button, self.preset_button, self.add_button)
        self.column.addWidget(group("Steps", buttons, self.step_list, self.channel_rows))
        self.column.addWidget(self.run_controls)
        self.column.addLayout(self._build_undo_row())
        self.column.addWidget(self.biases)
        self.column.addWidget(self.preview)
        self.column.addWidget(self.recipe_buttons)
        self.column.addStretch()

    def _build_undo_row(self) -> QHBoxLayout:
        """Make the row of undo and redo."""
        row = QHBoxLayout()
        keys = QKeySequence.StandardKey
        self.undo_button, self.redo_button = QPushButton("Undo"), QPushButton("Redo")
        for button, key, slot, possible in (
            (self.undo_button, keys.Undo, self.undo, self._history.canUndoChanged),
            (self.redo_button, keys.Redo, self.redo, self._history.canRedoChanged),
        ):
            shortcut = QShortcut(QKeySequence(key), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(slot)
            button.clicked.connect(slot)
            button.setEnabled(False)
            possible.connect(button.setEnabled)
            row.addWidget(button, 1)
        return row

    def _menu_of_presets(self) -> QMenu:
        """List the presets."""
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        for name, steps in presets().items():
            action = menu.addAction(name)
            assert action is not None
            action.setToolTip(", ".join(step_title(type(step)).lower() for step in steps))
            action.triggered.connect(partial(self.show_steps, steps))
        self.preset_button.setEnabled(not menu.isEmpty())
        return menu

    def _menu_of_steps(self) -> QMenu:
        """List the steps."""
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        for name, step in known_steps().items():
            action = menu.addAction(step_title(step))
            assert action is not None
            action.setToolTip(f"<qt>{first_line(step)}</qt>")
            action.triggered.connect(partial(self.add_step, name))
        return menu

    def _connect(self) -> None:
        """Connect the widgets with the viewer."""
        self.image_choice.layer_changed.connect(self.preview.resume)
        for choice in (self.image_choice, self.points_choice, self.mask_choice):
            self.when_closed(choice.disconnect_events)
            choice.layer_changed.connect(self._on_input_changed)
        self.when_closed(self.channel_rows.disconnect_events)
        self.when_closed(self.preview.disconnect_events)
        self.follow(self.viewer.dims.events.current_step, self._on_plane_changed)
        self.step_list.changed.connect(self._on_steps_changed)
        self.channel_rows.changed.connect(self._on_input_changed)
        self.suggest_button.clicked.connect(self.suggest)
        self.run_controls.run_button.clicked.connect(self.prepare)
        self.preview.previewed.connect(self._on_previewed)
        self.preview.failed.connect(self.run_controls.show_status)
        self.preview.handles_moved.connect(self._on_handles_moved)
        self.recipe_buttons.loaded.connect(self.show_steps)
        self.recipe_buttons.applied.connect(self.apply_to)
        self.recipe_buttons.status.connect(self.run_controls.show_passing)

    # -- what the user or a script may call -------------------------------------------------

    def show_steps(self, steps: Iterable[Step], *_: object) -> None:
        """Fill the list with steps."""
        self.step_list.listed = tuple((step, True) for step in steps)

    def add_step(self, name: str, *_: object) -> None:
        """Add a step by its name, with parameters to begin with."""
        task = self._input()
        if task is not None:
            self.step_list.add(known_steps()[name].for_image(task.scan.image))

    def suggest(self) -> None:
        """Start to look at the image, and fill the list with what suits it."""
        image = self.image_choice.layer
        if image is None or self.job.state.busy:
            return
        task = self._copy(image, channel_layers(image, self.viewer.layers))
        if task is not None:
            look = partial(suggest, task.scan)
            self.start(partial(SingleCall, look, "Looking at the image"), self._suggested)

    def prepare(self) -> None:
        """Copy the input and start the steps."""
        self._task = None
        task, steps = self._input(), self.step_list.steps
        if task is not None and steps and not self.job.state.busy:
            self.start(partial(task.start, steps), partial(self._show_result, task))

    def apply_to(self, image: Image) -> None:
        """Choose another image, and prepare it with the steps listed."""
        self.image_choice.layer = image
        self.prepare()

    def undo(self) -> None:
        """Take back the last run or change of the steps."""
        self.preview.resume()
        self._travel(self._history.undo)
        self.preview.request()

    def redo(self) -> None:
        """Make again what was taken back last."""
        self._travel(self._history.redo)

    def _travel(self, go: Callable[[], None]) -> None:
        """Undo or redo without recording it as a change."""
        self._undoing = True
        try:
            go()
        finally:
            self._undoing = False

    def remove_from_viewer(self) -> None:
        """Take the preview away when the panel is closed."""
        self.preview.remove_layers()

    # -- the input --------------------------------------------------------------------------

    def _input(self) -> PreparationInput | None:
        """Copy the layers; the copy is kept until a change."""
        image = self.image_choice.layer
        if self._task is None and image is not None:
            self._task = self._copy(image, self._channels(image))
            self._scan = None if self._task is None else lazily(self._task.scan)
        return self._task

    def _copy(self, image: Image, channels: Mapping[str, Image]) -> PreparationInput | None:
        """Copy the layers, or describe what is wrong with them."""
        try:
            return PreparationInput.copy_from(
                image,
                self.points_choice.layer,
                excluded=self.mask_choice.layer,
                channels=channels,
            )
        except _UNUSABLE as error:
            self.run_controls.show_status(str(error))
            return None

    def _channels(self, image: Image) -> dict[str, Image]:
        """Give the layer of every channel that steps read, and of the topograph's way back."""
        needed = needed_channels(self.step_list.steps, image, self.viewer.layers)
        found = {name: layer for name, layer in needed.items() if layer is not None}
        named = {name for step in self.step_list.steps for name in step.channels}
        beside = {name: layer for name, layer in found.items() if name not in named}
        return beside | self.channel_rows.chosen

    def _on_input_changed(self, *_: object) -> None:
        """Begin anew with other layers."""
        self._task = self._scan = None
        self._show_channels()
        image = self.image_choice.layer
        count = len(image.data) if image is not None and image.ndim == 3 else 0
        self.biases.setVisible(count > 0)
        self.biases.setText(f"All {count} biases are prepared alike; the preview shows this one.")
        self.show_ready()
        self.preview.request()

    def _show_channels(self) -> None:
        """Show a choice for every other channel that the steps read."""
        image, steps = self.image_choice.layer, self.step_list.steps
        named = list(dict.fromkeys(name for step in steps for name in step.channels))
        needed = {} if image is None else needed_channels(steps, image, self.viewer.layers)
        self.channel_rows.show_needed(image, {name: needed.get(name) for name in named})

    def _on_steps_changed(self) -> None:
        """Record the change, and preview it."""
        listed = self.step_list.listed
        if listed != self._listed:
            before, self._listed = self._listed, listed
            if not self._undoing:
                self._history.push(ListChange(self.step_list, before, listed))
        self.preview.resume()
        chosen = self.channel_rows.chosen
        self._show_channels()
        if chosen != self.channel_rows.chosen:
            self._task = None
        self.show_ready()
        self.preview.request()

    def show_ready(self) -> None:
        """Show which actions are possible now."""
        missing = self.step_list.problem
        if self.image_choice.layer is None:
            missing = "Open a map or a bias stack first."
        elif not self.step_list.steps:
            missing = "Choose the steps first."
        self.run_controls.show_ready(self.job.state, missing)
        ready = self.image_choice.layer is not None and not self.job.state.busy
        self.suggest_button.setEnabled(ready)
        self.recipe_buttons.show_steps(self.step_list.steps, self._input())

    # -- the preview ------------------------------------------------------------------------

    def _describe_preview(self) -> PreviewInput | None:
        """Say what to preview now."""
        task, image = self._input(), self.image_choice.layer
        if task is None or self._scan is None or image is None or self.step_list.problem:
            return None
        index = 0
        if image.ndim == 3:
            index = round(float(image.world_to_data(self.viewer.dims.point)[-3]))
            index = min(max(index, 0), len(image.data) - 1)
        return PreviewInput(image, self._scan, self.step_list.steps, index)

    def _on_plane_changed(self, event: object = None) -> None:
        if getattr(self.image_choice.layer, "ndim", 2) == 3:
            self.preview.request()

    def _on_previewed(self, preview: PreviewedPlane) -> None:
        """Show below every step what it found, or why it failed."""
        notes = [(note, False) for note in report_notes(preview.made, len(preview.done))]
        self.step_list.show_notes([*notes, (preview.problem, True)])

    def _on_handles_moved(self, waves: Any) -> None:
        """Give the dragged Bragg peaks to the step that takes them."""
        for row in self.step_list.rows:
            if row.on and BRAGG_FIELD in type(row.step).model_fields:
                row.form.set_values({BRAGG_FIELD: np.asarray(waves).tolist()})
                row.form.changed.emit()
                return

    # -- results ----------------------------------------------------------------------------

    def _suggested(self, found: Suggestion) -> None:
        """Fill the list with the suggested steps and their reasons."""
        self.show_steps(found.steps)
        for row, reason in zip(self.step_list.rows, found.reasons, strict=False):
            row.switch.setToolTip(f"<qt>{first_line(type(row.step))}<br>{reason}</qt>")
        words = " ".join(f"{reason}." for reason in found.reasons)
        self.run_controls.show_status(words or "Nothing has to be done.")

    def _show_result(self, task: PreparationInput, prepared: Prepared) -> None:
        """Add the layers of a run; what they replace is hidden."""
        self.preview.pause()
        added = show_prepared(self.viewer, task, prepared)
        replaced = (self.points_choice.layer, self.mask_choice.layer)
        hidden = [layer for layer in replaced if layer is not None and layer.visible]
        for layer in hidden:
            layer.visible = False
        self._history.push(Run(self.viewer, added, hidden))
        share = 1 - float(prepared.mask.mean())
        self.run_controls.show_status(
            f"Added {added[0].name} in {self.seconds:.1f} s; "
            f"{share:.1%} of the pixels are left out."
        )
