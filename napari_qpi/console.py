"""Short calls for napari's Python console; the same code as behind the buttons.

>>> from napari_qpi import console
>>> console.prepare(viewer).wait()
>>> console.mark(viewer, polarity="dark")
>>> extraction = console.extract(viewer, kernel_shape=(64, 64))
>>> extraction.wait()  # or go on, its layers appear when it is done
>>> console.kernels(viewer)
>>> console.report(viewer, "kernel.html")
>>> console.plan(viewer, kernel_shape=(64, 64))  # what to measure next
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qpi_kernels
from napari_qpi.commands import active_image, chosen_layer
from napari_qpi.layers.belonging import mask_of
from napari_qpi.layers.conversion import (
    LayerConversionError,
    add_layers,
    mask_from_layer,
    observation_from_layer,
    points_from_defects,
    result_of,
    shown_plane,
    type_of,
)
from qpi_kernels.extraction import start_warm_up
from qpi_kernels.extraction.registry import known_estimators, make_parameters

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer, Points

    from napari_qpi.tasks.console.extraction import ConsoleExtraction
    from napari_qpi.tasks.console.plan import ConsolePlan
    from napari_qpi.tasks.console.preparation import ConsolePreparation
    from napari_qpi.tasks.console.report import ConsoleReport
    from napari_qpi.tasks.extraction import ExtractionInput
    from qpi_kernels.extraction import EstimatorParameters
    from qpi_kernels.extraction.planning.parameters import MapProposalParameters
    from qpi_kernels.prepare import Step
    from qpi_kernels.result import KernelResult

__all__ = ["extract", "kernels", "mark", "plan", "prepare", "report"]


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

    start_warm_up()
    image = active_image(viewer) if image is None else image
    plane = shown_plane(observation_from_layer(image), image, viewer)
    counted = None if excluded is None else mask_from_layer(excluded, image)
    defects = detect_defects(plane.compute(), mask=counted, **parameters)
    (points,) = add_layers(
        viewer, [points_from_defects(defects, image, name=f"{image.name} defects")]
    )
    return points


def prepare(
    viewer: ViewerModel,
    steps: str | Path | Sequence[Step] = "suggest",
    image: Image | None = None,
    points: Points | None = None,
    *,
    excluded: Layer | None = None,
) -> ConsolePreparation:
    """Start to prepare an image; its layers appear when it is done.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer.
    steps : str, path or sequence of Step
        A preset of `qpi_kernels.prepare.presets`, a recipe ``.json``, or steps; what suits the
        image when left out.
    image : napari.layers.Image, optional
        What to prepare; the selected or topmost visible image when left out.
    points : napari.layers.Points, optional
        Defects that move along; those that belong to the image when left out.
    excluded : napari.layers.Layer, optional
        Labels, shapes or an image marking pixels that do *not* count.

    Returns
    -------
    ConsolePreparation
        ``wait()`` gives the `Prepared`, ``cancel()`` stops.

    Raises
    ------
    LayerConversionError, PreparationError
        If a layer can not be used, or there is no such preset.
    """
    from napari_qpi.layers.belonging import defects_of
    from napari_qpi.layers.defect_points import is_defect_layer
    from napari_qpi.layers.prepared import channel_layers
    from napari_qpi.tasks.console.preparation import ConsolePreparation
    from napari_qpi.tasks.preparation import PreparationInput
    from qpi_kernels.prepare import steps_called

    start_warm_up()
    chosen = steps_called(steps) if isinstance(steps, str | Path) else list(steps)
    image = active_image(viewer) if image is None else image
    if points is None:
        images = [layer for layer in viewer.layers if type_of(layer) == "image"]
        points = defects_of(image, filter(is_defect_layer, viewer.layers), images)
    task = PreparationInput.copy_from(
        image,
        points,
        excluded=mask_of(image, viewer.layers) if excluded is None else excluded,
        channels=channel_layers(image, viewer.layers),
    )
    return ConsolePreparation(viewer, task, chosen)


def extract(
    viewer: ViewerModel,
    image: Image | None = None,
    points: Points | None = None,
    *,
    excluded: Layer | None = None,
    bias: tuple[float, float] | None = None,
    parameters: EstimatorParameters | None = None,
    **fields: Any,
) -> ConsoleExtraction:
    """Start to extract the kernel; its layers appear when it is found.

    napari stays alive meanwhile, and the activity dock has a button to cancel. In a script without
    a viewer use `qpi_kernels.extract`, which returns the result.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer.
    image : napari.layers.Image, optional
        The observation; the selected or topmost visible image when left out.
    points : napari.layers.Points, optional
        The defects; the selected or topmost points layer when left out. Methods that find the
        defects do without.
    excluded : napari.layers.Layer, optional
        Labels, shapes or an image marking pixels that do *not* count; of a prepared image the layer
        that was made for it when left out.
    bias : tuple of float, optional
        Lowest and highest bias in V to use of a stack; planes less than half a step beyond count.
    parameters : EstimatorParameters, optional
        All choices together.
    **fields
        ``method``, ``kernel_shape`` and the other keywords of `qpi_kernels.extract`.

    Returns
    -------
    ConsoleExtraction
        ``wait()`` gives the `KernelResult`, ``cancel()`` stops.

    Raises
    ------
    LayerConversionError
        If a layer is missing or can not be used.
    ExtractionError
        If the extraction can not be done as asked. What is only found out at work is raised by
        ``wait()`` and shown as a notification.
    """
    from napari_qpi.tasks.console.extraction import ConsoleExtraction

    chosen = make_parameters(fields, parameters)
    task = _extraction_input(viewer, image, points, excluded, bias, chosen)
    return ConsoleExtraction(viewer, task)


def plan(
    viewer: ViewerModel,
    image: Image | None = None,
    points: Points | None = None,
    *,
    wanted: MapProposalParameters | None = None,
    excluded: Layer | None = None,
    **fields: Any,
) -> ConsolePlan:
    """Start to plan a map from a topograph with marks; its layers appear when it is done.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer.
    image, points, excluded
        As in `extract`.
    wanted : MapProposalParameters, optional
        Wanted error, time per pixel, share of the pixels, and what is known of the kernel.
    **fields
        ``method``, ``kernel_shape`` and other parameters of the extraction.

    Returns
    -------
    ConsolePlan
        ``wait()`` gives the `MapProposal`, ``cancel()`` stops.

    Raises
    ------
    LayerConversionError, ExtractionError
        As in `extract`.
    """
    from napari_qpi.tasks.console.plan import ConsolePlan
    from napari_qpi.tasks.planning.map_plan import MapPlanInput
    from qpi_kernels.extraction.planning.parameters import MapProposalParameters

    task = _extraction_input(viewer, image, points, excluded, None, make_parameters(fields))
    return ConsolePlan(viewer, MapPlanInput(task, wanted or MapProposalParameters()))


def _extraction_input(
    viewer: ViewerModel,
    image: Image | None,
    points: Points | None,
    excluded: Layer | None,
    bias: tuple[float, float] | None,
    parameters: EstimatorParameters,
) -> ExtractionInput:
    """Copy the layers that were named, or else those that the user means."""
    from napari_qpi.tasks.extraction import ExtractionInput

    image = active_image(viewer) if image is None else image
    if parameters.finds_defects:
        points = None
    elif points is None:
        points = _active_points(viewer)
    excluded = mask_of(image, viewer.layers) if excluded is None else excluded
    return ExtractionInput.copy_from(image, points, parameters, excluded=excluded, bias_range=bias)


def _with_own_keywords(function: Callable[..., Any]) -> inspect.Signature:
    """Spell out ``**fields``, which the console's completion does not look into."""
    own = inspect.signature(function)
    *explicit, rest = own.parameters.values()
    fields = inspect.signature(qpi_kernels.extract).parameters.values()
    known = {name for one in known_estimators().values() for name in one.parameters.model_fields}
    return own.replace(parameters=[*explicit, *(one for one in fields if one.name in known), rest])


extract.__signature__ = _with_own_keywords(extract)  # type: ignore[attr-defined]


def kernels(viewer: ViewerModel) -> list[KernelResult]:
    """List the results whose layers are in the viewer, each once, from the bottom up."""
    found = [result_of(layer) for layer in viewer.layers]
    return list({id(result): result for result in found if result is not None}.values())


def report(
    viewer: ViewerModel, path: str | Path, result: KernelResult | None = None
) -> ConsoleReport:
    """Start to write the report of an extraction.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer.
    path : path-like
        Ends in ``.html`` or ``.pdf``; an existing file is replaced.
    result : KernelResult, optional
        One of `kernels`; that of the selected layer, else the topmost, when left out.

    Returns
    -------
    ConsoleReport
        ``wait()`` gives the path, ``cancel()`` stops.

    Raises
    ------
    LayerConversionError
        If there is no kernel in the viewer.
    FigureError
        If the path ends in something else; raised by ``wait()``.
    """
    from napari_qpi.tasks.console.report import ConsoleReport

    if result is None:
        selected = viewer.layers.selection.active
        result = None if selected is None else result_of(selected)
    if result is None:
        found = kernels(viewer)
        if not found:
            raise LayerConversionError("extract a kernel first; there is none in the viewer")
        result = found[-1]
    return ConsoleReport(result, path)


def _active_points(viewer: ViewerModel) -> Points:
    """Give the points layer the user means: the selected one, else the topmost visible one."""
    from napari.layers import Points

    found: Points | None = chosen_layer(viewer, lambda layer: isinstance(layer, Points))
    if found is None:
        raise LayerConversionError("mark defects first; there is no points layer in the viewer")
    return found
