"""`PreparationInput`: everything a preparation needs, copied from the layers before it starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import xarray as xr
from napari.layers import Image, Layer, Points

from napari_qpi.layers.conversion import add_layers, detached, points_from_defects
from napari_qpi.layers.prepared import (
    PreparationRecord,
    channel_layers,
    left_out_layer,
    prepared_layer,
    scan_from_layers,
)
from qpi_kernels import prepare
from qpi_kernels.prepare import Preparation, Prepared, Step

if TYPE_CHECKING:
    from napari.components import ViewerModel

__all__ = [
    "PreparationInput",
    "can_suggest",
    "needed_channels",
    "presets",
    "report_notes",
    "show_prepared",
    "suggest",
]


@dataclass(frozen=True, eq=False)
class PreparationInput:
    """A copy of all that a preparation depends on; layers may change or go meanwhile.

    Parameters
    ----------
    image : napari.layers.Image
        A copy of the layer that is in no viewer: name, place and look for the result.
    scan : Prepared
        Image, mask, defects and other channels.
    record : PreparationRecord
        Where they came from.
    """

    image: Image
    scan: Prepared
    record: PreparationRecord

    @classmethod
    def copy_from(
        cls,
        image: Image,
        points: Points | None = None,
        *,
        excluded: Layer | None = None,
        channels: Mapping[str, Image] | None = None,
    ) -> PreparationInput:
        """Copy from layers; call this in the GUI thread.

        Parameters
        ----------
        image : napari.layers.Image
            What to prepare.
        points : napari.layers.Points, optional
            Its defects.
        excluded : napari.layers.Layer, optional
            Marks what does not count.
        channels : mapping of str to napari.layers.Image, optional
            Other channels, by what they are to the steps.

        Raises
        ------
        LayerConversionError, PreparationError
            If a layer can not be used.
        """
        scan, record = scan_from_layers(image, points, excluded, channels)
        return cls(detached(image, image.data), scan, record)

    def start(self, steps: Sequence[Step]) -> Preparation:
        """Give the stepper."""
        return Preparation(self.scan, steps)


def needed_channels(
    steps: Iterable[Step], image: Image, layers: Iterable[Layer]
) -> dict[str, Image | None]:
    """Find a layer of the same scan for every other channel that steps read; None without one.

    The topography's way back is added for steps that read the way back.
    """
    found = channel_layers(image, layers)
    names = dict.fromkeys(name for step in steps for name in step.channels)
    chosen: dict[str, Image | None] = {name: found.get(name) for name in names}
    if "retrace" in chosen and {"topography", "topography_retrace"} <= set(found):
        chosen |= {name: found[name] for name in ("topography", "topography_retrace")}
    return chosen


def presets() -> dict[str, list[Step]]:
    """List the library's presets; none where it has none."""
    known = getattr(prepare, "presets", None)
    return {} if known is None else dict(known())


def can_suggest() -> bool:
    """Return whether the library suggests steps."""
    return hasattr(prepare, "suggest")


def suggest(image: xr.DataArray) -> Any:
    """Suggest steps for an image, each with its reason."""
    return prepare.suggest(image)  # type: ignore[attr-defined]


def report_notes(prepared: Prepared, last: int) -> list[str]:
    """Write in a line each what the last steps found and changed."""
    notes = []
    for found in list(prepared.report.values())[len(prepared.report) - last :]:
        numbers = {
            key: value for key, value in found.items() if isinstance(value, int | float | str)
        }
        words = (
            f"{key.replace('_', ' ')} {value}"
            if isinstance(value, str)
            else f"{key.replace('_', ' ')} {value:.3g}"
            for key, value in numbers.items()
        )
        notes.append(", ".join(words))
    return notes


def show_prepared(viewer: ViewerModel, task: PreparationInput, prepared: Prepared) -> list[Layer]:
    """Add what a preparation made: image, pixels left out, and defects.

    Labels and points come only where some pixels do not count, and where there are defects.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer.
    task : PreparationInput
        What was prepared.
    prepared : Prepared
        What the steps made.

    Returns
    -------
    list of napari.layers.Layer
        The new layers, the image first; it is selected.
    """
    made = add_layers(viewer, [prepared_layer(prepared, task.image, task.record)])
    (image,) = made
    left_out = left_out_layer(prepared, image)
    if left_out is not None:
        made += add_layers(viewer, [left_out])
    if prepared.defects is not None and len(prepared.defects):
        points = points_from_defects(prepared.defects, image, name=f"{image.name} defects")
        made += add_layers(viewer, [points])
    viewer.layers.selection.active = image
    return made
