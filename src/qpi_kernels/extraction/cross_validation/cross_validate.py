"""`cross_validate`: estimators compared by how well they predict left-out parts of a map."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import xarray as xr
from numpy.typing import ArrayLike

from qpi_kernels.defects import Defects
from qpi_kernels.extraction.parameters import EstimatorParameters, ExtractionError
from qpi_kernels.extraction.registry import check_fields, estimator, make_parameters
from qpi_kernels.predictive_score import LeftOut
from qpi_kernels.progress import CancelToken, Event, Stepper, drive

if TYPE_CHECKING:
    from qpi_kernels.extraction.cross_validation.validation import CrossValidation
    from qpi_kernels.prepare import Prepared

__all__ = [
    "DEFAULT_FOLDS",
    "DEFAULT_METHODS",
    "compare_models",
    "cross_validate",
    "start_comparison",
    "start_cross_validation",
]

DEFAULT_METHODS = ("average", "least_squares", "two_step", "bayes")
DEFAULT_FOLDS = 5


def cross_validate(
    observation: ArrayLike | xr.DataArray | Prepared,
    defects: Defects | ArrayLike | None = None,
    *,
    methods: Sequence[str] = DEFAULT_METHODS,
    mask: ArrayLike | xr.DataArray | None = None,
    folds: int = DEFAULT_FOLDS,
    block_px: int | None = None,
    leave_out: LeftOut = "blocks",
    on_event: Callable[[Event], object] | None = None,
    cancel: CancelToken | None = None,
    **fields: Any,
) -> CrossValidation:
    """Compare methods by how well they predict parts of a map that they have not seen.

    Needs no known kernel. The map is divided into blocks, these into folds; each method extracts
    from all folds but one and predicts that one. Within the windows of the kernels the squared
    errors give an R squared, which counts noise as not explained, and the predictive density a
    log-likelihood, both with a standard error over the blocks. Methods are compared block by
    block, see `CrossValidation.difference`.

    Parameters
    ----------
    observation, defects, mask
        As in `qpi_kernels.extract`.
    methods : sequence of str
        Names of methods that take marked defects.
    folds : int
        Number of extractions with each method.
    block_px : int, optional
        Side of a block, in pixels; when left out twice the distance over which the residual of
        least squares is correlated, at least 4 and at most 32 or an eighth of the shorter side.
    leave_out : str
        ``blocks``, or ``defects``: the surroundings of defects, the central half of their windows.
    on_event : callable, optional
        Called with an `Event` after each step.
    cancel : CancelToken, optional
        Stops from another thread.
    **fields
        Fields of the methods, such as ``kernel_shape``; each method takes those that it has.
        Neither ``choose_window`` nor ``validation_folds``.

    Returns
    -------
    CrossValidation
        Scores, differences, and which of these are real.

    Raises
    ------
    ExtractionError
        If input and parameters do not fit together.
    Cancelled
        If ``cancel`` was used.

    Examples
    --------
    >>> import numpy as np
    >>> random = np.random.default_rng(0)
    >>> image = random.normal(size=(48, 48))
    >>> places = random.integers(6, 42, (9, 2))
    >>> for row, column in places:
    ...     image[row - 1 : row + 2, column - 1 : column + 2] += 4.0
    >>> found = cross_validate(
    ...     image, places, methods=["average", "least_squares"], kernel_shape=(9, 9)
    ... )
    >>> found.scores["least_squares"].r_squared > 0.2
    True
    """
    stepper = start_cross_validation(
        observation,
        defects,
        methods=methods,
        mask=mask,
        folds=folds,
        block_px=block_px,
        leave_out=leave_out,
        **fields,
    )
    return drive(stepper, on_event, cancel)


def compare_models(
    observation: ArrayLike | xr.DataArray | Prepared,
    defects: Defects | ArrayLike | None,
    alternatives: Mapping[str, Mapping[str, Any]],
    *,
    mask: ArrayLike | xr.DataArray | None = None,
    folds: int = DEFAULT_FOLDS,
    block_px: int | None = None,
    leave_out: LeftOut = "blocks",
    on_event: Callable[[Event], object] | None = None,
    cancel: CancelToken | None = None,
    **fields: Any,
) -> CrossValidation:
    """Compare sets of arguments of `qpi_kernels.extract` by what they predict.

    Decides what the evidence alone cannot: refined positions or marked ones, one kind or two,
    the size of the window, a prior or none, the noise model.

    Parameters
    ----------
    observation, defects, mask, folds, block_px, leave_out, on_event, cancel
        As in `cross_validate`.
    alternatives : mapping of str to mapping
        Fields of each alternative, and ``defects`` where it has others; simplest first, see
        `CrossValidation.simplest`.
    **fields
        Fields that all alternatives share; each method takes those that it has.

    Returns
    -------
    CrossValidation
        ``ranking[0]`` predicts best; ``simplest`` is the first that is as good within its error.

    Raises
    ------
    ExtractionError
        If input and parameters do not fit together.
    Cancelled
        If ``cancel`` was used.
    """
    chosen = {
        name: (_parameters(own, fields), own.get("defects", defects))
        for name, own in alternatives.items()
    }
    stepper = start_comparison(
        observation, chosen, mask=mask, folds=folds, block_px=block_px, leave_out=leave_out
    )
    return drive(stepper, on_event, cancel)


def start_cross_validation(
    observation: ArrayLike | xr.DataArray | Prepared,
    defects: Defects | ArrayLike | None = None,
    *,
    methods: Sequence[str] = DEFAULT_METHODS,
    mask: ArrayLike | xr.DataArray | None = None,
    folds: int = DEFAULT_FOLDS,
    block_px: int | None = None,
    leave_out: LeftOut = "blocks",
    **fields: Any,
) -> Stepper[CrossValidation]:
    """Check the input and return the stepper of `cross_validate`; arguments as there."""
    chosen = {name: (_parameters({"method": name}, fields), defects) for name in methods}
    return start_comparison(
        observation, chosen, mask=mask, folds=folds, block_px=block_px, leave_out=leave_out
    )


def start_comparison(
    observation: ArrayLike | xr.DataArray | Prepared,
    alternatives: Mapping[str, tuple[EstimatorParameters, Defects | ArrayLike | None]],
    *,
    mask: ArrayLike | xr.DataArray | None = None,
    folds: int = DEFAULT_FOLDS,
    block_px: int | None = None,
    leave_out: LeftOut = "blocks",
) -> Stepper[CrossValidation]:
    """Check the input and return the stepper of a comparison.

    Parameters
    ----------
    observation, mask, folds, block_px, leave_out
        As in `cross_validate`.
    alternatives : mapping of str to tuple
        Parameters and defects of each.

    Raises
    ------
    ExtractionError
        If input and parameters do not fit together.
    """
    # Here, because it imports torch.
    from qpi_kernels.extraction.cross_validation.run import CrossValidationRun, Division
    from qpi_kernels.extraction.problem import Problem
    from qpi_kernels.threads import OneThreadStepper

    if not alternatives:
        raise ExtractionError("there is nothing to compare; name at least one method")
    if folds < 2:
        raise ExtractionError(f"a cross-validation takes two or more folds, not {folds}")
    if block_px is not None and block_px < 1:
        raise ExtractionError(f"block_px must be a positive number of pixels, not {block_px}")
    for name, (parameters, _) in alternatives.items():
        if parameters.finds_defects:
            raise ExtractionError(
                f"{name}: {parameters.method} finds the defects, and only predictions from marked "
                "ones are compared; leave it out, and mark what it finds"
            )
        parameters.check_single(f"{name}: a comparison")

    def start() -> Stepper[CrossValidation]:
        problems = {
            name: Problem.check(observation, table, mask, parameters)
            for name, (parameters, table) in alternatives.items()
        }
        seed = next(iter(problems.values())).parameters.seed
        return CrossValidationRun(problems, Division(folds, leave_out, block_px, seed))

    return OneThreadStepper(start)


def _parameters(own: Mapping[str, Any], shared: Mapping[str, Any]) -> EstimatorParameters:
    """Make the parameters of an alternative, with the shared fields that its method has."""
    fields = {name: value for name, value in own.items() if name != "defects"}
    method = str(fields.get("method", shared.get("method", "bayes")))
    known = estimator(method).parameters.model_fields
    for name in shared:
        if name not in known:
            _check_known(name)
    taken = {name: value for name, value in shared.items() if name in known}
    return make_parameters(taken | fields | {"method": method})


def _check_known(field: str) -> None:
    """Refuse a field that no method has."""
    from qpi_kernels.extraction.registry import methods_with

    takers = methods_with(field)
    check_fields([field], takers[0] if takers else "bayes")
