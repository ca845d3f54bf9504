"""Report of a GPU's check: a row for each thing measured, written as they come."""

from __future__ import annotations

from pydantic import BaseModel, Field

__all__ = ["GpuReport", "GpuRow"]


class GpuRow(BaseModel):
    """Numbers of one measurement; none of one that failed."""

    group: str = Field(description="equality, seconds, first use, traffic or training")
    name: str = Field(description="what was computed")
    numbers: dict[str, float] = Field(default_factory=dict, description="by name, with the unit")
    aims: dict[str, float] = Field(default_factory=dict, description="largest number that is meant")
    notes: list[str] = Field(default_factory=list, description="what else there is to know")
    error: str | None = Field(default=None, description="why there are no more numbers")

    @property
    def missed(self) -> list[str]:
        """Names of the numbers that are larger than meant, or not a number."""
        known = self.numbers
        return [name for name in self.aims if name in known and not known[name] <= self.aims[name]]


class GpuReport(BaseModel):
    """All rows, and the machine they were measured on."""

    device: str = Field(description="what was checked")
    beside: str = Field(description="what its kernels are compared with")
    quick: bool
    machine: dict[str, str] = Field(description="card, processor, threads, versions, commit")
    rows: list[GpuRow] = Field(default_factory=list)
    finished: bool = False

    @property
    def failed(self) -> list[str]:
        """Names of the rows that broke off."""
        return [row.name for row in self.rows if row.error is not None]
