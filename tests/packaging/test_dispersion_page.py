"""docs/dispersion.md shows the numbers of docs/results/dispersion.json, which meet the bar."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

from qpi_kernels.bench.dispersion.report import DispersionReport

DOCS = Path(__file__).parents[2] / "docs"
SCRIPT = runpy.run_path(str(DOCS / "dispersion_page.py"))
PAGE = (DOCS / "dispersion.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def report() -> DispersionReport:
    """Read the saved report."""
    return DispersionReport.model_validate_json(SCRIPT["NUMBERS"].read_bytes())


def test_the_page_is_what_the_script_makes_of_the_numbers(report: DispersionReport) -> None:
    assert SCRIPT["with_tables"](PAGE, report) == PAGE
    assert not report.quick


def test_plain_grids_meet_the_bar(report: DispersionReport) -> None:
    plain = [row for row in report.rows if row.group in ("Ag(111)", "Cu(111)")]
    assert len(plain) == 18
    assert max(abs(one.off) for row in plain for one in (row.mass, row.onset)) < 0.03
    assert np.mean([one.covered for row in plain for one in (row.mass, row.onset)]) >= 0.9
    assert max(abs(row.self_energy.truth / row.self_energy.value - 1) for row in plain) < 0.15
    assert max(abs(error) for row in plain for error in row.phase_errors) < 0.1
