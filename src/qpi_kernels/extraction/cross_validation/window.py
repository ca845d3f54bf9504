"""`WindowedExtraction`: an extraction whose window is the smallest that predicts best."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

from qpi_kernels.extraction.cross_validation.run import Division, divide, predict
from qpi_kernels.extraction.cross_validation.validation import CrossValidation
from qpi_kernels.extraction.parameters import EstimatorParameters
from qpi_kernels.extraction.problem import ExtractionError, Problem
from qpi_kernels.progress import Event, GeneratorStepper, Stepper, follow, portion
from qpi_kernels.result import KernelResult

__all__ = ["WindowedExtraction", "candidate_windows"]

_SIDES = (8, 12, 16, 24, 32, 48, 64, 96, 128)
_FOLDS = 3
# Windows that may predict no better than a smaller one before larger ones are left out.
_PATIENCE = 1
# The window whose residual tells how far the noise is correlated.
_REFERENCE_PX = 32


class WindowedExtraction(GeneratorStepper[KernelResult]):
    """Choose the window by what kernels of rising size predict, then extract, as a stepper.

    The choice is the smallest window whose R squared is within one standard error of the largest,
    see `CrossValidation.simplest`. Windows are compared with the chosen method, but priors
    ``library`` and ``learned`` with ``smooth``, which is quicker and has no size of its own.

    Parameters
    ----------
    check : callable
        Checks the input for parameters.
    parameters : EstimatorParameters
        The choices but for the window.
    finish : callable
        Starts the extraction of a checked problem.
    """

    def __init__(
        self,
        check: Callable[[EstimatorParameters], Problem],
        parameters: EstimatorParameters,
        finish: Callable[[Problem], Stepper[KernelResult]],
    ) -> None:
        if parameters.finds_defects:
            raise ExtractionError(
                f"{parameters.method} finds the defects and can not choose its window; "
                "give kernel_shape as (height, width)"
            )
        self._parameters = parameters
        self._finish = finish
        # A window of any map, to learn how large this one is.
        self._problem = check(_with_window(parameters, 3))

    def _run(self) -> Generator[Event, None, KernelResult]:
        """Compare windows, then extract in the chosen one."""
        validation = yield from portion(self._compare(), 0.0, 0.8)
        if not validation.sums:
            raise ExtractionError(
                f"no window could be compared: {next(iter(validation.failures.values()))}"
            )
        side = int(validation.simplest.removesuffix(" px"))
        problem = replace(self._problem, parameters=_with_window(self._parameters, side))
        result = yield from portion(follow(self._finish(problem)), 0.8, 1.0)
        scores = {name: one.r_squared for name, one in validation.scores.items()}
        record: dict[str, Any] = {"window_choice": {"chosen_px": side, "r_squared": scores}}
        return replace(result, provenance=result.provenance | record)

    def _compare(self) -> Generator[Event, None, CrossValidation]:
        """Predict left-out blocks with windows of rising size, until larger ones do no better."""
        quick = _quick(self._parameters)
        sides = candidate_windows(self._problem.image_shape)
        problems = {
            f"{side} px": replace(self._problem, parameters=_with_window(quick, side))
            for side in sides
        }
        division = Division(_FOLDS, seed=quick.seed)
        nearest = min(sides, key=lambda side: abs(side - _REFERENCE_PX))
        reference = problems[f"{nearest} px"]
        scoring = yield from portion(divide(problems, division, reference), 0.0, 0.1)
        found = CrossValidation({}, scoring.partition)
        # The cost of a window rises with its size.
        total, done = sum(sides), 0
        for (name, problem), side in zip(problems.items(), sides, strict=True):
            low, high = (0.1 + 0.9 * (done + more) / total for more in (0, side))
            done += side
            one = yield from portion(predict({name: problem}, scoring), low, high)
            found = replace(
                found, sums={**found.sums, **one.sums}, failures={**found.failures, **one.failures}
            )
            names = list(found.sums)
            if names and len(names) - 1 - names.index(found.simplest) >= _PATIENCE:
                break
        return found


def candidate_windows(image_shape: tuple[int, int]) -> list[int]:
    """List the sides of windows that are compared on a map: up to half its shorter side."""
    return [side for side in _SIDES if side <= max(min(image_shape) // 2, _SIDES[0])]


def _with_window(parameters: EstimatorParameters, side: int) -> EstimatorParameters:
    """Return parameters with a square window instead of a choice."""
    changed = {"kernel_shape": (side, side), "choose_window": False}
    return parameters.model_copy(update=changed)


def _quick(parameters: EstimatorParameters) -> EstimatorParameters:
    """Return parameters under which windows are compared."""
    if getattr(parameters, "prior", "smooth") in ("smooth", "none"):
        return parameters
    return parameters.model_copy(update={"prior": "smooth"})
