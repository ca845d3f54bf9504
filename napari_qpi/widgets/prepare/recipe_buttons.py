"""`RecipeButtons`: the list of steps as a script, as a file, and on another image."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from napari.components import LayerList
from napari.layers import Image
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFileDialog, QGridLayout, QMenu, QPushButton, QWidget

from napari_qpi.tasks.preparation import PreparationInput
from napari_qpi.tasks.scripts.preparation import preparation_script, unsaved_image
from napari_qpi.widgets.common.export import ask_save_path, copy_script
from napari_qpi.widgets.common.layer_combo import is_map
from qpi_kernels.prepare import PreparationError, Step, recipe

__all__ = ["RecipeButtons"]

_JSON = "Recipes (*.json)"


class RecipeButtons(QWidget):
    """Copy, save, load and apply a list of steps.

    Parameters
    ----------
    layers : LayerList
        The viewer's layers, to which the steps can be applied.

    Attributes
    ----------
    loaded : Signal(object)
        Steps of a file.
    applied : Signal(object)
        The image that the steps are to be applied to.
    status : Signal(str)
        Text for display.
    """

    loaded = Signal(object)
    applied = Signal(object)
    status = Signal(str)

    def __init__(self, layers: LayerList) -> None:
        super().__init__()
        self._layers = layers
        self.steps: Sequence[Step] = ()
        self.task: PreparationInput | None = None
        self.copy_button = QPushButton("Copy as Python")
        self.copy_button.setToolTip(
            "<qt>Put a script on the clipboard that prepares the same without napari.</qt>"
        )
        self.apply_button = QPushButton("Apply to")
        self.apply_button.setToolTip("<qt>Prepare another image with the same steps.</qt>")
        self._menu = QMenu(self)
        self.apply_button.setMenu(self._menu)
        self.save_button = QPushButton("Save recipe…")
        self.load_button = QPushButton("Load recipe…")
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        buttons = (self.apply_button, self.copy_button, self.load_button, self.save_button)
        for number, button in enumerate(buttons):
            grid.addWidget(button, number // 2, number % 2)
        self.copy_button.clicked.connect(self.copy_as_python)
        self.save_button.clicked.connect(self._ask_save)
        self.load_button.clicked.connect(self._ask_load)
        self._menu.aboutToShow.connect(self.fill_menu)
        self.show_steps((), None)

    def show_steps(self, steps: Sequence[Step], task: PreparationInput | None) -> None:
        """Take the steps, and what they would be done to."""
        self.steps, self.task = tuple(steps), task
        self.copy_button.setEnabled(bool(steps) and task is not None)
        for button in (self.apply_button, self.save_button):
            button.setEnabled(bool(steps))

    def fill_menu(self) -> QMenu:
        """List the other images."""
        self._menu.clear()
        for layer in reversed(self._layers):
            if is_map(layer) and isinstance(layer, Image):
                action = self._menu.addAction(layer.name)
                assert action is not None
                action.triggered.connect(partial(self.applied.emit, layer))
        return self._menu

    def script(self, array_path: str | None = None) -> str:
        """Write the Python script; see `preparation_script`."""
        if self.task is None:
            return ""
        entries = [recipe.entry_of(step) for step in self.steps]
        history = [*self.task.scan.history, *entries]
        return preparation_script(self.task.record, history, array_path)

    def copy_as_python(self) -> None:
        """Put the script on the clipboard; an image that came from no scan file is saved first."""
        if self.task is not None:
            unsaved = unsaved_image(self.task.record)
            self.status.emit(copy_script(self, self.script, unsaved, "raw.npy"))

    def save(self, path: str | Path) -> None:
        """Write the steps as a recipe."""
        try:
            recipe.write(path, self.steps)
        except OSError as error:
            self.status.emit(f"Not saved: {error}")
        else:
            self.status.emit(f"Saved {len(self.steps)} steps to {Path(path).name}.")

    def load(self, path: str | Path) -> None:
        """Read a recipe."""
        try:
            steps = recipe.read(path)
        except (PreparationError, OSError) as error:
            self.status.emit(str(error))
        else:
            self.loaded.emit(steps)
            self.status.emit(f"Loaded {len(steps)} steps from {Path(path).name}.")

    def _ask_save(self) -> None:
        path = ask_save_path(self, "Save recipe", "recipe.json", _JSON)
        if path:
            self.save(path)

    def _ask_load(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Load recipe", "", _JSON)
        if path:
            self.load(path)
