"""`PreparationInput`: everything a preparation needs, copied from the layers before it starts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

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
from qpi_kernels.prepare import Preparation, PreparationError, Prepared, Step
from qpi_kernels.prepare.report_sentences import report_lines
from qpi_kernels.progress import Event, GeneratorStepper, follow

if TYPE_CHECKING:
    from napari.components import ViewerModel

__all__ = [
    "PreparationInput",
    "SuggestedPreparation",
    "needed_channels",
    "report_notes",
    "show_prepared",
]


# The topograph and its way back tell the lag of the two directions best.
_PAIR = ("topography", "topography_retrace")


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

    def for_steps(self, steps: Iterable[Step]) -> PreparationInput:
        """Leave out the channels that these steps do not read."""
        read = {name for step in steps for name in step.channels}
        read |= set(_PAIR) if "retrace" in read else set()
        channels = {name: array for name, array in self.scan.channels.items() if name in read}
        written = {name: known for name, known in self.record.channels.items() if name in read}
        return replace(
            self,
            scan=replace(self.scan, channels=channels),
            record=replace(self.record, channels=written),
        )


class SuggestedPreparation(GeneratorStepper[tuple[PreparationInput, Prepared]]):
    """Prepare an image with what suits it.

    Parameters
    ----------
    task : PreparationInput
        The input, with all other channels that there are.
    steps : sequence of Step, optional
        What to do; what `qpi_kernels.prepare.suggest` says when left out.
    """

    def __init__(self, task: PreparationInput, steps: Sequence[Step] | None = None) -> None:
        self._task, self._steps = task, steps

    def _run(self) -> Generator[Event, None, tuple[PreparationInput, Prepared]]:
        """Look at the image, then run the steps; return what they were given and made."""
        steps = self._steps
        if steps is None:
            yield Event("Looking at the image")
            steps = list(prepare.suggest(self._task.scan).steps)
            if not steps:
                raise PreparationError("nothing has to be prepared: the image looks level")
        task = self._task.for_steps(steps)
        prepared = yield from follow(task.start(steps))
        return task, prepared


def needed_channels(
    steps: Iterable[Step], image: Image, layers: Iterable[Layer]
) -> dict[str, Image | None]:
    """Find a layer of the same scan for every other channel that steps read; None without one.

    The topography's way back is added for steps that read the way back.
    """
    found = channel_layers(image, layers)
    names = dict.fromkeys(name for step in steps for name in step.channels)
    chosen: dict[str, Image | None] = {name: found.get(name) for name in names}
    if "retrace" in chosen and set(_PAIR) <= set(found):
        chosen |= {name: found[name] for name in _PAIR}
    return chosen


def report_notes(prepared: Prepared, last: int) -> list[str]:
    """Write in a line each what the last steps found and changed."""
    times: Counter[str] = Counter()
    notes = []
    for entry in prepared.history:
        name = str(entry["step"])
        times[name] += 1
        key = name if times[name] == 1 else f"{name}_{times[name]}"
        (line,) = report_lines({key: prepared.report.get(key, {})})
        notes.append(line.partition(": ")[2])
    return notes[len(notes) - last :]


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
