"""The controls of a run."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from napari_qpi.tasks.job import JobState
from napari_qpi.widgets.common.run_controls import RunControls
from qpi_kernels.progress import Event


def test_stage_and_time_left_are_shown(qtbot: QtBot) -> None:
    controls = RunControls("Extract")
    qtbot.addWidget(controls)
    controls.show_state(JobState.RUNNING)
    controls.show_event(Event("Fitting", 3, 10, seconds_left=130.0))
    assert controls.status.text() == "Fitting · about 2 min left"
    assert controls.bar.value() == 3
    controls.show_event(Event("Fitting", 4, 10))
    assert controls.status.text() == "Fitting"


def test_the_line_says_why_a_run_is_off(qtbot: QtBot) -> None:
    controls = RunControls("Extract")
    qtbot.addWidget(controls)
    controls.show_ready(JobState.IDLE, "")
    controls.show_status("Kernel of map in 1.0 s.")
    controls.show_ready(JobState.DONE, "")
    assert controls.status.text() == "Kernel of map in 1.0 s."
    controls.show_ready(JobState.DONE, "Open a map first.")
    assert controls.status.text() == "Open a map first."
    controls.show_ready(JobState.DONE, "")
    assert controls.status.text() == ""
    controls.show_passing("The script is on the clipboard.")
    controls.show_ready(JobState.DONE, "")
    assert controls.status.text() == ""


@pytest.mark.parametrize("end", [JobState.CANCELLED, JobState.DONE])
def test_the_focus_goes_to_cancel_and_back(qtbot: QtBot, end: JobState) -> None:
    content = QWidget()
    qtbot.addWidget(content)
    column = QVBoxLayout(content)
    controls, other = RunControls("Extract"), QLineEdit()
    column.addWidget(controls)
    column.addWidget(other)
    content.show()
    content.activateWindow()
    controls.run_button.setFocus()
    qtbot.waitUntil(controls.run_button.hasFocus)
    for state in (JobState.RUNNING, JobState.CANCELLING):
        controls.show_state(state)
        assert not other.hasFocus()
        assert not controls.run_button.isEnabled()
    controls.show_state(JobState.RUNNING)
    assert controls.cancel_button.hasFocus()
    controls.show_state(end)
    assert controls.run_button.hasFocus()
