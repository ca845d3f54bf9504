"""``napari-qpi prepare``, and the commands that read what it writes."""

import json

import numpy as np
import pytest

from qpi_kernels import prepare
from qpi_kernels.defects import Defects
from qpi_kernels.result import KernelResult


@pytest.fixture
def tilted(write_map, tmp_path):
    """A map of bright spots whose rows jump on a tilt."""
    path = write_map("raw.npy")
    rows = np.random.default_rng(5).normal(size=96)
    image = np.load(path) + rows[:, None] + 0.05 * np.arange(96)
    np.save(path, image.astype("f4"))
    return path


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.json"
    crop = prepare.Crop(rows=(8, 96), columns=(4, 96))
    prepare.recipe.write(path, [prepare.AlignRows(), prepare.Level(), crop])
    return path


def test_a_raw_map_is_prepared_detected_and_extracted(
    run_command, tilted, recipe, spots, tmp_path
) -> None:
    made = tmp_path / "made.nc"
    done = run_command("prepare", tilted, "--recipe", recipe, "-o", made)
    assert done.exit_code == 0, done.output
    assert "align rows: offset rms" in done.stdout
    prepared = prepare.load_prepared(made)
    assert [entry["step"] for entry in prepared.history] == ["align_rows", "level", "crop"]
    assert prepared.image.shape == (88, 92)

    table = tmp_path / "found.csv"
    assert run_command("detect", made, "-o", table).exit_code == 0
    found = Defects.from_csv(table).positions
    wanted = spots - (8, 4)
    away = np.hypot(*(found[:, None] - wanted[None]).transpose(2, 0, 1))
    assert away.min(axis=0).max() < 1.0

    kernel = tmp_path / "kernel.nc"
    done = run_command(
        *("extract", made, "--defects", table, "--kernel-size", 15),
        *("--method", "least_squares", "-o", kernel),
    )
    assert done.exit_code == 0, done.output
    result = KernelResult.load(kernel)
    assert result.provenance["preparation"] == list(prepared.history)
    assert result.kernel.values.argmax() == result.kernel.size // 2


def test_extract_prepares_and_moves_the_marks_along(
    run_command, tilted, recipe, spots, tmp_path
) -> None:
    marks = tmp_path / "marks.csv"
    Defects(spots).to_csv(marks)
    kernel = tmp_path / "kernel.nc"
    words = ("--kernel-size", 15, "--method", "least_squares", "-o", kernel)
    done = run_command("extract", tilted, "--prepare", recipe, "--defects", marks, *words)
    assert done.exit_code == 0, done.output
    result = KernelResult.load(kernel)
    np.testing.assert_allclose(result.defects.positions, spots - (8, 4))
    assert result.provenance["preparation"][2]["step"] == "crop"


def test_marks_travel_in_the_prepared_file(run_command, tilted, recipe, spots, tmp_path) -> None:
    marks, made, kernel = (tmp_path / name for name in ("marks.csv", "made.nc", "kernel.nc"))
    Defects(spots).to_csv(marks)
    done = run_command("prepare", tilted, "--recipe", recipe, "--defects", marks, "-o", made)
    assert done.exit_code == 0, done.output
    words = ("--kernel-size", 15, "--method", "average", "-o", kernel)
    done = run_command("extract", made, *words)
    assert done.exit_code == 0, done.output
    np.testing.assert_allclose(KernelResult.load(kernel).defects.positions, spots - (8, 4))


def test_an_empty_table_of_marks_replaces_those_of_the_file(run_command, tmp_path) -> None:
    made, marks, again = (tmp_path / name for name in ("made.nc", "marks.csv", "again.nc"))
    start = prepare.Prepared.start(np.eye(24, dtype="f4"), defects=[(5.0, 6.0)])
    prepare.save_prepared(start, made)
    Defects(np.zeros((0, 2))).to_csv(marks)
    prepare.recipe.write(tmp_path / "r.json", [prepare.Crop(rows=(0, 20), columns=(0, 20))])
    words = ("--recipe", tmp_path / "r.json", "--defects", marks, "-o", again)
    done = run_command("prepare", made, *words)
    assert done.exit_code == 0, done.output
    assert len(prepare.load_prepared(again).defects) == 0


def test_without_a_choice_the_image_decides(run_command, tilted, tmp_path) -> None:
    done = run_command("prepare", tilted)
    assert done.exit_code == 0, done.output
    made = prepare.load_prepared(tmp_path / "raw_prepared.nc")
    assert {"align_rows", "level"} <= {entry["step"] for entry in made.history}


def test_presets_are_listed_and_spelt_without_spaces(run_command, tilted, tmp_path) -> None:
    listed = run_command("prepare", "--list")
    assert listed.exit_code == 0
    assert "topograph with steps: align rows, mask steps, level" in listed.stdout
    assert len(listed.stdout.splitlines()) == len(prepare.presets())
    done = run_command("prepare", tilted, "--preset", "topograph-with-steps")
    assert done.exit_code == 0, done.output
    assert prepare.load_prepared(tmp_path / "raw_prepared.nc").report["mask_steps"]


def test_what_is_wrong_is_said_in_one_line(run_command, tilted, recipe, tmp_path) -> None:
    (tmp_path / "wrong.json").write_text(json.dumps([{"step": "polish"}]))
    for words, reason in (
        (["prepare"], "name the files"),
        (["prepare", tilted, "--preset", "polish"], "no preset 'polish'"),
        (["prepare", tilted, "--preset", "x", "--recipe", recipe], "not both"),
        (["prepare", tilted, "--recipe", tmp_path / "wrong.json"], "no step 'polish'"),
        (["prepare", tilted, "--recipe", tmp_path / "none.json"], "none.json"),
        (["extract", tilted, "--prepare", "polish"], "no preset 'polish'"),
        (["detect", tilted, "--prepare", tmp_path / "wrong.json"], "no step 'polish'"),
        (["prepare", tilted, "-o", tmp_path / "made.tif"], ".nc"),
    ):
        done = run_command(*words)
        assert done.exit_code == 1, words
        assert reason in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


def test_pixels_that_were_not_measured_do_not_count(run_command, tilted, recipe) -> None:
    image = np.load(tilted)
    image[48:] = np.nan
    np.save(tilted, image)
    recipe.write_text(json.dumps([{"step": "level"}]))
    done = run_command("prepare", tilted, "--recipe", recipe)
    assert done.exit_code == 0, done.output
    assert "50.0 % of the pixels count" in done.stdout
