"""`extract`: one call for every estimator, and the stepper behind it."""

from __future__ import annotations

from collections.abc import Callable
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import xarray as xr
from numpy.typing import ArrayLike

from qpi_kernels.defects import Defects
from qpi_kernels.extraction.parameters import BackgroundChoice, EstimatorParameters
from qpi_kernels.extraction.registry import estimator, make_parameters
from qpi_kernels.progress import CancelToken, Event, Stepper, drive
from qpi_kernels.result import KernelResult

if TYPE_CHECKING:
    from qpi_kernels.prepare import Prepared

__all__ = ["Extraction", "extract", "start_extraction"]

Extraction = Stepper[KernelResult]
Default: TypeAlias = EllipsisType
"""Type of ``...``: a keyword that is not given takes the default of its method."""


def start_extraction(
    observation: ArrayLike | xr.DataArray | Prepared,
    defects: Defects | ArrayLike | None = None,
    *,
    mask: ArrayLike | xr.DataArray | None = None,
    parameters: EstimatorParameters | None = None,
    **fields: Any,
) -> Extraction:
    """Check the input and return the stepper that does the work.

    Arguments and errors are those of `extract`; progress bars and cancel buttons drive the
    stepper themselves, `extract` drives it with `qpi_kernels.progress.drive`.
    """
    # Here, because it imports torch and forms are made of the parameters long before a run.
    from qpi_kernels.extraction.cross_validation.validated import ValidatedExtraction
    from qpi_kernels.extraction.cross_validation.window import WindowedExtraction
    from qpi_kernels.extraction.device_run import DeviceRun
    from qpi_kernels.extraction.problem import Problem
    from qpi_kernels.extraction.residual_checks.check import CheckedExtraction
    from qpi_kernels.threads import OneThreadStepper

    given = {name: value for name, value in fields.items() if value is not ...}
    chosen = make_parameters(given, parameters)

    def check(wanted: EstimatorParameters) -> Problem:
        """Check the input for parameters, with a window or another."""
        return Problem.check(observation, defects, mask, wanted)

    def start_checked(problem: Problem) -> Extraction:
        """Start the extraction of a checked problem, validated where that is asked for."""
        run: Extraction = DeviceRun(problem, estimator(chosen.method).start)
        if chosen.checks_residual:
            run = CheckedExtraction(problem, run)
        return ValidatedExtraction(problem, run) if chosen.validation_folds else run

    def start() -> Extraction:
        if chosen.choose_window:
            return WindowedExtraction(check, chosen, start_checked)
        return start_checked(check(chosen))

    return OneThreadStepper(start)


def extract(
    observation: ArrayLike | xr.DataArray | Prepared,
    defects: Defects | ArrayLike | None = None,
    *,
    mask: ArrayLike | xr.DataArray | None = None,
    parameters: EstimatorParameters | None = None,
    method: str | Default = ...,
    kernel_shape: tuple[int, int] | Literal["auto"] | Default = ...,
    prior: Literal["library", "learned", "smooth", "none"] | Default = ...,
    library: str | Default = ...,
    noise: Literal["auto", "white", "coloured"] | Default = ...,
    refine: Literal["positions", "positions+strengths"] | Default | None = ...,
    kinds: int | Literal["auto"] | Default = ...,
    ridge: float | Literal["auto"] | Default = ...,
    model: str | Default = ...,
    samples: int | Default = ...,
    symmetry: str | Default | None = ...,
    background: BackgroundChoice | Default = ...,
    tolerance: float | Default = ...,
    max_iterations: int | Default = ...,
    choose_window: bool | Default = ...,
    validation_folds: int | Default = ...,
    device: str | Default = ...,
    dtype: Literal["auto", "float32", "float64"] | Default = ...,
    seed: int | Default = ...,
    on_event: Callable[[Event], object] | None = None,
    cancel: CancelToken | None = None,
    **fields: Any,
) -> KernelResult:
    """Extract the kernel that one defect alone would show.

    Keywords that are not given (``...``) take the default of the method, which is given here.

    Parameters
    ----------
    observation : array, xarray.DataArray or Prepared
        ``(y, x)`` or ``(bias, y, x)``, in any unit; row 0 is the top. NaN pixels do not count.
        A DataArray's coordinates (nm, V) reach the result. A `qpi_kernels.prepare.Prepared` brings
        its mask, its defects unless others are given, and its history for the provenance.
    defects : Defects or array, (N, 2), optional
        Positions (row, col) in pixels, 0 at the centre of the first pixel, sub-pixel and possibly
        outside the image. Each kind gets a kernel of its own. Only ``blind`` does without.
    mask : array of bool, (y, x), optional
        True where a pixel counts; leave out steps, streaks and other defects.
    parameters : EstimatorParameters, optional
        All choices together, such as `BayesParameters`; keywords change single ones of them.
    method : str, default "bayes"
        ``bayes``, ``least_squares``, ``average``, ``two_step``, ``one_step``, ``blind``, or
        another of `qpi_kernels.extraction.known_estimators`.
    kernel_shape : tuple of int or "auto", default (64, 64)
        (h, w) of the kernel window, in pixels; at most the image's. ``auto`` takes the smallest
        square window beyond which left-out parts of the map are not predicted better.
    prior : str, default "library"
        Kernels expected beforehand: ``library``, ``learned``, ``smooth`` or ``none``; of bayes
        and blind.
    library : str, default "bundled"
        File of simulated kernels; of bayes and blind.
    noise : str, default "auto"
        ``white``, ``coloured`` as the residual is, or ``auto``: coloured where the residual is; of
        bayes and blind.
    refine : str or None, default None
        ``positions`` or ``positions+strengths`` moves marked defects; of bayes and least_squares.
    kinds : int or "auto", default "auto"
        Number of kinds of defects, 1 to 6; of blind.
    ridge : float or "auto", default "auto"
        Pull towards zero, as a number of defects that show nothing; of least_squares.
    model : str, default "bundled"
        Folder or hub id of networks; of two_step and one_step, and of prior ``learned``.
    samples : int, default 16
        Samples that the standard deviation is taken from; of two_step and one_step.
    symmetry : str or None, default None
        Symmetry to impose, such as ``C4v`` or ``C4v@15`` (mirror at 15 degrees).
    background : str, default "auto"
        Background fitted along: ``none``, ``offset``, ``plane``, ``quadratic``, ``rows``,
        ``rows+quadratic``, or ``auto``: a plane, and all that the preparation levelled.
    tolerance : float, default 1e-5
        Relative residual at which the solver stops; of bayes, least_squares and blind.
    max_iterations : int, default 300
        Solver iterations before giving up; of bayes, least_squares and blind.
    choose_window : bool, default False
        True for ``kernel_shape="auto"``.
    validation_folds : int, default 0
        Predict each of so many parts of the map from the rest, and keep the score as
        ``quality.prediction``; see `qpi_kernels.extraction.cross_validate`.
    device : str, default "auto"
        ``cpu``, ``cuda``, ``cuda:0``, ``mps``, or ``auto``: a GPU when there is one.
    dtype : str, default "auto"
        ``float32`` or ``float64``; ``auto`` takes what observation and method need.
    seed : int, default 0
        Seed of random probes and samples.
    on_event : callable, optional
        Called with an `Event` after each step.
    cancel : CancelToken, optional
        Stops the extraction from another thread.
    **fields
        Fields of estimators that were registered by others.

    Returns
    -------
    KernelResult
        Kernel with standard deviation, reconstruction, residual, quality and provenance.

    Raises
    ------
    ExtractionError
        If input or parameters do not fit together, such as a field of another method; the message
        says what to change.
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
    stepper = start_extraction(
        observation,
        defects,
        mask=mask,
        parameters=parameters,
        method=method,
        kernel_shape=kernel_shape,
        prior=prior,
        library=library,
        noise=noise,
        refine=refine,
        kinds=kinds,
        ridge=ridge,
        model=model,
        samples=samples,
        symmetry=symmetry,
        background=background,
        choose_window=choose_window,
        validation_folds=validation_folds,
        tolerance=tolerance,
        max_iterations=max_iterations,
        device=device,
        dtype=dtype,
        seed=seed,
        **fields,
    )
    return drive(stepper, on_event, cancel)
