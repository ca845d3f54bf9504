"""Marks in a Fourier transform: Bragg peaks and pickup, reported or looked for."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_qpi.tasks.preparation_preview import PreviewedPlane
from qpi_kernels.prepare import PreparationError, Step, find_bragg_peaks, find_pickup
from qpi_kernels.progress import Event, GeneratorStepper

__all__ = ["BRAGG_FIELD", "FourierMarks", "MarkSearch", "bragg_handles", "reported_marks"]

BRAGG_FIELD = "bragg_peaks"
# Of steps that remove what they find, so that nothing is found after them.
_REPORTED = {"correct_drift": "bragg", "remove_lattice": "bragg", "remove_pickup": "wave"}
_NONE = np.zeros((0, 2))
_FAR = 0.5


@dataclass(frozen=True, eq=False)
class FourierMarks:
    """Wave vectors (row, col), (N, 2), in rad per unit of length of the image.

    Parameters
    ----------
    bragg : array
        Of the lattice.
    pickup : array
        Of tones picked up.
    """

    bragg: NDArray[np.float64]
    pickup: NDArray[np.float64]


def reported_marks(preview: PreviewedPlane) -> FourierMarks:
    """Collect the wave vectors that the steps of a preview reported."""
    unit = "nm" if preview.raw["x"].attrs.get("units") == "nm" else "px"
    bragg, pickup = [_NONE], [_NONE]
    for key, found in preview.made.report.items():
        for step, name in _REPORTED.items():
            waves = np.asarray(found.get(f"{name}_rad_per_{unit}", _NONE), float)
            if key.startswith(step) and waves.ndim == 2 and waves.shape[1] == 2:
                # A tone with a phase per row has no wave number across the rows.
                (pickup if name == "wave" else bragg).append(np.nan_to_num(waves))
    return FourierMarks(np.concatenate(bragg), np.concatenate(pickup))


class MarkSearch(GeneratorStepper[FourierMarks]):
    """Look for the lattice and for pickup in a plane, where no step has reported them.

    Parameters
    ----------
    preview : PreviewedPlane
        The plane after its steps.
    """

    def __init__(self, preview: PreviewedPlane) -> None:
        self._preview = preview

    def _run(self) -> Generator[Event, None, FourierMarks]:
        """Look for Bragg peaks, then for tones."""
        known = reported_marks(self._preview)
        plane, mask = self._preview.plane, self._preview.made.mask
        bragg, pickup = known.bragg, known.pickup
        yield Event("Looking for Bragg peaks")
        if not len(bragg):
            try:
                bragg = find_bragg_peaks(plane, mask=mask).vectors
            except PreparationError:
                bragg = _NONE  # most images resolve no atoms
        yield Event("Looking for pickup")
        if not len(pickup):
            pickup = find_pickup(plane, mask=mask).waves
        return FourierMarks(bragg, pickup)


def bragg_handles(
    steps: Iterable[Step], found: NDArray[np.float64], reach: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Place the two handles of the first step that takes Bragg peaks; None without such a step.

    Parameters
    ----------
    steps : iterable of Step
        The steps.
    found : array, (N, 2)
        Bragg peaks found, for a step that was given none.
    reach : array, (2,)
        Largest wave vectors of the transform, to put handles somewhere where none was found.
    """
    step = next((each for each in steps if BRAGG_FIELD in type(each).model_fields), None)
    if step is None:
        return None
    given = getattr(step, BRAGG_FIELD)
    if given is not None:
        return np.asarray(given, float)[:2]
    return found[:2] if len(found) >= 2 else np.diag(_FAR * reach)
