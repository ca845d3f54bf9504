"""The mouse over napari's canvas, in world coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils._test_utils import read_only_mouse_event
from napari.utils.interactions import (
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Layer

__all__ = ["click", "drag", "move_to"]


def move_to(viewer: Viewer, place: Sequence[float]) -> None:
    """Move the mouse over the canvas."""
    mouse_move_callbacks(viewer, _event("mouse_move", place))


def click(viewer: Viewer, place: Sequence[float], *modifiers: str) -> None:
    """Click on the canvas."""
    mouse_press_callbacks(viewer, _event("mouse_press", place, *modifiers))
    mouse_release_callbacks(viewer, _event("mouse_release", place, *modifiers))


def drag(layer: Layer, begin: Sequence[float], goal: Sequence[float]) -> None:
    """Drag what a layer has at one place to another, in two moves."""
    first, last = np.asarray(begin, float), np.asarray(goal, float)
    mouse_press_callbacks(layer, _event("mouse_press", first))
    for place in ((first + last) / 2, last):
        mouse_move_callbacks(layer, _event("mouse_move", place, dragging=True))
    mouse_release_callbacks(layer, _event("mouse_release", last))


def _event(kind: str, place: Sequence[float], *modifiers: str, dragging: bool = False) -> Any:
    count = len(place)
    return read_only_mouse_event(
        type=kind, is_dragging=dragging, position=tuple(place), modifiers=list(modifiers),
        view_direction=None, up_direction=None, dims_displayed=[count - 2, count - 1],
    )  # fmt: skip
