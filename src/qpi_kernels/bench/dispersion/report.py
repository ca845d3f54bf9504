"""Report of the benchmark of dispersions: a row for each grid, written as they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from pydantic import BaseModel, Field

from qpi_kernels.bench.group_bench import GroupReport, GroupRow

__all__ = ["DispersionReport", "DispersionRow", "Measured"]


class Measured(BaseModel):
    """A number with its error and the truth."""

    value: float
    error: float = Field(description="one standard deviation, as the fit told it")
    truth: float

    @property
    def off(self) -> float:
        """Difference from the truth as a share of it."""
        return self.value / self.truth - 1

    @property
    def covered(self) -> bool:
        """True if the truth lies within two standard deviations."""
        return abs(self.value - self.truth) <= 2 * self.error


class DispersionRow(GroupRow):
    """Findings in one grid."""

    name: str = Field(description="phase shift and seed")
    used: int = Field(description="biases with a trustworthy ring, of 11")
    mass: Measured = Field(description="m_e")
    onset: Measured = Field(description="eV")
    self_energy: Measured = Field(description="eV, weighted mean over the biases")
    phase_errors: list[float] = Field(description="rad, of each bias")
    phases_covered: float = Field(description="share of the biases within two sigma")
    reduced_chi2: float
    ring_mass: float = Field(description="m_e, from maxima of |FT| of the same grid")
    ring_onset: float = Field(description="eV, the same")
    kernel_ring_mass: float = Field(description="m_e, from maxima of |FT| of the kernel")
    blind_mass: float = Field(description="m_e, without telling the fit of the instrument")
    seconds: float = Field(description="of one processor core, extraction and fit")


class DispersionReport(GroupReport[DispersionRow]):
    """Rows of all grids."""

    def table(self) -> list[list[str]]:
        """Sum up each group in a line, after the heads: the largest error of its grids."""
        heads = [
            "grids", "number", "m*", "onset", "within 2 sigma", "m* by the ring of the map",
            "of the kernel", "lifetime", "phase, rad",
        ]  # fmt: skip
        return [heads, *map(_line, self.by_group())]


def _line(rows: Sequence[DispersionRow]) -> list[str]:
    """Sum up rows of one group."""

    def largest(off: Callable[[DispersionRow], float]) -> str:
        """Write the largest share by which a number is off, with its sign."""
        return f"{max((off(row) for row in rows), key=abs):+.1%}"

    covered = [one.covered for row in rows for one in (row.mass, row.onset)]
    phases = np.concatenate([row.phase_errors for row in rows])
    return [
        rows[0].group,
        str(len(rows)),
        largest(lambda row: row.mass.off),
        largest(lambda row: row.onset.off),
        f"{sum(covered)} of {len(covered)}",
        largest(lambda row: row.ring_mass / row.mass.truth - 1),
        largest(lambda row: row.kernel_ring_mass / row.mass.truth - 1),
        largest(lambda row: row.self_energy.truth / row.self_energy.value - 1),
        f"{np.sqrt(np.mean(phases**2)):.2f} rms, {np.abs(phases).max():.2f} at most",
    ]
