"""The layers that belong to an image: its defects, and its pixels that do not count."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from napari.layers import Image, Layer, Points

from napari_qpi.layers.conversion import MASK, METADATA_KEY, image_id
from napari_qpi.layers.geometry import PixelToWorld, pixel_to_pixel

__all__ = ["defects_of", "made_for", "mask_of"]


def defects_of(
    image: Image, candidates: Iterable[Points], images: Sequence[Image]
) -> Points | None:
    """Choose the layer of defects that belongs to an image.

    Parameters
    ----------
    image : napari.layers.Image
        The image.
    candidates : iterable of Points
        Layers of defects; of equal ones the first is chosen.
    images : sequence of Image
        All images of the viewer, to which the candidates may belong instead.

    Returns
    -------
    Points or None
        A layer made for the image, else one that lies on it, else one that lies nowhere; visible
        ones first. None if all belong to other images.
    """
    others = [other for other in images if other is not image]
    ranked = [(_rank(points, image, others), points.visible, points) for points in candidates]
    rank, _, best = max(ranked, key=lambda each: each[:2], default=(0, False, None))
    return best if rank else None


def mask_of(image: Image, candidates: Iterable[Layer]) -> Layer | None:
    """Choose the layer that was made to mark the pixels of an image that do not count."""
    marks = (each for each in candidates if each.metadata.get(METADATA_KEY, {}).get("role") == MASK)
    return next((each for each in marks if made_for(each, image)), None)


def made_for(layer: Layer, image: Image) -> bool:
    """Return whether a layer of points or labels was made for an image."""
    known, of_image = (each.metadata.get(METADATA_KEY, {}) for each in (layer, image))
    if "file" in known:
        return bool(known["file"] == of_image.get("file"))
    return bool(known.get("image") == image_id(image))


def _rank(points: Points, image: Image, others: Sequence[Image]) -> int:
    """Rank how surely points belong to an image, from 0 (not at all) to 3 (by its identity)."""
    if made_for(points, image):
        return 3
    owner = points.metadata.get(METADATA_KEY, {}).get("image")
    here = _lies_on(points, image)
    if owner in map(image_id, others):
        # Seen on this image, too: a levelled copy of the map that the defects were marked on.
        return int(here and points.visible)
    if here:
        return 2
    return int(not any(_lies_on(points, other) for other in others))


def _lies_on(points: Points, image: Layer) -> bool:
    """Compare with the pixels of an image: half of the points, or the place of an empty layer."""
    if not len(points.data):
        ours, theirs = PixelToWorld.of(points), PixelToWorld.of(image)
        return np.allclose(ours.matrix, theirs.matrix) and np.allclose(ours.offset, theirs.offset)
    pixels = pixel_to_pixel(points.data[:, -2:], points, image)
    inside = (pixels > -1) & (pixels < image.data.shape[-2:])
    return bool(inside.all(axis=1).mean() >= 0.5)
