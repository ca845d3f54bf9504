"""Map, kernel and residual in the Inspect dock: their masks, and kernels of another map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from napari_qpi.layers.conversion import add_layers
from napari_qpi.layers.result import result_layers, show_result
from napari_qpi.widgets.inspect.comparison_panel import ComparisonPanel
from napari_qpi.widgets.inspect.curves.profiles_panel import ProfilesPanel
from napari_qpi.widgets.inspect.dock import Inspect
from napari_qpi.widgets.inspect.fourier_panel import FourierPanel
from napari_qpi.widgets.inspect.symmetry_panel import SymmetryPanel
from qpi_kernels.io.array_records import pack_mask
from qpi_kernels.result import KernelResult
from shared.docks import PLACED
from shared.inspect_panels import open_panel, run_script

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Image

Make = Callable[..., KernelResult]
BIASES = np.array([0.0, 0.1])
SQUARE = {**PLACED, "scale": (0.25, 0.25)}


def settle(qtbot: QtBot, dock: Inspect) -> None:
    """Wait until the layers are copied."""
    qtbot.waitUntil(lambda: not dock._refresh_timer.isActive())


def masked_result(make_result: Make) -> KernelResult:
    """Make a result whose left-out pixels hold a spike."""
    made = make_result(image_shape=(32, 36), kernel_shape=(15, 17))
    mask = np.ones((32, 36), bool)
    mask[5:7, 9:12] = False
    residual = made.residual.copy()
    residual.values[~mask] = 500.0
    known = {**made.provenance, "mask": pack_mask(mask)}
    return replace(made, residual=residual, provenance=known)


def show_map(viewer: Viewer, result: KernelResult, name: str = "map") -> Image:
    """Show what a result was extracted from, and its kernel."""
    stacked = result.residual.ndim == 3
    known = {"role": "channel", **({"bias": BIASES.tolist()} if stacked else {})}
    place = {"scale": (0.1, 0.25, 0.25), "units": ("V", "nm", "nm")} if stacked else SQUARE
    observation = (result.reconstruction + result.residual).values
    image = viewer.add_image(observation, name=name, metadata={"napari_qpi": known}, **place)
    show_result(viewer, result, image)
    return image


@pytest.mark.parametrize("role", ["map", "residual"])
def test_left_out_pixels_of_an_extraction_stay_left_out(
    qtbot: QtBot,
    viewer: Viewer,
    make_result: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    role: str,
) -> None:
    result = masked_result(make_result)
    add_layers(viewer, result_layers(result))
    _, panel = open_panel(qtbot, viewer, FourierPanel)
    panel.role_choice.setCurrentIndex(panel.role_choice.findData(role))
    assert panel.transform is not None
    # The spike of 500 S over 6 pixels would give some 6 S nm^2 at least.
    assert float(panel.transform.max()) < 2.0
    made = run_script(panel, tmp_path, monkeypatch.chdir)["transform"]
    np.testing.assert_allclose(made, panel.transform, rtol=1e-5)


def test_the_residual_keeps_its_mask_beside_a_map_without_one(
    qtbot: QtBot, viewer: Viewer, make_result: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    show_map(viewer, masked_result(make_result))
    dock, panel = open_panel(qtbot, viewer, FourierPanel)
    assert dock.inspection.mask_of("map") is None
    panel.role_choice.setCurrentIndex(panel.role_choice.findData("residual"))
    assert panel.transform is not None
    assert float(panel.transform.max()) < 2.0
    made = run_script(panel, tmp_path, monkeypatch.chdir)["transform"]
    np.testing.assert_allclose(made, panel.transform, rtol=1e-5)


def test_a_removed_kernel_goes_when_another_map_is_chosen(
    qtbot: QtBot, viewer: Viewer, make_result: Make
) -> None:
    result = make_result(biases=BIASES, image_shape=(32, 36), kernel_shape=(15, 17))
    image = show_map(viewer, result, "grid")
    dock, panel = open_panel(qtbot, viewer, ComparisonPanel)
    qtbot.waitUntil(lambda: panel.comparison is not None)
    viewer.layers.clear()
    settle(qtbot, dock)
    # Nothing else is there to look at.
    assert panel.comparison is not None
    viewer.add_image(np.ones((20, 24), np.float32), name="another", **PLACED)
    settle(qtbot, dock)
    assert dock.inspection.data.kernel.image is None
    assert dock.kernel_choice.currentText() == "extract a kernel first"
    assert panel.export() == []
    assert panel.views["observation"].shown is None
    assert panel.views["kernel"].title == panel.profiles.title == ""
    assert panel.profiles.curves == ()
    assert panel.missing.isVisible()
    # Its own map brings no other state than that of a map without a kernel.
    viewer.layers.append(image)
    settle(qtbot, dock)
    assert not dock.note.isVisible()


def test_a_kernel_of_another_map_is_called_so(
    qtbot: QtBot, viewer: Viewer, make_result: Make
) -> None:
    show_map(viewer, make_result(biases=BIASES, image_shape=(32, 36), kernel_shape=(15, 17)))
    viewer.add_image(np.random.default_rng(1).normal(size=(20, 24)), name="another", **PLACED)
    dock, panel = open_panel(qtbot, viewer, ProfilesPanel)
    dock.kernel_choice.layer = viewer.layers["kernel of map"]
    settle(qtbot, dock)
    assert dock.map_choice.currentText() == "another"
    assert dock.note.isVisible()
    names = [curve.name for curve in panel.curve_plot.curves if curve.name]
    # The single map has no bias, and the kernel its own.
    assert names == ["another", "kernel of map, +0 V"]
    assert panel.curve_plot.title == "Profiles of |FT|, all directions"
    dock.map_choice.layer = viewer.layers["map"]
    settle(qtbot, dock)
    assert not dock.note.isVisible()


def test_another_kernel_leaves_the_transforms_of_the_map(
    qtbot: QtBot, viewer: Viewer, make_result: Make
) -> None:
    result = make_result(biases=BIASES, image_shape=(32, 36), kernel_shape=(15, 17))
    image = show_map(viewer, result)
    dock, panel = open_panel(qtbot, viewer, ProfilesPanel)
    qtbot.waitUntil(lambda: panel.stack is not None)
    inspection = dock.inspection
    plane, stack = inspection.fourier("map"), inspection.fourier_stack("map")
    assert stack is not None
    show_result(viewer, make_result(biases=BIASES, image_shape=(32, 36)), image)
    settle(qtbot, dock)
    assert inspection.data.kernel.image is not None
    assert inspection.data.kernel.image.shape == (2, 7, 9)
    assert inspection.fourier("map") is plane
    assert inspection.fourier_stack("map") is stack
    # Numbers that change in their place are other numbers.
    image.data[:] = 0.0
    with qtbot.waitSignal(dock._refresh_timer.timeout):
        image.events.data(value=image.data)
    transform = inspection.fourier("map")
    assert transform is not None
    assert float(transform.max()) == 0.0


def test_symmetry_says_that_it_is_being_scored(
    qtbot: QtBot, viewer: Viewer, make_result: Make
) -> None:
    add_layers(viewer, result_layers(make_result()))
    dock, panel = open_panel(qtbot, viewer, SymmetryPanel)
    assert panel.words.text() == "The symmetries are being scored…"
    qtbot.waitUntil(lambda: panel.scores is not None, timeout=20_000)
    assert "being scored" not in panel.words.text() + dock.status.text()
