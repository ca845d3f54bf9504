"""Tables of docs/accuracy.md, and the numbers in docs/results/accuracy.json.

Usage: ``python docs/accuracy_page.py EXACT LEARNED MARKS``, with reports that
`napari-qpi bench accuracy --json` wrote: of exact marks, of some of the same cells with the method
bayes_learned (fewer seeds, for it is slow), and of wrong marks. Replaces what is between the page's
marks, writes the numbers, and prints what the sentences beside the tables quote.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from qpi_kernels.bench.accuracy.parameters import MethodName
from qpi_kernels.bench.accuracy.report import AccuracyReport
from qpi_kernels.bench.accuracy.scores import CellScores

DOCS = Path(__file__).parent
NUMBERS, PAGE = DOCS / "results" / "accuracy.json", DOCS / "accuracy.md"
MARKS = {"jitter-0.5px": "jitter 0.5 px", "jitter-1px": "jitter 1 px", "missed-20%": "missed 20 %"}


def with_tables(
    page: str, exact: AccuracyReport, learned: AccuracyReport, marks: AccuracyReport
) -> str:
    """Put the tables into the text of the page."""
    made = {
        "aims": aims(exact),
        "known": methods(exact, learned, "known"),
        "held out": methods(exact, learned, "held-out"),
        "marks": wrong_marks(marks),
    }
    for name, lines in made.items():
        before, rest = page.split(f"<!-- {name}: begin -->\n")
        _, after = rest.split(f"<!-- {name}: end -->\n")
        table = "".join(f"{line}\n" for line in lines)
        page = f"{before}<!-- {name}: begin -->\n{table}<!-- {name}: end -->\n{after}"
    return page


def rows(heads: Iterable[str], lines: Iterable[Iterable[str]]) -> Iterator[str]:
    """Write the lines of a table."""
    names = list(heads)
    for entries in (names, ["---"] * len(names), *lines):
        yield "| " + " | ".join(entries) + " |"


def ratio(cell: CellScores | None, method: MethodName) -> str:
    """Write the median over the tuned ridge's."""
    return "" if cell is None else f"{cell.ratios[method].median:.2f}"


def bayes(cell: CellScores) -> str:
    """Write median and spread of bayes over the tuned ridge's."""
    found = cell.ratios["bayes"]
    return f"**{found.median:.2f}** ({found.low:.2f} … {found.high:.2f})"


def coverage(cell: CellScores, method: MethodName = "bayes") -> str:
    """Average the coverage over the maps."""
    return f"{100 * float(np.mean(cell.values(method, 'coverage'))):.1f} %"


def geometry(cell: CellScores) -> str:
    """Write the sides of map and kernel."""
    return f"{cell.cell.image_px}/{cell.cell.kernel_px}"


def aims(report: AccuracyReport) -> Iterator[str]:
    """Write the table of targets."""
    lines = []
    for one in report.targets:
        percent = "coverage" in one.claim
        number, cell = one.worst.removesuffix(")").split(" (", 1)
        shown = [
            f"{100 * x:.1f} %" if percent else f"{x:.2f}" for x in (one.measured, float(number))
        ]
        limit = "93 to 97 %" if percent else f"at most {one.highest}"
        verdict = "reached" if one.reached else "missed"
        lines.append((f"{one.claim}: {limit}", shown[0], verdict, f"{shown[1]} ({cell})"))
    return rows(("aim", "measured", "", "worst cell"), lines)


def methods(report: AccuracyReport, learned: AccuracyReport, kind: str) -> Iterator[str]:
    """Write the table of all methods on maps with exact marks."""
    others = {cell.cell: cell for cell in learned.cells}
    heads = (
        *("map/kernel", "defects", "SNR", "limit", "tuned ridge", "least_squares", "smooth"),
        *("learned", "bayes (10-90 %)", "oracle", "two_step", "coverage"),
    )  # fmt: skip
    lines = [
        (
            geometry(cell),
            str(cell.cell.defects),
            f"{cell.cell.snr:g}",
            "none" if cell.limit is None else f"{cell.limit:.3f}",
            f"{cell.scores['tuned_ridge']['nrmse'].median:.3f}",
            ratio(cell, "least_squares"),
            ratio(cell, "bayes_smooth"),
            ratio(others.get(cell.cell), "bayes_learned"),
            bayes(cell),
            ratio(cell, "oracle"),
            ratio(cell, "two_step"),
            coverage(cell),
        )
        for cell in report.cells
        if cell.cell.kind == kind
    ]
    return rows(heads, lines)


def wrong_marks(report: AccuracyReport) -> Iterator[str]:
    """Write the table of maps whose marks are off or missing."""
    heads = (
        *("map/kernel", "SNR", "marks", "tuned ridge", "least_squares", "smooth"),
        *("bayes (10-90 %)", "two_step", "coverage, bayes", "coverage, least_squares"),
    )  # fmt: skip
    lines = [
        (
            geometry(cell),
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
        for cell in report.cells
    ]
    return rows(heads, lines)


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


def summary(report: AccuracyReport) -> Iterator[str]:
    """Summarise what the tables do not show at a glance."""
    settings = report.settings
    yield f"{report.software}; earlier: {', '.join(report.earlier) or 'none'}"
    yield f"seeds {settings.numbers[0]} to {settings.numbers[-1]}, {', '.join(settings.methods)}"
    for kind in dict.fromkeys(one.cell.kind for one in report.cells):
        cells = [one for one in report.cells if one.cell.kind == kind]
        for method in ("least_squares", "oracle", "bayes_learned", "two_step"):
            if method in settings.methods:
                against = {float(np.median(one.ratio("bayes", method))): one.cell for one in cells}
                least, most = min(against), max(against)
                above = [str(cell) for value, cell in against.items() if value > 0.5]
                yield f"{kind}: bayes over {method} {least:.2f} ... {most:.2f} ({against[most]})"
                if method == "two_step":
                    yield f"  above 0.5: {'; '.join(above) or 'none'}"
        covered = [float(np.mean(one.values("bayes", "coverage"))) for one in cells]
        worst = min(float(one.values("bayes", "coverage").min()) for one in cells)
        yield (
            f"{kind}: coverage of cells {min(covered):.3f} ... {max(covered):.3f}, "
            f"of the worst map {worst:.3f}"
        )
    for side in sorted({one.cell.image_px for one in report.cells}):
        same = [one for one in report.cells if one.cell.image_px == side]
        spent = np.median([one.scores["bayes"]["seconds"].median for one in same])
        yield f"{side} px: bayes {spent:.2f} s"


if __name__ == "__main__":
    reports = [AccuracyReport.model_validate_json(Path(one).read_bytes()) for one in sys.argv[1:4]]
    text = with_tables(PAGE.read_text(encoding="utf-8"), *reports)
    PAGE.write_text(text, encoding="utf-8")
    for name, report in zip(("exact", "learned", "marks"), reports, strict=True):
        print(f"\n{name}:", *summary(report), sep="\n")
    kept = dict(zip(("exact", "learned", "marks"), map(numbers, reports), strict=True))
    NUMBERS.write_text(json.dumps(kept, separators=(",", ":")) + "\n", encoding="utf-8")
