"""What the Inspect dock gives away: figures, tables and scripts of what is drawn."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_qpi.layers.result import show_result
from napari_qpi.widgets.inspect.comparison_panel import ComparisonPanel
from napari_qpi.widgets.inspect.dock import Inspect
from napari_qpi.widgets.inspect.fourier_panel import FourierPanel
from napari_qpi.widgets.inspect.symmetry_panel import SymmetryPanel
from qpi_kernels.inspect.figures.kind import FigureError
from qpi_kernels.result import KernelResult
from shared.docks import PLACED, open_dock

if TYPE_CHECKING:
    from napari import Viewer

Make = Callable[..., KernelResult]
SQUARE = {**PLACED, "scale": (0.25, 0.25)}


@pytest.fixture
def dock(viewer: Viewer, make_result: Make) -> Inspect:
    """Return the dock over a map in no file, and a kernel in no file."""
    viewer.window.show()
    result = make_result(image_shape=(32, 36), kernel_shape=(15, 17))
    observation = (result.reconstruction + result.residual).values
    image = viewer.add_image(observation, name="map", **SQUARE)
    show_result(viewer, result, image)
    return open_dock(viewer, "Inspect", Inspect)


def drawn(qtbot: QtBot, dock: Inspect, kind: type) -> None:
    """Wait until a panel has drawn something."""
    panel = dock.panel(kind)
    qtbot.waitUntil(lambda: bool(panel.export()), timeout=20_000)


def test_a_figure_and_its_numbers(
    qtbot: QtBot, dock: Inspect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn(qtbot, dock, FourierPanel)
    files = dock.ways_out.save(tmp_path / "ft.svg")
    assert [file.name for file in files] == ["ft.svg", "ft.csv"]
    assert "<text" in (tmp_path / "ft.svg").read_text(encoding="utf-8")
    lines = (tmp_path / "ft.csv").read_text(encoding="utf-8").splitlines()
    assert "# map: map" in lines
    assert "# window of transforms: hann" in lines
    table = pd.read_csv(tmp_path / "ft.csv", comment="#")
    assert list(table) == ["q_y (rad/nm)", "q_x (rad/nm)", "fourier"]
    (transform,) = dock.panels[0].export()
    assert isinstance(transform, xr.DataArray)
    np.testing.assert_allclose(table["fourier"], transform.values.ravel(), rtol=1e-6)
    np.testing.assert_allclose(table["q_x (rad/nm)"][:36], transform["q_x"])
    proposed: list[str] = []

    def nowhere(parent: object, title: str, name: str, kinds: str) -> tuple[str, str]:
        proposed.append(name)
        return str(tmp_path / "missing" / name), "CSV (*.csv)"

    monkeypatch.setattr(QFileDialog, "getSaveFileName", nowhere)
    dock.ways_out.numbers_button.click()
    assert proposed == ["ft"]
    assert dock.status.text().startswith("Not saved")


def test_one_figure_and_a_table_of_every_image_and_curve(
    qtbot: QtBot, dock: Inspect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn(qtbot, dock, ComparisonPanel)
    names = [file.name for file in dock.ways_out.save(tmp_path / "both.csv")]
    profiles = ["both_map_profile.csv", "both_kernel_profile.csv"]
    assert names == ["both.csv", "both_kernel.csv", *profiles]
    # Both profiles are drawn in one panel; their floors are notes.
    assert "# floor: " in (tmp_path / profiles[0]).read_text(encoding="utf-8")
    chosen = str(tmp_path / "fig" / "both.svg")
    (tmp_path / "fig").mkdir()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (chosen, "SVG (*.svg)"))
    dock.ways_out.figure_button.click()
    tables = {"both.csv", "both_kernel.csv", "both_profiles_in_q.csv"}
    tables |= {"both_profiles_in_q_q_kernel.csv"}
    assert {file.name for file in (tmp_path / "fig").iterdir()} == {"both.svg"} | tables
    for name in {"both.svg", str(tmp_path / "fig")} | tables:
        assert name in dock.status.text()
    text = (tmp_path / "fig" / "both.svg").read_text(encoding="utf-8")
    assert all(title in text for title in ("(a) map", "(b) kernel", "(c) Profiles in q"))
    table = pd.read_csv(tmp_path / "fig" / "both_kernel.csv", comment="#")
    panel = dock.panel(ComparisonPanel)
    assert isinstance(panel, ComparisonPanel)
    assert panel.comparison is not None
    np.testing.assert_allclose(table.iloc[:, 2], panel.comparison.kernel.values.ravel(), rtol=1e-6)
    with pytest.raises(FigureError, match=r"\.pdf"):
        dock.ways_out.save(tmp_path / "both.docx")
    drawn(qtbot, dock, SymmetryPanel)
    dock.ways_out.save(tmp_path / "symmetry.csv")
    table = pd.read_csv(tmp_path / "symmetry.csv", comment="#").set_index("operation")
    panel = dock.panel(SymmetryPanel)
    assert isinstance(panel, SymmetryPanel)
    assert table["score"].to_dict() == pytest.approx(panel.plot.heights)
    assert dock.ways_out.save(tmp_path / "symmetry.pdf")[0].stat().st_size > 1000


def test_copying_saves_what_is_in_no_file(
    qtbot: QtBot, dock: Inspect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn(qtbot, dock, ComparisonPanel)
    asked: list[str] = []
    titles: list[str] = []

    def save_there(parent: object, title: str, name: str, kinds: str) -> tuple[str, str]:
        asked.append(name)
        titles.append(title)
        return str(tmp_path / name), kinds

    monkeypatch.setattr(QFileDialog, "getSaveFileName", save_there)
    dock.ways_out.copy_button.click()
    assert asked == ["map.npy", "kernel.nc"]
    assert all("script" in title for title in titles)
    # Both are in a file now.
    dock.ways_out.copy_button.click()
    assert len(asked) == 2
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    (tmp_path / "again.py").write_text(clipboard.text(), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    made = runpy.run_path("again.py")["comparison"]
    panel = dock.panel(ComparisonPanel)
    assert isinstance(panel, ComparisonPanel)
    assert panel.comparison is not None
    np.testing.assert_allclose(made.kernel, panel.comparison.kernel, rtol=1e-6)
    np.testing.assert_allclose(
        made.observation_profile["mean"], panel.comparison.observation_profile["mean"], rtol=1e-6
    )
    assert (tmp_path / "comparison.pdf").exists()


def test_nothing_drawn_is_nothing_to_save(viewer: Viewer) -> None:
    dock = open_dock(viewer, "Inspect", Inspect)
    for button in dock.ways_out.figure_button, dock.ways_out.copy_button:
        button.click()
        assert dock.status.text().startswith("This panel draws nothing yet")


def test_each_panel_keeps_its_own_words(qtbot: QtBot, dock: Inspect) -> None:
    drawn(qtbot, dock, FourierPanel)
    dock.panels[0].say("Saved ft.csv.")
    assert dock.status.text() == "Saved ft.csv."
    dock.panel(ComparisonPanel)
    assert dock.status.text() == ""
    dock.panel(FourierPanel)
    assert dock.status.text() == "Saved ft.csv."
    # What was said is of these arrays.
    dock.inspection.window = "none"
    assert dock.status.text() == ""
