"""The method ``least_squares``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, field_validator

from qpi_kernels.extraction.refine.parameters import RefinableParameters, start_refined
from qpi_kernels.extraction.registry import register

if TYPE_CHECKING:
    from qpi_kernels.extraction.problem import Problem
    from qpi_kernels.progress import Stepper
    from qpi_kernels.result import KernelResult

__all__ = ["LeastSquaresParameters", "start_least_squares"]


class LeastSquaresParameters(RefinableParameters):
    """Parameters of the method ``least_squares``; see `LeastSquares`."""

    summary: ClassVar[str] = "separates overlapping defects, with no pattern expected"

    method: Literal["least_squares"] = "least_squares"
    ridge: float | Literal["auto"] = Field(
        default="auto",
        description=(
            "Strength of the pull towards zero, as a number of extra defects that "
            "show nothing; auto takes the strength with the largest marginal likelihood, 0 none."
        ),
        json_schema_extra={"unit": "defects", "advanced": True},
    )

    @field_validator("ridge")
    @classmethod
    def _not_negative(cls, value: float | Literal["auto"]) -> float | Literal["auto"]:
        """Refuse a ridge that is negative or infinite."""
        if value != "auto" and not 0 <= value < float("inf"):
            raise ValueError("ridge must be 0, a positive number of defects, or 'auto'")
        return value


@register(LeastSquaresParameters)
def start_least_squares(problem: Problem[LeastSquaresParameters]) -> Stepper[KernelResult]:
    """Start the solution."""
    from qpi_kernels.extraction.least_squares.estimator import LeastSquares

    estimator = partial(LeastSquares, ridge=problem.parameters.ridge)
    return start_refined(problem, estimator, estimator)
