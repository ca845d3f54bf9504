"""Closing the panel, the dock or napari while a training is at work."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QMainWindow, QMessageBox, QWidget

from napari_qpi.tasks.job import JobState
from napari_qpi.widgets.common.close_guard import CloseGuard
from napari_qpi.widgets.train.dock import Train
from shared.training_dock import (
    SMALL,
    STAGES,
    at_rest,
    open_panel,
    open_second,
    reached,
    saved_step,
)

if TYPE_CHECKING:
    from napari import Viewer


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
