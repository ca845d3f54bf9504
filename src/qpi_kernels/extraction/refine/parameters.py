"""`RefinableParameters`: the parameters of estimators whose defects may be moved."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar

from pydantic import Field

from qpi_kernels.extraction.parameters import SolverParameters

if TYPE_CHECKING:
    from qpi_kernels.extraction.problem import Problem
    from qpi_kernels.progress import Stepper
    from qpi_kernels.result import KernelResult

__all__ = ["RefinableParameters", "start_refined"]


class RefinableParameters(SolverParameters):
    """Parameters of estimators whose defects `Refinement` may move."""

    checks_residual: ClassVar[bool] = True

    refine: Literal["positions", "positions+strengths"] | None = Field(
        default=None,
        description=(
            "Move marked defects (by up to 4 px), and change their strengths, so that the map is "
            "explained best."
        ),
        json_schema_extra={
            "advanced": True,
            "labels": {"none": "no", "positions+strengths": "positions and strengths"},
            "suggestions": [None, "positions", "positions+strengths"],
        },
    )


Parameters = TypeVar("Parameters", bound=RefinableParameters)


def start_refined(
    problem: Problem[Parameters],
    estimator: Callable[[Problem[Parameters]], Stepper[KernelResult]],
    quick_estimator: Callable[[Problem[Parameters]], Stepper[KernelResult]],
) -> Stepper[KernelResult]:
    """Start an estimator, with moves of the defects before it where `refine` asks for them.

    Parameters
    ----------
    problem : Problem
        The checked input.
    estimator : callable
        Makes the stepper of the last kernel.
    quick_estimator : callable
        Makes those of the kernels that the moves are found with.
    """
    if problem.parameters.refine is None:
        return estimator(problem)
    from qpi_kernels.extraction.refine.refinement import Refinement, RefinementParameters

    moves = RefinementParameters(refine=problem.parameters.refine)
    return Refinement(problem, estimator, moves, quick_estimator=quick_estimator)
