"""The kernel beside its map in q space, and its symmetry: the library's numbers, drawn."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import xarray as xr
from pytestqt.qtbot import QtBot

from napari_qpi.layers.result import show_result
from napari_qpi.tasks.scripts.inspection import inspection_script
from napari_qpi.widgets.inspect.comparison_panel import ComparisonPanel
from napari_qpi.widgets.inspect.dock import Inspect
from napari_qpi.widgets.inspect.symmetry_panel import SymmetryPanel
from qpi_kernels import inspect
from qpi_kernels.result import KernelResult
from shared.docks import PLACED, open_dock

if TYPE_CHECKING:
    from napari import Viewer

Make = Callable[..., KernelResult]
BIASES = np.array([0.1, 0.2])


def open_inspect(viewer: Viewer) -> Inspect:
    viewer.window.show()
    return open_dock(viewer, "Inspect", Inspect)


def show_stack(viewer: Viewer, make_result: Make) -> KernelResult:
    """Add a stack of 0.25 nm pixels and a kernel of it."""
    result = make_result(biases=BIASES, image_shape=(32, 36), kernel_shape=(15, 17))
    observation = (result.reconstruction + result.residual).values
    image = viewer.add_image(
        observation,
        name="grid",
        metadata={"napari_qpi": {"role": "channel", "bias": BIASES.tolist()}},
        scale=(0.1, 0.25, 0.25),
        translate=(0.1, 0.0, 0.0),
        units=("V", "nm", "nm"),
    )
    show_result(viewer, result, image)
    return result


def test_the_kernel_beside_its_map_on_one_grid(
    qtbot: QtBot, viewer: Viewer, make_result: Make, tmp_path: Path
) -> None:
    result = show_stack(viewer, make_result)
    dock = open_inspect(viewer)
    panel = dock.panel(ComparisonPanel)
    assert isinstance(panel, ComparisonPanel)
    qtbot.waitUntil(lambda: panel.comparison is not None)
    dock.energy_slider.slider.setValue(1)
    observation = (result.reconstruction + result.residual)[1]
    expected = inspect.compare_fourier(result.kernel[1], observation)
    for name, view in panel.views.items():
        np.testing.assert_allclose(view.shown, getattr(expected, name), rtol=1e-6)
    assert panel.views["kernel"].shown.equals(panel.export()[1].rename("fourier"))  # type: ignore[union-attr]
    first, second = panel.views.values()
    first.marker.setPos(1.0, -2.0)
    assert second.marker_place == (-2.0, 1.0)
    first.zoom_to(4)
    first.zoomed.emit(4)
    assert second.plot.viewRange()[1] == pytest.approx(first.plot.viewRange()[1])
    drawn = {curve.name: curve.values for curve in panel.profiles.curves}
    np.testing.assert_allclose(drawn["map"], expected.observation_profile["mean"], rtol=1e-6)
    np.testing.assert_allclose(drawn["kernel"], expected.kernel_profile["mean"], rtol=1e-6)
    result.save(tmp_path / "kernel.nc")
    # Of a map in no file the script reads what was saved.
    np.save(tmp_path / "map.npy", (result.reconstruction + result.residual).values)
    script = inspection_script(
        dock.inspection, panel.script(), "Compare", map_path=str(tmp_path / "map.npy"),
        kernel_path=str(tmp_path / "kernel.nc"),
    )  # fmt: skip
    made = run(script, tmp_path)["comparison"]
    np.testing.assert_allclose(made.observation, expected.observation, rtol=1e-6)
    np.testing.assert_allclose(made.kernel, expected.kernel, rtol=1e-6)


def run(script: str, folder: Path) -> dict[str, object]:
    """Run a script in this process and return its variables."""
    path = folder / "again.py"
    path.write_text(script.replace("comparison.pdf", str(folder / "comparison.pdf")), "utf-8")
    return runpy.run_path(str(path))


def test_what_is_missing_is_said(qtbot: QtBot, viewer: Viewer, make_result: Make) -> None:
    image = viewer.add_image(np.ones((20, 24), np.float32), name="map", **PLACED)
    dock = open_inspect(viewer)
    panel = dock.panel(ComparisonPanel)
    assert isinstance(panel, ComparisonPanel)
    qtbot.waitUntil(lambda: "Choose a map and the kernel" in panel.missing.text())
    assert panel.script() == ""
    assert panel.export() == []
    # A kernel of square pixels is none of this map.
    show_result(viewer, make_result(), image)
    qtbot.waitUntil(lambda: "pitch of the kernel" in panel.missing.text())


def with_draws(result: KernelResult) -> KernelResult:
    """Give a result eight even errors."""
    errors = np.random.default_rng(0).standard_normal((8, *result.kernel.shape))
    even = xr.DataArray(errors + errors[..., ::-1, ::-1], dims=("draw", *result.kernel.dims))
    return replace(result, draws=even.assign_coords(result.kernel.coords))


@pytest.mark.parametrize("kinds", [("defect",), ("vacancy", "adatom")])
def test_symmetry_is_scored_beside_the_errors_that_were_drawn(
    qtbot: QtBot, viewer: Viewer, make_result: Make, tmp_path: Path, kinds: tuple[str, ...]
) -> None:
    result = with_draws(make_result(biases=BIASES, kinds=kinds, kernel_shape=(15, 17)))
    image = viewer.add_image(result.observation.values, name="grid")
    show_result(viewer, result, image)
    dock = open_inspect(viewer)
    panel = dock.panel(SymmetryPanel)
    assert isinstance(panel, SymmetryPanel)
    qtbot.waitUntil(lambda: panel.scores is not None, timeout=20_000)
    known = dock.inspection.data.kernel
    of_kind = {} if known.kind is None else {"kind": kinds.index(known.kind)}
    kernel, std, draws = (
        one.isel(of_kind) for one in (result.kernel, result.std, result.draws) if one is not None
    )
    panel.planes_choice.setCurrentIndex(1)
    qtbot.waitUntil(
        lambda: panel.scores is not None and "all biases" not in panel.plot.title, timeout=20_000
    )
    assert panel.scores is not None
    shown = dock.energy_slider.slider.value()
    expected = inspect.symmetry_scores(kernel[shown], std=std[shown], draws=draws[:, shown])
    assert panel.scores.chance == expected.chance
    assert panel.scores.chance["C2"] > 0.95
    result.save(tmp_path / "kernel.nc")
    script = inspection_script(
        dock.inspection, panel.script(), "Score", kernel_path=str(tmp_path / "kernel.nc")
    )
    assert run(script, tmp_path)["scores"].chance == expected.chance  # type: ignore[attr-defined]


def test_symmetry_is_scored_beside_its_noise(
    qtbot: QtBot, viewer: Viewer, make_result: Make, tmp_path: Path
) -> None:
    result = show_stack(viewer, make_result)
    dock = open_inspect(viewer)
    panel = dock.panel(SymmetryPanel)
    assert isinstance(panel, SymmetryPanel)
    qtbot.waitUntil(lambda: panel.scores is not None, timeout=20_000)
    expected = inspect.symmetry_scores(result.kernel, std=result.std)
    assert panel.scores is not None
    assert panel.scores.score == expected.score
    assert panel.plot.heights == expected.score
    assert "all biases" in panel.plot.title
    (table,) = panel.export()
    np.testing.assert_array_equal(table["chance"], list(expected.chance.values()))
    assert table["operation"].values.tolist() == list(expected.score)

    panel.planes_choice.setCurrentIndex(1)
    dock.energy_slider.slider.setValue(1)
    qtbot.waitUntil(lambda: "+0.2 V" in panel.plot.title, timeout=20_000)
    expected = inspect.symmetry_scores(result.kernel[1], std=result.std[1])
    assert panel.plot.heights == expected.score
    result.save(tmp_path / "kernel.nc")
    script = inspection_script(
        dock.inspection, panel.script(), "Score", kernel_path=str(tmp_path / "kernel.nc")
    )
    assert run(script, tmp_path)["scores"].score == expected.score  # type: ignore[attr-defined]
