"""``napari-qpi bench paper``: stopped, gone on with, and reported."""

from __future__ import annotations

import pytest

from qpi_kernels.bench.paper.benchmark import PaperBench
from qpi_kernels.bench.paper.experiments import MODELS, ROWS
from qpi_kernels.bench.paper.parameters import PaperParameters
from qpi_kernels.bench.paper.report import PaperReport
from qpi_kernels.progress import Cancelled, CancelToken, drive

TINY = {"quick": True, "steps": 2, "kernels": 20, "observations": 2, "tests": 1, "device": "cpu"}
OPTIONS = (
    *("--quick", "--steps", "2", "--kernels", "20", "--observations", "2", "--tests", "1"),
    *("--device", "cpu"),
)


def test_an_existing_report_is_not_replaced(run_command, tmp_path):
    (tmp_path / "report.json").write_text("mine")
    done = run_command("bench", "paper", "--json", tmp_path / "report.json")
    assert done.exit_code == 1
    assert "--overwrite replaces it" in done.stderr


def test_help_tells_what_quick_changes(run_command):
    done = run_command("bench", "paper", "--help")
    assert done.exit_code == 0
    assert "700, quick 6" in done.stdout


@pytest.mark.slow
def test_a_stopped_benchmark_goes_on_and_reports(run_command, tmp_path):
    """Stopped in the middle of a training; the rest by the command."""
    bench = PaperBench(tmp_path / "work", PaperParameters.model_validate(TINY))
    token = CancelToken()

    def stop(event):
        if event.message.startswith("one_step"):
            token.cancel()

    with pytest.raises(Cancelled):
        drive(bench, stop, token)
    bench.save()
    weights = tmp_path / "work" / "two_step" / "kernels" / "best"
    before = (weights / "diffusion_pytorch_model.safetensors").stat().st_mtime_ns

    done = run_command(
        *("bench", "paper", *OPTIONS, "--work", tmp_path / "work"),
        *("--json", tmp_path / "report.json"),
    )
    assert done.exit_code == 0, done.output
    assert (weights / "diffusion_pytorch_model.safetensors").stat().st_mtime_ns == before
    assert all((tmp_path / "work" / model.name).is_dir() for model in MODELS)
    assert "0.1297" in done.stdout
    assert "A quick run shows that everything works" in done.stdout

    report = PaperReport.model_validate_json((tmp_path / "report.json").read_text())
    assert len(report.rows) == len(ROWS)
    assert report.budget["steps_of_each_stage"] == 2
    assert report.budget["precision"] == "no"
    assert report.earlier == []
    assert {row.model: row.steps for row in report.rows}["two_step"] == 4
    for row in report.rows:
        assert bool(row.scores) != bool(row.not_run)
        if row.model.startswith("hub"):
            assert "needs a GPU" in row.not_run
            assert row.published_rmse is not None
    rmse = next(row for row in report.rows if row.tests == "OOD").scores["rmse"]
    assert 0 < rmse.min <= rmse.low <= rmse.mean <= rmse.high <= rmse.max
    hub = next(one for one in report.comparisons if one.claim == "pre-trained against from scratch")
    assert hub.change is None
    assert hub.published_change == pytest.approx(-0.211, abs=1e-3)

    again = run_command("bench", "paper", *OPTIONS[:-2], "--seed", "1", "--work", tmp_path / "work")
    assert again.exit_code == 1
    assert "another folder" in again.stderr
