"""The table of families left out in docs/accuracy.md, of numbers in docs/results/left-out.json.

Usage: ``python docs/left_out_page.py [REPORT ...]``, with reports that `napari-qpi bench accuracy
--families each --json` wrote, if the numbers are to be renewed.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from qpi_kernels.bench.accuracy.report import AccuracyReport

DOCS = Path(__file__).parent
NUMBERS, PAGE = DOCS / "results" / "left-out.json", DOCS / "accuracy.md"
BEGIN, END = "<!-- left out: begin -->\n", "<!-- left out: end -->\n"


def numbers(reports: list[AccuracyReport]) -> dict[str, Any]:
    """Sum up each family at each signal to noise."""
    found: dict[str, dict[str, Any]] = {}
    for report in reports:
        for cell in report.cells:
            families = defaultdict(list)
            for problem in cell.problems:
                bayes = problem.methods["bayes"]
                errors = [
                    bayes.nrmse / problem.methods[other].nrmse
                    for other in ("tuned_ridge", "least_squares")
                ]
                families[problem.name].append((*errors, bayes.coverage))
            found[f"{cell.cell.snr:g}"] = {
                "software": report.software,
                "families": {name: summary(np.array(families[name])) for name in sorted(families)},
                "all": summary(np.concatenate([*map(np.array, families.values())])),
            }
    return dict(sorted(found.items(), key=lambda entry: float(entry[0])))


def summary(maps: np.ndarray) -> dict[str, float]:
    """Sum up maps: median over the tuned ridge, worst over least squares, mean coverage."""
    ridge, least_squares, coverage = maps.T
    return {
        "maps": len(maps),
        "ridge": round(float(np.median(ridge)), 3),
        "worst": round(float(least_squares.max()), 3),
        "coverage": round(float(coverage.mean()), 4),
        "poor": int((coverage < 0.9).sum()),
    }


def with_table(page: str, found: dict[str, Any]) -> str:
    """Put the table into the text of the page."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    ratios = list(found)
    rows = [
        "| family | " + " | ".join(f"SNR {ratio}" for ratio in ratios) + " |",
        "|---" * (1 + len(ratios)) + "|",
    ]
    names = sorted({name for one in found.values() for name in one["families"]})
    for name in names:
        cells = [entry(found[ratio]["families"].get(name)) for ratio in ratios]
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    together = " | ".join(f"**{entry(found[ratio]['all'])}**" for ratio in ratios)
    rows.append(f"| **all** | {together} |")
    return before + BEGIN + "\n".join(rows) + "\n" + END + after


def entry(one: dict[str, float] | None) -> str:
    """Write the numbers of a family: median, worst, coverage."""
    if one is None:
        return "-"
    return f"{one['ridge']:.2f}, {one['worst']:.2f}, {100 * one['coverage']:.1f} %"


if __name__ == "__main__":
    if sys.argv[1:]:
        reports = [
            AccuracyReport.model_validate_json(Path(one).read_bytes()) for one in sys.argv[1:]
        ]
        NUMBERS.write_text(json.dumps(numbers(reports), indent=1) + "\n", encoding="utf-8")
    table = with_table(
        PAGE.read_text(encoding="utf-8"), json.loads(NUMBERS.read_text(encoding="utf-8"))
    )
    PAGE.write_text(table, encoding="utf-8")
