"""The line of a cut on |FT|, dragged beside its cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pytestqt.qtbot import QtBot

from napari_qpi.widgets.inspect.curves.cut_panel import CutPanel
from qpi_kernels import inspect
from shared.inspect_panels import add_stack, open_panel, wave_planes

if TYPE_CHECKING:
    from napari import Viewer


def test_a_line_dragged_on_the_transform_is_the_line_of_the_cut(
    qtbot: QtBot, viewer: Viewer
) -> None:
    add_stack(viewer, wave_planes())
    dock, panel = open_panel(qtbot, viewer, CutPanel)
    assert not panel.line_view.isVisible()
    panel.space_choice.setCurrentIndex(panel.space_choice.findData("q"))
    qtbot.waitUntil(lambda: panel.stack is not None)
    assert panel.line_view.isVisible()
    np.testing.assert_array_equal(panel.line_view.shown, dock.inspection.fourier("map"))  # type: ignore[arg-type]
    view = panel.line_view
    view.line.movePoint(view.line.endpoints[1], (3.0, -0.5), coords="parent")
    line = dock.inspection.line
    assert line is not None
    assert (line.space, line.start, line.stop) == ("q", (0.0, 0.0), (-0.5, 3.0))
    transform = dock.inspection.fourier("map")
    assert transform is not None
    expected = inspect.line_cut(transform, line.start, line.stop, width=line.width)
    qtbot.waitUntil(lambda: panel.curve is not None and panel.curve.equals(expected))
    panel.space_choice.setCurrentIndex(panel.space_choice.findData("real"))
    assert not view.isVisible()
