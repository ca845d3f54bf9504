"""Report of the accuracy benchmark."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from qpi_kernels.bench.accuracy.parameters import Cell, MethodName
from qpi_kernels.bench.accuracy.scores import UNITS, CellScores
from qpi_kernels.bench.accuracy.targets import Target

__all__ = ["AccuracyReport", "AccuracySettings"]


class AccuracySettings(BaseModel):
    """Settings that decide which problems are made: a stopped run goes on only with the same."""

    numbers: list[int] = Field(description="seeds of the problems of each cell")
    cells: list[Cell]
    methods: list[MethodName]
    prior_kernels: int = Field(description="kernels of the prior without four families")
    test_seed: int = Field(description="seed of the simulated test kernels")
    own_kernels: str = Field(description="SHA-256 of the user's own kernels, or empty")
    quick: bool


class AccuracyReport(BaseModel):
    """All numbers, with what they were measured with."""

    settings: AccuracySettings
    cells: list[CellScores] = Field(description="those that are done")
    targets: list[Target]
    priors: dict[str, dict[str, Any]] = Field(description="what bayes knew, by kind of cell")
    units: dict[str, str] = Field(default=UNITS, description="what each score is")
    software: str = Field(description="version and commit of the code")
    versions: dict[str, str] = Field(description="of Python and packages")
    machine: str = Field(description="system and threads")
    earlier: list[str] = Field(
        default_factory=list, description="other software that did a part of the work"
    )

    @property
    def complete(self) -> bool:
        """True if all cells are done."""
        return len(self.cells) == len(self.settings.cells)
