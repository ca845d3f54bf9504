"""docs/accuracy.md shows the numbers of docs/results/left-out.json, which hold."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
SCRIPT = runpy.run_path(str(DOCS / "left_out_page.py"))
PAGE = (DOCS / "accuracy.md").read_text(encoding="utf-8")
NUMBERS = json.loads((DOCS / "results" / "left-out.json").read_text(encoding="utf-8"))


def test_the_table_is_what_the_script_makes_of_the_numbers() -> None:
    assert SCRIPT["with_table"](PAGE, NUMBERS) == PAGE
    assert len(NUMBERS["10"]["families"]) == 26


def test_no_map_is_worse_than_least_squares_and_intervals_cover() -> None:
    for ratio, one in NUMBERS.items():
        assert one["all"]["maps"] == 780
        # At the highest signal one crystal is, as the page says.
        assert one["all"]["worst"] < 1.02 or ratio == "1000"
        assert 0.93 < one["all"]["coverage"] < 0.97
