"""Defects proposed and doubted by the extraction panel, accepted, removed and taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from napari.layers import Image, Points
from pytestqt.qtbot import QtBot

from napari_qpi.layers.conversion import points_from_defects
from napari_qpi.layers.defect_points import DefectPoints
from napari_qpi.widgets.extract.dock import ExtractKernel
from qpi_kernels.defects import Defects
from shared.docks import PLACED
from shared.extract_panel import (
    SIX_DEFECTS,
    extract,
    finish,
    in_image,
    map_of_six,
    of_role,
    open_panel,
)

if TYPE_CHECKING:
    from napari import Viewer

MISSED = 5
NOWHERE = [48.0, 36.0]


@pytest.fixture
def image(viewer: Viewer) -> Image:
    return viewer.add_image(map_of_six(), name="map", **PLACED)


@pytest.fixture
def marked(viewer: Viewer, image: Image) -> Points:
    table = Defects(np.vstack([SIX_DEFECTS[:MISSED], [NOWHERE]]))
    data, arguments, _ = points_from_defects(table, image)
    # Elsewhere and in other pixels than the image.
    data = data / 2 + 7
    arguments |= {"features": {**arguments["features"], "note": list("abcdef")}}
    layer = Points(data, **{**arguments, "feature_defaults": None})
    layer.scale = 2 * np.array(image.scale)
    shift = np.array(image.data_to_world(table.positions[0])) - layer.data_to_world(data[0])
    layer.translate = layer.translate + shift
    return viewer.add_layer(layer)


@pytest.fixture
def panel(viewer: Viewer, marked: Points) -> ExtractKernel:
    return open_panel(viewer, kernel_shape=(11, 11))


def run(qtbot: QtBot, panel: ExtractKernel, *buttons: str) -> None:
    rows = {"extract": panel.run_controls.run_button, "propose": panel.defect_review.propose_button}
    for name in buttons:
        rows[name].click()
        finish(qtbot, panel)


@pytest.mark.parametrize("refine", [None, "positions"])
def test_proposals_are_accepted_and_taken_back(
    qtbot: QtBot,
    viewer: Viewer,
    panel: ExtractKernel,
    image: Image,
    marked: Points,
    refine: str | None,
) -> None:
    row = panel.defect_review
    panel.advanced_form.set_values({"refine": refine})
    assert not row.propose_button.isEnabled()
    extract(qtbot, panel)
    before = DefectPoints(marked).snapshot()
    run(qtbot, panel, "propose")
    proposed, doubtful = row.proposed, row.doubtful
    assert proposed is not None
    assert doubtful is not None
    assert proposed.name == "map proposed defects"
    assert panel.points_choice.layer is marked
    assert panel.points_choice.count() == 1
    near = np.hypot(*(in_image(proposed, image) - SIX_DEFECTS[MISSED]).T)
    assert near.min() < 0.3
    assert (proposed.features["z_score"] > 4).all()
    np.testing.assert_allclose(in_image(doubtful, image), [NOWHERE], atol=1e-4)
    colours = {tuple(layer.face_color[0]) for layer in (proposed, doubtful, marked)}
    assert len(colours) == 3
    assert DefectPoints(marked).snapshot().same_as(before)

    proposed.selected_data = {int(near.argmin())}
    row.accept_button.click()
    assert len(marked.data) == 7
    np.testing.assert_allclose(in_image(marked, image)[-1], SIX_DEFECTS[MISSED], atol=0.3)
    np.testing.assert_array_equal(marked.data[:6], before.data)
    assert list(marked.features["note"][:6]) == list("abcdef")
    assert marked.features["kind"].iloc[-1] == "defect"
    row.undo_button.click()
    assert DefectPoints(marked).snapshot().same_as(before)
    assert not row.undo_button.isEnabled()

    row.remove_button.click()
    assert doubtful not in viewer.layers
    assert len(marked.data) == 5
    assert np.hypot(*(in_image(marked, image) - NOWHERE).T).min() > 5
    row.undo_button.click()
    assert DefectPoints(marked).snapshot().same_as(before)


def test_all_left_proposals_are_accepted_and_help(
    qtbot: QtBot, viewer: Viewer, panel: ExtractKernel, image: Image, marked: Points
) -> None:
    run(qtbot, panel, "extract", "propose")
    assert panel.result is not None
    misfit = panel.result.quality.reduced_chi2[0]
    proposed = panel.defect_review.proposed
    assert proposed is not None
    count = len(proposed.data)
    panel.defect_review.accept_button.click()
    assert proposed not in viewer.layers
    assert not panel.defect_review.accept_button.isEnabled()
    assert len(marked.data) == 6 + count
    panel.defect_review.remove_button.click()
    run(qtbot, panel, "extract", "propose")
    assert panel.result.quality.reduced_chi2[0] < misfit
    assert panel.defect_review.doubtful is None


def test_proposals_with_layers_removed_or_edited_meanwhile(
    qtbot: QtBot, viewer: Viewer, panel: ExtractKernel, image: Image, marked: Points
) -> None:
    run(qtbot, panel, "extract", "propose", "propose")
    assert len(of_role(viewer, "proposals")) == 2
    marked.data = np.vstack([marked.data[2:], [[20.0, 20.0]]])
    panel.defect_review.remove_button.click()
    assert len(marked.data) == 4
    assert np.hypot(*(in_image(marked, image) - NOWHERE).T).min() > 5
    marked.data = np.zeros((0, 2))
    panel.defect_review.accept_button.click()
    assert len(marked.data) >= 1
    run(qtbot, panel, "propose")
    viewer.layers.remove(marked)
    assert not panel.defect_review.undo_button.isEnabled()
    panel.defect_review.accept_button.click()
    assert "removed" in panel.run_controls.status.text()
    proposed = panel.defect_review.proposed
    assert proposed is not None
    viewer.layers.remove(proposed)
    assert not panel.defect_review.accept_button.isEnabled()


def test_closing_the_panel_leaves_the_proposals(
    qtbot: QtBot, viewer: Viewer, panel: ExtractKernel
) -> None:
    run(qtbot, panel, "extract", "propose")
    viewer.window.remove_dock_widget(panel)
    left = of_role(viewer, "proposals")
    assert len(left) == 2
    for layer in left:
        viewer.layers.remove(layer)
