"""Plan a map: from a topograph with marks to a rectangle, pixels, a time and a tour."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_qpi.layers.conversion import points_from_defects
from qpi_kernels.defects import Defects
from shared.extract_panel import finish, of_role, open_panel
from shared.planned_maps import PIXEL_NM, SIZE, WINDOW, map_of, positions, ring

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Image
    from pytestqt.qtbot import QtBot


@pytest.fixture
def topograph(viewer: Viewer) -> Image:
    """A map of rings in nm, moved in the frame, with its marks."""
    image = viewer.add_image(
        map_of(ring(), positions(), 0.5, 3).astype(np.float32),
        scale=(PIXEL_NM, PIXEL_NM),
        translate=(5.0, 7.0),
        units=("nm", "nm"),
        name="quick",
    )
    data, arguments, _ = points_from_defects(Defects(positions()), image)
    viewer.add_points(data, **arguments)
    return image


def test_a_plan_is_shown_and_its_tour_saved(
    viewer: Viewer, topograph: Image, qtbot: QtBot, tmp_path: Path
) -> None:
    panel = open_panel(viewer, kernel_shape=(WINDOW, WINDOW))
    box = panel.map_plan
    assert box.plan_button.isEnabled()
    assert not box.tour_button.isEnabled()
    box.form.set_values(
        {"wanted_error": 0.08, "time_per_pixel_s": 2.0, "share": 0.3, "whole": True}
    )
    box.plan_button.click()
    finish(qtbot, panel)
    (rectangle,) = of_role(viewer, "planned map")
    (pixels,) = of_role(viewer, "planned pixels")
    assert pixels.data.sum() == round(0.3 * SIZE**2)
    corners = np.array([rectangle.data_to_world(corner) for corner in rectangle.data[0]])
    first, last = (
        topograph.data_to_world(corner) for corner in ((-0.5, -0.5), (SIZE - 0.5, SIZE - 0.5))
    )
    np.testing.assert_allclose(corners.min(axis=0), first)
    np.testing.assert_allclose(corners.max(axis=0), last)
    assert f"{pixels.data.sum()} of them measured" in box.words.text()
    assert box.table.rowCount() == 1
    proposal, plan = box._shown
    assert proposal.pilot is not None
    assert plan.wanted.time_per_pixel_s == 2.0
    # With half the noise a quarter of the time; the entries are what the plan is made for.
    hours = float(box.table.item(0, 3).text())
    seconds = float(box.table.item(0, 2).text())
    assert hours == pytest.approx(seconds * pixels.data.sum() / 3600, rel=0.1)
    path = box.save_tour(tmp_path / "tour.csv")
    assert path is not None
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert len(rows) == pixels.data.sum()


def test_all_pixels_are_planned_for_several_pitches(
    viewer: Viewer, topograph: Image, qtbot: QtBot, tmp_path: Path
) -> None:
    panel = open_panel(viewer, kernel_shape=(WINDOW, WINDOW))
    # What an extraction does with its window is no matter of a plan.
    panel.advanced_form.set_values({"choose_window": True, "validation_folds": 3})
    panel.plan()
    finish(qtbot, panel)
    box = panel.map_plan
    assert not of_role(viewer, "planned pixels")
    assert box.table.rowCount() == 3
    pitches = [float(box.table.item(row, 0).text()) for row in range(3)]
    np.testing.assert_allclose(pitches, [PIXEL_NM, 1.5 * PIXEL_NM, 2 * PIXEL_NM], rtol=5e-3)
    path = box.save_tour(tmp_path / "tour.csv")
    assert path is not None
    proposal, _ = box._shown
    assert len(path.read_text().splitlines()) == 1 + proposal.best.pixels
    panel._clear_result()
    assert box.table.isHidden()
    assert not box.tour_button.isEnabled()


def test_the_prior_of_the_extraction_is_not_the_expected_kernel(
    viewer: Viewer, topograph: Image
) -> None:
    panel = open_panel(viewer, kernel_shape=(WINDOW, WINDOW), method="bayes")
    assert panel.parameters().prior == "library"
    (task,) = panel._tasks(lambda form: [form.parameters()])
    search = panel.map_plan.plan_of(task).start()
    assert search._stepper._expected is None


def test_a_map_without_a_pitch_is_told(viewer: Viewer, qtbot: QtBot) -> None:
    image = viewer.add_image(map_of(ring(), positions(), 0.5, 3).astype(np.float32))
    data, arguments, _ = points_from_defects(Defects(positions()), image)
    viewer.add_points(data, **arguments)
    panel = open_panel(viewer, kernel_shape=(WINDOW, WINDOW))
    panel.plan()
    qtbot.waitUntil(lambda: not panel.job.state.busy, timeout=60_000)
    assert "nm" in panel.run_controls.status.text()


def test_what_is_known_of_the_map_is_entered(
    viewer: Viewer, topograph: Image, qtbot: QtBot
) -> None:
    panel = open_panel(viewer, kernel_shape=(WINDOW, WINDOW))
    box = panel.map_plan
    known = {"prior": "free_electrons", "noise": "0.2", "signal": "1.5", "biases": 3}
    box.form.set_values(known | {"whole": True, "share": 0.3})
    panel.plan()
    finish(qtbot, panel)
    proposal, _ = box._shown
    (one,) = proposal.plans
    assert (one.noise, one.signal, one.biases) == (0.2, pytest.approx(1.5), 3)
    assert proposal.pilot is None
    assert "free_electrons" in one.prior
    box.form.set_values({"noise": "loud"})
    panel.plan()
    assert not panel.job.state.busy
    assert "noise" in panel.run_controls.status.text()
