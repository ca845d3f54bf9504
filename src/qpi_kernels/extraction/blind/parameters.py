"""`BlindParameters`: the choices of sparse blind deconvolution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field

from qpi_kernels.extraction.bayes.parameters import PriorParameters
from qpi_kernels.extraction.estimators import register

if TYPE_CHECKING:
    from qpi_kernels.extraction.problem import Problem
    from qpi_kernels.progress import Stepper
    from qpi_kernels.result import KernelResult

__all__ = ["BlindParameters"]


@register
class BlindParameters(PriorParameters):
    """Parameters of the method ``blind``; see `BlindExtraction`."""

    summary: ClassVar[str] = "finds the defects itself, where nobody can mark them"
    finds_defects: ClassVar[bool] = True

    method: Literal["blind"] = "blind"
    kinds: Annotated[int, Field(ge=1, le=6)] | Literal["auto"] = Field(
        default="auto",
        description=(
            "How many kinds of defects to look for; auto goes on as long as the map is clearly "
            "better explained, up to three. Defects of the other sign are another kind."
        ),
        json_schema_extra={"advanced": True},
    )

    def start(self, problem: Problem[Self]) -> Stepper[KernelResult]:
        """Start the search for defects and kernels."""
        from qpi_kernels.extraction.blind.estimator import BlindExtraction

        self.check_prior()
        return BlindExtraction(problem)
