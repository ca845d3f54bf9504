"""``napari-qpi bench inspect``: a quick run, its table and its file."""

from __future__ import annotations

from qpi_kernels.bench.inspect.benchmark import InspectReport


def test_a_quick_run_prints_and_writes(run_command, tmp_path):
    words = ("bench", "inspect", "--quick", "--no-peers", "--json", tmp_path / "inspect.json")
    done = run_command(*words)
    assert done.exit_code == 0, done.output
    assert "amplitude" in done.stdout
    assert "nothing about the programs" in done.stdout
    report = InspectReport.model_validate_json((tmp_path / "inspect.json").read_text())
    assert report.quick
    again = run_command(*words)
    assert again.exit_code == 1
    assert "inspect.json" in again.stderr
