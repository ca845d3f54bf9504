"""The benchmark from a grid to m*: its grids, its report, and its command."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from qpi_kernels.bench.dispersion.benchmark import GROUPS, DispersionBench
from qpi_kernels.bench.dispersion.grids import grids
from qpi_kernels.bench.dispersion.report import DispersionReport, DispersionRow
from qpi_kernels.cli.application import app
from qpi_kernels.progress import drive


def row(**changed):
    values = {
        "group": "Ag(111)", "name": "phase +1.40, seed 0", "used": 11, "reduced_chi2": 1.0,
        "mass": {"value": 0.402, "error": 0.002, "truth": 0.4},
        "onset": {"value": -0.066, "error": 0.0004, "truth": -0.065},
        "self_energy": {"value": 0.0066, "error": 0.0003, "truth": 0.006},
        "phase_errors": [0.03, -0.04], "phases_covered": 1.0, "ring_mass": 0.46,
        "ring_onset": -0.07, "kernel_ring_mass": 0.38, "blind_mass": 0.4, "seconds": 3.0,
    }  # fmt: skip
    return DispersionRow.model_validate(values | changed)


def test_a_group_is_summed_up_by_its_largest_errors():
    report = DispersionReport(machine={}, quick=True, rows=[row(), row(ring_mass=0.3)])
    heads, silver = report.table()
    assert len(heads) == len(silver)
    assert silver == [
        "Ag(111)", "2", "+0.5%", "+1.5%", "2 of 4", "-25.0%", "-5.0%", "-9.1%",
        "0.04 rms, 0.04 at most",
    ]  # fmt: skip


def test_grids_have_noise_as_strong_as_their_signal():
    first = next(grids("Ag(111)", quick=True))
    assert len(list(grids("Cu(111)", quick=False))) == 9
    noisy, defects = first.draw()
    other, _ = replace(first, seed=1).draw()
    assert noisy.shape == (11, 128, 128)
    assert len(defects) == 25
    assert not np.allclose(noisy, other)
    rough = noisy.diff("x").diff("y").var(("y", "x")) / 4
    assert (rough / noisy.var(("y", "x"))).values == pytest.approx(0.5, abs=0.1)


def test_an_unknown_group_is_refused():
    result = CliRunner().invoke(app, ["bench", "dispersion", "--only", "gold"])
    assert result.exit_code != 0
    assert "no group 'gold'" in result.output


@pytest.mark.slow
def test_masses_are_found_to_three_per_cent(tmp_path):
    path = tmp_path / "dispersion.json"
    report = drive(DispersionBench(GROUPS[:2], quick=True, report_path=path))
    assert DispersionReport.model_validate_json(path.read_text()) == report
    for found in report.rows:
        assert abs(found.mass.off) < 0.03
        assert abs(found.onset.off) < 0.03
        assert abs(found.self_energy.off) < 0.15
        assert np.abs(found.phase_errors).max() < 0.15
