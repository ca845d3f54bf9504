"""`BayesParameters`, and those of every estimator that ends in a posterior kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field

from qpi_kernels.extraction.estimators import register
from qpi_kernels.extraction.parameters import SolverParameters
from qpi_kernels.extraction.refine.parameters import RefinableParameters

if TYPE_CHECKING:
    from qpi_kernels.extraction.problem import Problem
    from qpi_kernels.progress import Stepper
    from qpi_kernels.result import KernelResult

__all__ = ["BayesParameters", "PriorParameters"]


class PriorParameters(SolverParameters):
    """Parameters of `BayesExtraction`: which kernels are likely before the map is seen."""

    needs_double: ClassVar[bool] = True  # evidence is a small difference of large numbers

    prior: Literal["library", "learned", "smooth", "none"] = Field(
        default="library",
        description=(
            "Kernels expected beforehand: library, simulated kernels of many materials; learned, "
            "kernels that a network trained on such can make (some seconds for each bias); "
            "smooth, waves that fade with distance; none, every pixel on its own, which is "
            "least_squares."
        ),
        json_schema_extra={
            "labels": {
                "library": "simulated kernels (library)",
                "learned": "what a network can make (learned)",
                "smooth": "waves that fade (smooth)",
                "none": "nothing (none)",
            }
        },
    )
    library: str = Field(
        default="bundled",
        description=(
            "Simulated kernels: bundled, or a file that `napari-qpi library` wrote for "
            "the families in question. Of prior learned, its families and their smoothness."
        ),
        json_schema_extra={"advanced": True, "files": "Libraries of kernels (*.safetensors)"},
    )
    model: str = Field(
        default="bundled",
        description=(
            "Network of prior learned: bundled, a two_step model folder, or owner/name on the "
            "Hugging Face hub."
        ),
        json_schema_extra={"used_if": {"prior": ["learned"]}, "models": "two_step"},
    )

    def check_prior(self) -> None:
        """Load library and network once, so that a long search does not fail at its end.

        Raises
        ------
        ExtractionError
            If one of them can not be used.
        """
        from qpi_kernels.extraction.bayes.learned.priors import learned_model
        from qpi_kernels.extraction.bayes.priors import load_prior

        if self.prior != "none":
            load_prior(self.library)
        if self.prior == "learned":
            learned_model(self.model, "cpu")


@register
class BayesParameters(PriorParameters, RefinableParameters):
    """Parameters of the method ``bayes``; see `BayesExtraction`."""

    summary: ClassVar[str] = (
        "weighs the map against what simulated kernels look like, by the evidence"
    )

    method: Literal["bayes"] = "bayes"

    def start(self, problem: Problem[Self]) -> Stepper[KernelResult]:
        """Start the search for the posterior of largest evidence."""
        from qpi_kernels.extraction.bayes.estimator import BayesExtraction
        from qpi_kernels.extraction.least_squares import LeastSquares

        self.check_prior()
        estimator = LeastSquares if self.prior == "none" else BayesExtraction
        return self.start_refined(problem, estimator, LeastSquares)
