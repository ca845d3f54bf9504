"""Spectra under the cursor: those of the pixel there, whatever layer is on top."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from napari_qpi.layers.result import show_result
from napari_qpi.widgets.inspect.curves.spectrum_panel import SpectrumPanel
from napari_qpi.widgets.inspect.in_viewer.pin_layer import PINS_NAME
from qpi_kernels.result import KernelResult
from shared.inspect_panels import BIASES, add_stack, open_panel, run_script
from shared.mouse import click, move_to

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Image


def planes() -> np.ndarray:
    """Return a stack of which every value is another."""
    return np.arange(len(BIASES) * 20 * 24, dtype=np.float32).reshape(len(BIASES), 20, 24)


def world(image: Image, row: float, column: float) -> tuple[float, ...]:
    """Return where a pixel of a stack lies."""
    return tuple(image.data_to_world((0.0, row, column)))


def test_the_pixel_under_the_mouse_and_the_pins(
    qtbot: QtBot, viewer: Viewer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = add_stack(viewer, planes())
    dock, panel = open_panel(qtbot, viewer, SpectrumPanel)
    # On top, and nothing of ours.
    viewer.add_image(np.zeros((9, 9)), name="on top", translate=(3.0, -4.0), units=("nm", "nm"))
    dock.map_choice.layer = image
    move_to(viewer, world(image, 7.3, 11.6))
    qtbot.waitUntil(lambda: bool(panel.under_cursor))
    (spectrum,) = panel.under_cursor
    assert spectrum.pixel == (7, 12)
    np.testing.assert_array_equal(spectrum.values, planes()[:, 7, 12])
    move_to(viewer, world(image, -3.0, 11.6))
    qtbot.wait(80)
    assert [each.pixel for each in panel.under_cursor] == [(7, 12)]

    click(viewer, world(image, 2.0, 3.0))
    assert not panel.pinned
    click(viewer, world(image, 2.0, 3.0), "Shift")
    click(viewer, world(image, 5.0, 6.0), "Shift")
    click(viewer, world(image, 5.0, 6.0), "Shift")
    assert [each.pixel for each in panel.pinned] == [(2, 3), (5, 6)]
    assert panel.pins.item(0).text() == "━ map at (1, 0.75) nm: grid"
    variables = run_script(panel, tmp_path, monkeypatch.chdir)
    for repeated, pinned in zip(variables["spectra"], panel.export(), strict=True):
        np.testing.assert_array_equal(repeated, pinned)

    marks = viewer.layers[PINS_NAME]
    for mark, pixel in zip(marks.data, [(2, 3), (5, 6)], strict=True):
        place = marks.data_to_world(mark)[-2:]
        np.testing.assert_allclose(place, world(image, *pixel)[-2:])

    viewer.layers.remove(image)
    qtbot.waitUntil(lambda: dock.inspection.map_layer is None)
    assert len(panel.pinned) == 2
    assert len(panel.curve_plot.curves) >= 2
    panel.pins.setCurrentRow(0)
    panel.remove_pins()
    assert [each.pixel for each in panel.pinned] == [(5, 6)]
    assert PINS_NAME not in viewer.layers


def test_a_kernel_beside_the_map_has_spectra_with_errors(
    qtbot: QtBot, viewer: Viewer, make_result: Callable[..., KernelResult]
) -> None:
    image = add_stack(viewer, planes())
    result = make_result(biases=BIASES[::-1])
    show_result(viewer, result, image)
    dock, panel = open_panel(qtbot, viewer, SpectrumPanel)
    layer = dock.inspection.kernel_layer
    assert layer is not None
    move_to(viewer, world(layer, 2.0, 5.0))
    qtbot.waitUntil(lambda: bool(panel.under_cursor))
    (spectrum,) = panel.under_cursor
    np.testing.assert_array_equal(spectrum.values, result.kernel[:, 2, 5])
    assert spectrum.std is not None
    np.testing.assert_array_equal(spectrum.std, result.std[:, 2, 5])
    np.testing.assert_array_equal(spectrum.values["bias"], BIASES[::-1])


def test_the_mouse_is_followed_no_more_when_the_dock_is_closed(
    qtbot: QtBot, viewer: Viewer
) -> None:
    before = len(viewer.mouse_move_callbacks), len(viewer.mouse_drag_callbacks)
    add_stack(viewer, planes())
    dock, _ = open_panel(qtbot, viewer, SpectrumPanel)
    assert len(viewer.mouse_move_callbacks) == before[0] + 1
    viewer.window.remove_dock_widget(dock.parent())
    assert (len(viewer.mouse_move_callbacks), len(viewer.mouse_drag_callbacks)) == before
