"""Scores of methods on problems, and what they come to in a cell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from qpi_kernels.bench.accuracy.parameters import Cell, MethodName

__all__ = [
    "UNITS",
    "CellScores",
    "MethodScores",
    "ProblemScores",
    "Spread",
]

UNITS = {
    "nrmse": "RMS error after the best scale >= 0 and offset, over the kernel's deviation",
    "rmse": "published unit: RMSE x 2; kernel and answer stretched to 0 ... 1 (min-max)",
    "core_excluded": "Pearson correlation of amplitudes at r > 3 px",
    "fourier": "Pearson correlation of |FFT|, mean taken off",
    "coverage": "share of pixels whose error is below 1.96 standard deviations",
    "seconds": "wall time of the extraction",
    "ratio": "nrmse over that of tuned_ridge on the same map",
    "limit": "Cramer-Rao: sigma / sqrt(N (1 - k^2/n^2)), over the kernel's deviation; as nrmse",
}
"""Definitions of the numbers."""


class MethodScores(BaseModel):
    """Scores of one method on one problem; units in `UNITS`."""

    nrmse: float
    rmse: float
    core_excluded: float
    fourier: float
    coverage: float | None = Field(description="None where a method gives no standard deviation")
    seconds: float
    prior: str = Field(default="", description="the prior that bayes took")
    ridge: float | None = Field(default=None, description="in defects of zero signal")


class ProblemScores(BaseModel):
    """All methods on one problem."""

    number: int = Field(description="seed of kernel, positions, marks and noise")
    name: str = Field(description="family of the kernel, or its number among the user's own")
    limit: float | None = Field(description="see units; None where it is infinite")
    methods: dict[MethodName, MethodScores]


class Spread(BaseModel):
    """A number over the problems of a cell."""

    median: float
    low: float = Field(description="a tenth of the problems is below")
    high: float = Field(description="a tenth of the problems is above")

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Spread:
        """Summarise one number per problem."""
        low, median, high = np.percentile(values, [10, 50, 90])
        return cls(median=float(median), low=float(low), high=float(high))


class CellScores(BaseModel):
    """All methods on all problems of a cell."""

    cell: Cell
    problems: list[ProblemScores]
    limit: float | None = Field(description="median; None where it is infinite")
    scores: dict[MethodName, dict[str, Spread]] = Field(description="by method and unit")
    ratios: dict[MethodName, Spread] = Field(description="nrmse over that of tuned_ridge")

    @classmethod
    def of(cls, cell: Cell, problems: list[ProblemScores]) -> CellScores:
        """Summarise the problems of a cell."""
        limits = [one.limit for one in problems if one.limit is not None]
        made = cls(
            cell=cell,
            problems=problems,
            limit=float(np.median(limits)) if limits else None,
            scores={},
            ratios={},
        )
        for method in made.methods:
            names = ("nrmse", "rmse", "core_excluded", "fourier", "coverage", "seconds")
            values = {name: made.values(method, name) for name in names}
            made.scores[method] = {
                name: Spread.of(found) for name, found in values.items() if len(found)
            }
            made.ratios[method] = Spread.of(made.ratio(method, "tuned_ridge"))
        return made

    @property
    def methods(self) -> tuple[MethodName, ...]:
        """Those that were compared, in the order of the tables."""
        return tuple(self.problems[0].methods)

    def values(self, method: MethodName, name: str) -> NDArray[np.float64]:
        """List one score of every problem that has it, (problem,)."""
        found = [getattr(one.methods[method], name) for one in self.problems]
        return np.array([value for value in found if value is not None], np.float64)

    def ratio(self, first: MethodName, second: MethodName) -> NDArray[np.float64]:
        """Divide the errors of a method by those of another, (problem,)."""
        below = np.maximum(self.values(second, "nrmse"), np.finfo(float).tiny)
        return np.asarray(self.values(first, "nrmse") / below)
