"""`bench speed`: rows as they come, failures that stay in their row, and going on after a stop."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch

from qpi_kernels.bench.speed import benchmark, yardsticks
from qpi_kernels.bench.speed.benchmark import SpeedBench, SpeedBenchError
from qpi_kernels.bench.speed.growth import GrowthProblem, growth_problems
from qpi_kernels.bench.speed.maps import MapRow, map_rows, stack_rows
from qpi_kernels.bench.speed.problems import Task, blind_map, family_map, ring_stack
from qpi_kernels.bench.speed.report import SpeedReport, SpeedRow
from qpi_kernels.bench.speed.yardsticks import ideal_transforms, time_extraction
from qpi_kernels.progress import drive


def tiny() -> Task:
    return family_map(30, 9, 5).asked(method="least_squares")


def broken() -> Task:
    raise OSError("no such map")


@pytest.fixture
def few_rows(monkeypatch: pytest.MonkeyPatch) -> list[MapRow]:
    rows = [
        MapRow("tiny", [tiny], repeats=1),
        MapRow("broken", [broken]),
        MapRow("two", [tiny] * 2),
    ]
    monkeypatch.setattr(benchmark, "map_rows", lambda _: rows)
    return rows


def test_a_stopped_benchmark_goes_on(tmp_path: Path, few_rows: list[MapRow]) -> None:
    target = tmp_path / "speed.json"
    first = SpeedBench(groups=["maps"], report_path=target)
    for _ in range(2):
        first.step()
    kept = SpeedReport.model_validate_json(target.read_text())
    assert kept.done == ["maps: tiny"]
    whole = drive(SpeedBench(groups=["maps"], report_path=target, resume=True))
    assert whole.extractions[0] == kept.extractions[0]
    assert [row.name for row in whole.extractions] == ["tiny", "two"]
    assert [len(row.runs) for row in whole.extractions] == [1, 2]
    assert [one.name for one in whole.failures] == ["maps: broken"]
    assert not whole.passed
    few_rows[1] = MapRow("broken", [tiny])
    mended = drive(SpeedBench(groups=["maps"], report_path=target, resume=True))
    assert not mended.failures
    assert SpeedReport.model_validate_json(target.read_text()) == mended


@pytest.mark.usefixtures("few_rows")
def test_another_machine_or_size_does_not_go_on(tmp_path: Path) -> None:
    target = tmp_path / "speed.json"
    drive(SpeedBench(groups=["maps"], report_path=target))
    with pytest.raises(SpeedBenchError, match="quick"):
        SpeedBench(quick=True, report_path=target, resume=True)
    target.write_text(target.read_text().replace('"torch": "', '"torch": "0.'))
    with pytest.raises(SpeedBenchError, match="another torch"):
        SpeedBench(report_path=target, resume=True)


def test_yardsticks_are_of_the_same_map() -> None:
    time = time_extraction(tiny(), repeats=1)
    assert 0 < time.transforms_s < time.seconds
    assert 0.2 < time.seconds / time.least_squares_s < 5
    assert time.iterations > 1


def test_fft_pairs_are_counted_for_each_map_and_iteration(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = []
    forward = torch.fft.rfft2
    measure = ideal_transforms(tiny(), 3)
    monkeypatch.setattr(torch.fft, "rfft2", lambda x, s: counted.append(s) or forward(x, s=s))
    measure()
    # Once to set up, once timed; kernel and image in each iteration.
    assert counted == [(40, 40)] * 12
    monkeypatch.setattr(yardsticks, "timed", lambda _: 0.6)
    assert measure() == pytest.approx(0.6)
    # Of many iterations a part is timed.
    assert ideal_transforms(ring_stack(48, 9, 4, 5), 60)() == pytest.approx(0.6 * 5 * 60 / 12)


def test_least_squares_beside_blind_has_the_true_defects() -> None:
    task = blind_map(48, 11, 5)
    assert task.defects is None
    assert task.least_squares().defects is task.hidden
    assert task.least_squares().options["method"] == "least_squares"
    assert ring_stack(24, 9, 3, 2).alone()[1].observation.shape == (24, 24)


def test_quick_maps_are_small() -> None:
    tasks = [make() for row in map_rows(quick=True) for make in row.make]
    assert max(task.observation.shape[-1] for task in tasks) <= 96
    names = [row.name for row in map_rows(quick=False)]
    assert len(set(names)) == len(names)
    foreign = [row for row in map_rows(quick=False) if row.worst_aim_s]
    assert sum(len(list(row.make)) for row in foreign) == 42


def test_a_stack_is_compared_with_its_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = lambda *_: tiny_stack()  # noqa: E731
    monkeypatch.setattr("qpi_kernels.bench.speed.maps.ring_stack", asked)
    _, measure = next(iter(stack_rows(quick=True)))
    whole, ratio = measure()
    assert isinstance(ratio, SpeedRow)
    assert ratio.limit == 0.35
    alone = ratio.detail.split(" / ")[1]
    assert whole.aim_s == pytest.approx(0.35 * float(alone.removesuffix(" s")), abs=0.01)


def tiny_stack() -> Task:
    return ring_stack(24, 9, 3, 2).asked(method="least_squares")


def test_growth_varies_one_size_at_a_time() -> None:
    for quick in (True, False):
        problems = list(growth_problems(quick))
        assert len({one.name for one in problems}) == len(problems)
        for one in problems:
            of = {"map": one.side, "kernel": one.window, "defects": one.defects}
            assert of.get(one.axis, one.biases) == one.size


def test_a_point_is_a_median_with_its_memory() -> None:
    point = GrowthProblem("least_squares", "biases", 3, 24, 9, 3, 3).measure_here()
    assert (point.size, point.work) == (3, 3.0)
    assert 0 < point.transforms_s < point.seconds
    assert point.peak_mib >= 0


@pytest.mark.slow
def test_memory_of_a_growing_stack_is_seen_in_a_process_of_its_own() -> None:
    before = threading.active_count()
    point = GrowthProblem("least_squares", "biases", 40, 128, 15, 8, 40).measure()
    # The stack alone has 2.5 MiB.
    assert 2.5 < point.peak_mib < 100
    assert 0 < point.transforms_s < point.seconds
    assert threading.active_count() == before


@pytest.mark.slow
def test_a_process_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match="no_such_method"):
        GrowthProblem("no_such_method", "map", 32, 32, 9, 4).measure()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_quick_run_of_everything(tmp_path: Path) -> None:
    report = drive(SpeedBench(quick=True, report_path=tmp_path / "speed.json"))
    assert not report.failures
    assert len(report.curves) == 8
    assert report.passed
