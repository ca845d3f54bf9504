"""`KernelWindow`: the kernel's window drawn on the image, to be dragged and resized by hand."""

from __future__ import annotations

import napari
import numpy as np
from napari.layers import Image, Shapes
from napari.layers.base import ActionType
from numpy.typing import NDArray
from psygnal import Signal

from napari_qpi.layers.geometry import layer_geometry

__all__ = ["KernelWindow", "resized_shape", "window_corners"]

Shape = tuple[int, int]
Centre = tuple[float, float]


def window_corners(centre: Centre, shape: Shape) -> NDArray[np.float64]:
    """Corners of the pixels that a kernel window covers.

    Parameters
    ----------
    centre : tuple of float
        (row, col) of the defect, where the kernel's pixel ``(h//2, w//2)`` lies.
    shape : tuple of int
        (h, w).

    Returns
    -------
    array, (4, 2)
        Outer edges of the pixels: half a pixel beyond their centres.
    """
    first = np.array(centre) - np.array(shape) // 2 - 0.5
    low, high = first, first + np.array(shape)
    return np.array([low, (low[0], high[1]), high, (high[0], low[1])])


def resized_shape(old: NDArray[np.float64], new: NDArray[np.float64], square: bool) -> Shape:
    """Read the size the user asks for by dragging a corner while the centre stays.

    Parameters
    ----------
    old, new : array, (4, 2)
        Corners before and after.
    square : bool
        Take the larger change for both axes.

    Returns
    -------
    tuple of int
        (h, w); each grows by twice as much as the corner moved.
    """
    before, after = np.ptp(old, axis=0), np.ptp(new, axis=0)
    growth = 2 * (after - before)
    if square:
        growth[:] = growth[np.argmax(np.abs(growth))]
    height, width = (round(float(size)) for size in before + growth)
    return height, width


class KernelWindow:
    """A rectangle on the image, around a defect.

    Dragging a corner changes the size, dragging the rectangle moves it to another defect.

    Parameters
    ----------
    viewer : napari.Viewer
        Where it is drawn.

    Attributes
    ----------
    resized : Signal(int, int)
        A person asks for this height and width.
    moved : Signal(float, float)
        A person dropped the window around this (row, col).
    """

    resized = Signal(int, int)
    moved = Signal(float, float)

    def __init__(self, viewer: napari.Viewer) -> None:
        self._viewer = viewer
        self._layer: Shapes | None = None
        self._image: Image | None = None
        self._corners = np.zeros((4, 2))
        self._wanted = self._corners
        self._square = True
        self._drawing = False
        self._dragging = False

    @property
    def layer(self) -> Shapes | None:
        """The layer it is drawn in, or None while it is not shown."""
        return self._layer if self._layer in self._viewer.layers else None

    @property
    def drawn(self) -> Shapes | None:
        """The layer it was last drawn in, even if the user has removed it."""
        return self._layer

    def show(self, image: Image, centre: Centre, shape: Shape, square: bool) -> None:
        """Draw the window of one image; during a drag this waits for its end.

        Parameters
        ----------
        image : Image
            The image whose pixels count.
        centre : tuple of float
            (row, col) of the defect.
        shape : tuple of int
            Kernel (h, w).
        square : bool
            Whether dragging keeps it square.
        """
        self._square = square
        self._wanted = window_corners(centre, shape)
        if self._dragging:
            return
        self._corners = self._wanted
        if self.layer is None or self._image is not image:
            self.hide()
            self._add(image)
        self._draw()

    def hide(self) -> None:
        """Take the layer away."""
        layer = self.layer
        self._layer = None
        self._dragging = False
        if layer is not None:
            layer.events.data.disconnect(self._on_data)
            layer.events.set_data.disconnect(self._on_drag)
            self._viewer.layers.remove(layer)

    def grab(self) -> None:
        """Make the window's handles ready for the mouse."""
        layer = self.layer
        if layer is not None:
            self._viewer.layers.selection.active = layer
            layer.mode = "select"
            layer.selected_data = {0}

    def _add(self, image: Image) -> None:
        """Add the layer that shows the window."""
        selected = list(self._viewer.layers.selection)
        self._image = image
        self._layer = Shapes(
            [self._corners],
            shape_type="rectangle",
            name="kernel window",
            edge_color="#00e5ff",
            face_color="transparent",
            edge_width=max(0.4, max(image.data.shape[-2:]) / 180),
            metadata={"napari_qpi": {"temporary": True}},
            **layer_geometry(image, 2),
        )
        self._viewer.add_layer(self._layer)
        self._viewer.layers.selection = selected
        self._layer.events.data.connect(self._on_data)
        self._layer.events.set_data.connect(self._on_drag)

    def _draw(self) -> None:
        """Draw the window's square about its centre."""
        layer = self.layer
        if layer is None or (
            len(layer.data) == 1
            and layer.data[0].shape == (4, 2)
            and np.allclose(layer.data[0], self._corners, atol=1e-3)
        ):
            return
        grabbed = layer.mode == "select" and bool(layer.selected_data)
        self._drawing = True
        try:
            layer.data = [(self._corners, "rectangle")]
            if grabbed:
                layer.selected_data = {0}
        finally:
            self._drawing = False

    def _on_data(self, event: object) -> None:
        """Take over a size that was dragged."""
        if self._drawing:
            return
        action = getattr(event, "action", None)
        if action == ActionType.CHANGING:
            self._dragging = True
        elif action in (ActionType.CHANGED, ActionType.ADDED, ActionType.REMOVED):
            self._dragging = False
            self._read()
            self._corners = self._wanted
            self._draw()

    def _on_drag(self, event: object = None) -> None:
        if self._dragging and not self._drawing:
            self._read(moves=False)

    def _read(self, moves: bool = True) -> None:
        """Read the window's size from its square."""
        layer = self.layer
        if layer is None or len(layer.data) != 1:
            return
        corners = np.asarray(layer.data[0], float)[:, -2:]
        if np.abs(np.ptp(corners, axis=0) - np.ptp(self._corners, axis=0)).max() > 0.05:
            self.resized.emit(*resized_shape(self._corners, corners, self._square))
        elif moves and np.abs(corners - self._corners).max() > 0.05:
            shift = corners.mean(axis=0) - self._corners.mean(axis=0)
            shape = np.ptp(self._corners, axis=0).round()
            centre = self._corners.min(axis=0) + 0.5 + shape // 2 + shift
            self.moved.emit(*map(float, centre))
