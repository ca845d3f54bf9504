"""Report of the benchmark of the preparation."""

from __future__ import annotations

from pydantic import BaseModel, Field

__all__ = ["PrepareReport", "PrepareRow", "PrepareScore"]


class PrepareScore(BaseModel):
    """One way of one program on the maps of one row."""

    tool: str = Field(description="program and version")
    way: str = Field(description="what was called")
    median: float | None = Field(
        description="over all maps, where a failure is larger than any number; None if it is one"
    )
    largest: float | None = Field(description="None if a map failed")
    failed: int = Field(description="maps on which it raised or gave no number")


class PrepareRow(BaseModel):
    """One kind of map and one error."""

    task: str
    maps: str = Field(description="what the maps are")
    error: str = Field(description="what is measured, with its unit; smaller is better")
    count: int = Field(description="number of maps")
    scores: list[PrepareScore]

    def best(self, tool: str) -> PrepareScore | None:
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


class PrepareReport(BaseModel):
    """All rows, and what they were measured with."""

    rows: list[PrepareRow]
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


def _number(score: PrepareScore | None) -> str:
    """Write a median with three digits."""
    if score is None or score.median is None:
        return ""
    failed = f" ({score.failed} failed)" if score.failed else ""
    return f"{float(f'{score.median:.2g}'):g}{failed}"
