"""Training docks: opening, starting and waiting for one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pytestqt.qtbot import QtBot

from napari_qpi.tasks.job import JobState
from napari_qpi.widgets.train.dock import Train
from shared.docks import open_dock

if TYPE_CHECKING:
    from napari import Viewer

__all__ = [
    "SMALL",
    "STAGES",
    "at_rest",
    "open_panel",
    "open_second",
    "reached",
    "saved_step",
    "trained",
]

SMALL = {"batch_size": 8, "validation_samples": 4, "validate_every": 2, "checkpoint_every": 100}
STAGES = {"both": 0, "one-step": 1, "kernels": 2, "alignment": 3}


def open_panel(viewer: Viewer) -> Train:
    """Open the panel by its name in the menu."""
    return open_dock(viewer, "Train networks", Train)


def at_rest(qtbot: QtBot, panel: Train) -> None:
    """Wait until neither the training nor the reading of its folder is at work."""
    qtbot.waitUntil(
        lambda: not panel.job.state.busy and not panel.folder_job.state.busy, timeout=60_000
    )


def trained(qtbot: QtBot, panel: Train) -> None:
    """Train with the start button to the end."""
    panel.controls.start_button.click()
    at_rest(qtbot, panel)
    assert panel.job.state is JobState.DONE, panel.controls.status.text()


def reached(qtbot: QtBot, panel: Train, step: int) -> None:
    """Wait until a training at work has made as many steps."""

    def made() -> bool:
        assert panel.job.state.busy, panel.controls.status.text()
        assert panel.training_run is not None
        return panel.training_run.step_number >= step

    qtbot.waitUntil(made, timeout=60_000)


def saved_step(folder: Path) -> int:
    """Read the step of the checkpoint in a stage's folder."""
    from qpi_kernels.train.files.checkpoints import read_checkpoint

    checkpoint = read_checkpoint(folder)
    assert checkpoint is not None
    return checkpoint.step


def open_second(viewer: Viewer) -> Train:
    """Open the panel as a later session would find it."""
    panel = Train(viewer)
    viewer.window.add_dock_widget(panel, name="second")
    return panel
