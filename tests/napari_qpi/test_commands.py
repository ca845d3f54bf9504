"""The manifest as napari shows it: menus, widgets and commands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from napari._app_model import get_app_model
from npe2 import PluginManager
from qtpy.QtWidgets import QFileDialog, QWidget

from qpi_kernels.io import open_scan

if TYPE_CHECKING:
    from napari import Viewer

OURS = "napari-qpi"


def titles(menu: str) -> list[str]:
    """Name a menu's entries."""
    items = get_app_model().menus.get_menu(menu)
    return [getattr(item, "title", None) or item.command.title for item in items]


MENUS = {
    "napari/file/new_layer": [
        "New defect points (napari-qpi STM)",
        "Simulate (napari-qpi STM)",
    ],
    "napari/file/io_utilities": ["Save kernel or defects (napari-qpi STM)"],
    "napari/file/samples/napari-qpi": ["Ag(111)-like surface state (noisy dI/dV map)"],
    "napari/layers/annotate": [
        "New defect points (napari-qpi STM)",
        "Annotate defects (napari-qpi STM)",
    ],
    "napari/layers/filter": ["Quasiparticle interference"],
    "napari-qpi/qpi": [
        "Extract kernel (napari-qpi STM)",
        "Simulate (napari-qpi STM)",
        "Train networks (napari-qpi STM)",
    ],
    "napari/plugins/napari-qpi": [
        "Annotate defects (napari-qpi STM)",
        "Extract kernel (napari-qpi STM)",
        "Simulate (napari-qpi STM)",
        "Train networks (napari-qpi STM)",
    ],
}


def test_the_menus_show_our_commands(viewer: Viewer) -> None:
    shown = {menu: titles(menu) for menu in MENUS}
    missing = {menu: set(entries) - set(shown[menu]) for menu, entries in MENUS.items()}
    assert not any(missing.values()), missing


def test_the_manifest_asks_for_nothing_at_start(plugin_manager: PluginManager) -> None:
    manifest = plugin_manager.get_manifest(OURS)
    assert manifest.on_activate is None
    assert manifest.display_name == "napari-qpi STM"


@pytest.mark.parametrize(
    "command",
    ["napari-qpi.annotate", "napari-qpi.extract", "napari-qpi.simulate", "napari-qpi.train"],
)
def test_a_menu_entry_opens_its_widget_and_hides_it_again(viewer: Viewer, command: str) -> None:
    run = get_app_model().commands.execute_command
    run(command).result()
    (dock,) = viewer.window.dock_widgets.values()
    assert isinstance(dock, QWidget)
    run(command).result()
    assert len(viewer.window.dock_widgets) == 1


def test_new_defect_points_lie_over_the_active_image(viewer: Viewer) -> None:
    image = viewer.add_image(
        np.zeros((3, 8, 8)), scale=(0.1, 0.5, 0.5), translate=(0, 3, 4), units=("V", "nm", "nm")
    )
    get_app_model().commands.execute_command("napari-qpi.new_defect_points").result()
    points = viewer.layers[-1]
    assert points.mode == "add"
    assert points.units == image.units[-2:]
    np.testing.assert_allclose(points.data_to_world((2, 5)), image.data_to_world((0, 2, 5))[-2:])
    points.add([[2, 3]])
    assert points.features["kind"].tolist() == ["defect"]


def test_new_defect_points_without_an_image_only_say_so(
    viewer: Viewer, capsys: pytest.CaptureFixture[str]
) -> None:
    get_app_model().commands.execute_command("napari-qpi.new_defect_points").result()
    assert "open an image first" in capsys.readouterr().out
    assert not viewer.layers


def test_save_adds_the_chosen_extension(
    viewer: Viewer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer.add_image(np.ones((4, 4)), scale=(0.5, 0.5), units=("nm", "nm"))
    answer = (str(tmp_path / "kernel"), "NetCDF, lossless (*.nc)")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: answer)
    get_app_model().commands.execute_command("napari-qpi.save_selected").result()
    (saved,) = open_scan(tmp_path / "kernel.nc").data_vars.values()
    assert float(saved["x"][1]) == 0.5
