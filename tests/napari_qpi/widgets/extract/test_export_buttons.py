"""What the extraction panel gives away: scripts that repeat a kernel, and its files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import xarray as xr
from napari.layers import Image
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QApplication, QFileDialog

import qpi_kernels as qk
from napari_qpi.layers.conversion import points_from_defects
from napari_qpi.widgets.extract.dock import ExtractKernel
from qpi_kernels.defects import Defects
from qpi_kernels.io.formats.netcdf import save_scan
from shared.docks import PLACED
from shared.extract_panel import (
    DEFECTS,
    SHAPE,
    extract,
    observed,
    open_panel,
)

if TYPE_CHECKING:
    from napari import Viewer


def scan_file(folder: Path) -> Path:
    bias = np.array([0.2, 0.1, 0.0])
    stack = np.stack([observed(seed) for seed in range(3)])
    coords = {
        "bias": ("bias", bias, {"units": "V"}),
        "y": ("y", np.arange(SHAPE[0]) * 0.5, {"units": "nm"}),
        "x": ("x", np.arange(SHAPE[1]) * 0.5, {"units": "nm"}),
    }
    known = {"units": "S", "quantity": "didv", "long_name": "LI", "direction": "none"}
    channel = xr.DataArray(stack, dims=("bias", "y", "x"), coords=coords, attrs=known)
    return Path(save_scan(xr.Dataset({"didv": channel}), folder / "grid.nc"))


def run_script(script: str, folder: Path) -> tuple[qk.KernelResult, str]:
    (folder / "again.py").write_text(script, encoding="utf-8")
    program = f"import sys, runpy; sys.path[:] = {sys.path!r}; runpy.run_path('again.py')"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, check=True, capture_output=True, text=True
    )
    return qk.KernelResult.load(folder / "kernel.nc"), done.stdout


def test_the_script_repeats_a_kernel_from_a_file(
    qtbot: QtBot, viewer: Viewer, tmp_path: Path
) -> None:
    (image,) = viewer.open(scan_file(tmp_path), plugin="napari-qpi")
    data, arguments, _ = points_from_defects(
        Defects(DEFECTS.positions, ["a", "b", "a", "b", "a"], [1, 2, 1, 1, 0.5]), image
    )
    viewer.add_points(data, **arguments)
    excluded = np.zeros(SHAPE, int)
    excluded[5:9, 20:30] = 1
    labels = viewer.add_labels(excluded, scale=(0.5, 0.5), units=("nm", "nm"))
    panel = open_panel(viewer)
    panel.form.set_values({"symmetry": "C2", "background": "offset"})
    panel.mask_choice.layer = labels
    panel.bias_range.high.setValue(0.1)
    extract(qtbot, panel)
    panel.export_buttons.copy_button.click()
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    again, said = run_script(clipboard.text(), tmp_path)
    assert "differ" not in said
    assert panel.result is not None
    assert again.kernel.shape == (2, 2, 9, 9)
    # Another process may have another number of threads, and so another rounding.
    np.testing.assert_allclose(again.kernel.values, panel.result.kernel.values, atol=1e-5)
    np.testing.assert_array_equal(again.kernel["bias"], panel.result.kernel["bias"])


def test_the_script_of_an_array_loads_the_saved_array(
    qtbot: QtBot,
    panel: ExtractKernel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    panel.form.set_values({"method": "bayes", "prior": "smooth"})
    extract(qtbot, panel)
    path = str(tmp_path / "observation.npy")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args: (path, ""))
    panel.export_buttons.copy_button.click()
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    script = clipboard.text()
    assert "did not come from a scan file" in script
    monkeypatch.chdir(tmp_path)
    exec(compile(script, "again.py", "exec"), {})
    assert "differ" not in capsys.readouterr().out
    again = qk.KernelResult.load(tmp_path / "kernel.nc")
    assert panel.result is not None
    np.testing.assert_allclose(again.kernel.values, panel.result.kernel.values, atol=1e-5)


def test_the_kernel_is_saved(qtbot: QtBot, panel: ExtractKernel, tmp_path: Path) -> None:
    extract(qtbot, panel)
    assert panel.result is not None
    (whole,) = panel.export_buttons.save_kernel(tmp_path / "kernel.nc")
    np.testing.assert_array_equal(qk.KernelResult.load(whole).kernel, panel.result.kernel)
    for suffix in (".tif", ".gwy", ".npz"):
        (saved,) = panel.export_buttons.save_kernel(tmp_path / f"kernel{suffix}")
        (array,) = qk.open_scan(saved).data_vars.values()
        np.testing.assert_allclose(np.squeeze(array), panel.result.kernel, rtol=1e-6, atol=1e-12)


def test_the_report_is_saved_in_the_background(
    qtbot: QtBot, panel: ExtractKernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel.form.set_values({"method": "average"})
    extract(qtbot, panel)
    buttons = panel.export_buttons
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args: (str(tmp_path / "r"), ""))
    buttons.report_button.click()
    assert buttons.report_button.text() == "Cancel report"
    qtbot.waitUntil(lambda: (tmp_path / "r.html").exists(), timeout=60_000)
    qtbot.waitUntil(lambda: not buttons.report_job.state.busy)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "without napari" in page  # the script is that of the button beside
    assert buttons.report_button.text() == "Save report…"


def test_a_report_may_be_cancelled(qtbot: QtBot, panel: ExtractKernel, tmp_path: Path) -> None:
    panel.form.set_values({"method": "average"})
    extract(qtbot, panel)
    said: list[str] = []
    panel.export_buttons.status.connect(said.append)
    panel.export_buttons.save_report(tmp_path / "r.pdf")
    panel.export_buttons.report_button.click()
    qtbot.waitUntil(lambda: not panel.export_buttons.report_job.state.busy, timeout=60_000)
    assert said[-1] == "The report was cancelled; no file was written."
    qtbot.wait(300)
    assert list(tmp_path.iterdir()) == []


def test_another_image_leaves_nothing_of_the_earlier_one_to_export(
    qtbot: QtBot, viewer: Viewer, panel: ExtractKernel, image: Image
) -> None:
    panel.form.set_values({"method": "average"})
    extract(qtbot, panel)
    points = panel.points_choice.layer
    assert panel.export_buttons.save_button.isEnabled()
    image.visible = points.visible = False
    panel.image_choice.layer = viewer.add_image(observed(2), name="other", **PLACED)
    assert panel.points_choice.layer is None
    assert panel.result is None
    assert not panel.export_buttons.save_button.isEnabled()
    assert not panel.defect_review.propose_button.isEnabled()
    panel.image_choice.layer = image
    assert panel.points_choice.layer is points
