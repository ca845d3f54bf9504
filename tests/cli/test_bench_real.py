"""``napari-qpi bench real``, and windows chosen on the command line."""

from __future__ import annotations

import json

import pytest

from qpi_kernels import Defects, KernelResult
from qpi_kernels.bench.real.benchmark import parse_method
from qpi_kernels.bench.real.report import RealReport
from qpi_kernels.extraction import ExtractionError


@pytest.fixture
def table(tmp_path, spots):
    """Return a table with the four spots."""
    path = tmp_path / "spots.csv"
    Defects(spots).to_csv(path)
    return path


def test_methods_are_compared_on_a_file(run_command, write_map, table, tmp_path) -> None:
    report, markdown = tmp_path / "real.json", tmp_path / "real.md"
    done = run_command(
        *("bench", "real", write_map(), "--defects", table, "--kernel-size", "15"),
        *("--methods", "average,least_squares,least_squares:symmetry=C4v", "--folds", "3"),
        *("--json", report, "--markdown", markdown),
    )
    assert done.exit_code == 0, done.stderr
    made = RealReport.model_validate_json(report.read_text())
    assert [row.method for row in made.rows] == [
        "average",
        "least_squares",
        "least_squares:symmetry=C4v",
    ]
    best, *others = sorted(made.rows, key=lambda row: -row.score.r_squared)
    assert best.method == "least_squares:symmetry=C4v"
    assert best.behind == 0
    assert all(row.real for row in others)
    assert made.settings.folds == best.score.folds == 3
    assert made.sentences[0] in done.stdout.replace("\n", " ")
    heads, _, first, *_ = markdown.read_text().splitlines()
    assert heads.startswith("| method | R² |")
    assert first.startswith("| least_squares:symmetry=C4v | 0.")


def test_defects_are_left_out(run_command, write_map, table, tmp_path) -> None:
    report = tmp_path / "real.json"
    done = run_command(
        *("bench", "real", write_map(), "--defects", table, "--kernel-size", "15"),
        *("--methods", "least_squares", "--leave-out", "defects", "--json", report),
    )
    assert done.exit_code == 0, done.stderr
    (row,) = json.loads(report.read_text())["rows"]
    assert row["score"]["blocks"] == 4
    assert row["score"]["r_squared"] > 0.5


def test_what_cannot_be_compared_is_refused(run_command, write_map, table) -> None:
    words = ("bench", "real", write_map())
    assert "give --defects" in run_command(*words, "--methods", "average").stderr
    done = run_command(*words, "--defects", table, "--methods", "averag")
    assert done.exit_code != 0
    assert "did you mean 'average'" in done.stderr.replace("\n", " ")


def test_a_method_is_read_with_its_fields() -> None:
    parameters = parse_method("bayes:prior=smooth:refine=positions", {"kernel_shape": (9, 9)})
    assert (parameters.method, parameters.prior) == ("bayes", "smooth")
    assert parameters.refine == "positions"
    assert parameters.kernel_shape == (9, 9)
    with pytest.raises(ExtractionError, match="NAME=VALUE"):
        parse_method("bayes:smooth", {})


def test_a_window_is_chosen_and_validated(run_command, write_map, table, tmp_path) -> None:
    target, report = tmp_path / "kernel.nc", tmp_path / "report.json"
    done = run_command(
        *("extract", write_map(), "--defects", table, "--kernel-size", "auto", "-o", target),
        *("--method", "least_squares", "--validation-folds", "3", "--json", report),
    )
    assert done.exit_code == 0, done.stderr
    result = KernelResult.load(target)
    assert 8 <= result.kernel.shape[0] <= 24
    (entry,) = json.loads(report.read_text())["files"]
    assert entry["quality"]["prediction"]["folds"] == 3
    assert entry["provenance"]["window_choice"]["chosen_px"] == result.kernel.shape[0]
