"""The Prepare dock in a real viewer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from napari.layers import Image, Labels, Points
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QApplication

from napari_qpi.layers.conversion import METADATA_KEY, add_layers, points_from_defects
from napari_qpi.layers.prepared import prepared_of
from napari_qpi.layers.scan import scan_layers
from napari_qpi.widgets.common.layer_combo import is_temporary
from napari_qpi.widgets.extract.dock import ExtractKernel
from napari_qpi.widgets.prepare.dock import PrepareImage
from qpi_kernels import prepare
from qpi_kernels.defects import Defects
from qpi_kernels.io import Channel, scan_dataset
from shared.docks import open_dock

if TYPE_CHECKING:
    from napari import Viewer

TURNED = prepare.Rotate(angle_deg=30.0)


def waves(sign: float = 1.0) -> np.ndarray:
    rows, columns = np.indices((32, 40))
    return np.sin(columns / 2.0) + 0.1 * sign * np.cos(rows / 3.0)


@pytest.fixture
def dock(viewer: Viewer) -> PrepareImage:
    """Return the dock over a scan with trace and retrace, turned by 30 degrees."""
    channels = [
        Channel("Z", waves(sign), "nm", "topography", direction)
        for sign, direction in ((1.0, "forward"), (-1.0, "backward"))
    ]
    scan = scan_dataset(
        channels, source="a.sxm", format="", pixel_nm=(0.5, 0.5), scan_angle_deg=30.0
    )
    image = add_layers(viewer, scan_layers(scan, "a"))[-1]
    viewer.add_layer(Points(**_points(image)))
    return open_dock(viewer, "Prepare image", PrepareImage)


def _points(image: Image) -> dict[str, object]:
    data, arguments, _ = points_from_defects(Defects([(10.0, 12.0)]), image, name="a defects")
    return {"data": data, **arguments}


def wait(qtbot: QtBot, dock: PrepareImage) -> None:

    def quiet() -> bool:
        return not (dock.preview.pending or dock.job.state.busy)

    qtbot.waitUntil(quiet, timeout=20_000)


def test_a_run_adds_what_it_made_and_undo_takes_it_away(
    qtbot: QtBot, viewer: Viewer, dock: PrepareImage
) -> None:
    before = list(viewer.layers)
    extract = open_dock(viewer, "Extract kernel", ExtractKernel)
    dock.show_steps([TURNED])
    wait(qtbot, dock)
    preview = dock.preview.layers.layer
    assert preview is not None
    dock.prepare()
    wait(qtbot, dock)
    dock.points_choice.layer_changed.emit(None)
    wait(qtbot, dock)
    assert dock.preview.layers.layer is None
    image, labels, points = [
        layer for layer in viewer.layers if layer not in before and not is_temporary(layer)
    ]
    assert isinstance(image, Image)
    assert isinstance(labels, Labels)
    assert image.name == f"{dock.image_choice.layer.name} prepared"
    np.testing.assert_array_equal(image.data, preview.data)
    made = prepared_of(image)
    assert made is not None
    np.testing.assert_array_equal(labels.data == 0, made.mask)
    world = dock.points_choice.layer.data_to_world(dock.points_choice.layer.data[0])
    np.testing.assert_allclose(points.data_to_world(points.data[0]), world, atol=1e-9)
    assert not dock.points_choice.layer.visible

    assert extract.image_choice.layer is image
    assert extract.mask_choice.layer is labels
    assert extract.points_choice.layer is points

    dock.undo()
    assert [layer for layer in viewer.layers if layer in (image, labels, points)] == []
    assert dock.points_choice.layer.visible
    dock.undo()
    assert dock.step_list.rows == []
    dock.redo()
    dock.redo()
    assert {image, labels, points} <= set(viewer.layers)
    assert dock.step_list.steps == [TURNED]


def test_steps_are_ordered_switched_and_edited(
    qtbot: QtBot, viewer: Viewer, dock: PrepareImage
) -> None:
    dock.add_step("crop")
    dock.add_step("rebin")
    crop, rebin = dock.step_list.rows
    assert dict(crop.step) == {"rows": (0, 32), "columns": (0, 40)}
    assert "Cut out a rectangle" in crop.switch.toolTip()
    rebin.up_button.click()
    assert dock.step_list.steps == [rebin.step, crop.step]
    wait(qtbot, dock)
    assert "do not lie within the image" in crop.note.text()
    crop.form.set_values({"rows": (0, 16), "columns": (2, 20)})
    wait(qtbot, dock)
    layer = dock.preview.layers.layer
    assert layer is not None
    assert layer.data.shape == (16, 18)
    dock.preview.before_button.setDown(True)
    dock.preview.show_planes()
    assert dock.preview.layers.layer.data.shape == (32, 40)
    dock.preview.before_button.setDown(False)
    rebin.switch.setChecked(False)
    assert dock.step_list.steps == [crop.step]
    crop.remove_button.click()
    wait(qtbot, dock)
    assert dock.preview.layers.layer is None
    assert not dock.run_controls.run_button.isEnabled()
    dock.undo()
    assert dock.step_list.steps == [prepare.Crop(rows=(0, 16), columns=(2, 20))]


def test_channels_of_the_same_scan_are_chosen(
    qtbot: QtBot, viewer: Viewer, dock: PrepareImage
) -> None:
    dock.add_step("align_traces")
    combo = dock.channel_rows.combo("retrace")
    assert combo.layer is not None
    assert combo.layer.name == "a topography backward"
    wait(qtbot, dock)
    assert "lag" in dock.step_list.rows[0].note.text()
    combo.layer = None
    wait(qtbot, dock)
    assert "needs the retrace" in dock.step_list.rows[0].note.text()


def test_recipes_are_saved_loaded_applied_and_written_as_python(
    qtbot: QtBot, viewer: Viewer, dock: PrepareImage, tmp_path: Path
) -> None:
    dock.show_steps([TURNED, prepare.Rebin()])
    dock.recipe_buttons.save(tmp_path / "r.json")
    dock.show_steps([])
    dock.recipe_buttons.load(tmp_path / "r.json")
    assert dock.step_list.steps == [TURNED, prepare.Rebin()]
    np.save(tmp_path / "raw.npy", dock.image_choice.layer.data)
    names: dict[str, object] = {}
    script = dock.recipe_buttons.script(str(tmp_path / "raw.npy")).rpartition("qk.prepare.save")[0]
    exec(compile(script, "again.py", "exec"), names)
    other = next(layer for layer in viewer.layers if layer.name == "a topography backward")
    action = next(a for a in dock.recipe_buttons.fill_menu().actions() if a.text() == other.name)
    action.trigger()
    wait(qtbot, dock)
    image = next(layer for layer in viewer.layers if layer.name == f"{other.name} prepared")
    known = image.metadata[METADATA_KEY]["preparation"]
    assert known["history"] == names["prepared"].history
    assert QApplication.clipboard() is not None


def test_the_plane_on_show_of_a_cube_is_previewed_and_all_are_prepared(
    qtbot: QtBot, viewer: Viewer
) -> None:
    stack = np.stack([waves() * factor for factor in (1, 2, 4)]).astype(np.float32)
    viewer.add_image(stack, name="grid", scale=(0.1, 0.5, 0.5), units=("V", "nm", "nm"))
    dock = open_dock(viewer, "Prepare image", PrepareImage)
    dock.show_steps([prepare.Rebin()])
    viewer.dims.set_current_step(0, 2)
    wait(qtbot, dock)
    shown = dock.preview.layers.layer
    assert shown is not None
    whole = prepare.run(stack, [prepare.Rebin()])
    np.testing.assert_allclose(shown.data, whole.image.values[2], rtol=1e-6)
    dock.prepare()
    wait(qtbot, dock)
    (image,) = [layer for layer in viewer.layers if layer.name == "grid prepared"]
    assert image.data.shape == (3, 16, 20)
    np.testing.assert_allclose(image.scale, (0.1, 1.0, 1.0))


def test_bragg_peaks_are_marked_and_dragged(qtbot: QtBot, viewer: Viewer) -> None:
    q = 2 * np.pi / (8 * 0.05)
    rows, columns = 0.05 * np.indices((96, 96))
    noise = np.random.default_rng(0).normal(scale=0.1, size=(96, 96))
    viewer.add_image(
        np.cos(q * rows) + np.cos(q * columns) + noise, scale=(0.05, 0.05), units=("nm", "nm")
    )
    dock = open_dock(viewer, "Prepare image", PrepareImage)
    view = dock.preview.fourier
    qtbot.waitUntil(lambda: bool(view.marked("Bragg")), timeout=10_000)
    assert len(view.marked("Bragg")) == 4
    dock.add_step("correct_drift")
    wait(qtbot, dock)
    at = view.handle_waves()
    np.testing.assert_allclose(np.sort(np.abs(at).ravel()), [0, 0, q, q], atol=0.5)
    handle = view.handles[1]
    handle.setPos(handle.pos().x() + 1.0, handle.pos().y())
    handle.sigPositionChangeFinished.emit(handle)
    (step,) = dock.step_list.steps
    np.testing.assert_allclose(step.bragg_peaks, view.handle_waves(), rtol=1e-5)
    np.testing.assert_allclose(view.handle_waves() - at, [[0, 0], [0, 1]], atol=1e-4)
    assert dock.undo_button.isEnabled()
