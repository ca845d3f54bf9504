"""`extract`: one call for every estimator, and the stepper behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from qpi_kernels.defects import Defects
from qpi_kernels.extraction.parameters import ExtractionParameters
from qpi_kernels.progress import CancelToken, Event, Stepper, drive
from qpi_kernels.result import KernelResult

__all__ = ["Extraction", "ExtractionError", "extract", "start_extraction"]

Extraction = Stepper[KernelResult]


class ExtractionError(ValueError):
    """An extraction can not be done as asked; the message says what to change."""


def start_extraction(
    observation: ArrayLike | xr.DataArray,
    defects: Defects | ArrayLike,
    *,
    mask: ArrayLike | xr.DataArray | None = None,
    parameters: ExtractionParameters | None = None,
    **changes: Any,
) -> Extraction:
    """Check the input and return the stepper that does the work (see `extract`)."""
    raise NotImplementedError


def extract(
    observation: ArrayLike | xr.DataArray,
    defects: Defects | ArrayLike,
    *,
    mask: ArrayLike | xr.DataArray | None = None,
    parameters: ExtractionParameters | None = None,
    on_event: Callable[[Event], object] | None = None,
    cancel: CancelToken | None = None,
    **changes: Any,
) -> KernelResult:
    """Extract the kernel that one defect alone would show.

    (final docstring follows) ``changes`` are fields of `ExtractionParameters`: kernel_shape,
    method, symmetry, background, ridge, tolerance, max_iterations, device, dtype, seed.
    """
    stepper = start_extraction(observation, defects, mask=mask, parameters=parameters, **changes)
    return drive(stepper, on_event, cancel)
