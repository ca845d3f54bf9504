"""`extract`: one call for every estimator, and the stepper behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import xarray as xr
from numpy.typing import ArrayLike
from pydantic import ValidationError

from qpi_kernels.defects import Defects
from qpi_kernels.extraction.parameters import ExtractionError, ExtractionParameters
from qpi_kernels.progress import CancelToken, Event, Stepper, drive
from qpi_kernels.result import KernelResult

if TYPE_CHECKING:
    from qpi_kernels.extraction.problem import Problem

__all__ = ["Extraction", "ExtractionError", "extract", "start_extraction"]

Extraction = Stepper[KernelResult]


def start_extraction(
    observation: ArrayLike | xr.DataArray,
    defects: Defects | ArrayLike | None = None,
    *,
    mask: ArrayLike | xr.DataArray | None = None,
    parameters: ExtractionParameters | None = None,
    **changes: Any,
) -> Extraction:
    """Check the input and return the stepper that does the work.

    Arguments and errors are those of `extract`; progress bars and cancel buttons drive the
    stepper themselves, `extract` drives it with `qpi_kernels.progress.drive`.
    """
    # Here, because they import torch and forms are made of the parameters long before a run.
    from qpi_kernels.extraction.average import DefectAverage
    from qpi_kernels.extraction.problem import Problem

    base = (parameters or ExtractionParameters()).model_dump()
    try:
        chosen = ExtractionParameters.model_validate(base | changes)
    except ValidationError as error:
        reasons = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'parameters'}: {item['msg']}"
            for item in error.errors()
        )
        raise ExtractionError(reasons) from error
    problem = Problem.check(observation, defects, mask, chosen)
    if chosen.method in ("bayes", "blind") and chosen.prior != "none":
        _check_prior(chosen)
    estimator = _linear_estimator(chosen)
    if chosen.refine is not None:
        if estimator is None:
            raise ExtractionError(
                f"{chosen.method} does not refine positions; use bayes or least_squares, or "
                "refine=None"
            )
        from qpi_kernels.extraction.least_squares import LeastSquares
        from qpi_kernels.extraction.refine.refinement import Refinement, RefinementParameters

        return Refinement(
            problem,
            estimator,
            RefinementParameters(refine=chosen.refine),
            quick_estimator=LeastSquares,
        )
    if estimator is not None:
        return estimator(problem)
    if chosen.method == "blind":
        from qpi_kernels.extraction.blind.estimator import BlindExtraction

        return BlindExtraction(problem)
    if chosen.method == "average":
        return DefectAverage(problem)
    # Here, because diffusers takes a while to import.
    from qpi_kernels.extraction.network.estimator import NetworkExtraction

    return NetworkExtraction(problem)


def _check_prior(chosen: ExtractionParameters) -> None:
    """Find out before a long search what would stop it in the end."""
    from qpi_kernels.extraction.bayes.priors import load_prior

    if chosen.ridge != "auto":
        raise ExtractionError(
            f"{chosen.method} finds its strengths itself; leave ridge at 'auto', or take "
            "least_squares or prior='none'"
        )
    load_prior(chosen.library)
    if chosen.prior == "learned":
        from qpi_kernels.extraction.bayes.learned.priors import learned_model

        learned_model(chosen, "cpu")


def _linear_estimator(chosen: ExtractionParameters) -> Callable[[Problem], Extraction] | None:
    """The estimator of methods that are linear in the map once positions are known."""
    if chosen.method == "least_squares" or (chosen.method == "bayes" and chosen.prior == "none"):
        from qpi_kernels.extraction.least_squares import LeastSquares

        return LeastSquares
    if chosen.method == "bayes":
        from qpi_kernels.extraction.bayes.estimator import BayesExtraction

        return BayesExtraction
    return None


def extract(
    observation: ArrayLike | xr.DataArray,
    defects: Defects | ArrayLike | None = None,
    *,
    mask: ArrayLike | xr.DataArray | None = None,
    parameters: ExtractionParameters | None = None,
    on_event: Callable[[Event], object] | None = None,
    cancel: CancelToken | None = None,
    **changes: Any,
) -> KernelResult:
    """Extract the kernel that one defect alone would show.

    Parameters
    ----------
    observation : array or xarray.DataArray
        ``(y, x)`` or ``(bias, y, x)``, in any unit; row 0 is the top. NaN pixels do not count.
        A DataArray's coordinates (nm, V) reach the result.
    defects : Defects or array, (N, 2), optional
        Positions (row, col) in pixels, 0 at the centre of the first pixel, sub-pixel and possibly
        outside the image. Each kind gets a kernel of its own. Only ``blind`` does without.
    mask : array of bool, (y, x), optional
        True where a pixel counts; leave out steps, streaks and other defects.
    parameters : ExtractionParameters, optional
        All choices together.
    on_event : callable, optional
        Called with an `Event` after each step.
    cancel : CancelToken, optional
        Stops the extraction from another thread.
    **changes
        Single fields of `ExtractionParameters`, which see for units and defaults:
        ``kernel_shape``, ``method``, ``prior``, ``library``, ``refine``, ``kinds``, ``model``,
        ``samples``, ``symmetry``, ``background``, ``ridge``, ``tolerance``, ``max_iterations``,
        ``device``, ``dtype``, ``seed``.

    Returns
    -------
    KernelResult
        Kernel with standard deviation, reconstruction, residual, quality and provenance.

    Raises
    ------
    ExtractionError
        If input or parameters do not fit together; the message says what to change.
    Cancelled
        If ``cancel`` was used.

    Examples
    --------
    >>> import numpy as np
    >>> import qpi_kernels as qk
    >>> image = np.zeros((64, 64))
    >>> image[30:33, 20:23] = image[10:13, 40:43] = 1.0
    >>> result = qk.extract(image, [(31, 21), (11, 41)], kernel_shape=(9, 9), background="none")
    >>> result.kernel.shape
    (9, 9)
    """
    stepper = start_extraction(observation, defects, mask=mask, parameters=parameters, **changes)
    return drive(stepper, on_event, cancel)
