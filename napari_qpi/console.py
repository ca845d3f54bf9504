"""Short calls for napari's Python console; the same code as behind the buttons.

>>> from napari_qpi import console
>>> console.mark(viewer, polarity="dark")
>>> console.extract(viewer, kernel_shape=(64, 64))
>>> console.kernels(viewer)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_qpi.commands import active_image, chosen_layer
from napari_qpi.layers.conversion import (
    LayerConversionError,
    add_layers,
    defects_from_points,
    mask_from_layer,
    observation_from_layer,
    points_from_defects,
    result_of,
    shown_plane,
)
from napari_qpi.layers.result import show_result

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer, Points

    from qpi_kernels.progress import Event
    from qpi_kernels.result import KernelResult

__all__ = ["extract", "kernels", "mark"]


def mark(
    viewer: ViewerModel,
    image: Image | None = None,
    *,
    excluded: Layer | None = None,
    **parameters: Any,
) -> Points:
    """Find defects and show them as points.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer.
    image : napari.layers.Image, optional
        Where to look; the selected or topmost visible image when left out. Of a stack the plane
        on show is searched.
    excluded : napari.layers.Layer, optional
        Labels, shapes or an image marking where *not* to look.
    **parameters
        Fields of `qpi_kernels.defects.DetectionParameters`.

    Returns
    -------
    napari.layers.Points
        The new layer, over the image.

    Raises
    ------
    LayerConversionError
        If there is no image to search.
    """
    from qpi_kernels.defects.detection import detect_defects

    image = active_image(viewer) if image is None else image
    plane = shown_plane(observation_from_layer(image), image, viewer)
    counted = None if excluded is None else mask_from_layer(excluded, image)
    defects = detect_defects(plane.compute(), mask=counted, **parameters)
    (points,) = add_layers(
        viewer, [points_from_defects(defects, image, name=f"{image.name} defects")]
    )
    return points


def extract(
    viewer: ViewerModel,
    image: Image | None = None,
    points: Points | None = None,
    *,
    excluded: Layer | None = None,
    bias: tuple[float, float] | None = None,
    **parameters: Any,
) -> KernelResult:
    """Extract the kernel, wait for it and show it.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer.
    image : napari.layers.Image, optional
        The observation; the selected or topmost visible image when left out.
    points : napari.layers.Points, optional
        The defects; the selected or topmost points layer when left out. Not needed by the method
        ``blind``.
    excluded : napari.layers.Layer, optional
        Labels, shapes or an image marking pixels that do *not* count.
    bias : tuple of float, optional
        Lowest and highest bias in V to use of a stack.
    **parameters
        Fields of `qpi_kernels.extraction.ExtractionParameters`.

    Returns
    -------
    KernelResult
        What the new layers show.

    Raises
    ------
    LayerConversionError
        If a layer is missing, or no bias lies in the range.
    ExtractionError
        If the extraction can not be done as asked.
    """
    from napari.utils import progress

    import qpi_kernels

    image = active_image(viewer) if image is None else image
    # Blind finds the defects itself.
    if points is None and parameters.get("method") != "blind":
        points = _active_points(viewer)
    observation = observation_from_layer(image)
    if bias is not None:
        observation = _within(observation, bias)
    counted = None if excluded is None else mask_from_layer(excluded, image)
    with progress(total=0, desc="Extract kernel") as bar:

        def show(event: Event) -> None:
            bar.total = event.total
            bar.update(event.step - bar.n)

        result = qpi_kernels.extract(
            observation.compute(),
            None if points is None else defects_from_points(points, image),
            mask=counted,
            on_event=show,
            **parameters,
        )
    return show_result(viewer, result, image)


def kernels(viewer: ViewerModel) -> list[KernelResult]:
    """List the results whose layers are in the viewer, each once, from the bottom up."""
    found = [result_of(layer) for layer in viewer.layers]
    return list({id(result): result for result in found if result is not None}.values())


def _active_points(viewer: ViewerModel) -> Points:
    from napari.layers import Points

    found: Points | None = chosen_layer(viewer, lambda layer: isinstance(layer, Points))
    if found is None:
        raise LayerConversionError("mark defects first; there is no points layer in the viewer")
    return found


def _within(observation: Any, bias: tuple[float, float]) -> Any:
    if "bias" not in observation.dims:
        return observation
    low, high = sorted(bias)
    chosen = observation.sel(bias=(observation["bias"] >= low) & (observation["bias"] <= high))
    if not chosen.sizes["bias"]:
        values = observation["bias"].values
        raise LayerConversionError(
            f"no bias lies within {low:g} to {high:g} V; the stack has {values[0]:g} to "
            f"{values[-1]:g} V"
        )
    return chosen
