"""``napari-qpi plan``: from a topograph with marks to what to measure."""

import csv
import json

import numpy as np
import pytest

from qpi_kernels.defects import Defects
from shared.planned_maps import PIXEL_NM, SIZE, WINDOW, map_of, positions, ring


@pytest.fixture
def topograph(tmp_path):
    """A quick map as numpy array with its pitch, and the table of its defects."""
    values = map_of(ring(), positions(), 0.5, 3).astype(np.float32)
    np.savez(tmp_path / "quick.npz", data=values, pixel_nm=PIXEL_NM, units="S")
    Defects(positions()).to_csv(tmp_path / "quick_defects.csv")
    return tmp_path / "quick.npz"


def words(topograph, *more):
    marks = topograph.with_name("quick_defects.csv")
    return "plan", topograph, "--defects", marks, "--kernel-size", WINDOW, WINDOW, *more


def test_a_plan_is_printed_and_written(run_command, topograph, tmp_path):
    report = tmp_path / "plan.json"
    done = run_command(*words(topograph, "--whole", "--error", "0.1", "--json", report))
    assert done.exit_code == 0, done.stderr
    content = json.loads(report.read_text())
    assert content["rectangle"]["rows"] == SIZE
    first = content["plans"][0]
    assert first["pixel_nm"] == pytest.approx(PIXEL_NM)
    # The noise of the quick map, and the time that the rest of the error takes to average out.
    assert first["noise"] == pytest.approx(0.5, rel=0.1)
    assert (first["error"] > 0.1) == (first["hours_for_wanted_error"] > first["hours"])
    assert "one more hour" in done.stdout
    assert f"{SIZE} x {SIZE}" in done.stdout
    assert run_command(*words(topograph, "--json", report)).exit_code == 1


def test_pixels_and_their_tour_are_written(run_command, topograph, tmp_path):
    tour, mask = tmp_path / "tour.csv", tmp_path / "pixels.npy"
    more = ("--whole", "--share", "0.2", "--tour", tour, "--pixels", mask, "--noise", "0.3",
            "--prior", "free_electrons", "--signal", "1.0")  # fmt: skip
    done = run_command(*words(topograph, *more))
    assert done.exit_code == 0, done.stderr
    chosen = np.load(mask)
    assert chosen.sum() == round(0.2 * SIZE**2)
    rows = list(csv.DictReader(tour.read_text().splitlines()))
    assert {(int(row["row"]), int(row["col"])) for row in rows} == set(
        map(tuple, np.argwhere(chosen))
    )
    steps = np.diff([(float(row["x_nm"]), float(row["y_nm"])) for row in rows], axis=0)
    assert np.hypot(*steps.T).mean() < 3 * PIXEL_NM


def test_what_can_not_be_planned_is_told(run_command, topograph, tmp_path):
    refused = run_command(*words(topograph, "--prior", "unobtainium", "--noise", "1"))
    assert refused.exit_code == 1
    assert "signal" in refused.stdout + refused.stderr
    refused = run_command(*words(topograph, "--pixels", tmp_path / "mask.png"))
    assert refused.exit_code == 1
    assert ".npy or .tif" in refused.stderr


def test_the_tour_is_that_of_the_quickest_plan(run_command, topograph, tmp_path):
    tour, mask, report = (tmp_path / name for name in ("tour.csv", "pixels.npy", "plan.json"))
    done = run_command(*words(topograph, "--error", "0.3", "--tour", tour, "--pixels", mask,
                              "--prior", "free_electrons", "--json", report))  # fmt: skip
    assert done.exit_code == 0, done.stderr
    plans = json.loads(report.read_text())["plans"]
    best = min(plans, key=lambda one: one["hours_for_wanted_error"] or float("inf"))
    assert best["pixel_nm"] > PIXEL_NM
    assert list(np.load(mask).shape) == best["shape"]
    rows = list(csv.DictReader(tour.read_text().splitlines()))
    assert len(rows) == best["pixels"]
    steps = np.diff([(float(row["x_nm"]), float(row["y_nm"])) for row in rows], axis=0)
    assert np.median(np.hypot(*steps.T)) == pytest.approx(best["pixel_nm"], rel=1e-3)
