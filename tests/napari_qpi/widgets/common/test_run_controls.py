"""The controls of a run."""

from __future__ import annotations

from pytestqt.qtbot import QtBot

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
