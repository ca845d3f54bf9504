"""docs/real-maps.md shows the numbers of docs/results/real.json, and real marks."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import numpy as np
import xarray as xr
from scipy.special import j0, y0

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


def test_rings_of_a_known_wave_number_are_fitted() -> None:
    """Waves without damping, from Bessel functions that the fit does not use."""
    axis = (np.arange(61) - 30) * 0.2
    phase = 2.1 * np.maximum(np.hypot(axis[:, None], axis), 0.05)
    waves = 0.03 * (j0(phase) ** 2 - y0(phase) ** 2) + 0.2 * j0(phase) * y0(phase)
    kernel = xr.DataArray(waves, dims=("y", "x"), coords={"y": axis, "x": axis})
    found = SCRIPT["fit_rings"](kernel, xr.full_like(kernel, 0.02))
    assert abs(found.k - 2.1) < 0.01
    assert found.kappa < 0.05
