"""The methods ``two_step`` and ``one_step``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qpi_kernels.extraction.network.parameters import (
    NetworkParameters,
    OneStepParameters,
    TwoStepParameters,
)
from qpi_kernels.extraction.registry import register

if TYPE_CHECKING:
    from qpi_kernels.extraction.problem import Problem
    from qpi_kernels.progress import Stepper
    from qpi_kernels.result import KernelResult

__all__ = ["start_network"]


def start_network(problem: Problem[NetworkParameters]) -> Stepper[KernelResult]:
    """Load the networks and start the extraction with them."""
    # Here, because diffusers takes a while to import.
    from qpi_kernels.extraction.network.estimator import NetworkExtraction

    return NetworkExtraction(problem)


register(TwoStepParameters)(start_network)
register(OneStepParameters)(start_network)
