"""The annotation panel in real viewers, opened by its manifest name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from napari.layers import Image, Points
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt

from napari_qpi.widgets.annotate.dock import AnnotateDefects
from qpi_kernels.defects import Defects
from shared.docks import PLACED, open_dock

if TYPE_CHECKING:
    from napari import Viewer

SPOTS = np.array([[12.0, 14.0], [30.0, 50.0], [47.0, 20.0], [50.0, 52.0]])


def spots(shape: tuple[int, int] = (64, 64)) -> np.ndarray:
    rows, cols = np.indices(shape)
    noise = 0.05 * np.random.default_rng(2).normal(size=shape)
    return noise + sum(np.exp(-((rows - r) ** 2 + (cols - c) ** 2) / 8) for r, c in SPOTS)


@pytest.fixture
def image(viewer: Viewer) -> Image:
    return viewer.add_image(spots(), name="map", **PLACED)


@pytest.fixture
def panel(viewer: Viewer, image: Image) -> AnnotateDefects:
    return open_panel(viewer)


def open_panel(viewer: Viewer) -> AnnotateDefects:
    return open_dock(viewer, "Annotate defects", AnnotateDefects)


def wait(qtbot: QtBot, panel: AnnotateDefects) -> None:
    qtbot.waitUntil(lambda: not panel.job.state.busy, timeout=20_000)


def table(panel: AnnotateDefects) -> dict[str, int]:
    cells = panel.kind_editor.table.table
    return {cells.item(r, 1).text(): int(cells.item(r, 2).text()) for r in range(cells.rowCount())}


def close(viewer: Viewer, panel: AnnotateDefects) -> None:
    viewer.window.remove_dock_widget(panel)


def test_new_points_share_the_images_geometry(panel: AnnotateDefects, image: Image) -> None:
    panel.new_points()
    points = panel.points_choice.layer
    assert isinstance(points, Points)
    np.testing.assert_allclose(points.data_to_world((5, 7)), image.data_to_world((5, 7)))
    assert points.units == image.units
    assert points.axis_labels == image.axis_labels


def test_points_over_a_stack_show_in_every_plane(viewer: Viewer) -> None:
    stack = np.stack([spots()] * 3)
    image = viewer.add_image(
        stack, scale=(0.1, 0.5, 0.5), units=("V", "nm", "nm"), axis_labels=("bias", "y", "x")
    )
    panel = open_panel(viewer)
    points = panel.new_points()
    assert points is not None
    points.layer.add(SPOTS)
    assert points.layer.ndim == 2
    np.testing.assert_allclose(points.defects(image).positions, SPOTS)
    for plane in range(3):
        viewer.dims.set_current_step(0, plane)
        assert points.layer.shown.all()
        assert points.layer.get_value(image.data_to_world((plane, *SPOTS[0])), world=True) == 0


def test_detect_finds_the_spots_and_undo_brings_the_old_points_back(
    qtbot: QtBot, panel: AnnotateDefects, image: Image
) -> None:
    points = panel.new_points()
    assert points is not None
    points.layer.add([[1.0, 2.0]])
    panel.detect()
    wait(qtbot, panel)
    found = points.defects(image).positions
    assert len(found) == len(SPOTS)
    for spot in SPOTS:
        assert np.hypot(*(found - spot).T).min() < 0.5
    assert panel.undo_button.text() == "Undo detect"
    panel.undo_button.click()
    np.testing.assert_array_equal(points.layer.data, [[1.0, 2.0]])
    assert list(points.layer.features["kind"]) == ["defect"]
    assert panel.undo_button.text() == "Undo add points"
    assert panel.redo_button.text() == "Redo detect"
    panel.redo_button.click()
    np.testing.assert_array_equal(points.defects(image).positions, found)


def test_undo_takes_back_the_deletions_after_a_detection_one_by_one(
    qtbot: QtBot, panel: AnnotateDefects
) -> None:
    panel.detect()
    wait(qtbot, panel)
    assert panel.points is not None
    layer = panel.points.layer
    for count in (3, 2):
        layer.selected_data = {0}
        layer.remove_selected()
        assert len(layer.data) == count
    for count in (3, 4, 0):
        panel.undo()
        assert len(layer.data) == count
    for _ in range(3):
        panel.redo()
    assert len(layer.data) == 2


def test_control_z_on_the_canvas_takes_a_click_back(
    qtbot: QtBot, viewer: Viewer, panel: AnnotateDefects
) -> None:
    viewer.window.show()
    panel.mark_by_clicking()
    assert panel.points is not None
    layer = panel.points.layer
    layer.add([[5.0, 5.0]])
    canvas = viewer.window._qt_viewer.canvas.native
    keys, both = Qt.KeyboardModifier, Qt.KeyboardModifier.ControlModifier
    qtbot.keyClick(canvas, Qt.Key.Key_Z, both)
    assert len(layer.data) == 0
    qtbot.keyClick(canvas, Qt.Key.Key_Z, both | keys.ShiftModifier)
    assert len(layer.data) == 1


def test_another_image_brings_its_own_defects(
    viewer: Viewer, panel: AnnotateDefects, image: Image
) -> None:
    ours = panel.new_points()
    assert ours is not None
    ours.layer.add(SPOTS)
    image.visible = ours.layer.visible = False
    other = viewer.add_image(spots(), name="other", **PLACED)
    panel.image_choice.layer = other
    assert panel.points is None
    theirs = panel.new_points()
    assert theirs is not None
    panel.image_choice.layer = image
    assert panel.points_choice.layer is ours.layer
    panel.image_choice.layer = other
    assert panel.points_choice.layer is theirs.layer


def test_snap_moves_points_and_keeps_their_kinds(
    qtbot: QtBot, panel: AnnotateDefects, image: Image
) -> None:
    points = panel.new_points()
    assert points is not None
    points.replace(Defects(SPOTS + 1.0, kind=["a", "b", "a", "b"]), image)
    panel.form.snapping.set_values({"method": "extremum"})
    panel.snap()
    wait(qtbot, panel)
    np.testing.assert_allclose(points.defects(image).positions, SPOTS, atol=0.6)
    assert list(points.layer.features["kind"]) == ["a", "b", "a", "b"]


def test_duplicates_are_removed(qtbot: QtBot, panel: AnnotateDefects) -> None:
    points = panel.new_points()
    assert points is not None
    points.layer.add([[10, 10], [10.5, 10], [40, 40]])
    panel.remove_duplicates()
    wait(qtbot, panel)
    assert len(points.layer.data) == 2


def test_kinds_get_colours_counts_and_new_clicks(qtbot: QtBot, panel: AnnotateDefects) -> None:
    points = panel.new_points()
    assert points is not None
    points.layer.add([[5, 5]])
    panel.kind_editor.table.add_button.click()
    assert panel.kind_editor.table.current == "defect 2"
    points.layer.add([[9, 9]])
    qtbot.waitUntil(lambda: table(panel) == {"defect": 1, "defect 2": 1})
    assert len({tuple(colour) for colour in points.layer.face_color}) == 2

    panel.kind_editor.table.table.item(1, 1).setText("vacancy")
    assert list(points.layer.features["kind"]) == ["defect", "vacancy"]
    points.layer.selected_data = {0}
    panel.kind_editor.table.table.selectRow(1)
    panel.kind_editor.table.assign_button.click()
    assert list(points.layer.features["kind"]) == ["vacancy", "vacancy"]
    assert len({tuple(colour) for colour in points.layer.face_color}) == 1
    assert table(panel) == {"defect": 0, "vacancy": 2}

    panel.kind_editor.table.remove_button.click()
    assert len(points.layer.data) == 0
    assert table(panel) == {"defect": 0}
    panel.undo()
    assert table(panel) == {"defect": 0, "vacancy": 2}


def test_a_name_that_is_taken_is_refused(panel: AnnotateDefects) -> None:
    points = panel.new_points()
    assert points is not None
    points.add_kind()
    panel.kind_editor.table.added.emit()
    panel.kind_editor.table.table.item(1, 1).setText("defect")
    assert "already" in panel.status.text()
    assert list(table(panel)) == ["defect", "defect 2", "defect 3"]


def test_foreign_points_become_defects(viewer: Viewer, image: Image) -> None:
    viewer.add_points(SPOTS, name="clicked")
    panel = open_panel(viewer)
    assert table(panel) == {"defect": 4}


def test_the_preview_follows_edits_and_goes_away(
    qtbot: QtBot, viewer: Viewer, panel: AnnotateDefects, image: Image
) -> None:
    points = panel.new_points()
    assert points is not None
    points.layer.add(SPOTS[:2])
    panel.preview_box.setChecked(True)
    preview = panel.preview.layer
    assert preview is not None
    assert preview.data.sum() == pytest.approx(2, abs=1e-6)
    np.testing.assert_allclose(preview.data_to_world((3, 4)), image.data_to_world((3, 4)))
    points.layer.add(SPOTS[2:])
    qtbot.waitUntil(lambda: abs(preview.data.sum() - 4) < 1e-6)
    assert preview not in panel.image_choice._offered
    panel.preview_box.setChecked(False)
    assert preview not in viewer.layers


def test_csv_there_and_back(tmp_path: Path, panel: AnnotateDefects, image: Image) -> None:
    points = panel.new_points()
    assert points is not None
    table = Defects(SPOTS, ["a", "b", "a", "b"], [1.0, 2.0, 1.0, 0.5])
    points.replace(table, image)
    panel.save_csv(tmp_path / "defects.csv")
    points.layer.data = np.zeros((0, 2))
    panel.load_csv(tmp_path / "defects.csv")
    found = points.defects(image)
    np.testing.assert_allclose(found.positions, table.positions, atol=1e-9)
    assert found.kind.tolist() == table.kind.tolist()
    assert found.strength.tolist() == table.strength.tolist()
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    panel.load_csv(tmp_path / "bad.csv")
    assert "axis-0" in panel.status.text()
    assert len(points.layer.data) == 4


def test_points_removed_while_detecting(
    qtbot: QtBot, viewer: Viewer, panel: AnnotateDefects
) -> None:
    points = panel.new_points()
    assert points is not None
    panel.detect()
    viewer.layers.remove(points.layer)
    wait(qtbot, panel)
    assert "removed" in panel.status.text()
    assert panel.points is None
    panel.detect()
    wait(qtbot, panel)
    assert panel.points is not None
    assert len(panel.points.layer.data) == len(SPOTS)


def test_points_edited_while_detecting_are_kept(qtbot: QtBot, panel: AnnotateDefects) -> None:
    points = panel.new_points()
    assert points is not None
    panel.detect()
    points.layer.add([[3, 3]])
    wait(qtbot, panel)
    np.testing.assert_array_equal(points.layer.data, [[3, 3]])
    assert "edited" in panel.status.text()


def test_a_wrong_entry_is_explained(panel: AnnotateDefects) -> None:
    panel.form.detection.set_values({"threshold": -1})
    panel.detect()
    assert not panel.job.state.busy
    assert "threshold" in panel.status.text()


def test_layers_are_known_by_identity(viewer: Viewer, panel: AnnotateDefects, image: Image) -> None:
    other = viewer.add_image(np.zeros((8, 8)), name="other", visible=False)
    assert panel.image_choice.layer is image
    image.name, other.name = "renamed", "map"
    assert panel.image_choice.currentText() == "renamed"
    assert panel.image_choice.layer is image
    viewer.layers.remove(image)
    assert panel.image_choice.layer is other
    viewer.layers.remove(other)
    assert panel.image_choice.layer is None
    assert not panel.form.detect_button.isEnabled()


def test_closing_lets_go_of_viewer(qtbot: QtBot, viewer: Viewer, panel: AnnotateDefects) -> None:
    points = panel.new_points()
    assert points is not None
    panel.preview_box.setChecked(True)
    before = len(viewer.layers.events.inserted.callbacks)
    panel.detect()
    close(viewer, panel)
    assert [layer.name for layer in viewer.layers] == ["map", "map defects"]
    assert len(viewer.layers.events.inserted.callbacks) < before
    points.layer.add([[1, 1]])
    viewer.layers.clear()
    qtbot.wait(200)
    again = open_panel(viewer)
    assert again is not panel
    assert again.image_choice.layer is None


def test_two_panels_on_one_layer(qtbot: QtBot, viewer: Viewer, panel: AnnotateDefects) -> None:
    second = AnnotateDefects(napari_viewer=viewer)
    viewer.window.add_dock_widget(second, name="second")
    points = panel.new_points()
    assert points is not None
    assert second.points_choice.layer is points.layer
    panel.kind_editor.table.add_button.click()
    points.layer.add([[5, 5]])
    expected = {"defect": 0, "defect 2": 1}
    qtbot.waitUntil(lambda: table(panel) == expected and table(second) == expected)


def test_nothing_is_found_where_it_is_left_out(
    qtbot: QtBot, viewer: Viewer, panel: AnnotateDefects, image: Image
) -> None:
    marked = np.zeros((64, 64), int)
    marked[:40] = 1
    panel.mask_choice.layer = viewer.add_labels(marked, **PLACED)
    panel.detect()
    wait(qtbot, panel)
    assert panel.points is not None
    found = panel.points.defects(image).positions
    assert len(found) == (SPOTS[:, 0] >= 40).sum()
    assert (found[:, 0] >= 40).all()


def test_cancel_gives_the_panel_back_at_once(qtbot: QtBot, panel: AnnotateDefects) -> None:
    points = panel.new_points()
    assert points is not None
    panel.detect()
    assert panel.busy_row.cancel_button.isVisibleTo(panel)
    panel.busy_row.cancel_button.click()
    assert panel.form.detect_button.isEnabled()
    assert not panel.busy_row.cancel_button.isVisibleTo(panel)
    assert "Cancelled" in panel.status.text()
    panel.detect()
    wait(qtbot, panel)
    assert len(points.layer.data) == len(SPOTS)
    assert panel.status.text() == "4 defects now, 0 before."


def test_finding_nothing_says_what_to_try(qtbot: QtBot, panel: AnnotateDefects) -> None:
    panel.form.detection.set_values({"threshold": 1e6})
    panel.detect()
    wait(qtbot, panel)
    assert "Lower the threshold" in panel.status.text()


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # napari's thumbnail
def test_points_that_are_nowhere_are_explained(viewer: Viewer, panel: AnnotateDefects) -> None:
    points = panel.new_points()
    assert points is not None
    points.layer.data = np.array([[5.0, 5.0], [np.nan, 3.0]])
    panel.preview_box.setChecked(True)
    assert panel.preview.layer is None
    for act in (panel.snap, lambda: panel.save_csv("never.csv")):
        panel.status.clear()
        act()
        assert "finite" in panel.status.text()
        assert not panel.job.state.busy


def test_an_assignment_is_undone(panel: AnnotateDefects) -> None:
    points = panel.new_points()
    assert points is not None
    points.layer.add([[5, 5], [9, 9]])
    points.add_kind()
    points.layer.selected_data = {1}
    panel.kind_editor.table.assigned.emit("defect 2")
    assert list(points.layer.features["kind"]) == ["defect", "defect 2"]
    panel.undo()
    assert list(points.layer.features["kind"]) == ["defect", "defect"]
    points.layer.selected_data = set()
    panel.kind_editor.table.assigned.emit("defect 2")
    assert "Select points first" in panel.status.text()
    assert panel.redo_button.text() == "Redo assign defect 2"
