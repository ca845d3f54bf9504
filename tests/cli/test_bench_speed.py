"""``napari-qpi bench speed``: its tables, its file, and going on with it."""

from __future__ import annotations

import pytest

from qpi_kernels.bench.speed import benchmark
from qpi_kernels.bench.speed.maps import MapRow
from qpi_kernels.bench.speed.problems import family_map
from qpi_kernels.bench.speed.report import SpeedReport


@pytest.fixture(autouse=True)
def one_row(monkeypatch):
    def tiny():
        return family_map(30, 9, 5).asked(method="least_squares")

    monkeypatch.setattr(benchmark, "map_rows", lambda _: [MapRow("tiny", [tiny], 1.5, repeats=1)])


def test_the_command_prints_writes_and_goes_on(run_command, tmp_path):
    target = tmp_path / "speed.json"
    words = ("bench", "speed", "--quick", "--only", "maps", "--json", target)
    done = run_command(*words)
    assert done.exit_code == 0, done.output
    assert "tiny" in done.stdout
    assert "Growth" not in done.stdout
    assert "nothing about speed" in done.stdout
    written = target.read_text()
    assert SpeedReport.model_validate_json(written).quick
    assert "speed.json" in run_command(*words).stderr
    assert run_command(*words, "--resume").exit_code == 0
    # Nothing was left to be measured.
    assert target.read_text() == written


def test_wrong_groups_and_files_are_refused(run_command, tmp_path):
    refused = run_command("bench", "speed", "--only", "everything")
    assert refused.exit_code == 1
    assert "choose of maps" in refused.stderr
    target = tmp_path / "speed.json"
    target.write_text("{}")
    damaged = run_command("bench", "speed", "--json", target, "--resume")
    assert damaged.exit_code == 1
    assert "choose another" in damaged.stderr
