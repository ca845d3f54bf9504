"""Report of the speed benchmark: ratios with limits, extractions, and how both grow."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from statistics import median
from typing import Literal

import numpy as np
from pydantic import BaseModel, Field

__all__ = [
    "AXES",
    "MAX_EXPONENT",
    "Axis",
    "ExtractionRow",
    "ExtractionTime",
    "Failure",
    "GrowthCurve",
    "GrowthPoint",
    "SpeedReport",
    "SpeedRow",
]

Axis = Literal["map", "kernel", "defects", "biases"]
AXES: tuple[Axis, ...] = ("map", "kernel", "defects", "biases")
MAX_EXPONENT = 1.2
"""Largest exponent that passes, see `GrowthCurve`."""
# Below this, memory is that of libraries rather than of the problem.
_SEEN_MIB = 8.0


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


class ExtractionTime(BaseModel):
    """Times of an extraction, and of two yardsticks taken in turns with it."""

    seconds: float
    cpu_seconds: float = Field(description="of all threads")
    transforms_s: float = Field(description="the FFTs of the ideal solution of all maps")
    least_squares_s: float = Field(description="method least_squares, all maps, the true defects")
    iterations: int = Field(description="of least_squares, of which the ideal solution consists")
    note: str = Field(description="what was found or chosen")


class ExtractionRow(BaseModel):
    """Extractions of maps of one kind, warm."""

    name: str = Field(description="what was extracted")
    aim_s: float | None = Field(
        default=None, description="seconds that are meant on two quiet cores"
    )
    worst_aim_s: float | None = Field(
        default=None, description="the same for the slowest of several maps"
    )
    runs: list[ExtractionTime] = Field(description="one for each map")

    def median(self, of: Callable[[ExtractionTime], float]) -> float:
        """Take the median over the maps."""
        return median(map(of, self.runs))

    @property
    def seconds(self) -> float:
        """Median of the maps."""
        return self.median(lambda run: run.seconds)

    @property
    def worst(self) -> float:
        """Seconds of the slowest map."""
        return max(run.seconds for run in self.runs)

    @property
    def over_transforms(self) -> float:
        """Median ratio to the FFTs of the ideal solution."""
        return self.median(lambda run: run.seconds / run.transforms_s)

    @property
    def over_least_squares(self) -> float:
        """Median ratio to least_squares."""
        return self.median(lambda run: run.seconds / run.least_squares_s)


class GrowthPoint(BaseModel):
    """One extraction in a process of its own."""

    method: str
    axis: Axis = Field(description="what is varied")
    size: int = Field(description="pixels of a side, defects or biases")
    seconds: float
    cpu_seconds: float
    peak_mib: float = Field(description="resident memory above that before the extraction")
    transforms_s: float = Field(description="as of ExtractionTime")

    @property
    def work(self) -> float:
        """Work of an FFT of that size: n log n for n pixels, n for defects and biases."""
        pixels = self.size**2
        return pixels * np.log(pixels) if self.axis in ("map", "kernel") else float(self.size)


class GrowthCurve(BaseModel):
    """Growth of time and memory with one size.

    Time is taken as (n log n)^p for n pixels of a map or a kernel, which is the growth of an FFT
    to the power of p, and as n^p for n defects or biases; memory as n^p.
    """

    points: list[GrowthPoint]

    @property
    def exponent(self) -> float | None:
        """Exponent p of the time, fitted to all points; None with fewer than two."""
        return _exponent([(one.work, one.seconds) for one in self.points])

    @property
    def last_exponent(self) -> float | None:
        """The same between the two largest sizes, where what is constant matters least."""
        return _exponent([(one.work, one.seconds) for one in self.points[-2:]])

    @property
    def memory_exponent(self) -> float | None:
        """Exponent of the memory, fitted to the points that need more than a few MiB."""
        power = 2 if self.points[0].axis in ("map", "kernel") else 1
        seen = [one for one in self.points if one.peak_mib > _SEEN_MIB]
        return _exponent([(float(one.size) ** power, one.peak_mib) for one in seen])

    @property
    def passed(self) -> bool:
        """True if time and memory grow with at most `MAX_EXPONENT`."""
        found = (self.exponent, self.memory_exponent)
        return all(one is None or one <= MAX_EXPONENT for one in found)


class Failure(BaseModel):
    """A measurement that broke off."""

    name: str
    error: str


class SpeedReport(BaseModel):
    """All that was measured, and the machine."""

    machine: dict[str, str] = Field(description="processor, threads, versions, commit")
    quick: bool
    done: list[str] = Field(default_factory=list, description="measurements that are finished")
    rows: list[SpeedRow] = Field(default_factory=list)
    extractions: list[ExtractionRow] = Field(default_factory=list)
    growth: list[GrowthPoint] = Field(default_factory=list)
    failures: list[Failure] = Field(default_factory=list)

    @property
    def curves(self) -> list[GrowthCurve]:
        """Points of the same method and axis, by size."""

        def place(point: GrowthPoint) -> tuple[int, str]:
            return AXES.index(point.axis), point.method

        ordered = sorted(self.growth, key=lambda point: (*place(point), point.size))
        return [GrowthCurve(points=list(points)) for _, points in groupby(ordered, place)]

    @property
    def foreign(self) -> ExtractionRow | None:
        """All kernels of families that the library lacks, in one row."""
        rows = [row for row in self.extractions if row.worst_aim_s is not None]
        if not rows:
            return None
        runs = [run for row in rows for run in row.runs]
        name = f"all {len(runs)} kernels of no listed family"
        return rows[0].model_copy(update={"name": name, "runs": runs})

    def tables(self) -> dict[str, list[list[str]]]:
        """Write all numbers as text.

        Returns
        -------
        dict
            By title: a line of heads, then a line for each row.
        """
        extractions = [*self.extractions, *([self.foreign] if self.foreign else [])]
        return {
            "Extraction": [_EXTRACTION_HEADS, *map(_extraction_line, extractions)],
            "Ratios": [_RATIO_HEADS, *map(_ratio_line, self.rows)],
            "Growth": [_GROWTH_HEADS, *map(_growth_line, self.curves)],
        }

    @property
    def passed(self) -> bool:
        """True if nothing failed, and every ratio and exponent is within its limit.

        Seconds are for information; of a quick run ratios are, too.
        """
        if self.quick:
            return not self.failures
        held = all(row.passed for row in self.rows) and all(one.passed for one in self.curves)
        return held and not self.failures


_EXTRACTION_HEADS = ["", "s", "worst", "aim", "CPU s", "/ FFTs", "/ least_squares"]
_RATIO_HEADS = ["", "measured", "limit", "", "of"]
_GROWTH_HEADS = ["", "sizes", "s", "MiB", "exponent", "at the end", "of memory", ""]


def _extraction_line(row: ExtractionRow) -> list[str]:
    """Write a row of extractions."""
    aims = [_digits(aim) for aim in (row.aim_s, row.worst_aim_s) if aim is not None]
    return [
        row.name,
        _digits(row.seconds),
        _digits(row.worst) if len(row.runs) > 1 else "",
        ", worst ".join(aims),
        _digits(row.median(lambda run: run.cpu_seconds)),
        _digits(row.over_transforms),
        _digits(row.over_least_squares),
    ]


def _ratio_line(row: SpeedRow) -> list[str]:
    """Write a ratio and its limit."""
    verdict = "holds" if row.passed else "fails"
    return [row.claim, _digits(row.measured), f"{row.limit:g}", verdict, row.detail]


def _growth_line(curve: GrowthCurve) -> list[str]:
    """Write a curve: its points, then the exponents."""
    first, *_ = curve.points
    return [
        f"{first.method}, {first.axis}",
        ", ".join(f"{one.size}" for one in curve.points),
        ", ".join(f"{one.seconds:.2g}" for one in curve.points),
        ", ".join(f"{one.peak_mib:.0f}" for one in curve.points),
        *(
            "-" if one is None else f"{one:.2f}"
            for one in (curve.exponent, curve.last_exponent, curve.memory_exponent)
        ),
        "holds" if curve.passed else "fails",
    ]


def _exponent(pairs: list[tuple[float, float]]) -> float | None:
    """Fit a power law by least squares in logarithms."""
    if len(pairs) < 2:
        return None
    sizes, values = np.log(np.array(pairs).T)
    return float(np.polyfit(sizes, values, 1)[0])


def _digits(value: float) -> str:
    """Write a number with three digits."""
    return f"{float(f'{value:.3g}'):g}"
