"""Tables of docs/accuracy.md, and the numbers in docs/results/accuracy.json.

Usage: ``python docs/accuracy_page.py EXACT LEARNED MARKS``, with reports that
`napari-qpi bench accuracy --json` wrote: of exact marks, of the same with the method bayes_learned
(fewer seeds, for it is slow), and of wrong marks. Prints the tables; writes the numbers.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from qpi_kernels.bench.accuracy.parameters import MethodName
from qpi_kernels.bench.accuracy.report import AccuracyReport
from qpi_kernels.bench.accuracy.scores import CellScores

NUMBERS = Path(__file__).parent / "results" / "accuracy.json"
MARKS = {"jitter-0.5px": "jitter 0.5 px", "jitter-1px": "jitter 1 px", "missed-20%": "missed 20 %"}


def row(*entries: str) -> None:
    """Print a row of a table."""
    print("|", " | ".join(entries), "|")


def heads(*names: str) -> None:
    """Print the head of a table."""
    row(*names)
    row(*["---"] * len(names))


def ratio(cell: CellScores, method: MethodName) -> str:
    """Write the median over the tuned ridge's."""
    return f"{cell.ratios[method].median:.2f}"


def bayes(cell: CellScores) -> str:
    """Write median and spread of bayes over the tuned ridge's."""
    found = cell.ratios["bayes"]
    return f"**{found.median:.2f}** ({found.low:.2f} … {found.high:.2f})"


def coverage(cell: CellScores, method: MethodName = "bayes") -> str:
    """Average the coverage over the maps."""
    return f"{100 * float(np.mean(cell.values(method, 'coverage'))):.1f} %"


def aims(report: AccuracyReport) -> None:
    """Write the table of targets."""
    heads("aim", "measured", "", "worst cell")
    for one in report.targets:
        percent = "coverage" in one.claim
        number, cell = one.worst.removesuffix(")").split(" (", 1)
        shown = [
            f"{100 * x:.1f} %" if percent else f"{x:.2f}" for x in (one.measured, float(number))
        ]
        limit = "93 to 97 %" if percent else f"at most {one.highest}"
        verdict = "reached" if one.reached else "missed"
        row(f"{one.claim}: {limit}", shown[0], verdict, f"{shown[1]} ({cell})")


def exact(report: AccuracyReport, learned: AccuracyReport, kind: str) -> None:
    """Write the table of all methods on maps with exact marks."""
    heads(
        *("map/kernel", "defects", "SNR", "limit", "tuned ridge", "least_squares", "smooth"),
        *("learned", "bayes (10-90 %)", "oracle", "two_step", "coverage"),
    )  # fmt: skip
    for cell, other in zip(report.cells, learned.cells, strict=True):
        assert cell.cell == other.cell
        if cell.cell.kind != kind:
            continue
        row(
            f"{cell.cell.image_px}/{cell.cell.kernel_px}",
            str(cell.cell.defects),
            f"{cell.cell.snr:g}",
            "none" if cell.limit is None else f"{cell.limit:.3f}",
            f"{cell.scores['tuned_ridge']['nrmse'].median:.3f}",
            ratio(cell, "least_squares"),
            ratio(cell, "bayes_smooth"),
            ratio(other, "bayes_learned"),
            bayes(cell),
            ratio(cell, "oracle"),
            ratio(cell, "two_step"),
            coverage(cell),
        )


def wrong(report: AccuracyReport) -> None:
    """Write the table of maps whose marks are off or missing."""
    heads(
        *("families", "map/kernel", "SNR", "marks", "tuned ridge", "least_squares", "smooth"),
        *("bayes (10-90 %)", "two_step", "coverage, bayes", "coverage, least_squares"),
    )  # fmt: skip
    for cell in report.cells:
        row(
            cell.cell.kind,
            f"{cell.cell.image_px}/{cell.cell.kernel_px}",
            f"{cell.cell.snr:g}",
            MARKS[cell.cell.annotation],
            f"{cell.scores['tuned_ridge']['nrmse'].median:.3f}",
            ratio(cell, "least_squares"),
            ratio(cell, "bayes_smooth"),
            bayes(cell),
            ratio(cell, "two_step"),
            coverage(cell),
            coverage(cell, "least_squares"),
        )


def numbers(report: AccuracyReport) -> dict[str, Any]:
    """Round a report to four digits, and keep of single maps only errors and coverage."""
    data = report.model_dump(mode="json", exclude={"machine"})
    for cell in data["cells"]:
        for problem in cell["problems"]:
            problem["methods"] = {
                method: {"nrmse": found["nrmse"], "coverage": found["coverage"]}
                for method, found in problem["methods"].items()
            }
    rounded: dict[str, Any] = json.loads(
        json.dumps(data), parse_float=lambda text: float(f"{float(text):.4g}")
    )
    return rounded


def summary(report: AccuracyReport) -> None:
    """Summarise what the tables do not show at a glance."""
    cells = report.cells
    print(report.software)
    for method in ("least_squares", "oracle"):
        if method in report.settings.methods:
            against = [float(np.median(one.ratio("bayes", method))) for one in cells]
            print(f"bayes over {method}: {min(against):.2f} ... {max(against):.2f}")
    covered = [float(np.mean(one.values("bayes", "coverage"))) for one in cells]
    least = min(float(one.values("bayes", "coverage").min()) for one in cells)
    print(
        f"coverage of cells {min(covered):.3f} ... {max(covered):.3f}, least of a map {least:.3f}"
    )
    for side in sorted({one.cell.image_px for one in cells}):
        same = [one for one in cells if one.cell.image_px == side]
        print(
            f"{side} px: {np.median([one.scores['bayes']['seconds'].median for one in same]):.2f} s"
        )


if __name__ == "__main__":
    found, of_learned, of_marks = (
        AccuracyReport.model_validate_json(Path(path).read_bytes()) for path in sys.argv[1:4]
    )
    aims(found)
    for one_kind in ("known", "held-out"):
        print(f"\n### {one_kind}\n")
        exact(found, of_learned, one_kind)
    print("\n### marks\n")
    wrong(of_marks)
    print()
    for each in (found, of_learned, of_marks):
        summary(each)
    kept = {"exact": numbers(found), "learned": numbers(of_learned), "marks": numbers(of_marks)}
    NUMBERS.write_text(json.dumps(kept, separators=(",", ":")) + "\n", encoding="utf-8")
