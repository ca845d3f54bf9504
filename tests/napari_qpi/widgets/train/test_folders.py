"""Folders of trainings: what is in the way, what can not go on, and the models found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from pytestqt.qtbot import QtBot

from napari_qpi.tasks.job import JobState
from napari_qpi.tasks.trained_models import (
    known_models,
    remember_model,
)
from napari_qpi.widgets.extract.dock import ExtractKernel
from napari_qpi.widgets.train.dock import Train
from qpi_kernels.train.parameters import TrainingParameters
from shared.docks import open_dock
from shared.training_dock import at_rest, open_panel

if TYPE_CHECKING:
    from napari import Viewer


def test_a_damaged_checkpoint_is_said(qtbot: QtBot, panel: Train, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    (folder / "kernels").mkdir(parents=True)
    (folder / "kernels" / "last.pt").write_bytes(b"no checkpoint")
    panel.folder_edit.set_value(folder)
    at_rest(qtbot, panel)
    assert "not a usable checkpoint" in panel.controls.status.text()
    assert not panel.controls.start_button.isEnabled()
    panel.new_button.click()
    assert panel.controls.start_button.isEnabled()


def test_a_folder_that_can_not_be_made_is_said(qtbot: QtBot, panel: Train, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    panel.folder_edit.set_value(tmp_path / "file" / "run")
    panel.controls.start_button.click()
    at_rest(qtbot, panel)
    assert panel.job.state is JobState.FAILED
    assert "file" in panel.controls.status.text()


def test_a_run_on_brought_data_can_not_go_on_here(
    qtbot: QtBot, panel: Train, tmp_path: Path
) -> None:
    from qpi_kernels.train.files.card import StageRecord
    from qpi_kernels.train.files.checkpoints import Checkpoint, write_checkpoint

    parameters = TrainingParameters(steps=10)
    folder = tmp_path / "of a script"
    write_checkpoint(folder / "kernels", Checkpoint.start(parameters))
    (folder / "kernels" / "best").mkdir()
    StageRecord.of(parameters, 1, {}, own_data=True).write(folder / "kernels" / "best")
    panel.folder_edit.set_value(folder)
    at_rest(qtbot, panel)
    assert "brought its own data" in panel.controls.status.text()
    assert not panel.controls.start_button.isEnabled()


def test_files_among_the_trainings_do_no_harm(viewer: Viewer, tmp_path: Path) -> None:
    home = tmp_path / "training"
    (home / "run-1" / "kernels").mkdir(parents=True)
    (home / "run-2").write_text("a file")
    panel = open_panel(viewer)
    assert panel.folder_edit.value() == home / "run-1"
    panel.new_button.click()
    assert panel.folder_edit.value() == home / "run-3"
    open_dock(viewer, "Extract kernel", ExtractKernel)


def test_extract_offers_the_models_of_its_method(viewer: Viewer, tmp_path: Path) -> None:
    models = {}
    for method, text in (
        ("two_step", json.dumps({"method": "two_step"})),
        ("one_step", json.dumps({"method": "one_step"})),
        ("damaged", "[" * 100_000),
    ):
        models[method] = tmp_path / method / "model"
        models[method].mkdir(parents=True)
        (models[method] / "model_index.json").write_text(text)
        remember_model(models[method])
    for method in ("two_step", "one_step"):
        assert known_models(method) == [models[method]]
    _, extract = viewer.window.add_plugin_dock_widget("napari-qpi", "Extract kernel")
    extract.form.set_values({"method": "two_step"})
    extract.form.set_values({"model": str(models["two_step"])})
    assert extract.form.values()["model"] == str(models["two_step"])
    extract.form.set_values({"method": "least_squares"})
    assert extract.form.values()["model"] == str(models["two_step"])
    extract.form.set_values({"method": "one_step"})
    assert extract.form.values()["model"] == "bundled"
    extract.form.set_values({"model": "owner/name"})
    extract.form.set_values({"method": "two_step"})
    assert extract.form.values()["model"] == "owner/name"
