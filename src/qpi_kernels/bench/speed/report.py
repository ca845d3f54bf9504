"""Report of a benchmark of claims: a ratio for each, and the limit that it must keep."""

from __future__ import annotations

from pydantic import BaseModel, Field

__all__ = ["SpeedReport", "SpeedRow"]


class SpeedRow(BaseModel):
    """One claim: a measured ratio and its limit."""

    claim: str = Field(description="what is compared with what")
    measured: float = Field(description="the ratio")
    limit: float = Field(description="the largest ratio that passes")
    detail: str = Field(description="the two quantities, with units")

    @property
    def passed(self) -> bool:
        """True if the ratio is within its limit."""
        return self.measured <= self.limit


class SpeedReport(BaseModel):
    """All rows, and the machine they were measured on."""

    rows: list[SpeedRow]
    machine: str

    @property
    def passed(self) -> bool:
        """True if every row is within its limit."""
        return all(row.passed for row in self.rows)
