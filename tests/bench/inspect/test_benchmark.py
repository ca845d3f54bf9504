"""The benchmark of the inspection: run quickly, with stmpy where it is installed."""

from __future__ import annotations

import numpy as np
import pytest

from qpi_kernels.bench.inspect import benchmark
from qpi_kernels.bench.inspect.agreement import agreements
from qpi_kernels.bench.inspect.own import OWN
from qpi_kernels.bench.inspect.scores import ERRORS, measured_error
from qpi_kernels.bench.inspect.stmpy_peer import Stmpy, stmpy_ways
from qpi_kernels.bench.peers import MissingPeer, Way
from qpi_kernels.progress import drive

LIMITS = {
    "amplitude": 2.0,
    "wave": 18.0,  # an eighth of the resolution along both axes, with padding 4
    "noise": 5.0,
    "cut": 0.05,
    "round": 0.5,
    "ring": 12.0,
    "correlation": 3.0,
    "symmetry": 1e-9,
    "lattice": 20.0,
}


@pytest.fixture(scope="module")
def run_quick():
    """Run quickly where no other program is installed."""

    def absent():
        raise MissingPeer("stmpy: pip install getstmpy")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark, "Stmpy", absent)
        return drive(benchmark.InspectBench(quick=True))


def test_a_quick_run_measures_every_task(run_quick) -> None:
    report = run_quick
    errors = {row.error: row for row in report.rows}
    assert set(ERRORS.values()) < set(errors)
    assert report.tools == [OWN, "numpy"]
    assert report.missing == ["stmpy: pip install getstmpy"]
    assert report.agreements == []
    for row in report.rows:
        mine = row.best(OWN)
        assert mine is not None
        assert mine.failed == 0
        if row.task in LIMITS:
            assert mine.median is not None
            assert mine.median <= LIMITS[row.task], row
    assert benchmark.InspectReport.model_validate_json(report.model_dump_json()) == report


@pytest.fixture(scope="module")
def stmpy() -> Stmpy:
    """Return stmpy; skips where it is not installed."""
    try:
        return Stmpy()
    except MissingPeer as missing:
        pytest.skip(str(missing))


def test_a_peer_does_its_tasks(stmpy) -> None:
    """A wrong call of it would make its ways useless."""
    cells = {cell.task: cell for cell in benchmark._cells(64)}
    largest = {"amplitude": 60, "wave": 80, "cut": 10, "round": 5, "ring": 30, "lattice": 100}
    for task, limit in largest.items():
        ways = [way for way in stmpy_ways(stmpy) if way.task == task]
        if ways:
            assert min(measured_error(way, cells[task].make(0)) for way in ways) < limit, task
    assert stmpy.cuts == any(way.task == "cut" for way in stmpy_ways(stmpy))


def test_numbers_are_the_same_where_it_is_said(stmpy) -> None:
    found = list(agreements(stmpy, size=32))
    assert len(found) == 9
    for one in found:
        if not stmpy.cuts and "linecut" in one.there:
            assert one.shown == "failed"
            continue
        assert one.difference is not None
        assert (one.shown == "rounding") == one.reason.startswith("same"), one


def test_a_failure_is_no_number() -> None:
    def fails(problem):
        raise ValueError

    cell = next(cell for cell in benchmark._cells(32) if cell.task == "noise")
    assert np.isnan(measured_error(Way("peer", "a", "noise", fails), cell.make(0)))
    exact = Way("peer", "a", "noise", lambda problem: np.asarray(problem.sigma**2 * (1 + 1e-13)))
    assert measured_error(exact, cell.make(0)) == 0.0
