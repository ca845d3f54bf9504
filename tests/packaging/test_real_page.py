"""docs/real-maps.md shows the numbers of docs/results/real.json, and real marks."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import numpy as np

from qpi_kernels import Defects

DOCS = Path(__file__).parents[2] / "docs"
SCRIPT = runpy.run_path(str(DOCS / "real_page.py"))
PAGE = (DOCS / "real-maps.md").read_text(encoding="utf-8")


def test_the_page_is_what_the_script_makes_of_the_numbers() -> None:
    numbers = json.loads((DOCS / "results" / "real.json").read_text(encoding="utf-8"))
    assert SCRIPT["with_tables"](PAGE, numbers) == PAGE
    assert list(numbers) == [case.name for case in SCRIPT["CASES"]]


def test_marks_are_read_and_lie_on_pixels_that_count() -> None:
    for case in SCRIPT["CASES"]:
        marks = Defects.from_csv(DOCS / "real" / case.marks)
        mask = SCRIPT["counted"]((512, 512), case.bands, case.discs, case.left)
        rows, columns = np.rint(marks.positions).astype(int).T
        assert len(marks) >= 2
        assert mask[rows, columns].all()
