"""Maps of ten Friedel rings, and blind extractions of them without a prior unless asked for one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.defects import Defects
from qpi_kernels.extraction.blind.estimator import BlindExtraction
from qpi_kernels.extraction.blind.parameters import BlindParameters
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.progress import CancelToken, Event, drive
from qpi_kernels.result import KernelResult
from shared import friedel_maps

__all__ = ["blind", "distances", "observe", "problem_of", "rings"]

Array = NDArray[np.float64]


def rings(size: int = 21, wave: float = 0.9, fold: int = 4, decay: float = 6.0) -> Array:
    """Draw Friedel rings whose largest absolute value is 1."""
    kernel = friedel_maps.rings(size, wave, decay, fold, contrast=0.4)
    return np.asarray(kernel / np.abs(kernel).max())


def observe(
    kernels: Array, defects: Defects, size: int = 72, noise: float = 0.03, seed: int = 0
) -> Array:
    """Draw a map as `friedel_maps.observe` does, 72 pixels wide."""
    return friedel_maps.observe(kernels, defects, size, noise, seed)


def problem_of(
    observation: Array, mask: NDArray[np.bool_] | None = None, **parameters: object
) -> Problem[BlindParameters]:
    """Check a map for a blind extraction of a kernel of 21 by 21 pixels."""
    image = xr.DataArray(observation, dims=("bias", "y", "x")[3 - np.ndim(observation) :])
    chosen = BlindParameters.model_validate(
        {"kernel_shape": (21, 21), "prior": "none"} | parameters
    )
    return Problem.check(image, None, mask, chosen)


def blind(
    observation: Array,
    mask: NDArray[np.bool_] | None = None,
    on_event: Callable[[Event], None] | None = None,
    cancel: CancelToken | None = None,
    **parameters: object,
) -> KernelResult:
    """Extract blindly; parameters as those of `problem_of`."""
    stepper = BlindExtraction(problem_of(observation, mask, **parameters))
    return drive(stepper, on_event, cancel)


def distances(found: Defects, true: Defects) -> Array:
    """Measure how far each true defect is from the nearest found one, in px."""
    away = np.linalg.norm(found.positions[:, None] - true.positions, axis=-1)
    return np.asarray(away.min(axis=0))
