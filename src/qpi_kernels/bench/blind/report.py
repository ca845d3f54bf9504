"""Report of the benchmark of blind extraction: a row for each map, written as they come."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from pydantic import Field

from qpi_kernels.bench.group_bench import GroupReport, GroupRow

__all__ = ["BlindReport", "BlindRow"]


class BlindRow(GroupRow):
    """Findings in one map."""

    group: str = Field(description="dense, pairs, coloured, samples or turned")
    name: str = Field(description="which map")
    true_kinds: int
    found_kinds: int = Field(description="0 if nothing was found")
    true_defects: int
    found_defects: int
    false_defects: int = Field(description="found more than 2 px from any true one")
    correlation: float = Field(description="with the true kernel, of the worst kind")
    seconds: float = Field(description="of one processor core")


class BlindReport(GroupReport[BlindRow]):
    """Rows of all maps."""

    def table(self) -> list[list[str]]:
        """Sum up each group in a line, after the heads."""
        heads = ["group", "maps", "kinds right", "found / true", "false", "correlation", "seconds"]
        return [heads, *map(_line, self.by_group())]


def _line(rows: list[BlindRow]) -> list[str]:
    """Sum up rows of one group."""
    found, true, false = (
        sum(numbers)
        for numbers in zip(
            *((row.found_defects, row.true_defects, row.false_defects) for row in rows),
            strict=True,
        )
    )
    right = sum(row.found_kinds == row.true_kinds for row in rows)
    correlations = [row.correlation for row in rows]
    return [
        rows[0].group,
        str(len(rows)),
        f"{right} of {len(rows)}",
        f"{found} / {true}",
        f"{false / max(found, 1):.1%}",
        f"{min(correlations):.3f}, median {np.median(correlations):.3f}",
        _range(row.seconds for row in rows),
    ]


def _range(numbers: Iterable[float]) -> str:
    """Write the smallest and the largest of some numbers."""
    known = sorted(numbers)
    return f"{known[0]:.1f} to {known[-1]:.1f}"
