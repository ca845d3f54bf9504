"""docs/limits.md shows the numbers of docs/results/limits.jsonl, which hold."""

from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
SCRIPT = runpy.run_path(str(DOCS / "limits_tables.py"))
PAGE = (DOCS / "limits.md").read_text(encoding="utf-8")
ROWS = SCRIPT["read"](DOCS / "results" / "limits.jsonl")


def test_the_tables_are_what_the_script_makes_of_the_numbers() -> None:
    assert SCRIPT["with_tables"](PAGE, ROWS) == PAGE
    assert {SCRIPT["key"](row) for row in ROWS} <= {one for one, _ in SCRIPT["tasks"]()}


def test_kernels_of_wrong_models_are_covered_or_doubted() -> None:
    for case in SCRIPT["cases"]():
        for snr in SCRIPT["RATIOS"]:
            found = SCRIPT["summed"](ROWS, case.name, snr)
            # Rounded to whole percents, as in the table.
            assert found.coverage > 0.895 or found.doubted >= 0.95 * found.maps


def test_named_faults_are_told_by_their_own_reasons() -> None:
    faults = SCRIPT["FAULTS"]
    rows = [row for row in ROWS if row["table"] == "faults"]
    right = [row["told"] == faults[row["name"]] for row in rows]
    assert sum(right) > 0.95 * len(rows)
    poor = [row for row in rows if row["coverage"] < 0.9 and faults[row["name"]]]
    assert sum(row["trust"] == "good" for row in poor) < 0.05 * len(poor)
