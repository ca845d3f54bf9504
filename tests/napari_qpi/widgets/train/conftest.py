"""Training panels in real viewers, whose trainings stay out of the user's data folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pytestqt.qtbot import QtBot

from napari_qpi.tasks import trained_models
from napari_qpi.tasks.training import RunCommand
from napari_qpi.widgets.train.dock import Train
from shared.training_dock import SMALL, STAGES, at_rest, open_panel

if TYPE_CHECKING:
    from napari import Viewer


@pytest.fixture(autouse=True)
def data_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep trainings out of the user's data folder."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(trained_models, "training_home", lambda: tmp_path / "training")
    monkeypatch.setattr(trained_models, "_remembered", [])
    return tmp_path


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
