"""Commands of the menus, which need a viewer and no dock widget."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari_qpi.layers.conversion import (
    LayerConversionError,
    add_layers,
    is_observation,
    points_from_defects,
    type_of,
)
from qpi_kernels.defects import Defects

if TYPE_CHECKING:
    import napari
    from napari.components import ViewerModel
    from napari.layers import Image, Layer

__all__ = ["active_image", "chosen_layer", "new_defect_points", "save_selected"]

_SAVE_FILTERS = {
    "image": "NetCDF, lossless (*.nc);;Gwyddion (*.gwy);;TIFF (*.tif *.tiff);;NumPy (*.npz)",
    "points": "Defects (*.csv)",
}


def active_image(viewer: ViewerModel) -> Image:
    """Give the image the user means: the selected one, else the topmost visible one.

    Kernels and fits, which an extraction leaves selected, are passed over.

    Raises
    ------
    LayerConversionError
        If the viewer shows no image.
    """
    from napari.layers import Image

    found: Image | None = chosen_layer(
        viewer, lambda layer: isinstance(layer, Image) and is_observation(layer)
    )
    if found is not None:
        return found
    raise LayerConversionError("open an image first; there is none in the viewer")


def chosen_layer(viewer: ViewerModel, predicate: Callable[[Layer], bool]) -> Any:
    """Give the selected layer if it predicate, else the topmost visible one that does, or None."""
    selected = viewer.layers.selection.active
    if selected is not None and predicate(selected):
        return selected
    return next(
        (layer for layer in reversed(viewer.layers) if layer.visible and predicate(layer)), None
    )


def new_defect_points(viewer: napari.Viewer) -> None:
    """Add an empty points layer over the active image, ready for clicking on defects."""
    from napari.utils.notifications import show_warning

    try:
        image = active_image(viewer)
    except LayerConversionError as error:
        show_warning(str(error))
        return
    (points,) = add_layers(
        viewer, [points_from_defects(Defects([]), image, name=f"{image.name} defects")]
    )
    points.mode = "add"


def save_selected(viewer: napari.Viewer) -> list[str]:
    """Ask for a file name and save the selected layers with units and metadata."""
    from napari.utils.notifications import show_warning

    from napari_qpi.widgets.common.export import ask_save_path

    kinds = {type_of(layer) for layer in viewer.layers.selection}
    if len(kinds) != 1 or not kinds <= set(_SAVE_FILTERS):
        show_warning("Select image layers, or a points layer with defects, to save.")
        return []
    (kind,) = kinds
    path = ask_save_path(None, "Save", "", _SAVE_FILTERS[kind])
    if not path:
        return []
    saved: list[str] = viewer.layers.save(path, selected=True, plugin="napari-qpi")
    return saved
