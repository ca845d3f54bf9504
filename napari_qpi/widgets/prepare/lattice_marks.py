"""What is marked in a Fourier transform: Bragg peaks and pickup, as the steps reported them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_qpi.tasks.preparation_preview import PreviewedPlane
from qpi_kernels.prepare import Step

__all__ = ["BRAGG_FIELD", "FourierMarks", "bragg_handles", "marks_of"]

BRAGG_FIELD = "bragg_peaks"
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


def marks_of(preview: PreviewedPlane) -> FourierMarks:
    """Collect the wave vectors that the steps of a preview reported."""
    unit = "nm" if preview.raw["x"].attrs.get("units") == "nm" else "px"
    found: dict[str, list[NDArray[np.float64]]] = {"bragg": [], "pickup": []}
    for numbers in preview.made.report.values():
        for name, waves in found.items():
            array = np.asarray(numbers.get(f"{name}_rad_per_{unit}", np.zeros((0, 2))), float)
            if array.ndim == 2 and array.shape[1] == 2:
                waves.append(array)
    bragg, pickup = (np.concatenate([np.zeros((0, 2)), *waves]) for waves in found.values())
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
