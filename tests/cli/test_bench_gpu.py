"""``napari-qpi bench gpu``: its table, its file, and a failure that is said."""

from __future__ import annotations

from qpi_kernels.bench.gpu import benchmark
from qpi_kernels.bench.gpu.report import GpuReport
from qpi_kernels.bench.speed.problems import family_map


def tiny():
    return family_map(30, 9, 5).asked(method="least_squares")


def broken():
    raise OSError("no such map")


def test_the_command_prints_what_failed_and_says_so(run_command, tmp_path, monkeypatch):
    tasks = [("tiny", 1.0, tiny), ("broken", None, broken)]
    monkeypatch.setattr(benchmark, "seconds_tasks", lambda _: tasks)
    target = tmp_path / "gpu.json"
    words = ("bench", "gpu", "--device", "cpu", "--quick", "--only", "seconds", "--json", target)
    done = run_command(*words)
    assert done.exit_code == 1
    assert "no such map" in done.stdout
    assert "warm_s" in done.stdout
    assert GpuReport.model_validate_json(target.read_text()).quick
    assert "gpu.json" in run_command(*words).stderr
    refused = run_command("bench", "gpu", "--only", "everything")
    assert refused.exit_code == 1
    assert "choose of seconds" in refused.stderr
