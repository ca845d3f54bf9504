"""docs/performance.md shows the numbers of docs/results/speed.json, and their commit."""

from __future__ import annotations

import runpy
from pathlib import Path

from qpi_kernels.bench.speed.report import Failure, SpeedReport

DOCS = Path(__file__).parents[2] / "docs"
SCRIPT = runpy.run_path(str(DOCS / "performance_page.py"))
PAGE = (DOCS / "performance.md").read_text(encoding="utf-8")
REPORT = SpeedReport.model_validate_json((DOCS / "results" / "speed.json").read_bytes())


def test_the_page_is_what_the_script_makes_of_the_numbers() -> None:
    assert SCRIPT["with_tables"](PAGE, REPORT) == PAGE
    assert "commit " in PAGE
    assert REPORT.rows[0].claim in PAGE


def test_a_quick_run_and_failures_are_said() -> None:
    quick = REPORT.model_copy(update={"quick": True, "failures": [Failure(name="a|b", error="c")]})
    made = SCRIPT["tables"](quick)
    assert SCRIPT["QUICK"] in made
    assert "- a|b: c" in made
    whole = REPORT.model_copy(update={"quick": False, "growth": []})
    assert SCRIPT["QUICK"] not in SCRIPT["tables"](whole)
    assert "### Growth" not in SCRIPT["tables"](whole)
