"""`KernelSize`: the kernel's size in words and as a window on the image, in step with the form."""

from __future__ import annotations

import napari
import numpy as np
from napari.layers import Image, Points
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QCheckBox, QGridLayout, QLabel, QPushButton, QWidget

from napari_qpi.layers.conversion import defects_from_points
from napari_qpi.layers.geometry import layer_pitch
from napari_qpi.widgets.common.value_editors import PairEditor
from napari_qpi.widgets.extract.kernel_window import KernelWindow
from qpi_kernels.defects import DefectFormatError

__all__ = ["KernelSize"]

Centre = tuple[float, float]


class KernelSize(QWidget):
    """Shows how large a kernel is, and lets the user drag it on the image.

    Parameters
    ----------
    viewer : napari.Viewer
        Where the window is drawn.
    editor : PairEditor
        Holds the size in pixels; changed by dragging. Call `show_on` after its changes.

    Attributes
    ----------
    changed : Signal()
        The box was ticked or the window moved: `show_on` is to be called.
    """

    changed = Signal()

    def __init__(self, viewer: napari.Viewer, editor: PairEditor) -> None:
        super().__init__()
        self.kernel_window = KernelWindow(viewer)
        self._viewer = viewer
        self._editor = editor
        self._image: Image | None = None
        self._centre: Centre | None = None
        self.note = QLabel()
        self.note.setWordWrap(True)
        self.window_box = QCheckBox("Show window")
        self.window_box.setChecked(True)
        self.resize_button = QPushButton("Resize on image")
        self.resize_button.setToolTip(
            "<qt>Drag a corner to change the size, drag the window to move it to another defect."
            "</qt>"
        )
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.addWidget(self.note, 0, 0, 1, 2)
        grid.addWidget(self.window_box, 1, 0)
        grid.addWidget(self.resize_button, 1, 1)
        self.window_box.toggled.connect(lambda: self.changed.emit())
        self.resize_button.clicked.connect(self.kernel_window.grab)
        self.kernel_window.resized.connect(self._on_resized)
        self.kernel_window.moved.connect(self._on_moved)
        viewer.layers.events.removed.connect(self._on_layer_removed)

    def disconnect_events(self) -> None:
        """Disconnect from the viewer."""
        self._viewer.layers.events.removed.disconnect(self._on_layer_removed)
        self.kernel_window.resized.disconnect(self._on_resized)
        self.kernel_window.moved.disconnect(self._on_moved)

    def forget_centre(self) -> None:
        """Put the window around the defect nearest to the middle at the next `show_on`."""
        self._centre = None

    def show_on(self, image: Image | None, points: Points | None) -> None:
        """Show the size on an image, around one of the points."""
        self._image = image
        if image is not None:
            self._editor.set_maximum(*image.data.shape[-2:])
        shown = self.window_box.isChecked() and image is not None
        self.resize_button.setEnabled(shown)
        self.note.setText("" if image is None else self._words(image))
        if not shown or image is None:
            self.kernel_window.hide()
            return
        self._centre = _nearest_defect(image, points, self._centre)
        self.kernel_window.show(image, self._centre, self._editor.value(), self._editor.square)

    def _words(self, image: Image) -> str:
        """Describe the size on the image, and what was entered where the image is smaller."""
        height, width = self._editor.value()
        (row, col), unit = layer_pitch(image)
        rows, cols = image.data.shape[-2:]
        lengths = f"{height * row:.3g} × {width * col:.3g} nm, " if unit == "nm" else ""  # noqa: RUF001
        note = f"{lengths}{height * width / (rows * cols):.1%} of the image"
        wanted = self._editor.wanted
        if wanted == (height, width):
            return note
        return f"{note}; cut to the image, not {wanted[0]} × {wanted[1]} pixels"  # noqa: RUF001

    def _on_resized(self, height: int, width: int) -> None:
        if self._image is not None:
            limits = self._image.data.shape[-2:]
            sizes = zip((height, width), limits, strict=True)
            self._editor.set_value(tuple(int(np.clip(size, 3, limit)) for size, limit in sizes))

    def _on_moved(self, row: float, col: float) -> None:
        self._centre = (row, col)
        self.changed.emit()

    def _on_layer_removed(self, event: object = None) -> None:
        if getattr(event, "value", None) is self.kernel_window.drawn:
            self.kernel_window.hide()
            self.window_box.setChecked(False)


def _nearest_defect(image: Image, points: Points | None, wanted: Centre | None) -> Centre:
    """Find the defect nearest to a place, by default the middle of the image."""
    rows, cols = image.data.shape[-2:]
    row, col = wanted or ((rows - 1) / 2, (cols - 1) / 2)
    if points is None or not len(points.data):
        return row, col
    try:
        positions = defects_from_points(points, image).positions
    except DefectFormatError:  # a run says what is wrong with them
        return row, col
    nearest = positions[np.argmin(np.hypot(*(positions - (row, col)).T))]
    return float(nearest[0]), float(nearest[1])
