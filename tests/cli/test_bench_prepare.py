"""``napari-qpi bench prepare``: a quick run, its table and its file."""

from __future__ import annotations

from qpi_kernels.bench.peer_report import PeerReport


def test_a_quick_run_prints_and_writes(run_command, tmp_path):
    words = ("bench", "prepare", "--quick", "--no-peers", "--json", tmp_path / "prepare.json")
    done = run_command(*words)
    assert done.exit_code == 0, done.output
    assert "residual drift" in done.stdout
    assert "nothing about the programs" in done.stdout
    report = PeerReport.model_validate_json((tmp_path / "prepare.json").read_text())
    assert report.quick
    again = run_command(*words)
    assert again.exit_code == 1
    assert "prepare.json" in again.stderr
