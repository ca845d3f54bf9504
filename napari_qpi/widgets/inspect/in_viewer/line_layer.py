"""`LineLayer`: a line on an image in the viewer, whose ends are dragged with the mouse."""

from __future__ import annotations

import napari
import numpy as np
import xarray as xr
from napari.layers import Image, Layer, Shapes
from numpy.typing import NDArray
from psygnal import Signal

from napari_qpi.layers.conversion import METADATA_KEY
from napari_qpi.layers.geometry import layer_geometry, pixel_to_pixel

__all__ = ["LINE_NAME", "LineLayer", "Place"]

LINE_NAME = "Inspect line"

# (y, x) in the coordinates of an array.
Place = tuple[float, float]

_COLOR = "#00e5ff"
_SAME = 1e-6
# Of the image's larger side.
_WIDTH = 1 / 180


class LineLayer:
    """A layer with one line, over one image of a viewer.

    Places are in the coordinates of the array that the image shows, as the library gets it,
    whatever the layer's angle and scale. Nobody is to save or to extract
    from the layer: it is in the list only while the line is shown.

    Parameters
    ----------
    viewer : napari.Viewer
        Where it is drawn.

    Attributes
    ----------
    moved : Signal(tuple, tuple)
        A person moved the line: its start and stop (y, x), during the drag, too.
    """

    moved = Signal(tuple, tuple)

    def __init__(self, viewer: napari.Viewer) -> None:
        self._viewer = viewer
        self._layer: Shapes | None = None
        self._image: Image | None = None
        self._known = np.zeros((2, 2))
        self._first, self._step = np.zeros(2), np.ones(2)
        self._drawing = False
        # What was selected when the line was grabbed.
        self._before: list[Layer] = []

    @property
    def layer(self) -> Shapes | None:
        """The layer with the line, or None where it is not shown or was deleted."""
        return self._layer if self._layer in self._viewer.layers else None

    def show(self, image: Image, array: xr.DataArray, start: Place, stop: Place) -> None:
        """Draw a line on an image; `moved` is not emitted.

        Parameters
        ----------
        image : napari.layers.Image
            The layer.
        array : xarray.DataArray
            What the layer shows: its ``y`` and ``x`` say which place a pixel has.
        start, stop : tuple of float
            (y, x) in the array's coordinates.
        """
        first, step = _axes(array)
        pixels = (np.array([start, stop], float) - first) / step
        if self.layer is None or self._image is not image:
            self.hide()
            self._add(image, pixels)
        layer = self.layer
        assert layer is not None
        self._first, self._step = first, step
        self._known = pixels
        drawn = self._ends()
        if len(layer.data) == 1 and drawn is not None and np.allclose(drawn, pixels, atol=1e-3):
            return
        self._drawing = True
        try:
            layer.data = [(pixel_to_pixel(pixels, image, layer), "line")]
        finally:
            self._drawing = False

    def hide(self) -> None:
        """Take the layer away."""
        layer, self._layer = self.layer, None
        if layer is not None:
            layers = self._viewer.layers
            was_active = layers.selection.active is layer
            layer.events.set_data.disconnect(self._on_data)
            layer.events.data.disconnect(self._on_data)
            layers.remove(layer)
            if was_active:
                layers.selection = [one for one in self._before if one in layers]

    def grab(self) -> None:
        """Make the line's ends ready for the mouse, over all layers."""
        layer, layers = self.layer, self._viewer.layers
        if layer is not None:
            layers.move(layers.index(layer), len(layers))
            if layers.selection.active is not layer:
                self._before = list(layers.selection)
            layers.selection.active = layer
            layer.mode = "direct"
            layer.selected_data = {len(layer.data) - 1}

    def _add(self, image: Image, pixels: NDArray[np.float64]) -> None:
        """Add the layer over the image, which stays selected."""
        selected = list(self._viewer.layers.selection)
        self._image = image
        self._layer = Shapes(
            [pixels],
            shape_type="line",
            name=LINE_NAME,
            edge_color=_COLOR,
            edge_width=_WIDTH * max(image.data.shape[-2:]),
            metadata={METADATA_KEY: {"temporary": True}},
            **layer_geometry(image, 2),
        )
        self._viewer.add_layer(self._layer)
        self._viewer.layers.selection = selected
        self._layer.events.set_data.connect(self._on_data)
        self._layer.events.data.connect(self._on_data)

    def _ends(self) -> NDArray[np.float64] | None:
        """Read both ends of the latest line, in pixels of the image."""
        layer, image = self.layer, self._image
        if layer is None or image is None or not len(layer.data):
            return None
        drawn = np.asarray(layer.data[-1], float)[:, -2:]
        if len(drawn) < 2:
            return None
        return pixel_to_pixel(drawn[[0, -1]], layer, image)

    def _on_data(self, event: object = None) -> None:
        """Tell where the line lies now, if it was moved."""
        ends = None if self._drawing else self._ends()
        if ends is None or self._image is None or np.abs(ends - self._known).max() < _SAME:
            return
        self._known = ends
        self.moved.emit(*_places(self._first + ends * self._step))


def _axes(array: xr.DataArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the coordinates (y, x) of an array's first pixel and their steps."""
    axes = [np.asarray(array[axis].values, float) for axis in ("y", "x")]
    return np.array([axis[0] for axis in axes]), np.array([axis[1] - axis[0] for axis in axes])


def _places(ends: NDArray[np.float64]) -> tuple[Place, Place]:
    (first, second), (third, fourth) = ends.tolist()
    return (first, second), (third, fourth)
