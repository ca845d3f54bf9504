"""All docks of the manifest: each in a real viewer, opened by its name there."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from npe2 import PluginManager, PluginManifest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDoubleSpinBox,
    QSlider,
    QSpinBox,
    QWidget,
)

from napari_qpi.widgets.annotate.dock import AnnotateDefects
from napari_qpi.widgets.common.dock import Dock
from napari_qpi.widgets.common.parameter_form import ParameterForm
from napari_qpi.widgets.extract.dock import ExtractKernel
from shared.docks import open_dock

if TYPE_CHECKING:
    from napari import Viewer

MANIFEST = Path(import_module("napari_qpi").__path__[0]) / "napari.yaml"
NAMES = [
    widget.display_name for widget in PluginManifest.from_file(MANIFEST).contributions.widgets or []
]


def state(control: QWidget) -> object:
    if isinstance(control, QComboBox):
        return control.currentIndex()
    return control.value()  # type: ignore[attr-defined]


def turn_wheel(control: QWidget) -> None:
    middle = QPointF(control.rect().center())
    place = QPointF(control.mapToGlobal(control.rect().center()))
    for turn in (120, -120, -120):
        event = QWheelEvent(
            middle,
            place,
            QPoint(0, 0),
            QPoint(0, turn),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(control, event)


@pytest.mark.parametrize("name", NAMES)
def test_the_wheel_changes_only_what_has_the_focus(qtbot: QtBot, viewer: Viewer, name: str) -> None:
    viewer.add_image(np.random.default_rng(1).normal(size=(3, 32, 32)), name="map")
    dock = open_dock(viewer, name, Dock)
    kinds = (QAbstractSpinBox, QComboBox, QSlider)
    controls = [control for kind in kinds for control in dock.findChildren(kind)]
    assert controls
    for control in controls:
        assert control.focusPolicy() != Qt.FocusPolicy.WheelFocus
        before = state(control)
        turn_wheel(control)
        assert state(control) == before, control


def test_the_wheel_changes_the_control_that_has_the_focus(qtbot: QtBot, viewer: Viewer) -> None:
    viewer.window.show()
    dock = open_dock(viewer, "Annotate defects", Dock)
    assert isinstance(dock, AnnotateDefects)
    dock.activateWindow()
    combo = dock.form.detection.editor("polarity").findChild(QComboBox)
    assert combo is not None
    qtbot.waitUntil(combo.isVisible)
    combo.setFocus()
    qtbot.waitUntil(combo.hasFocus)
    before = combo.currentIndex()
    turn_wheel(combo)
    assert combo.currentIndex() != before


@pytest.mark.parametrize("name", NAMES)
def test_spin_boxes_end_where_it_makes_sense(viewer: Viewer, name: str) -> None:
    dock = open_dock(viewer, name, Dock)
    boxes = {
        (field, box.maximum())
        for form in dock.findChildren(ParameterForm)
        for field in form.values()
        for kind in (QSpinBox, QDoubleSpinBox)
        for box in form.editor(field).findChildren(kind)
    }
    assert [each for each in boxes if each[0] != "seed" and each[1] > 10_000_000] == []


def test_a_kernel_is_not_larger_than_its_image(viewer: Viewer) -> None:
    viewer.add_image(np.zeros((40, 48), np.float32), name="map")
    dock = open_dock(viewer, "Extract kernel", Dock)
    assert isinstance(dock, ExtractKernel)
    dock.form.set_values({"kernel_shape": (999, 500)})
    assert dock.form.values()["kernel_shape"] == (40, 48)


def test_a_new_dock_is_one_file_and_its_entry_in_the_manifest(
    viewer: Viewer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "toy_dock.py").write_text(
        "from qtpy.QtWidgets import QLabel\n"
        "from napari_qpi.widgets.common.dock import Dock\n"
        "class Toy(Dock):\n"
        "    def __init__(self, napari_viewer):\n"
        "        super().__init__(napari_viewer)\n"
        "        self.count = QLabel()\n"
        "        self.column.addWidget(self.count)\n"
        "        self.follow(self.viewer.layers.events.inserted, self.show_count)\n"
        "    def show_count(self, event=None):\n"
        "        self.count.setText(f'{len(self.viewer.layers)} layers')\n"
    )
    (tmp_path / "toy.yaml").write_text(
        "name: toy\n"
        "contributions:\n"
        "  commands:\n"
        "    - {id: toy.dock, title: Toy, python_name: 'toy_dock:Toy'}\n"
        "  widgets:\n"
        "    - {command: toy.dock, display_name: Toy}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    manager = PluginManager.instance()
    # napari listens once for every viewer of this process, and refuses a command twice.
    with manager.events.plugins_registered.blocked():
        manager.register(PluginManifest.from_file(tmp_path / "toy.yaml"))
    try:
        _, dock = viewer.window.add_plugin_dock_widget("toy", "Toy")
        viewer.add_image(np.zeros((4, 4)))
        assert dock.count.text() == "1 layers"
        followed = len(viewer.layers.events.inserted.callbacks)
        viewer.window.remove_dock_widget(dock)
        assert len(viewer.layers.events.inserted.callbacks) == followed - 1
    finally:
        manager.unregister("toy")
