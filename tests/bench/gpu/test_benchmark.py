"""`bench gpu`: rows as they come, failures that stay in their row, a quick run of everything."""

from __future__ import annotations

from pathlib import Path

import pytest

from qpi_kernels.bench.gpu import benchmark
from qpi_kernels.bench.gpu.benchmark import GpuBench
from qpi_kernels.bench.gpu.report import GpuReport, GpuRow
from qpi_kernels.bench.speed.problems import Task, family_map
from qpi_kernels.bench.speed.timed_run import RowTimeout, run_within
from qpi_kernels.progress import drive


def tiny() -> Task:
    return family_map(30, 9, 5).asked(method="least_squares")


def broken() -> Task:
    raise OSError("no such map")


@pytest.fixture
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    timed = [("tiny", 1.0, tiny), ("broken", None, broken)]
    monkeypatch.setattr(benchmark, "seconds_tasks", lambda _: timed)
    monkeypatch.setattr(benchmark, "equality_tasks", lambda _, *, learned: [("tiny", tiny)])


@pytest.mark.usefixtures("few_rows", "pretended")
def test_every_row_is_written_when_it_is_there(tmp_path: Path) -> None:
    target = tmp_path / "gpu.json"
    bench = GpuBench("cpu", quick=True, groups=("seconds", "equality"), report_path=target)
    written = []

    def look(_: object) -> None:
        if target.exists():
            written.append(GpuReport.model_validate_json(target.read_text()))

    report = drive(bench, look)
    assert [len(one.rows) for one in written] == [1, 2, 3, 3]
    assert not written[0].finished
    assert written[-1] == report
    assert report.finished
    first, second, equal = report.rows
    assert 0 < first.numbers["first_event_s"] < first.numbers["first_s"]
    assert first.numbers["warm_s"] > 0
    assert second.error == "OSError: no such map"
    # Batches differ between devices, and so does rounding.
    assert equal.numbers["kernel_max"] < 1e-4
    assert equal.numbers["std_max"] < 1e-3
    assert not equal.missed
    assert report.failed == ["broken"]
    assert "threads" in report.machine["cpu_threads"]


def test_a_run_is_stopped_at_its_limit() -> None:
    with pytest.raises(RowTimeout, match=r"stopped after .* done: "):
        run_within(lambda: tiny().start("cpu"), 0.0, "cpu")


def test_a_number_that_is_none_misses_its_aim() -> None:
    row = GpuRow(
        group="seconds",
        name="a",
        numbers={"one": 1.0, "two": 2.5, "nan": float("nan")},
        aims={"one": 1.0, "two": 2.0, "nan": 1.0, "never measured": 1.0},
    )
    assert row.missed == ["two", "nan"]


@pytest.mark.slow
@pytest.mark.usefixtures("pretended")
def test_a_quick_run_of_everything() -> None:
    report = drive(GpuBench("cpu", quick=True))
    assert not report.failed
    assert not [row.name for row in report.rows if row.group == "equality" and row.missed]
    counted = {row.name: row.numbers for row in report.rows if row.group == "traffic"}
    for numbers in counted.values():
        assert numbers["launches"] > numbers["synchronisations"] > 0
