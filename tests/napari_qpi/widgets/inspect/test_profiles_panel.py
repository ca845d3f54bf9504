"""Profiles of |FT| in the Inspect dock: rings and sectors where they are, and a script for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_qpi.widgets.inspect.curves.profiles_panel import ProfilesPanel
from shared.inspect_panels import (
    BIASES,
    PITCH,
    add_stack,
    drawn,
    open_panel,
    run_script,
    saved_tables,
)

if TYPE_CHECKING:
    from napari import Viewer

ROWS, COLUMNS = 48, 96


def wave_and_noise() -> np.ndarray:
    """Draw a wave along -60 degrees (as seen) in white noise, its q growing with the bias."""
    y, x = np.meshgrid(np.arange(ROWS) * PITCH[0], np.arange(COLUMNS) * PITCH[1], indexing="ij")
    turn = np.deg2rad(-60.0)
    noise = np.random.default_rng(2).normal(scale=0.3, size=(len(BIASES), ROWS, COLUMNS))
    along = np.cos(turn) * x - np.sin(turn) * y
    waves = [np.cos((2.0 + n) * along) for n in range(len(BIASES))]
    return (np.array(waves) + noise).astype(np.float32)


def test_a_sector_holds_the_wave_and_the_rest_the_floor(
    qtbot: QtBot, viewer: Viewer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_stack(viewer, wave_and_noise())
    dock, panel = open_panel(qtbot, viewer, ProfilesPanel)
    dock.inspection.bias = 0.0
    qtbot.waitUntil(lambda: panel.stack is not None)
    panel.direction_choice.setCurrentIndex(1)
    panel.angle_box.setValue(-60.0)
    (found,) = panel.profiles.values()
    step = float(found["q"][1])
    peak = found["q"][np.nanargmax(drawn(found["mean"]))]
    assert float(peak) == pytest.approx(3.0, abs=step)
    qtbot.waitUntil(lambda: panel.stack is not None)
    assert panel.stack is not None
    peaks = panel.stack["q"][np.nanargmax(drawn(panel.stack["mean"]), axis=1)]
    np.testing.assert_allclose(peaks, 2.0 + np.arange(len(BIASES)), atol=step)
    largest = float(found["mean"].max())
    panel.angle_box.setValue(60.0)
    (found,) = panel.profiles.values()
    assert float(found["mean"].max()) < 0.2 * largest
    # White noise lies at its floor, which is drawn where it is not subtracted.
    np.testing.assert_allclose(found["mean"][12:], float(found["floor"]), rtol=0.5)
    assert [curve.look for curve in panel.curve_plot.curves] == ["line", "dots"]
    # The script has the profiles over bias, whether or not they are drawn yet.
    variables = run_script(panel, tmp_path, monkeypatch.chdir)
    np.testing.assert_array_equal(variables["profiles"]["map"]["mean"], found["mean"])
    qtbot.waitUntil(lambda: panel.stack is not None)
    np.testing.assert_array_equal(variables["stack"]["mean"], panel.stack["mean"])

    tables = saved_tables(panel, tmp_path)
    assert "# shows: Profiles: profile of map" in tables["numbers.csv"]
    assert any("over_bias" in name for name in tables)

    panel.floor_box.setChecked(True)
    (less,) = panel.profiles.values()
    noise = drawn(found["mean"]) ** 2 - float(found["floor"]) ** 2
    np.testing.assert_allclose(less["mean"] ** 2, np.maximum(noise, 0), atol=1e-12)
    assert [curve.look for curve in panel.curve_plot.curves] == ["line"]
    assert panel.curve_plot.title == "Profiles of |FT|, 60° ± 10°"


def test_the_mouse_turns_the_sector(qtbot: QtBot, viewer: Viewer) -> None:
    add_stack(viewer, wave_and_noise())
    dock, panel = open_panel(qtbot, viewer, ProfilesPanel)
    dock.inspection.bias = 0.0
    view = panel.sector_view
    assert not view.isVisible()
    panel.direction_choice.setCurrentIndex(1)
    panel.angle_box.setValue(30.0)
    assert view.isVisible()
    np.testing.assert_array_equal(view.shown, dock.inspection.fourier("map"))  # type: ignore[arg-type]
    down, right = view.marker_place
    assert np.degrees(np.arctan2(-down, right)) == pytest.approx(30.0)
    qtbot.wait(50)

    def at(angle: float) -> QPoint:
        """Return the pixel of the canvas that lies in a direction, at the handle's distance."""
        length, turn = np.hypot(down, right), np.deg2rad(angle)
        box = view.plot.getViewBox()
        place = box.mapViewToScene(QPointF(length * np.cos(turn), -length * np.sin(turn)))
        return QPoint(view.canvas.mapFromScene(place))

    screen = view.canvas.viewport()
    left = Qt.MouseButton.LeftButton
    QTest.mousePress(screen, left, pos=at(30.0))
    for angle in (20.0, 0.0, -30.0, -60.0):
        # QTest's own moves have no button pressed.
        place = QPointF(at(angle))
        move = QMouseEvent(
            QMouseEvent.Type.MouseMove, place, QPointF(screen.mapToGlobal(at(angle))),
            Qt.MouseButton.NoButton, left, Qt.KeyboardModifier.NoModifier,
        )  # fmt: skip
        qtbot.wait(15)  # of moves that come faster the scene drops some
        QApplication.sendEvent(screen, move)
    QTest.mouseRelease(screen, left, pos=at(-60.0))
    assert panel.angle_box.value() == pytest.approx(-60.0, abs=4.0)
    (found,) = panel.profiles.values()
    peak = found["q"][np.nanargmax(drawn(found["mean"]))]
    assert float(peak) == pytest.approx(3.0, abs=float(found["q"][1]))
    sides = np.stack(view.sides.getData())
    assert np.degrees(np.arctan2(-sides[1, 3], sides[0, 3])) == pytest.approx(
        panel.angle_box.value() + 10.0
    )


def test_plots_stay_readable_where_the_dock_is_low(qtbot: QtBot, viewer: Viewer) -> None:
    """Another dock above it takes most of a small screen: this one scrolls."""
    add_stack(viewer, wave_and_noise())
    dock, panel = open_panel(qtbot, viewer, ProfilesPanel)
    panel.direction_choice.setCurrentIndex(1)
    dock.setFixedHeight(300)
    qtbot.waitUntil(lambda: panel.sector_view.isVisible() and dock.height() == 300)
    for plot in (panel.sector_view, panel.curve_plot, panel.stack_image):
        qtbot.waitUntil(lambda plot=plot: plot.height() >= 120)
    # A ring of the transform is wide enough to turn the sector by the degree.
    qtbot.waitUntil(lambda: panel.sector_view.height() >= 150)
    assert dock._scroll.verticalScrollBar().maximum() > 0
