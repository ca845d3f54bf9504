"""What the menus call: small commands that need a viewer and no dock widget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_qpi.layers import LayerConversionError, add_layers, points_from_defects, type_of
from qpi_kernels.defects import Defects

if TYPE_CHECKING:
    import napari
    from napari.layers import Image, Layer

__all__ = ["active_image", "chosen_layer", "new_defect_points", "save_selected"]

_SAVE_FILTERS = {
    "image": "NetCDF, lossless (*.nc);;Gwyddion (*.gwy);;TIFF (*.tif);;NumPy (*.npz)",
    "points": "Defects (*.csv)",
}


def active_image(viewer: napari.Viewer) -> Image:
    """Give the image a person means: the selected one, else the topmost visible one.

    Raises
    ------
    LayerConversionError
        If the viewer shows no image.
    """
    from napari.layers import Image

    found: Image | None = chosen_layer(viewer, Image)
    if found is not None:
        return found
    raise LayerConversionError("open an image first; there is none in the viewer")


def chosen_layer(viewer: napari.Viewer, kind: type[Layer]) -> Any:
    """Give the selected layer if it is of this kind, else the topmost visible one, or None."""
    selected = viewer.layers.selection.active
    if isinstance(selected, kind):
        return selected
    candidates = [layer for layer in viewer.layers if isinstance(layer, kind) and layer.visible]
    return candidates[-1] if candidates else None


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
    from qtpy.QtWidgets import QFileDialog

    kinds = {type_of(layer) for layer in viewer.layers.selection}
    if len(kinds) != 1 or not kinds <= set(_SAVE_FILTERS):
        show_warning("Select image layers, or a points layer with defects, to save.")
        return []
    (kind,) = kinds
    path, chosen = QFileDialog.getSaveFileName(None, "Save", "", _SAVE_FILTERS[kind])
    if not path:
        return []
    extension = chosen.rpartition("*")[2].rstrip(")")
    if not path.lower().endswith((".nc", ".gwy", ".tif", ".tiff", ".npz", ".csv")):
        path += extension
    saved: list[str] = viewer.layers.save(path, selected=True, plugin="napari-qpi")
    return saved
