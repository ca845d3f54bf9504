"""Report of a benchmark beside other programs."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, Field

__all__ = ["PeerReport", "PeerRow", "PeerScore"]


class PeerScore(BaseModel):
    """One way of one program on the maps of one row."""

    tool: str = Field(description="program and version")
    way: str = Field(description="what was called")
    median: float | None = Field(
        description="over all maps, where a failure is larger than any number; None if it is one"
    )
    largest: float | None = Field(description="None if a map failed")
    failed: int = Field(description="maps on which it raised or gave no number")

    @classmethod
    def of(cls, tool: str, way: str, errors: ArrayLike) -> PeerScore:
        """Sum up the errors of a way on all maps, NaN where it failed."""
        values = np.asarray(errors, float)
        values = np.where(np.isfinite(values), values, np.inf)
        middle, largest = float(np.median(values)), float(values.max())
        return cls(
            tool=tool,
            way=way,
            median=middle if np.isfinite(middle) else None,
            largest=largest if np.isfinite(largest) else None,
            failed=int(np.isinf(values).sum()),
        )


class PeerRow(BaseModel):
    """One kind of map and one error."""

    task: str
    maps: str = Field(description="what the maps are")
    error: str = Field(description="what is measured, with its unit; smaller is better")
    count: int = Field(description="number of maps")
    scores: list[PeerScore]

    def best(self, tool: str) -> PeerScore | None:
        """Choose the best way of a program, which its user can not know beforehand."""
        ways = [one for one in self.scores if one.tool == tool and one.median is not None]
        return min(ways, key=lambda one: one.median or 0.0, default=None)

    def ahead(self, own: str) -> bool:
        """Compare with all ways of the others: true where none has a smaller median."""
        mine = self.best(own)
        others = [one.median for one in self.scores if one.tool != own and one.median is not None]
        return (
            mine is not None
            and mine.median is not None
            and all(mine.median <= other for other in others)
        )


class PeerReport(BaseModel):
    """All rows, and what they were measured with."""

    rows: list[PeerRow]
    own: str = Field(description="the name that this program has in the rows")
    missing: list[str] = Field(description="programs that are not here, and how to get them")
    seeds: list[int]
    quick: bool
    software: str
    versions: dict[str, str]
    machine: str

    @property
    def tools(self) -> list[str]:
        """Programs, in the order of their first row."""
        return list(dict.fromkeys(one.tool for row in self.rows for one in row.scores))

    def table(self) -> list[list[str]]:
        """Write the medians of each program's best way, one line a row, after a line of heads.

        Returns
        -------
        list of list of str
            Error, maps, and a number for each program: empty where it has no way, with the number
            of maps on which it failed.
        """
        lines = [["error", "maps", *self.tools]]
        for row in self.rows:
            best = [row.best(tool) for tool in self.tools]
            lines.append([row.error, row.maps, *(_number(one) for one in best)])
        return lines


def _number(score: PeerScore | None) -> str:
    """Write a median with three digits."""
    if score is None or score.median is None:
        return ""
    failed = f" ({score.failed} failed)" if score.failed else ""
    return f"{float(f'{score.median:.2g}'):g}{failed}"
