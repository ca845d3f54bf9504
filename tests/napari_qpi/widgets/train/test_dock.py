"""The training panel in real viewers, opened by its manifest name, with real small trainings."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMainWindow, QMessageBox, QWidget

from napari_qpi.tasks import trained_models
from napari_qpi.tasks.job import JobState
from napari_qpi.tasks.trained_models import (
    known_models,
    remember_model,
)
from napari_qpi.tasks.training import RunCommand
from napari_qpi.widgets.common.close_guard import CloseGuard
from napari_qpi.widgets.extract.dock import ExtractKernel
from napari_qpi.widgets.train.dock import Train
from qpi_kernels.train.parameters import TrainingParameters
from qpi_kernels.train.published import published
from shared.docks import open_dock

if TYPE_CHECKING:
    from napari import Viewer

SMALL = {"batch_size": 8, "validation_samples": 4, "validate_every": 2, "checkpoint_every": 100}
STAGES = {"both": 0, "one-step": 1, "kernels": 2, "alignment": 3}


@pytest.fixture(autouse=True)
def data_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep trainings out of the user's data folder."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(trained_models, "training_home", lambda: tmp_path / "training")
    monkeypatch.setattr(trained_models, "_remembered", [])
    return tmp_path


def open_panel(viewer: Viewer) -> Train:
    return open_dock(viewer, "Train networks", Train)


@pytest.fixture
def panel(qtbot: QtBot, viewer: Viewer) -> Iterator[Train]:
    """Return an open panel; a training that a test leaves is ended."""
    made = open_panel(viewer)
    made.set_values(**SMALL, steps=50)
    made.form.stage_choice.setCurrentIndex(STAGES["kernels"])
    yield made
    if made.training_run is not None:
        made.training_run.command = RunCommand.HALT
    at_rest(qtbot, made)


def at_rest(qtbot: QtBot, panel: Train) -> None:
    qtbot.waitUntil(
        lambda: not panel.job.state.busy and not panel.folder_job.state.busy, timeout=60_000
    )


def trained(qtbot: QtBot, panel: Train) -> None:
    panel.controls.start_button.click()
    at_rest(qtbot, panel)
    assert panel.job.state is JobState.DONE, panel.controls.status.text()


def reached(qtbot: QtBot, panel: Train, step: int) -> None:
    def made() -> bool:
        assert panel.job.state.busy, panel.controls.status.text()
        assert panel.training_run is not None
        return panel.training_run.step_number >= step

    qtbot.waitUntil(made, timeout=60_000)


def saved_step(folder: Path) -> int:
    from qpi_kernels.train.files.checkpoints import read_checkpoint

    checkpoint = read_checkpoint(folder)
    assert checkpoint is not None
    return checkpoint.step


@pytest.mark.slow
def test_two_stages_give_a_model_that_extract_offers(
    qtbot: QtBot, viewer: Viewer, panel: Train
) -> None:
    extract = open_dock(viewer, "Extract kernel", ExtractKernel)
    models: list[Path] = []
    panel.model_trained.connect(models.append)
    panel.form.stage_choice.setCurrentIndex(STAGES["both"])
    panel.set_values(steps=2)
    trained(qtbot, panel)
    folder = panel.folder_edit.value()
    assert models == known_models() == [folder / "model"]
    assert "offered in Extract" in panel.controls.status.text()
    extract.form.set_values({"model": str(folder / "model")})
    assert extract.form.values()["model"] == str(folder / "model")
    assert [step for step, _ in panel.monitor.error_plot.points] == [0, 2]
    assert [step for step, _ in panel.monitor.loss_plot.points] == [1, 2]
    assert "noisy maps, step 2" in panel.monitor.caption.text()
    assert panel.monitor.strip.count == 4
    assert not panel.controls.start_button.isEnabled()
    panel.new_button.click()
    assert panel.folder_edit.value().name == "run-2"
    assert panel.controls.start_button.isEnabled()


@pytest.mark.slow
def test_the_kernels_can_be_left_for_the_next_stage(qtbot: QtBot, panel: Train) -> None:
    panel.form.stage_choice.setCurrentIndex(STAGES["both"])
    assert not panel.controls.next_button.isEnabled()
    panel.controls.start_button.click()
    reached(qtbot, panel, 1)
    qtbot.waitUntil(panel.controls.next_button.isEnabled)
    panel.controls.next_button.click()
    run = panel.training_run
    assert run is not None
    qtbot.waitUntil(lambda: run.stage.stage == "alignment", timeout=60_000)
    reached(qtbot, panel, 1)
    qtbot.waitUntil(lambda: "Stage 2 of 2, alignment" in panel.controls.status.text())
    assert not panel.controls.next_button.isEnabled()
    panel.controls.stop_button.click()
    at_rest(qtbot, panel)
    assert known_models() == [run.folder / "model"]
    assert panel.found is not None
    assert panel.found.parameters.stage == "alignment"


def test_a_pause_waits_and_keeps_a_checkpoint(qtbot: QtBot, panel: Train) -> None:
    panel.controls.start_button.click()
    reached(qtbot, panel, 1)
    panel.controls.pause_button.click()
    assert panel.controls.pause_button.text() == "Resume"
    folder = panel.folder_edit.value() / "kernels"
    run = panel.training_run
    assert run is not None
    qtbot.waitUntil(lambda: saved_step(folder) == run.step_number, timeout=20_000)
    step = run.step_number
    qtbot.wait(600)
    assert run.step_number == step
    assert "Paused" in panel.controls.status.text()
    panel.controls.pause_button.click()
    assert panel.controls.pause_button.text() == "Pause"
    reached(qtbot, panel, step + 1)


@pytest.mark.slow
def test_stopping_keeps_the_best_and_the_run_can_go_on(
    qtbot: QtBot, viewer: Viewer, panel: Train
) -> None:
    panel.set_values(jitter_px=0.25)
    panel.form.families.set_value(["rashba", "cuprate"])
    panel.controls.start_button.click()
    reached(qtbot, panel, 3)
    panel.controls.stop_button.click()
    at_rest(qtbot, panel)
    folder = panel.folder_edit.value()
    stopped = saved_step(folder / "kernels")
    assert (folder / "kernels" / "best" / "config.json").exists()
    assert f"Stopped: kernels, step {stopped}" in panel.controls.status.text()
    assert panel.controls.start_button.text() == "Resume run"

    another = open_second(viewer)
    at_rest(qtbot, another)
    another.form.stage_choice.setCurrentIndex(STAGES["kernels"])
    at_rest(qtbot, another)
    assert another.folder_edit.value() == folder
    assert f"kernels, step {stopped} of 50" in another.controls.status.text()
    assert another.parameters() == panel.parameters()
    assert another.parameters()[0].held_out == ("rashba", "cuprate")
    assert not another.form.advanced.isEnabled()
    another.controls.start_button.click()
    reached(qtbot, another, stopped + 1)
    history = another.training_run.history if another.training_run else None
    assert history is not None
    assert {step for step, _ in history.errors} >= {2, stopped}
    another.stop()
    at_rest(qtbot, another)


def open_second(viewer: Viewer) -> Train:
    """Open the panel as a later session would find it."""
    panel = Train(viewer)
    viewer.window.add_dock_widget(panel, name="second")
    return panel


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[QMessageBox.StandardButton]:
    """Answers that a person gives to the question, in their order."""
    given: list[QMessageBox.StandardButton] = []
    monkeypatch.setattr(QMessageBox, "question", lambda *_: given.pop(0))
    return given


def window_around(panel: Train) -> QMainWindow:
    window = panel.window()
    assert isinstance(window, QMainWindow)
    return window


@pytest.mark.parametrize("may_close", [True, False])
def test_the_guard_keeps_the_window_open(qtbot: QtBot, may_close: bool) -> None:
    asked: list[bool] = []
    window, inside = QMainWindow(), QWidget()
    qtbot.addWidget(window)
    window.setCentralWidget(inside)
    canvas = QWidget(inside)
    window.show()

    def answer(can_stay: bool) -> bool:
        asked.append(can_stay)
        return may_close or not can_stay

    guard = CloseGuard(canvas, answer)
    guard.watch(canvas)
    assert window.close() is may_close
    assert window.isVisible() is not may_close
    window.show()
    canvas.close()
    assert window.close()
    window.show()
    guard.disconnect_events()
    assert window.close()
    assert asked == [True, False]


@pytest.mark.slow
def test_closing_napari_asks_and_leaves_a_checkpoint(
    qtbot: QtBot,
    make_napari_viewer: Callable[..., Viewer],
    plugin_manager: object,
    answers: list[QMessageBox.StandardButton],
) -> None:
    viewer = make_napari_viewer(show=True)
    panel = open_panel(viewer)
    panel.form.stage_choice.setCurrentIndex(STAGES["kernels"])
    panel.set_values(**SMALL, steps=50)
    panel.controls.start_button.click()
    reached(qtbot, panel, 1)
    run, job, window = panel.training_run, panel.job, window_around(panel)
    assert run is not None
    answers[:] = [QMessageBox.StandardButton.Cancel, QMessageBox.StandardButton.Yes]
    assert not window.close()
    assert window.isVisible()
    step = run.step_number
    reached(qtbot, panel, step + 1)
    window.close()
    viewer.close()
    assert not answers
    assert run.ended.is_set()
    assert run.step_number > step
    assert saved_step(run.folder / "kernels") == run.step_number
    qtbot.waitUntil(lambda: not job.state.busy)


def test_a_script_that_closes_the_viewer_is_not_asked(
    qtbot: QtBot, viewer: Viewer, panel: Train
) -> None:
    panel.controls.start_button.click()
    reached(qtbot, panel, 1)
    run = panel.training_run
    assert run is not None
    viewer.close()
    assert run.ended.is_set()
    assert saved_step(run.folder / "kernels") == run.step_number


def test_closing_the_dock_leaves_a_checkpoint(
    qtbot: QtBot, viewer: Viewer, panel: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    panel.controls.start_button.click()
    reached(qtbot, panel, 1)
    run, job = panel.training_run, panel.job
    assert run is not None
    viewer.window.remove_dock_widget(panel)
    assert "a checkpoint is kept" in capsys.readouterr().out
    assert run.ended.wait(20)
    assert saved_step(run.folder / "kernels") == run.step_number
    qtbot.waitUntil(lambda: not job.state.busy)


def test_a_closed_run_still_at_work_keeps_its_folder(
    qtbot: QtBot, viewer: Viewer, panel: Train
) -> None:
    panel.controls.start_button.click()
    reached(qtbot, panel, 1)
    another = open_second(viewer)
    at_rest(qtbot, another)
    another.folder_edit.set_value(panel.folder_edit.value())
    another.form.stage_choice.setCurrentIndex(STAGES["kernels"])
    at_rest(qtbot, another)
    another.controls.start_button.click()
    at_rest(qtbot, another)
    assert another.job.state is JobState.FAILED
    assert "another training is at work" in another.controls.status.text()


def test_what_is_missing_is_said(qtbot: QtBot, panel: Train) -> None:
    panel.form.stage_choice.setCurrentIndex(STAGES["alignment"])
    panel.controls.start_button.click()
    at_rest(qtbot, panel)
    assert panel.job.state is JobState.FAILED
    assert "train the stage 'kernels'" in panel.controls.status.text()
    assert panel.controls.start_button.isEnabled()


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


def test_entries_out_of_range_are_said(panel: Train) -> None:
    panel.set_values(jitter_px=-1)
    assert "jitter px" in panel.controls.status.text()
    panel.controls.start_button.click()
    assert panel.job.state is JobState.IDLE
    panel.set_values(jitter_px=0.5)
    assert panel.controls.status.text() == ""


def test_every_field_has_a_row(panel: Train) -> None:
    rows = panel.form.main.values() | panel.form.advanced.values()
    assert set(rows) | {"stage", "held_out"} == set(TrainingParameters.model_fields)


def test_the_paper_preset_takes_the_published_values_of_each_stage(viewer: Viewer) -> None:
    panel = open_panel(viewer)
    panel.set_values(preset="paper")
    assert panel.parameters() == [published("kernels"), published("alignment")]
    panel.set_values(seed=3)
    assert panel.parameters() == [published("kernels", seed=3), published("alignment", seed=3)]


def test_a_preset_keeps_what_was_entered(viewer: Viewer) -> None:
    panel = open_panel(viewer)
    panel.set_values(noise=0.5, steps=77)
    panel.set_values(preset="paper")
    kept = {"noise": 0.5, "steps": 77}
    assert panel.parameters() == [
        published(stage).model_copy(update=kept) for stage in ("kernels", "alignment")
    ]
    panel.set_values(noise="mixture")
    panel.set_values(preset="compact")
    made = panel.parameters()[0]
    assert (made.noise, made.steps, made.batch_size) == ("mixture", 77, 16)


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


def test_families_are_listed_and_held_out(qtbot: QtBot, panel: Train) -> None:
    panel.form.families_fold.expand(animate=False)
    qtbot.waitUntil(lambda: panel.form.families.list.count() > 10, timeout=20_000)
    row = panel.form.families.list.item(0)
    assert row is not None
    row.setCheckState(Qt.CheckState.Checked)
    assert panel.parameters()[0].held_out == panel.form.families.value() == ("free_electrons",)


def test_the_window_is_drawn_while_training(qtbot: QtBot, panel: Train) -> None:
    panel.controls.start_button.click()
    reached(qtbot, panel, 1)
    for _ in range(10):
        with qtbot.waitSignal(panel._timer.timeout, timeout=1500):
            pass


def test_another_folder_shows_nothing_of_the_earlier_run(qtbot: QtBot, panel: Train) -> None:
    panel.controls.start_button.click()
    reached(qtbot, panel, 1)
    panel.stop()
    at_rest(qtbot, panel)
    monitor = panel.monitor
    assert monitor.strip.count == 4
    assert monitor.error_plot.step_range == monitor.loss_plot.step_range
    panel.new_button.click()
    assert monitor.strip.count == 0
    assert monitor.strip.isHidden()
    assert len(monitor.loss_plot.points) == len(monitor.error_plot.points) == 0
    assert "RMSE" not in monitor.caption.text()
