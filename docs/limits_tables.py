"""The tables of docs/limits.md, of single maps in docs/results/limits.jsonl.

Usage: ``python docs/limits_tables.py [--measure]``. Measuring takes an hour of one core; maps that
the file has already are not measured again, so it can be stopped, and a removed file starts anew.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

import qpi_kernels as qk
from qpi_kernels.bench.accuracy.kernels import SimulatedKernels
from qpi_kernels.bench.accuracy.parameters import Annotation, Cell
from qpi_kernels.bench.accuracy.problems import accuracy_problem
from qpi_kernels.bench.robustness.faults import FAULTS, find_fault
from qpi_kernels.bench.robustness.scores import (
    ROBUSTNESS_CASES,
    MapScore,
    RobustnessCase,
    RobustnessScores,
    map_scores,
    robustness_scores,
)
from qpi_kernels.metrics import affine_invariant_nrmse

DOCS = Path(__file__).parent
NUMBERS, PAGE = DOCS / "results" / "limits.jsonl", DOCS / "limits.md"
METHODS = ("average", "least_squares", "two_step", "bayes")
RATIOS = (1.0, 10.0, 100.0)
SEEDS, FAULTY_SEEDS, CLICKED_SEEDS = range(7), range(23), range(10)
GEOMETRIES = ((128, 32), (256, 64))
CLICKS: dict[str, tuple[Annotation, Literal["positions"] | None]] = {
    "exact": ("exact", None),
    "off": ("jitter-1px", None),
    "refined": ("jitter-1px", "positions"),
    "exact, refined": ("exact", "positions"),
}

_TIMES = "\N{MULTIPLICATION SIGN}"

Row = dict[str, Any]
Key = tuple[str, str, float, int]


def measure(path: Path) -> None:
    """Measure the maps that a file lacks, and add each to it."""
    done = {key(row) for row in read(path)} if path.exists() else set()
    for one, make in tasks():
        if one not in done:
            table, name, snr, seed = one
            row = {"table": table, "name": name, "snr": snr, "seed": seed, **make()}
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(rounded(row)) + "\n")


def tasks() -> Iterator[tuple[Key, Callable[[], Row]]]:
    """List all maps, with what measures each."""
    for seed in SEEDS:
        for case in cases():
            for snr in RATIOS:
                yield ("cases", case.name, snr, seed), partial(scored, case, seed, snr)
    for seed in FAULTY_SEEDS:
        snr = RATIOS[(seed + 1) % 3]
        for fault in FAULTS:
            yield ("faults", fault, snr, seed), partial(faulty, fault, seed, snr)
    for sides in GEOMETRIES:
        for snr in RATIOS:
            for seed in CLICKED_SEEDS:
                name = "/".join(map(str, sides))
                yield ("clicks", name, snr, seed), partial(clicked, sides, seed, snr)


def cases() -> Iterator[RobustnessCase]:
    """List the cases of all groups."""
    for group in ROBUSTNESS_CASES.values():
        yield from group


def scored(case: RobustnessCase, seed: int, snr: float) -> Row:
    """Run all methods on a map at a signal to noise of 10, and bayes at others."""
    found = map_scores(case, seed, snr=snr, methods=METHODS if snr == 10 else ("bayes",))
    return {"scores": {name: asdict(score) for name, score in found.items()}}


def faulty(fault: str, seed: int, snr: float) -> Row:
    """Extract from a map with a fault."""
    return asdict(find_fault(fault, seed, snr=snr))


def clicked(sides: tuple[int, int], seed: int, snr: float) -> Row:
    """Extract by bayes with exact marks and clicks, both also refined."""
    source, found = SimulatedKernels(), {}
    for name, (annotation, refine) in CLICKS.items():
        cell = Cell(
            kind="known",
            image_px=sides[0],
            kernel_px=sides[1],
            defects=20,
            snr=snr,
            annotation=annotation,
        )
        problem = accuracy_problem(cell, seed, source)
        result = qk.extract(
            problem.observation, problem.marked, kernel_shape=(sides[1],) * 2, refine=refine
        )
        within = np.abs(result.kernel.values - problem.kernel) < 1.959964 * result.std.values
        found[name] = {
            "nrmse": float(affine_invariant_nrmse(problem.kernel, result.kernel.values)),
            "coverage": float(within.mean()),
            "trust": result.quality.trust,
        }
    return {"answers": found}


def rounded(value: Any) -> Any:
    """Keep four digits of every number."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    return value


def read(path: Path) -> list[Row]:
    """Read the rows of a file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def key(row: Row) -> Key:
    """Name a map."""
    return row["table"], row["name"], float(row["snr"]), int(row["seed"])


def tables(rows: list[Row]) -> dict[str, str]:
    """Make all tables of the page."""
    return {
        "faults": fault_table([row for row in rows if row["table"] == "faults"]),
        "cases": case_table(rows),
        "noise": noise_table(rows),
        "clicks": click_table([row for row in rows if row["table"] == "clicks"]),
    }


def summed(rows: list[Row], case: str, snr: float) -> RobustnessScores:
    """Sum up the maps of a case."""
    return robustness_scores(
        [
            {name: MapScore(**score) for name, score in row["scores"].items()}
            for row in rows
            if row["table"] == "cases" and (row["name"], row["snr"]) == (case, snr)
        ]
    )


def case_table(rows: list[Row]) -> str:
    """Compare all methods at a signal to noise of 10."""
    lines = [
        f"| | left out | {' | '.join(METHODS)} | χ² | coverage | doubts | told |",
        "|---" * 10 + "|",
    ]
    for group, members in ROBUSTNESS_CASES.items():
        lines.append(f"| **{group}** | | | | | | | | | |")
        for case in members:
            found = summed(rows, case.name, 10.0)
            errors = [
                f"{found.nrmse[name]:.2f}" if name in found.nrmse else "-" for name in METHODS
            ]
            row = [case.name, f"{found.left_out:.2f}", *errors, f"{found.chi2:.2f}"]
            row += [f"{found.coverage:.0%}", f"{found.doubted}/{found.maps}", told(found.told)]
            lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def noise_table(rows: list[Row]) -> str:
    """Show bayes at all signals to noise."""
    lines = [
        "| bayes: error, coverage, doubts, told | "
        + " | ".join(f"SNR {r:g}" for r in RATIOS)
        + " |"
    ]
    lines.append("|---" * (1 + len(RATIOS)) + "|")
    for case in cases():
        row = [case.name]
        for snr in RATIOS:
            found = summed(rows, case.name, snr)
            doubts = f"{found.doubted}/{found.maps}"
            row.append(
                f"{found.nrmse['bayes']:.2f}, {found.coverage:.0%}, {doubts}; {told(found.told)}"
            )
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def fault_table(rows: list[Row]) -> str:
    """Show how often each fault is told by which reason."""
    lines = [
        "| true fault | maps | "
        + " | ".join(f"told at SNR {ratio:g}" for ratio in RATIOS)
        + " | coverage | below 90 %, called good |",
        "|---" * 7 + "|",
    ]
    for fault in FAULTS:
        found = [row for row in rows if row["name"] == fault]
        cells = [
            told(Counter(row["told"] for row in found if row["snr"] == ratio)) for ratio in RATIOS
        ]
        coverage = f"{np.median([row['coverage'] for row in found]):.0%}"
        wrong = sum(row["coverage"] < 0.9 and row["trust"] == "good" for row in found)
        lines.append(
            "| " + " | ".join([fault, str(len(found)), *cells, coverage, str(wrong)]) + " |"
        )
    return "\n".join(lines)


def click_table(rows: list[Row]) -> str:
    """Compare clicks with exact marks, both with refinement and without."""
    lines = [
        "| map/kernel | SNR | error, exact marks | off by 1 px | refined | refined, worst map "
        "| exact marks, refined | coverage, exact marks | coverage, refined |",
        "|---" * 9 + "|",
    ]
    for name, snr in dict.fromkeys((row["name"], row["snr"]) for row in rows):
        answers = [row["answers"] for row in rows if (row["name"], row["snr"]) == (name, snr)]
        exact, off, refined, both = (
            np.array([one[which]["nrmse"] for one in answers]) for which in CLICKS
        )
        coverage = [
            f"{np.mean([one[which]['coverage'] for one in answers]):.0%}"
            for which in ("exact", "refined")
        ]
        ratios = [np.median(off / exact), np.median(refined / exact), (refined / exact).max()]
        ratios.append(np.median(both / exact))
        numbers = [f"{_TIMES} {ratio:.2f}" for ratio in ratios]
        numbers[0] = f"{_TIMES} {ratios[0]:.1f}"
        row = [name, f"{snr:g}", f"{np.median(exact):.3f}", *numbers, *coverage]
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def told(codes: Mapping[str, int]) -> str:
    """Write how often each reason was given, the most frequent first."""
    ordered = sorted(codes.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{code.replace('_', ' ') or 'nothing'} {count}" for code, count in ordered)


def with_tables(page: str, rows: list[Row]) -> str:
    """Put the tables into the text of the page."""
    for name, table in tables(rows).items():
        begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
        before, rest = page.split(begin)
        page = before + begin + table + "\n" + end + rest.split(end)[1]
    return page


if __name__ == "__main__":
    if "--measure" in sys.argv[1:]:
        measure(NUMBERS)
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8"), read(NUMBERS)), encoding="utf-8")
