"""Ways out of a dock: named files, and scripts on the clipboard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QApplication, QFileDialog, QWidget

from napari_qpi.widgets.common.export import ask_save_path, copy_script

KINDS = "Everything (*.nc);;Kernel as TIFF (*.tif *.tiff)"


def clipboard_text() -> str:
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    return clipboard.text()


@pytest.fixture
def parent(qtbot: QtBot) -> QWidget:
    widget = QWidget()
    qtbot.addWidget(widget)
    return widget


def answer(monkeypatch: pytest.MonkeyPatch, path: Path | str, chosen: str = "") -> None:
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), chosen))


@pytest.mark.parametrize(
    ("typed", "chosen", "expected"),
    [
        ("kernel", "Kernel as TIFF (*.tif *.tiff)", "kernel.tif"),
        ("kernel", "", "kernel.nc"),
        ("kernel.TIFF", "Everything (*.nc)", "kernel.TIFF"),
        ("kernel.v2", "Everything (*.nc)", "kernel.v2.nc"),
        ("", "Everything (*.nc)", ""),
    ],
)
def test_a_name_gets_the_extension_of_its_kind(
    monkeypatch: pytest.MonkeyPatch, typed: str, chosen: str, expected: str
) -> None:
    answer(monkeypatch, typed, chosen)
    assert ask_save_path(None, "Save", "kernel", KINDS) == expected


def test_the_script_gets_the_name_under_which_its_array_was_saved(
    parent: QWidget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.arange(6.0).reshape(2, 3)
    answer(monkeypatch, tmp_path / "map")
    said = copy_script(parent, repr, xr.DataArray(values), "map.npy")
    assert said == "The script is on the clipboard."
    np.testing.assert_array_equal(np.load(clipboard_text().strip("'")), values)


def test_nothing_is_copied_when_the_array_can_not_be_saved(
    parent: QWidget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_script(parent, lambda path: f"before {path}")
    assert clipboard_text() == "before None"
    answer(monkeypatch, tmp_path / "no folder" / "map.npy")
    said = copy_script(parent, lambda path: "after", xr.DataArray([1.0]), "map.npy")
    assert said.startswith("Not saved")
    assert clipboard_text() == "before None"
