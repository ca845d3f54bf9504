"""Targets of extraction, and the cells' numbers beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from qpi_kernels.bench.accuracy.parameters import MethodName
from qpi_kernels.bench.accuracy.scores import CellScores

__all__ = ["Target", "targets"]


class Target(BaseModel):
    """A number that the default method should reach."""

    claim: str
    measured: float
    lowest: float | None = Field(default=None, description="smallest number that is good enough")
    highest: float | None = Field(default=None, description="largest number that is good enough")
    cells: int = Field(description="how many cells it is taken from")
    worst: str = Field(description="the cell where it is worst, and how much")

    @property
    def reached(self) -> bool:
        """True if the number is within its limits."""
        above = self.lowest is None or self.measured >= self.lowest
        return above and (self.highest is None or self.measured <= self.highest)


def targets(cells: Sequence[CellScores]) -> list[Target]:
    """Compare the cells with the targets; targets of other cells are left out."""

    def of_kind(*kinds: str) -> list[CellScores]:
        noisy = [one for one in cells if one.cell.snr <= 10 and one.cell.annotation == "exact"]
        return [one for one in noisy if one.cell.kind in kinds]

    def against(method: MethodName) -> Callable[[CellScores], float]:
        return lambda one: float(np.median(one.ratio("bayes", method)))

    def covered(one: CellScores) -> float:
        return float(one.values("bayes", "coverage").mean())

    exact = [one for one in cells if one.cell.annotation == "exact"]
    where = "SNR <= 10, exact marks"
    ridge = against("tuned_ridge")
    made = [
        _target(f"bayes / tuned ridge, known families, {where}", of_kind("known"), ridge, 0.20),
        _target(
            f"bayes / tuned ridge, families held out, {where}", of_kind("held-out"), ridge, 0.45
        ),
        _target(f"bayes / tuned ridge, own kernels, {where}", of_kind("own"), ridge, None),
        _target(
            f"bayes / two_step, known families, {where}",
            _with("two_step", of_kind("known")),
            against("two_step"),
            0.5,
        ),
        _target(
            "bayes / least_squares, all cells: the worst",
            _with("least_squares", cells),
            against("least_squares"),
            1.02,
            over=np.max,
        ),
    ]
    for kind in dict.fromkeys(one.cell.kind for one in exact):
        chosen = [one for one in exact if one.cell.kind == kind]
        made.append(
            _target(
                f"coverage of bayes's 95 % intervals, {kind}, exact marks",
                chosen,
                covered,
                0.97,
                lowest=0.93,
            )
        )
    return [one for one in made if one is not None]


def _with(method: MethodName, cells: Sequence[CellScores]) -> list[CellScores]:
    return [one for one in cells if method in one.methods]


def _target(
    claim: str,
    cells: Sequence[CellScores],
    number: Callable[[CellScores], float],
    highest: float | None,
    *,
    lowest: float | None = None,
    over: Callable[[NDArray[np.float64]], np.floating] = np.median,
) -> Target | None:
    """Compare a median (or another number) over cells with its limits."""
    if not cells:
        return None
    values = np.array([number(one) for one in cells])
    middle = 0.0 if lowest is None or highest is None else (lowest + highest) / 2
    worst = int(np.argmax(np.abs(values - middle)))
    return Target(
        claim=claim,
        measured=float(over(values)),
        lowest=lowest,
        highest=highest,
        cells=len(cells),
        worst=f"{values[worst]:.3f} ({cells[worst].cell})",
    )
