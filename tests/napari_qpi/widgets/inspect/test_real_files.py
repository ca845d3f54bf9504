"""The Inspect dock on files: a real grid, a lattice, and a kernel that came without its result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import xarray as xr
from pytestqt.qtbot import QtBot

from napari_qpi.widgets.inspect.dock import Inspect
from napari_qpi.widgets.inspect.fourier_panel import FourierPanel
from napari_qpi.widgets.inspect.symmetry_panel import SymmetryPanel
from qpi_kernels import inspect
from qpi_kernels.io.formats.netcdf import save_scan
from qpi_kernels.kernel_files import save_kernel
from qpi_kernels.result import KernelResult
from shared.docks import open_dock
from shared.inspect_panels import run_script

if TYPE_CHECKING:
    from napari import Viewer


def open_fourier(qtbot: QtBot, viewer: Viewer) -> tuple[Inspect, FourierPanel]:
    viewer.window.show()
    dock = open_dock(viewer, "Inspect", Inspect)
    panel = dock.panel(FourierPanel)
    assert isinstance(panel, FourierPanel)
    qtbot.waitUntil(lambda: panel.transform is not None)
    return dock, panel


def test_a_real_grid(qtbot: QtBot, viewer: Viewer, samples: Path, tmp_path: Path) -> None:
    viewer.open(samples / "nanonis_grid_bias.3ds", plugin="napari-qpi")
    dock, panel = open_fourier(qtbot, viewer)
    assert len(dock.inspection.biases) == 128
    dock.energy_slider.slider.setValue(100)
    array = dock.inspection.data.map.image
    assert array is not None
    bias = float(np.sort(array["bias"])[100])
    assert dock.inspection.bias == bias
    plane = array.isel(bias=int(np.abs(array["bias"].values - bias).argmin()))
    np.testing.assert_allclose(panel.transform, inspect.fourier(plane), rtol=1e-5)  # type: ignore[arg-type]
    assert dock.inspection.data.map.topograph is not None
    repeated = run_script(panel, tmp_path, lambda folder: None)["transform"]
    np.testing.assert_allclose(repeated, panel.transform, rtol=1e-5)  # type: ignore[arg-type]


def test_the_zone_is_that_of_the_topograph_of_the_scan(
    qtbot: QtBot, viewer: Viewer, tmp_path: Path
) -> None:
    pitch, spacing = 0.05, 0.4
    y, x = np.meshgrid(np.arange(96) * pitch, np.arange(112) * pitch, indexing="ij")
    noise = np.random.default_rng(3).normal(size=y.shape)
    lattice = np.cos(2 * np.pi * x / spacing) + np.cos(2 * np.pi * y / spacing) + 0.1 * noise
    coords = {
        name: (name, np.arange(size) * pitch, {"units": "nm"})
        for name, size in (("y", 96), ("x", 112))
    }
    known = {"direction": "none"}
    scan = xr.Dataset(
        {
            "didv": (("y", "x"), noise, {"units": "S", "quantity": "didv", **known}),
            "z": (("y", "x"), lattice, {"units": "nm", "quantity": "topography", **known}),
        },
        coords=coords,
        attrs={"source": "scan.sxm"},
    )
    viewer.open(save_scan(scan, tmp_path / "scan.nc"), plugin="napari-qpi")
    dock, panel = open_fourier(qtbot, viewer)
    channels = {layer.metadata["napari_qpi"].get("channel"): layer for layer in viewer.layers}
    dock.map_choice.layer = channels["didv"]
    qtbot.waitUntil(panel.view._zone.isVisible, timeout=20_000)
    # Half way to the Bragg peaks at 2 pi / spacing, in both directions.
    across, down = panel.view._zone.getData()
    np.testing.assert_allclose(abs(across), np.pi / spacing, rtol=0.01)
    np.testing.assert_allclose(abs(down), np.pi / spacing, rtol=0.01)
    panel.zone_box.setChecked(False)
    assert not panel.view._zone.isVisible()


def test_a_kernel_that_came_without_its_result(
    qtbot: QtBot, viewer: Viewer, make_result: Callable[..., KernelResult], tmp_path: Path
) -> None:
    result = make_result(kernel_shape=(15, 16), biases=np.array([0.1, 0.2, 0.3]))
    (path, *_) = save_kernel(result, tmp_path / "kernel.npz")
    viewer.open(path, plugin="napari-qpi")
    dock, panel = open_fourier(qtbot, viewer)
    data = dock.inspection.data
    assert data.map.image is None
    assert data.kernel.image is not None
    np.testing.assert_allclose(data.kernel.image["x"], result.kernel["x"], atol=1e-9)
    assert panel.role_choice.role == "kernel"
    dock.energy_slider.slider.setValue(2)
    np.testing.assert_allclose(
        panel.transform,  # type: ignore[arg-type]
        inspect.fourier(result.kernel[2], padding=4),
        atol=1e-6,
    )
    symmetry = dock.panel(SymmetryPanel)
    assert isinstance(symmetry, SymmetryPanel)
    qtbot.waitUntil(lambda: symmetry.scores is not None, timeout=20_000)
    assert symmetry.scores is not None
    assert symmetry.scores.score == pytest.approx(inspect.symmetry_scores(result.kernel).score)
