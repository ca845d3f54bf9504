"""``napari-qpi bench accuracy``: restricted, with kernels of one's own, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from qpi_kernels.bench.accuracy.report import AccuracyReport
from shared.few_latents import keep_few_directions

SMALL = (
    *("--geometry", "32/16", "--defects", "8", "--snr", "1,10", "--annotation", "exact"),
    *("--seeds", "1"),
)


@pytest.fixture
def own_kernels(tmp_path):
    """Kernels with a decaying wave, in no family's units."""
    radius = np.hypot(*np.mgrid[-12:13, -12:13])
    waves = [np.cos(k * radius) / (1 + radius) for k in (0.8, 1.2)]
    np.savez(tmp_path / "mine.npz", kernels=40 * np.stack(waves))
    return tmp_path / "mine.npz"


def test_own_kernels_are_looked_for_and_kept(run_command, tmp_path, own_kernels):
    # bayes_learned takes seconds for each map; it has a test of its own.
    words = ("bench", "accuracy", *SMALL, "--kernels", own_kernels, "--work", tmp_path / "work")
    words = (*words, "--methods", "least_squares,two_step")
    done = run_command(*words, "--json", tmp_path / "report.json")
    assert done.exit_code == 0, done.output
    assert "Kernels: own" in done.stdout
    assert "bayes / tuned ridge, own kernels" in done.stdout
    report = AccuracyReport.model_validate_json((tmp_path / "report.json").read_text())
    assert report.complete
    assert [one.cell.snr for one in report.cells] == [1, 10]
    assert report.cells[0].problems[0].name == "own kernel 0"
    assert (tmp_path / "work" / "accuracy.json").read_text() == (
        tmp_path / "report.json"
    ).read_text()

    again = run_command(*words)
    assert again.exit_code == 0, again.output
    kept = AccuracyReport.model_validate_json((tmp_path / "work" / "accuracy.json").read_text())
    assert kept.cells == report.cells

    other = run_command(*words, "--seed", "7")
    assert other.exit_code == 1
    assert "other settings" in other.stderr


def test_the_learned_prior_is_measured_too(run_command, tmp_path, own_kernels, monkeypatch):
    keep_few_directions(monkeypatch)
    words = ("bench", "accuracy", *SMALL, "--snr", "10", "--kernels", own_kernels)
    done = run_command(*words, "--work", tmp_path / "work", "--methods", "bayes_learned")
    assert done.exit_code == 0, done.output
    report = AccuracyReport.model_validate_json((tmp_path / "work" / "accuracy.json").read_text())
    scores = report.cells[0].problems[0].methods
    assert scores["bayes_learned"].nrmse < 2 * scores["tuned_ridge"].nrmse


def test_a_table_of_few_methods(run_command, tmp_path, own_kernels):
    words = ("bench", "accuracy", *SMALL, "--snr", "10", "--kernels", own_kernels)
    done = run_command(*words, "--work", tmp_path / "work", "--methods", "average")
    assert done.exit_code == 0, done.output
    assert "average" in done.stdout
    assert "two_step" not in done.stdout


def test_an_existing_report_is_not_replaced(run_command, tmp_path):
    (tmp_path / "report.json").write_text("mine")
    done = run_command("bench", "accuracy", "--json", tmp_path / "report.json")
    assert done.exit_code == 1
    assert "--overwrite replaces it" in done.stderr


def test_kernels_too_small_for_the_window_are_told_at_once(run_command, tmp_path, own_kernels):
    done = run_command("bench", "accuracy", "--kernels", own_kernels, "--work", tmp_path / "work")
    assert done.exit_code == 1
    assert "too small for a window of 64" in done.stderr
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("--geometry", "64x64", "as 128/32"),
        ("--snr", "0", "greater than 0"),
        ("--annotation", "sloppy", "missed-20%"),
        ("--families", "mine", "held-out"),
        ("--methods", "magic", "bayes_learned"),
    ],
)
def test_a_value_that_makes_no_sense_names_its_option(run_command, option, value, reason):
    done = run_command("bench", "accuracy", option, value)
    assert done.exit_code == 2
    assert option in done.stderr
    assert reason in done.stderr
