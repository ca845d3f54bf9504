"""The training panel in real viewers, opened by its manifest name, with real small trainings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pytestqt.qtbot import QtBot

from napari_qpi.tasks.job import JobState
from napari_qpi.tasks.trained_models import (
    known_models,
)
from napari_qpi.widgets.extract.dock import ExtractKernel
from napari_qpi.widgets.train.dock import Train
from shared.docks import open_dock
from shared.training_dock import STAGES, at_rest, open_second, reached, saved_step, trained

if TYPE_CHECKING:
    from napari import Viewer


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


def test_what_is_missing_is_said(qtbot: QtBot, panel: Train) -> None:
    panel.form.stage_choice.setCurrentIndex(STAGES["alignment"])
    panel.controls.start_button.click()
    at_rest(qtbot, panel)
    assert panel.job.state is JobState.FAILED
    assert "train the stage 'kernels'" in panel.controls.status.text()
    assert panel.controls.start_button.isEnabled()


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
