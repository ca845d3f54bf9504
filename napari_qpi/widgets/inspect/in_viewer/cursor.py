"""`CursorFollower`: which pixels of which arrays lie under the mouse in the viewer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import napari
import numpy as np
from napari.layers import Image
from psygnal import Signal

__all__ = ["CursorFollower", "pixel_under"]

Pixel = tuple[int, int]
World = tuple[float, ...]


def pixel_under(image: Image, world: World) -> Pixel | None:
    """Find the pixel (row, col) of an image at a place in the world, None beside the image."""
    place = np.asarray(image.world_to_data(world[-image.ndim :]), float)[-2:]
    row, column = np.rint(place).astype(int).tolist()
    height, width = image.data.shape[-2:]
    return (row, column) if 0 <= row < height and 0 <= column < width else None


class CursorFollower:
    """Tells where the mouse is on the canvas, and where it was clicked with Shift.

    Whatever layer is active or seen there, the place in the world counts.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose mouse is followed until `disconnect_events`.

    Attributes
    ----------
    moved : Signal(tuple)
        World coordinates of the last two axes, as the mouse moves.
    pinned : Signal(tuple)
        The same, where a person clicks with Shift held and does not drag.
    """

    moved = Signal(tuple)
    pinned = Signal(tuple)

    def __init__(self, viewer: napari.Viewer) -> None:
        self._viewer = viewer
        viewer.mouse_move_callbacks.append(self._on_move)
        viewer.mouse_drag_callbacks.append(self._on_press)

    def disconnect_events(self) -> None:
        """Follow the mouse no more."""
        for callbacks, slot in (
            (self._viewer.mouse_move_callbacks, self._on_move),
            (self._viewer.mouse_drag_callbacks, self._on_press),
        ):
            with suppress(ValueError):
                callbacks.remove(slot)

    def _on_move(self, viewer: object, event: Any) -> None:
        self._tell(self.moved, event)

    def _on_press(self, viewer: object, event: Any) -> Iterator[None]:
        """Pin the place of a click; a drag with Shift belongs to the active layer."""
        if "Shift" not in event.modifiers:
            return
        yield
        while event.type == "mouse_move":
            if event.is_dragging:
                return
            yield
        self._tell(self.pinned, event)

    def _tell(self, signal: Any, event: Any) -> None:
        if self._viewer.dims.ndisplay == 2:
            signal.emit(tuple(float(value) for value in event.position))
