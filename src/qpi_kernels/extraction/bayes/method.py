"""The method ``bayes``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qpi_kernels.extraction.bayes.parameters import BayesParameters, PriorParameters
from qpi_kernels.extraction.refine.parameters import start_refined
from qpi_kernels.extraction.registry import register

if TYPE_CHECKING:
    from qpi_kernels.extraction.problem import Problem
    from qpi_kernels.progress import Stepper
    from qpi_kernels.result import KernelResult

__all__ = ["check_prior", "start_bayes"]


@register(BayesParameters)
def start_bayes(problem: Problem[BayesParameters]) -> Stepper[KernelResult]:
    """Start the search for the posterior of largest evidence."""
    from qpi_kernels.extraction.bayes.estimator import BayesExtraction
    from qpi_kernels.extraction.least_squares.estimator import LeastSquares

    if problem.parameters.refine is not None:
        check_prior(problem.parameters)
    estimator = LeastSquares if problem.parameters.prior == "none" else BayesExtraction
    return start_refined(problem, estimator, LeastSquares)


def check_prior(parameters: PriorParameters) -> None:
    """Load library and network once, so that a long search does not fail at its end.

    Raises
    ------
    ExtractionError
        If one of them can not be used.
    """
    from qpi_kernels.extraction.bayes.priors.library_priors import load_prior

    if parameters.prior != "none":
        load_prior(parameters.library)
    if parameters.prior == "learned":
        # Here, because its networks take seconds to import.
        from qpi_kernels.extraction.bayes.learned.priors import learned_model

        learned_model(parameters.model, "cpu")
