"""A planned map as layers over the topograph that it was planned from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image

from napari_qpi.layers.conversion import METADATA_KEY, LayerData, image_id
from napari_qpi.layers.geometry import layer_geometry

if TYPE_CHECKING:
    from qpi_kernels.extraction.planning.proposal import MapProposal

__all__ = ["planned_layers"]

_COLOR = "#ffb000"


def planned_layers(proposal: MapProposal, image: Image) -> list[LayerData]:
    """Show where to scan, and the pixels to measure if not all are.

    Parameters
    ----------
    proposal : MapProposal
        From a plan of the image.
    image : napari.layers.Image
        The topograph.

    Returns
    -------
    list of tuple
        Layer data: pixels (labels) if they were chosen, and a rectangle (shapes).
    """
    geometry = layer_geometry(image, ndim=2)
    layers: list[LayerData] = []

    def metadata(role: str) -> dict[str, dict[str, str]]:
        """Tell what a layer is, and of which image."""
        return {METADATA_KEY: {"role": role, "image": image_id(image)}}

    if proposal.measured is not None:
        arguments = {
            "name": f"{image.name} pixels to measure",
            "opacity": 0.6,
            "metadata": metadata("planned pixels"),
            **geometry,
        }
        layers.append((proposal.measured.astype(np.uint8), arguments, "labels"))
    arguments = {
        "name": f"{image.name} planned map",
        "ndim": 2,
        "shape_type": "rectangle",
        "face_color": "transparent",
        "edge_color": _COLOR,
        "edge_width": max(1.0, 0.006 * max(image.data.shape[-2:])),
        "metadata": metadata("planned map"),
        **geometry,
    }
    layers.append((proposal.rectangle.corners[None], arguments, "shapes"))
    return layers
