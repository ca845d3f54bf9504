"""An estimator as somebody else would add it: one class and one function."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from qpi_kernels.extraction import EstimatorParameters, register, unregister

if TYPE_CHECKING:
    from qpi_kernels.extraction.problem import Problem
    from qpi_kernels.progress import Stepper
    from qpi_kernels.result import KernelResult


class ToyParameters(EstimatorParameters):
    """Parameters of the method ``toy``."""

    summary: ClassVar[str] = "averages the defects of one strength"

    method: Literal["toy"] = "toy"
    wobble: float = Field(default=1.0, ge=0, description="Amount of wobble.")


def start_toy(problem: Problem[ToyParameters]) -> Stepper[KernelResult]:
    """Start an average."""
    from qpi_kernels.extraction.average.estimator import DefectAverage

    return DefectAverage(problem)


@contextmanager
def registered_toy() -> Iterator[None]:
    """Register the method ``toy`` for a while."""
    register(ToyParameters)(start_toy)
    try:
        yield
    finally:
        unregister("toy")
