"""The method ``blind``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qpi_kernels.extraction.bayes.method import check_prior
from qpi_kernels.extraction.blind.parameters import BlindParameters
from qpi_kernels.extraction.registry import register

if TYPE_CHECKING:
    from qpi_kernels.extraction.problem import Problem
    from qpi_kernels.progress import Stepper
    from qpi_kernels.result import KernelResult

__all__ = ["start_blind"]


@register(BlindParameters)
def start_blind(problem: Problem[BlindParameters]) -> Stepper[KernelResult]:
    """Start the search for defects and kernels."""
    from qpi_kernels.extraction.blind.estimator import BlindExtraction

    check_prior(problem.parameters)
    return BlindExtraction(problem)
