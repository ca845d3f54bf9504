"""`PinLayer`: where spectra were pinned, in the colours of their curves."""

from __future__ import annotations

from collections.abc import Sequence

import napari
import numpy as np
from napari.layers import Image, Points

from napari_qpi.layers.conversion import METADATA_KEY
from napari_qpi.layers.geometry import layer_geometry, pixel_to_pixel

__all__ = ["PINS_NAME", "PinLayer"]

PINS_NAME = "Inspect pins"

_SIZE = 9.0


class PinLayer:
    """A layer of points over an image of a viewer.

    Parameters
    ----------
    viewer : napari.Viewer
        Where it is drawn.
    """

    def __init__(self, viewer: napari.Viewer) -> None:
        self._viewer = viewer
        self._layer: Points | None = None

    @property
    def layer(self) -> Points | None:
        """The layer, or None where it is not shown or was deleted."""
        return self._layer if self._layer in self._viewer.layers else None

    def show(self, pins: Sequence[tuple[Image, tuple[int, int], str]]) -> None:
        """Draw pins; none takes the layer away.

        Parameters
        ----------
        pins : sequence of (Image, (int, int), str)
            The layer, the pixel (row, col) of it, and the colour of each.
        """
        self.hide()
        if not pins:
            return
        first = pins[0][0]
        places = [pixel_to_pixel([pixel], image, first)[0] for image, pixel, _ in pins]
        selected = list(self._viewer.layers.selection)
        self._layer = Points(
            np.array(places),
            name=PINS_NAME,
            size=_SIZE,
            symbol="cross",
            face_color=[color for *_, color in pins],
            border_width=0.0,
            metadata={METADATA_KEY: {"temporary": True, "role": "spectra"}},
            **layer_geometry(first, 2),
        )
        self._viewer.add_layer(self._layer)
        self._viewer.layers.selection = selected

    def hide(self) -> None:
        """Take the layer away."""
        layer, self._layer = self.layer, None
        if layer is not None:
            self._viewer.layers.remove(layer)
