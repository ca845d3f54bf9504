"""`ActivationPreview`: the activation map M as a layer that follows the points."""

from __future__ import annotations

import napari
import numpy as np
from napari.layers import Image

from napari_qpi.layers.conversion import METADATA_KEY, layer_geometry
from qpi_kernels.defects import Defects

__all__ = ["ActivationPreview"]


class ActivationPreview:
    """Shows where the model believes the defects are, with their sub-pixel weights.

    Parameters
    ----------
    viewer : napari.Viewer
        Where it is shown.
    """

    def __init__(self, viewer: napari.Viewer) -> None:
        self._viewer = viewer
        self._layer: Image | None = None
        self._image: Image | None = None

    @property
    def layer(self) -> Image | None:
        """The layer, or None while it is not shown."""
        return self._layer if self._layer in self._viewer.layers else None

    def show(self, image: Image, defects: Defects) -> None:
        """Show M of a table, in pixels of the image, over the image."""
        activation = defects.activation(image.data.shape[-2:])
        limits = (0.0, max(float(np.abs(activation).max(initial=0.0)), 1e-6))
        if self.layer is not None and self._image is image:
            self.layer.data = activation
            self.layer.contrast_limits = limits
            return
        self.hide()
        self._image = image
        self._layer = Image(
            activation,
            name="activation M (preview)",
            colormap="gray",
            blending="additive",
            interpolation2d="nearest",
            contrast_limits=limits,
            metadata={METADATA_KEY: {"temporary": True, "role": "activation"}},
            **layer_geometry(image, 2),
        )
        selected = list(self._viewer.layers.selection)
        # On top: the points would hide the few pixels that carry weight.
        self._viewer.add_layer(self._layer)
        self._viewer.layers.selection = selected

    def hide(self) -> None:
        """Take the layer away."""
        layer = self.layer
        self._layer = None
        if layer is not None:
            self._viewer.layers.remove(layer)
