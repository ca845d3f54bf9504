"""Entries of the training panel: presets, families, and values that are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt

from napari_qpi.tasks.job import JobState
from napari_qpi.widgets.train.dock import Train
from qpi_kernels.train.parameters import TrainingParameters
from qpi_kernels.train.published import published
from shared.training_dock import open_panel

if TYPE_CHECKING:
    from napari import Viewer


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


def test_families_are_listed_and_held_out(qtbot: QtBot, panel: Train) -> None:
    panel.form.families_fold.expand(animate=False)
    qtbot.waitUntil(lambda: panel.form.families.list.count() > 10, timeout=20_000)
    row = panel.form.families.list.item(0)
    assert row is not None
    row.setCheckState(Qt.CheckState.Checked)
    assert panel.parameters()[0].held_out == panel.form.families.value() == ("free_electrons",)
