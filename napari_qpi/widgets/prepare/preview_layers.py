"""`PreviewLayers`: the prepared plane, and what it leaves out, over the image while it is tried."""

from __future__ import annotations

from typing import Any

import napari
import numpy as np
from napari.layers import Image
from napari.utils import Colormap

from napari_qpi.layers.conversion import METADATA_KEY
from napari_qpi.layers.geometry import PixelToWorld
from napari_qpi.layers.prepared import LEFT_OUT_COLORS, prepared_geometry
from napari_qpi.tasks.preparation_preview import PreviewedPlane
from qpi_kernels.inspect.colours import colour_limits

__all__ = ["PreviewLayers"]


class PreviewLayers:
    """Show a plane before or after the steps, on top of all layers.

    Parameters
    ----------
    viewer : napari.Viewer
        Where it is shown.
    """

    def __init__(self, viewer: napari.Viewer) -> None:
        self._viewer = viewer
        self._layers: list[Image] = []

    @property
    def layer(self) -> Image | None:
        """The layer of the plane, or None while it is not shown."""
        return next(iter(self._shown()), None)

    def show(self, source: Image, preview: PreviewedPlane, before: bool) -> None:
        """Show the plane before or after the steps, where it lies in the world."""
        plane = preview.raw if before else preview.plane
        mask = preview.scan.mask if before else preview.made.mask
        counted = np.where(mask, plane.values, np.nan)
        if not np.isfinite(counted).any():
            counted = plane.values
        geometry = prepared_geometry(source, preview.raw, plane)
        made = [
            Image(
                plane.values,
                name="preview of the preparation",
                colormap=source.colormap,
                contrast_limits=colour_limits(counted, signed=False),
                **_common(geometry),
            )
        ]
        if not mask.all():
            made.append(
                Image(
                    (~mask).astype(np.float32),
                    name="preview of what is left out",
                    opacity=0.5,
                    colormap=Colormap(["#00000000", LEFT_OUT_COLORS[1]], name="left out"),
                    contrast_limits=(0.0, 1.0),
                    **_common(geometry),
                )
            )
        self._replace(made)

    def hide(self) -> None:
        """Take the layers away."""
        self._replace([])

    def _shown(self) -> list[Image]:
        return [layer for layer in self._layers if layer in self._viewer.layers]

    def _replace(self, made: list[Image]) -> None:
        """Change the layers in place where the new ones are of the same kinds and place."""
        shown = self._shown()
        if [_place(layer) for layer in shown] == [_place(layer) for layer in made]:
            for old, new in zip(shown, made, strict=True):
                old.data = new.data
                old.contrast_limits = new.contrast_limits
            return
        selected = [layer for layer in self._viewer.layers.selection if layer not in shown]
        for layer in shown:
            self._viewer.layers.remove(layer)
        self._layers = made
        self._viewer.layers.extend(made)
        self._viewer.layers.selection = selected


def _common(geometry: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {METADATA_KEY: {"temporary": True, "role": "preview"}}, **geometry}


def _place(layer: Image) -> tuple[Any, ...]:
    """Give all in which layers have to agree to be changed in place."""
    place = PixelToWorld.of(layer)
    return (
        layer.name,
        layer.data.shape,
        layer.colormap.name,
        place.matrix.tobytes(),
        place.offset.tobytes(),
    )
