"""`UnpreparedNotice`: a line on a topograph that is not levelled, and a button that prepares it."""

from __future__ import annotations

from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from napari.layers import Image
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget

from napari_qpi.layers.conversion import METADATA_KEY
from napari_qpi.layers.prepared import channel_layers
from napari_qpi.tasks.job import Job, SingleCall
from napari_qpi.tasks.preparation import PreparationInput, SuggestedPreparation, show_prepared
from napari_qpi.widgets.common.dock import Dock
from napari_qpi.widgets.common.layer_combo import LayerCombo
from qpi_kernels.prepare import Suggestion, suggest

__all__ = ["UnpreparedNotice"]

_DELAY_MS = 300
_SHOWN = 2

# Every dock asks about the same layers.
_suggestions: WeakKeyDictionary[Image, Suggestion] = WeakKeyDictionary()


class UnpreparedNotice(QWidget):
    """Say that rows, tilt or steps dominate the chosen topograph, and prepare it when asked to.

    Parameters
    ----------
    dock : Dock
        The dock in which it is shown.
    image_choice, points_choice : LayerCombo
        Choose the image and its defects; the prepared image becomes the choice.
    """

    def __init__(self, dock: Dock, image_choice: LayerCombo, points_choice: LayerCombo) -> None:
        super().__init__()
        self.job = Job()
        self._viewer = dock.viewer
        self._image_choice, self._points_choice = image_choice, points_choice
        self._image: Image | None = None
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.button = QPushButton("Prepare")
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.words, 1)
        line.addWidget(self.button)
        self.setVisible(False)
        self._timer = dock.delayed(_DELAY_MS, self._look)
        dock.when_closed(self.job.cancel)
        dock.follow(self.job.succeeded, self._on_succeeded)
        dock.follow(self.job.failed, self._on_failed)
        image_choice.layer_changed.connect(self._on_image)
        self.button.clicked.connect(self.prepare)
        self._on_image(image_choice.layer)

    def knows(self, image: Image) -> bool:
        """Return whether the library has been asked about an image."""
        return image in _suggestions

    def prepare(self) -> None:
        """Start the suggested preparation."""
        image = self._image
        if image is None or self.job.state.busy:
            return
        task = self._task(image)
        if task is not None:
            steps = _suggestions[image].steps
            self.button.setEnabled(False)
            self.words.setText(f"Preparing {image.name}…")
            self.job.start(partial(SuggestedPreparation, task, steps))

    def _on_image(self, image: Image | None) -> None:
        """Look at another image soon."""
        self.setVisible(False)
        self._image = image if image is not None and _is_raw_topograph(image) else None
        if self._image is not None:
            self._timer.start()

    def _look(self) -> None:
        """Ask the library about the image, unless it was asked before."""
        image = self._image
        if image is None:
            return
        if image in _suggestions:
            self._show(image)
            return
        if self.job.state.busy:
            self._timer.start()
            return
        task = self._task(image)
        if task is not None:
            look = partial(_look_at, image, task)
            self.job.start(partial(SingleCall, look, "Looking at the image"))

    def _task(self, image: Image) -> PreparationInput | None:
        """Copy the input; None where the layers can not be used, which the dock says itself."""
        try:
            return PreparationInput.copy_from(
                image,
                self._points_choice.layer,
                channels=channel_layers(image, self._viewer.layers),
            )
        except ValueError as error:
            self.words.setText(str(error))
            return None

    def _on_succeeded(self, outcome: Any) -> None:
        """Show what was suggested, or what was prepared."""
        first, second = outcome
        if isinstance(first, Image):
            _suggestions[first] = second
            if first is self._image:
                self._show(first)
            return
        marked = self._points_choice.layer
        added = show_prepared(self._viewer, first, second)
        if marked is not None:
            marked.visible = False
        self._image_choice.layer = added[0]

    def _on_failed(self, error: Exception) -> None:
        self.words.setText(str(error))
        self.button.setEnabled(True)

    def _show(self, image: Image) -> None:
        """Say what is wrong with an image, if anything is."""
        found = _suggestions[image]
        self.setVisible(bool(found.needed))
        reasons = [reason[0].lower() + reason[1:] for reason in found.reasons]
        self.words.setText(f"This topograph is not levelled: {'; '.join(reasons[:_SHOWN])}.")
        self.words.setToolTip(f"<qt>{'; '.join(reasons)}.</qt>")
        self.button.setEnabled(True)
        steps = ", ".join(step.name().replace("_", " ") for step in found.steps)
        self.button.setToolTip(f"<qt>Make a prepared copy by: {steps}.</qt>")


def _look_at(image: Image, task: PreparationInput) -> tuple[Image, Suggestion]:
    """Ask the library, in a worker; the layer is only handed through."""
    return image, suggest(task.scan)


def _is_raw_topograph(image: Image) -> bool:
    """Return whether a layer is a topograph as it was read."""
    known = image.metadata.get(METADATA_KEY, {})
    return (known.get("role"), known.get("quantity"), image.ndim) == ("channel", "topography", 2)
