"""Cuts in the Inspect dock: the numbers under the line, wherever image and line lie."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import dask.array as da
import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from napari_qpi.layers.result import show_result
from napari_qpi.tasks.inspection.state import Line
from napari_qpi.widgets.inspect.curves.cut_panel import CutPanel
from napari_qpi.widgets.inspect.fourier_panel import FourierPanel
from napari_qpi.widgets.inspect.in_viewer.line_layer import LINE_NAME
from qpi_kernels.result import KernelResult
from shared.docks import PLACED
from shared.inspect_panels import (
    BIASES,
    PITCH,
    add_stack,
    drawn,
    open_panel,
    run_script,
    saved_tables,
    wave_planes,
)
from shared.mouse import drag

if TYPE_CHECKING:
    from napari import Viewer

ROWS, COLUMNS = 40, 48


def ramps() -> np.ndarray:
    """Return planes that grow along rows and columns, more so from bias to bias."""
    row, column = np.indices((ROWS, COLUMNS))
    return np.array([n + row + 0.1 * n * column for n in range(len(BIASES))], np.float32)


def drag_stop(panel: CutPanel, pixel: tuple[float, float]) -> None:
    """Drag the end of the line with the mouse to a pixel of the map, on its first plane."""
    layer, line = panel.inspection.map_layer, panel.line_layer
    assert layer is not None
    assert line is not None
    begin = line.data_to_world(line.data[-1][1])
    goal = layer.data_to_world((0, *pixel))
    drag(line, (goal[0], *begin[-2:]), goal)


def test_the_curve_follows_the_line_on_a_turned_stack(qtbot: QtBot, viewer: Viewer) -> None:
    add_stack(viewer, ramps())
    dock, panel = open_panel(qtbot, viewer, CutPanel)
    dock.inspection.bias = 0.05
    panel.inspection.line = Line("real", (1.0, 1.0), (1.0, 8.0))
    panel.grab_line()
    drag_stop(panel, (25.0, 10.0))
    drag_stop(panel, (30.0, 40.0))
    qtbot.waitUntil(lambda: drawn(panel.curve)[-1] == pytest.approx(2 + 30 + 8, abs=0.02))
    assert panel.curve is not None
    # The values at any point of the line, from its coordinates: planes are linear in both.
    row = panel.curve["y"] / PITCH[0]
    column = panel.curve["x"] / PITCH[1]
    np.testing.assert_allclose(panel.curve, 2 + row + 0.2 * column, atol=0.02)
    np.testing.assert_allclose([row[0], column[0]], [2, 4], atol=1e-4)
    length = np.hypot(28 * PITCH[0], 36 * PITCH[1])
    assert float(panel.curve["distance"][-1]) == pytest.approx(length, rel=1e-4)
    assert panel.curve_plot.title == "Cut of grid, +0.05 V"
    assert panel.curve_plot.plot.getAxis("bottom").labelText == "distance along the cut (nm)"

    stack = drawn(panel.stack)
    numbers = np.arange(len(BIASES))
    np.testing.assert_allclose(stack[:, -1], numbers + 30 + 4.0 * numbers, atol=0.02)
    panel.mean_box.setChecked(True)
    np.testing.assert_allclose(drawn(panel.stack).mean(axis=0), 0, atol=1e-4)


def test_a_bias_changes_the_curve_but_not_the_stack(qtbot: QtBot, viewer: Viewer) -> None:
    add_stack(viewer, ramps())
    dock, panel = open_panel(qtbot, viewer, CutPanel)
    dock.energy_slider.slider.setValue(0)
    stack, low = panel.stack, drawn(panel.curve)
    label = dock.energy_slider.label
    size = label.size()
    dock.energy_slider.slider.setValue(3)
    assert panel.stack is stack
    # A label of another size would have the whole dock laid out anew.
    assert label.size() == size
    assert label.sizeHint().width() <= label.width()
    rise = drawn(panel.curve)[0] - low[0]
    assert rise == pytest.approx(3 + 0.3 * 0.1 * (COLUMNS - 1), abs=0.02)


def test_a_line_in_q_finds_the_wave_in_both_units(
    qtbot: QtBot, viewer: Viewer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_stack(viewer, wave_planes(ROWS, COLUMNS))
    dock, panel = open_panel(qtbot, viewer, CutPanel)
    panel.space_choice.setCurrentIndex(1)
    qtbot.waitUntil(lambda: panel.stack is not None)
    assert panel.curve is not None
    assert panel.stack is not None
    wave = 2 * np.pi / (COLUMNS * PITCH[1])
    peaks = panel.stack["distance"][drawn(panel.stack).argmax(axis=1)]
    half_a_point = float(panel.stack["distance"][1]) / 2
    np.testing.assert_allclose(peaks, (np.arange(len(BIASES)) + 6) * wave, atol=half_a_point)
    variables = run_script(panel, tmp_path, monkeypatch.chdir)
    np.testing.assert_array_equal(variables["cut"], panel.curve)
    np.testing.assert_array_equal(variables["stack"], panel.stack)

    assert set(saved_tables(panel, tmp_path)) == {"numbers.csv", "numbers_cut_over_bias.csv"}

    before = panel.curve
    dock.units_choice.setCurrentIndex(1)
    np.testing.assert_array_equal(panel.curve, before)
    (shown,) = panel.curve_plot.curves
    np.testing.assert_allclose(shown.values["distance"], before["distance"] / (2 * np.pi))
    assert shown.values["distance"].attrs["units"] == "1/nm"
    # The line of |FT| is the same one.
    dock.inspection.line = Line("q", (0.0, 0.0), (2.0, 0.0), width=0.5)
    assert panel.angle_box.value() == -90.0
    dock.panel(FourierPanel)
    panel.angle_box.setValue(90.0)
    assert dock.inspection.line.stop == pytest.approx((-2.0, 0.0))


def test_the_line_is_seen_with_its_panel_and_the_plot_outlives_the_layers(
    qtbot: QtBot, viewer: Viewer
) -> None:
    image = viewer.add_image(ramps()[0], name="map", **PLACED)
    dock, panel = open_panel(qtbot, viewer, CutPanel)
    assert panel.stack_image.isHidden()
    assert viewer.layers[LINE_NAME].visible
    place = viewer.layers[LINE_NAME].data[0].copy()
    # Behind another panel it is no layer that one saves, or takes for a mask, by accident.
    dock.panel(FourierPanel)
    assert list(viewer.layers) == [image]
    dock.panel(CutPanel)
    np.testing.assert_allclose(viewer.layers[LINE_NAME].data[0], place)
    before = drawn(panel.curve)
    viewer.layers.remove(LINE_NAME)
    viewer.layers.remove(image)
    qtbot.waitUntil(lambda: dock.inspection.map_layer is None)
    np.testing.assert_array_equal(drawn(panel.curve), before)
    assert panel.curve_plot.title == "Cut of map"
    viewer.add_image(ramps()[1], name="other", **PLACED)
    qtbot.waitUntil(lambda: LINE_NAME in viewer.layers)
    assert panel.curve_plot.title == "Cut of other"
    viewer.window.remove_dock_widget(dock.parent())
    assert LINE_NAME not in viewer.layers


def test_a_kernel_is_cut_through_its_centre(
    qtbot: QtBot, viewer: Viewer, make_result: Callable[..., KernelResult]
) -> None:
    image = add_stack(viewer, ramps())
    result = make_result(biases=BIASES[::-1], image_shape=(ROWS, COLUMNS), kernel_shape=(9, 11))
    show_result(viewer, result, image)
    dock, panel = open_panel(qtbot, viewer, CutPanel)
    dock.inspection.bias = 0.2
    on_map = dock.inspection.line
    panel.role_choice.setCurrentIndex(panel.role_choice.findData("kernel"))
    # The outer pixel on either side is left out by the line that is proposed.
    row = result.kernel.sel(bias=0.2).values[4, 1:-1]
    np.testing.assert_allclose(drawn(panel.curve), row, atol=1e-6)
    layer, line = dock.inspection.kernel_layer, panel.line_layer
    assert layer is not None
    assert line is not None
    start = layer.data_to_world((0, 4, 1))[-2:]
    np.testing.assert_allclose(line.data_to_world(line.data[0][0])[-2:], start, atol=1e-5)
    panel.role_choice.setCurrentIndex(panel.role_choice.findData("residual"))
    assert dock.inspection.line == on_map


def test_a_stack_in_a_file_is_read_once_in_the_background(qtbot: QtBot, viewer: Viewer) -> None:
    read = []

    def planes(block_info: dict[int, dict[str, tuple[int, ...]]]) -> np.ndarray:
        number = block_info[None]["chunk-location"][0]
        read.append(number)
        return ramps()[[number]]

    lazy = da.map_blocks(
        planes,
        chunks=((1,) * len(BIASES), ROWS, COLUMNS),
        dtype=np.float32,
        meta=np.zeros((1, 1, 1)),
    )
    add_stack(viewer, lazy)
    _, panel = open_panel(qtbot, viewer, CutPanel)
    qtbot.waitUntil(lambda: panel.stack is not None)
    assert {0, 1, 2, 3} <= set(read)
    read.clear()
    panel.inspection.line = Line("real", (1.0, 1.0), (1.0, 8.0))
    qtbot.waitUntil(lambda: float(panel.stack["y"][0]) == 1.0)  # type: ignore[index]
    # The curve's plane alone.
    assert len(set(read)) <= 1
