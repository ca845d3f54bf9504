"""The method ``average``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from qpi_kernels.extraction.parameters import EstimatorParameters
from qpi_kernels.extraction.registry import register

if TYPE_CHECKING:
    from qpi_kernels.extraction.problem import Problem
    from qpi_kernels.progress import Stepper
    from qpi_kernels.result import KernelResult

__all__ = ["AverageParameters", "start_average"]


class AverageParameters(EstimatorParameters):
    """Parameters of the method ``average``; see `DefectAverage`."""

    summary: ClassVar[str] = "cuts out the map around every defect and averages"
    separates_defects: ClassVar[bool] = False

    method: Literal["average"] = "average"


@register(AverageParameters)
def start_average(problem: Problem) -> Stepper[KernelResult]:
    """Start averaging."""
    from qpi_kernels.extraction.average.estimator import DefectAverage

    return DefectAverage(problem)
