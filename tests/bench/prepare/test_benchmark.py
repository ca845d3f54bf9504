"""The benchmark of the preparation: run quickly, with whatever other programs are here."""

from __future__ import annotations

import numpy as np
import pytest

from qpi_kernels.bench.peer_report import PeerReport, PeerRow, PeerScore
from qpi_kernels.bench.peers import MissingPeer
from qpi_kernels.bench.prepare import benchmark, gwyddion_peer, spiepy_peer, stmpy_peer
from qpi_kernels.bench.prepare.own import OWN
from qpi_kernels.bench.prepare.problems import drift_map, step_map, tone_map
from qpi_kernels.bench.prepare.scores import drift_error, row_error, step_error, tone_changes
from qpi_kernels.progress import drive


@pytest.fixture(scope="module")
def run_quick():
    """Run quickly where no other program is installed."""

    def absent():
        raise MissingPeer("stmpy: pip install getstmpy")

    with pytest.MonkeyPatch.context() as patch:
        for name in ("stmpy_ways", "spiepy_ways", "gwyddion_ways"):
            patch.setattr(benchmark, name, absent)
        return drive(benchmark.PrepareBench(quick=True))


def test_a_quick_run_measures_every_task_and_says_what_is_not_installed(run_quick) -> None:
    report = run_quick
    assert {row.task for row in report.rows} == {"drift", "rows", "step", "tone"}
    assert report.tools[:2] == [OWN, "numpy"]
    assert report.missing == ["stmpy: pip install getstmpy"] * 3
    for row in report.rows:
        mine = row.best(OWN)
        assert mine is not None
        assert mine.median is not None
        assert mine.failed == 0
        if row.task in ("drift", "tone") and not row.error.startswith("seconds"):
            assert row.ahead(OWN), row
    heads, *lines = report.table()
    assert heads == ["error", "maps", OWN, "numpy"]
    assert len(lines) == len(report.rows)
    assert PeerReport.model_validate_json(report.model_dump_json()) == report


def test_the_best_way_of_each_program_counts() -> None:
    scores = [
        PeerScore(tool="ours", way="a", median=0.4, largest=1.0, failed=0),
        PeerScore(tool="peer", way="b", median=0.3, largest=None, failed=1),
        PeerScore(tool="peer", way="c", median=0.5, largest=1.0, failed=0),
        PeerScore(tool="lost", way="d", median=None, largest=None, failed=3),
    ]
    row = PeerRow(task="rows", maps="m", error="e", count=3, scores=scores)
    assert row.best("peer") == scores[1]
    assert row.best("lost") is None
    assert not row.ahead("ours")
    assert row.ahead("peer")
    report = PeerReport(
        rows=[row], own="ours", missing=[], seeds=[0, 1, 2], quick=False, software="", versions={},
        machine="",
    )  # fmt: skip
    assert report.table() == [
        ["error", "maps", "ours", "peer", "lost"],
        ["e", "m", "0.4", "0.3 (1 failed)", ""],
    ]


def test_a_failure_is_larger_than_any_error() -> None:
    def fails(raw):
        raise ValueError

    way = benchmark.Way("peer", "a", "rows", fails)
    cell = next(iter(cell for cell in benchmark._cells(32) if cell.task == "rows"))
    assert np.isnan(benchmark._errors(way, cell, cell.make(0), 1)).all()
    assert PeerScore.of(way.tool, way.name, np.array([1.0, np.nan, 3.0])).median == 3.0
    assert PeerScore.of(way.tool, way.name, np.array([np.nan, np.nan, 3.0])).median is None


PEERS = {
    "stmpy": stmpy_peer.stmpy_ways,
    "spiepy": spiepy_peer.spiepy_ways,
    "gwyddion": gwyddion_peer.gwyddion_ways,
}


@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_does_its_tasks(peer) -> None:
    """A wrong call of it would make every one of its ways useless."""
    try:
        ways = PEERS[peer]()
    except MissingPeer as missing:
        pytest.skip(str(missing))
    lattice = drift_map("square", (95, 95), 100.0, seed=0)
    step, rows = step_map(90, 0.0, (96, 96), seed=0), step_map(None, 0.05, (96, 96), seed=0)
    tone = tone_map((96, 96), seed=0)
    measured = {
        "drift": lambda way: drift_error(lattice, way.apply(lattice.raw)),
        "step": lambda way: step_error(step, way.apply(step.raw)),
        "rows": lambda way: row_error(rows, way.apply(rows.raw)),
        "tone": lambda way: tone_changes(tone, way.apply(tone.raw))[0],
    }
    nothing = {
        "drift": drift_error(lattice, np.zeros((2, 95, 95))),
        "step": 100.0,
        "rows": 100.0,
        "tone": tone_changes(tone, tone.raw)[0],
    }
    for task in {way.task for way in ways}:
        best = min(measured[task](way) for way in ways if way.task == task)
        assert best < 0.5 * nothing[task], task
