"""Blind extraction from the panel: it needs no points, gives them, and tells kinds apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from napari.layers import Image
from pytestqt.qtbot import QtBot

import qpi_kernels as qk
from napari_qpi.layers.defect_points import DefectPoints
from napari_qpi.tasks.job import JobState
from qpi_kernels.bench.blind.problems import BLIND_CASES, blind_problem
from shared.extract_panel import (
    DEFECTS,
    add_defects,
    extract,
    finish,
    in_image,
    observed,
    of_role,
    open_panel,
)

if TYPE_CHECKING:
    from napari import Viewer


def test_blind_needs_no_points_and_gives_them(
    qtbot: QtBot, viewer: Viewer, image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = open_panel(viewer)
    assert not panel.run_controls.run_button.isEnabled()
    panel.form.set_values({"method": "blind", "prior": "none"})
    panel.advanced_form.set_values({"kinds": 1})
    assert panel.points_choice.isHidden()
    assert panel.run_controls.run_button.isEnabled()
    assert panel.run_controls.status.text() == ""
    assert not panel.compare_button.isEnabled()
    extract(qtbot, panel)
    assert panel.result is not None
    (found,) = of_role(viewer, "defects")
    assert found.name == "map found defects"
    assert found.features["probability"].between(0.5, 0.99).all()
    found_by_library = qk.extract(
        observed(), method="blind", kernel_shape=(9, 9), prior="none", kinds=1
    )
    assert len(found.data) == len(found_by_library.defects) == len(DEFECTS)
    np.testing.assert_allclose(in_image(found, image), panel.result.defects.positions, atol=1e-6)
    for position in DEFECTS.positions:
        assert np.hypot(*(in_image(found, image) - position).T).min() < 1
    assert f"{len(found.data)} defects found" in panel.run_controls.status.text()
    script = panel.export_buttons.script("observation.npy")
    assert "defects" not in script.split("result = ")[0]
    np.save(tmp_path / "observation.npy", observed())
    monkeypatch.chdir(tmp_path)
    exec(compile(script, "again.py", "exec"), {})
    again = qk.KernelResult.load(tmp_path / "kernel.nc")
    np.testing.assert_allclose(again.kernel.values, panel.result.kernel.values, atol=1e-4)
    # The layer came from no file, and still its kernel is in nanometres and its own units.
    assert again.kernel["x"].attrs["units"] == "nm"
    np.testing.assert_allclose(again.kernel["x"], panel.result.kernel["x"])
    assert again.kernel.attrs["units"] == panel.result.kernel.attrs["units"]

    panel.form.set_values({"method": "least_squares"})
    assert not panel.points_choice.isHidden()
    assert panel.points_choice.layer is found
    panel.defect_review.propose_button.click()
    finish(qtbot, panel)
    assert panel.job.state is JobState.DONE


def test_blind_tells_kinds_apart(qtbot: QtBot, viewer: Viewer) -> None:
    case = replace(BLIND_CASES["both signs"], image_px=80, kernel_px=21, defects=12)
    problem = blind_problem(case, seed=2)
    viewer.add_image(problem.observation.astype(np.float32), name="map")
    panel = open_panel(viewer, method="blind", prior="none", kernel_shape=(21, 21))
    panel.advanced_form.set_values({"kinds": 2})
    extract(qtbot, panel)
    assert panel.result is not None
    (found,) = of_role(viewer, "defects")
    assert set(found.features["kind"]) == {"kind 1", "kind 2"}
    colours = np.unique(found.face_color, axis=0)
    assert len(colours) == 2
    first, second = panel.result.kernel.values
    assert np.corrcoef(first.ravel(), -second.ravel())[0, 1] > 0.98
    panel.advanced_form.set_values({"kinds": 1})
    assert panel.parameters().kinds == 1
    panel.form.set_values({"method": "bayes"})
    assert not hasattr(panel.parameters(), "kinds")


def test_blind_ignores_marked_points(qtbot: QtBot, viewer: Viewer, image: Image) -> None:
    marked = add_defects(viewer, image)
    panel = open_panel(viewer, method="blind", prior="none")
    panel.advanced_form.set_values({"kinds": 1})
    before = DefectPoints(marked).snapshot()
    extract(qtbot, panel)
    assert panel.task is not None
    assert len(panel.task.defects) == 0
    assert DefectPoints(marked).snapshot().same_as(before)
    assert panel.points_choice.layer is marked
