"""The kernel's window in the viewer and its size in the form follow each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from napari.layers import Image
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_qpi.widgets.extract.dock import ExtractKernel
from napari_qpi.widgets.extract.kernel_window import resized_shape, window_corners
from shared.docks import PLACED
from shared.extract_panel import (
    DEFECTS,
    add_defects,
    observed,
    open_panel,
)

if TYPE_CHECKING:
    from napari import Viewer


@pytest.mark.parametrize("size", [(8, 8), (9, 9), (9, 12)])
def test_the_window_covers_the_kernels_pixels(size: tuple[int, int]) -> None:
    corners = window_corners((20.0, 30.0), size)
    first = np.array([20, 30]) - np.array(size) // 2
    np.testing.assert_array_equal(corners.min(axis=0), first - 0.5)
    np.testing.assert_array_equal(corners.max(axis=0), first + size - 0.5)


def test_dragging_a_corner_keeps_the_centre() -> None:
    old = window_corners((20.0, 30.0), (9, 9))
    new = old.copy()
    new[2] += 3
    new[1, 1] += 3
    new[3, 0] += 3
    assert resized_shape(old, new, square=True) == (15, 15)
    new[[1, 2], 1] -= 2
    assert resized_shape(old, new, square=False) == (15, 11)


def test_the_window_follows_size_points_and_checkbox(
    qtbot: QtBot, viewer: Viewer, panel: ExtractKernel, image: Image
) -> None:
    layer = panel.kernel_size.kernel_window.layer
    assert layer is not None
    assert panel.points_choice.layer is viewer.layers.selection.active
    nearest = min(DEFECTS.positions.tolist(), key=lambda p: np.hypot(p[0] - 19.5, p[1] - 23.5))
    np.testing.assert_allclose(layer.data[0].mean(axis=0), nearest, atol=1e-3)
    np.testing.assert_allclose(layer.data_to_world((1, 2)), image.data_to_world((1, 2)))
    panel.form.set_values({"kernel_shape": (12, 12)})
    np.testing.assert_allclose(np.ptp(layer.data[0], axis=0), 12, atol=1e-3)
    panel.kernel_size.window_box.setChecked(False)
    assert layer not in viewer.layers
    panel.kernel_size.window_box.setChecked(True)
    shown = panel.kernel_size.kernel_window.layer
    assert shown is not None
    viewer.layers.remove(shown)
    assert not panel.kernel_size.window_box.isChecked()


def test_moving_the_window_goes_to_the_nearest_defect(panel: ExtractKernel) -> None:
    layer = panel.kernel_size.kernel_window.layer
    assert layer is not None
    target = DEFECTS.positions[0]
    layer.data = [layer.data[0] - layer.data[0].mean(axis=0) + target + 1.5]
    np.testing.assert_allclose(layer.data[0].mean(axis=0), target, atol=1e-3)
    assert panel.form.values()["kernel_shape"] == (9, 9)


def test_dragging_with_the_mouse_changes_the_form(qtbot: QtBot, viewer: Viewer) -> None:
    viewer.window.show()
    image = viewer.add_image(observed(), **{**PLACED, "rotate": 0.0})
    add_defects(viewer, image)
    panel = open_panel(viewer)
    panel.form.set_values({"kernel_shape": (15, 15)})
    panel.kernel_size.resize_button.click()
    layer = panel.kernel_size.kernel_window.layer
    assert layer is not None
    viewer.reset_view()
    canvas = viewer.window._qt_viewer.canvas.native
    qtbot.waitUntil(canvas.isVisible)
    qtbot.wait(100)
    camera = viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera

    def on_canvas(position: np.ndarray) -> QPoint:
        away = np.array(layer.data_to_world(position)) - np.array(camera.center[-2:])
        pixels = away * camera.zoom
        return QPoint(round(canvas.width() / 2 + pixels[1]), round(canvas.height() / 2 + pixels[0]))

    corner = layer.data[0].max(axis=0)
    QTest.mouseMove(canvas, on_canvas(corner))
    qtbot.wait(30)
    left = Qt.MouseButton.LeftButton
    QTest.mousePress(canvas, left, pos=on_canvas(corner))
    qtbot.wait(30)
    for step in (1, 2, 3):
        QTest.mouseMove(canvas, on_canvas(corner + step))
        qtbot.wait(30)
    during = panel.form.values()["kernel_shape"]
    QTest.mouseRelease(canvas, left, pos=on_canvas(corner + 3))
    qtbot.wait(30)
    height, width = panel.form.values()["kernel_shape"]
    assert height == width
    assert 20 <= height <= 22
    assert during == (height, width)
    np.testing.assert_allclose(np.ptp(layer.data[0], axis=0), height, atol=1e-3)


def test_a_small_map_does_not_cut_the_size_for_good(
    viewer: Viewer, panel: ExtractKernel, image: Image
) -> None:
    panel.form.set_values({"kernel_shape": (31, 31)})
    small = viewer.add_image(np.zeros((12, 20)), name="small")
    assert panel.image_choice.layer is small
    assert panel.parameters().kernel_shape == (12, 12)
    assert "not 31 × 31 pixels" in panel.kernel_size.note.text()  # noqa: RUF001
    panel.image_choice.layer = image
    assert panel.parameters().kernel_shape == (31, 31)
    assert "not 31" not in panel.kernel_size.note.text()
    panel.form.set_values({"kernel_shape": (25, 45)})
    panel.image_choice.layer = small
    assert panel.parameters().kernel_shape == (12, 20)
    panel.image_choice.layer = image
    assert panel.parameters().kernel_shape == (25, 45)
