"""Preparation without a window: what extraction gets of it, and scripts that repeat both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from pytestqt.qtbot import QtBot

from napari_qpi import console
from napari_qpi.layers.conversion import add_layers, points_from_defects
from napari_qpi.layers.prepared import prepared_of, record_of
from napari_qpi.tasks.extraction import ExtractionInput
from napari_qpi.tasks.preparation import PreparationInput, needed_channels, show_prepared
from napari_qpi.tasks.preparation_preview import PreparationPreview, lazily
from napari_qpi.tasks.scripts.extraction import python_script, unsaved_observation
from napari_qpi.tasks.scripts.preparation import preparation_script
from qpi_kernels import prepare
from qpi_kernels.defects import Defects
from qpi_kernels.extraction.registry import make_parameters
from qpi_kernels.progress import drive

TURNED = [prepare.Rotate(angle_deg=30, canvas="same"), prepare.Crop(rows=(2, 30), columns=(1, 31))]


def run(script: str) -> dict[str, object]:
    names: dict[str, object] = {}
    exec(compile(script, "script", "exec"), names)
    return names


def ring_map() -> tuple[np.ndarray, Defects]:
    positions = np.array([(9.0, 10.0), (22.0, 18.0)])
    rows, columns = np.indices((32, 32))
    distance = [np.hypot(rows - row, columns - column) for row, column in positions]
    noise = np.random.default_rng(3).normal(scale=0.02, size=(32, 32))
    rings = sum(np.exp(-d / 3) * np.cos(1.5 * d) for d in distance)
    return rings + noise, Defects(positions)


def test_extraction_gets_the_history_and_the_script_repeats_both(
    model: ViewerModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    values, defects = ring_map()
    source = model.add_image(values, name="rings", scale=(0.5, 0.5), units=("nm", "nm"))
    (points,) = add_layers(model, [points_from_defects(defects, source)])
    task = PreparationInput.copy_from(source, points)
    image, _, moved = show_prepared(model, task, drive(task.start(TURNED)))
    parameters = make_parameters({"method": "least_squares", "kernel_shape": (9, 9)})
    extraction = ExtractionInput.copy_from(image, moved, parameters)
    result = drive(extraction.start())
    assert [step["step"] for step in result.provenance["preparation"]] == ["rotate", "crop"]
    assert extraction.mask is not None
    assert not extraction.mask.all()

    unsaved = unsaved_observation(extraction)
    np.save("raw.npy", unsaved)
    names = run(python_script(extraction, array_path="raw.npy", expected=result.provenance))
    again = names["result"]
    assert again.provenance["observation_sha256"] == result.provenance["observation_sha256"]
    np.testing.assert_array_equal(again.kernel.values, result.kernel.values)


def test_the_script_of_a_prepared_file_gives_its_values_bit_for_bit(
    model: ViewerModel, samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = samples / "createc_step_defects_100nm.dat"
    names = model.open(file, plugin="napari-qpi")
    image = names[-1]
    steps: list[prepare.Step] = [prepare.AlignTraces(max_lag_px=4), *TURNED]
    found = needed_channels(steps, image, model.layers)
    assert set(found) == {"retrace"}
    task = PreparationInput.copy_from(image, channels=found)
    first, *_ = show_prepared(model, task, drive(task.start(steps)))
    labels = model.add_labels(np.pad(np.ones((4, 5), int), ((0, 24), (0, 25))))
    for name in ("scale", "rotate", "translate"):
        setattr(labels, name, getattr(first, name))
    task = PreparationInput.copy_from(first, excluded=labels)
    second, *_ = show_prepared(model, task, drive(task.start([prepare.Rebin()])))
    made = prepared_of(second)
    again = run(preparation_script(record_of(second), made.history))["prepared"]
    np.testing.assert_array_equal(again.image.values, second.data)
    np.testing.assert_array_equal(again.mask, made.mask)
    assert (tmp_path / "prepared.nc").exists()


def test_a_preview_shows_the_plane_that_the_whole_cube_gets(model: ViewerModel) -> None:
    stack = np.random.default_rng(0).normal(size=(4, 12, 16)).astype(np.float32)
    source = model.add_image(stack, scale=(0.1, 1, 1), units=("V", "nm", "nm"))
    scan = PreparationInput.copy_from(source).scan
    steps = [prepare.SmoothBias(sigma=0.1), prepare.Crop(rows=(0, 9), columns=(2, 16))]
    whole = prepare.run(scan, steps)
    preview = drive(PreparationPreview(lazily(scan), steps, 2))
    np.testing.assert_array_equal(preview.plane.values, whole.image.values[2])
    np.testing.assert_array_equal(preview.raw.values, stack[2])
    changed = [steps[0], prepare.Crop(rows=(0, 99), columns=(2, 16))]
    failed = drive(PreparationPreview(preview.scan, changed, 2, before=preview))
    assert "do not lie within the image" in failed.problem
    assert failed.made is preview.done[0].made


def test_the_console_prepares_by_steps_and_by_recipe(
    qtbot: QtBot, model: ViewerModel, tmp_path: Path
) -> None:
    values, defects = ring_map()
    source = model.add_image(values, name="rings", scale=(0.5, 0.5), units=("nm", "nm"))
    add_layers(model, [points_from_defects(defects, source)])
    prepared = console.prepare(model, TURNED).wait(timeout_s=30)
    image, _, points = list(model.layers)[-3:]
    assert prepared_of(image) is prepared
    np.testing.assert_allclose(points.data, prepared.defects.positions)

    prepare.recipe.write(tmp_path / "r.json", TURNED)
    again = console.prepare(model, tmp_path / "r.json", source).wait(timeout_s=30)
    np.testing.assert_array_equal(again.image.values, prepared.image.values)
    with pytest.raises(prepare.PreparationError, match="there is no preset 'shiny'"):
        console.prepare(model, "shiny", source)
