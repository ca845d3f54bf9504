"""Docks opened as napari opens them, and images with pitch, offset and rotation for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from napari import Viewer

__all__ = ["PLACED", "open_dock"]

Kind = TypeVar("Kind")

PLACED: dict[str, Any] = {
    "scale": (0.5, 0.25),
    "translate": (3.0, -4.0),
    "rotate": 20.0,
    "units": ("nm", "nm"),
    "axis_labels": ("y", "x"),
}
"""Geometry of an image layer whose pixels are neither square nor upright."""


def open_dock(viewer: Viewer, name: str, kind: type[Kind]) -> Kind:
    """Open a dock by its name in the menu."""
    _, dock = viewer.window.add_plugin_dock_widget("napari-qpi", name)
    assert isinstance(dock, kind)
    return dock
