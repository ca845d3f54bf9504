"""The extraction panel in real viewers, opened by its manifest name, with real extractions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from napari.layers import Image
from pytestqt.qtbot import QtBot

import qpi_kernels as qk
from napari_qpi.layers.conversion import result_of
from napari_qpi.tasks.extraction import ExtractionInput
from napari_qpi.tasks.job import JobState
from napari_qpi.tasks.method_comparison import Comparison, MethodRun
from napari_qpi.widgets.extract.dock import ExtractKernel
from qpi_kernels.extraction import start_warm_up
from qpi_kernels.progress import CancelToken
from shared.docks import PLACED
from shared.extract_panel import (
    DEFECTS,
    SHAPE,
    SlowTask,
    add_defects,
    extract,
    observed,
    open_panel,
    wait,
)

if TYPE_CHECKING:
    from napari import Viewer


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> SlowTask:
    return SlowTask(monkeypatch)


def roles(viewer: Viewer) -> list[str]:
    known = (layer.metadata.get("napari_qpi", {}) for layer in viewer.layers)
    return [entry["role"] for entry in known if "result" in entry]


def test_results_are_those_of_the_library_and_lie_right(
    qtbot: QtBot, viewer: Viewer, panel: ExtractKernel, image: Image
) -> None:
    panel.form.set_values({"method": "bayes"})
    extract(qtbot, panel)
    assert sorted(roles(viewer)) == ["kernel", "reconstruction", "residual", "std"]
    expected = qk.extract(observed(), DEFECTS, kernel_shape=(9, 9))
    assert panel.result is not None
    assert panel.result.provenance["parameters"]["prior"] == "library"
    layers = {layer.metadata["napari_qpi"]["role"]: layer for layer in viewer.layers[-4:]}
    np.testing.assert_allclose(layers["kernel"].data, expected.kernel, rtol=1e-4, atol=1e-5)
    for role in ("reconstruction", "residual"):
        np.testing.assert_allclose(
            layers[role].data_to_world((5, 6)), image.data_to_world((5, 6)), atol=1e-9
        )
    np.testing.assert_allclose(layers["kernel"].scale, image.scale)
    assert layers["kernel"].units == image.units
    assert expected.quality.verdict[0].split(":")[0] in panel.card.summary.text()
    assert panel.run_controls.run_button.isEnabled()
    assert not panel.run_controls.cancel_button.isEnabled()


def test_the_bias_range_chooses_planes(qtbot: QtBot, viewer: Viewer) -> None:
    stack = np.stack([observed(seed) for seed in range(5)])
    image = viewer.add_image(
        stack,
        scale=(0.1, 0.5, 0.25),
        translate=(-0.2, 0, 0),
        units=("V", "nm", "nm"),
        axis_labels=("bias", "y", "x"),
    )
    add_defects(viewer, image)
    panel = open_panel(viewer)
    assert panel.bias_range.value() == pytest.approx((-0.2, 0.2))
    panel.bias_range.low.setValue(-0.1)
    panel.bias_range.high.setValue(0.1)
    extract(qtbot, panel)
    assert panel.result is not None
    np.testing.assert_allclose(panel.result.kernel["bias"], [-0.1, 0, 0.1], atol=1e-12)
    assert panel.result.kernel.shape == (3, 9, 9)


def test_left_out_pixels_do_not_count(qtbot: QtBot, viewer: Viewer, panel: ExtractKernel) -> None:
    image = panel.image_choice.layer
    assert image is not None
    spoilt = np.zeros(SHAPE, int)
    spoilt[:, 20:24] = 1
    labels = viewer.add_labels(spoilt, name="step", **PLACED)
    damaged = observed()
    damaged[spoilt == 1] = 100
    image.data = damaged
    panel.mask_choice.layer = labels
    extract(qtbot, panel)
    expected = qk.extract(
        observed(), DEFECTS, mask=spoilt == 0, kernel_shape=(9, 9), method="least_squares"
    )
    assert panel.result is not None
    np.testing.assert_allclose(panel.result.kernel, expected.kernel, rtol=1e-3, atol=1e-4)


def test_cancel_leaves_the_old_result_and_can_run_again(
    qtbot: QtBot, viewer: Viewer, panel: ExtractKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract(qtbot, panel)
    old, before = panel.result, list(viewer.layers)
    with monkeypatch.context() as patch:
        slow = SlowTask(patch)
        panel.run_controls.run_button.click()
        assert slow.entered.wait(10)
        assert not panel.run_controls.run_button.isEnabled()
        panel.run_controls.cancel_button.click()
        assert panel.job.state is JobState.CANCELLING
        slow.gate.set()
        wait(qtbot, panel)
    assert panel.job.state is JobState.CANCELLED
    assert panel.result is old
    assert list(viewer.layers) == before
    assert not panel.card.isHidden()
    assert panel.export_buttons.save_button.isEnabled()
    extract(qtbot, panel)
    assert not panel.card.isHidden()
    assert panel.result is not old


def test_layers_renamed_edited_and_removed_meanwhile(
    qtbot: QtBot, viewer: Viewer, panel: ExtractKernel, image: Image, slow: SlowTask
) -> None:
    place = image.data_to_world((5, 6))
    panel.run_controls.run_button.click()
    assert slow.entered.wait(10)
    image.name = "other name"
    image.data[:] = 0
    image.translate = (100, 100)
    points = panel.points_choice.layer
    assert points is not None
    points.data = points.data + 7
    viewer.layers.remove(image)
    viewer.layers.remove(points)
    slow.gate.set()
    wait(qtbot, panel)
    assert panel.job.state is JobState.DONE
    expected = qk.extract(observed(), DEFECTS, kernel_shape=(9, 9), method="least_squares")
    assert panel.result is not None
    np.testing.assert_allclose(panel.result.kernel, expected.kernel, rtol=1e-4, atol=1e-5)
    residual = next(
        layer
        for layer in viewer.layers
        if layer.metadata.get("napari_qpi", {}).get("role") == "residual"
    )
    np.testing.assert_allclose(residual.data_to_world((5, 6)), place)
    assert panel.image_choice.layer is not None


@pytest.mark.parametrize("closed", ["dock", "window"])
def test_closing_dock_or_window_meanwhile(
    qtbot: QtBot, viewer: Viewer, panel: ExtractKernel, slow: SlowTask, closed: str
) -> None:
    panel.run_controls.run_button.click()
    assert slow.entered.wait(10)
    job = panel.job
    if closed == "window":
        viewer.close()
    else:
        viewer.window.remove_dock_widget(panel)
        assert "kernel window" not in viewer.layers
    slow.gate.set()
    qtbot.waitUntil(lambda: not job.state.busy)
    assert job.state is JobState.CANCELLED
    if closed == "dock":
        assert not roles(viewer)
        extract(qtbot, open_panel(viewer))
        assert "kernel" in roles(viewer)


@pytest.mark.parametrize("error", [RuntimeError("CUDA out of memory"), ValueError("no defects")])
def test_an_error_is_shown_and_the_next_run_starts(
    qtbot: QtBot, panel: ExtractKernel, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(task: ExtractionInput) -> None:
        raise error

    extract(qtbot, panel)
    assert not panel.card.isHidden()
    with monkeypatch.context() as patch:
        patch.setattr(ExtractionInput, "start", fail)
        panel.run_controls.run_button.click()
        wait(qtbot, panel)
    assert panel.job.state is JobState.FAILED
    assert str(error) in panel.run_controls.status.text()
    assert not panel.card.isHidden()
    extract(qtbot, panel)


def test_nothing_runs_without_defects(viewer: Viewer, image: Image) -> None:
    panel = open_panel(viewer)
    assert not panel.run_controls.run_button.isEnabled()
    assert panel.run_controls.status.text() == "Mark the defects first."
    points = viewer.add_points([[5.0, 5.0]], **PLACED)
    assert panel.run_controls.run_button.isEnabled()
    assert panel.run_controls.status.text() == ""
    panel.run_controls.show_status("Kernel of map in 1.0 s.")
    viewer.layers.remove(points)
    assert not panel.run_controls.run_button.isEnabled()
    assert panel.run_controls.status.text() == "Mark the defects first."


def test_another_image_takes_verdict_and_comparison_away(
    qtbot: QtBot, viewer: Viewer, panel: ExtractKernel, image: Image
) -> None:
    other = viewer.add_image(observed(seed=5), name="other", **PLACED)
    panel.image_choice.layer = image
    extract(qtbot, panel)
    run = MethodRun("average", 0.1, panel.result, 0.1)
    panel.comparison_table.show_comparison(Comparison([run]))
    assert not panel.card.isHidden()
    assert not panel.comparison_table.isHidden()
    panel.image_choice.layer = other
    assert panel.card.isHidden()
    assert panel.comparison_table.isHidden()
    assert panel.comparison_table.rowCount() == 0


def test_the_panel_twice(qtbot: QtBot, viewer: Viewer, panel: ExtractKernel) -> None:
    second = ExtractKernel(napari_viewer=viewer)
    viewer.window.add_dock_widget(second, name="second")
    second.form.set_values({"kernel_shape": (9, 9)})
    panel.run_controls.run_button.click()
    second.run_controls.run_button.click()
    wait(qtbot, panel)
    wait(qtbot, second)
    assert roles(viewer).count("kernel") == 2
    assert result_of(viewer.layers[-1]) is not None
    viewer.window.remove_dock_widget(second)
    assert panel.kernel_size.kernel_window.layer is not None


def test_an_open_dock_loads_what_an_extraction_needs_and_stops_when_closed(
    qtbot: QtBot, viewer: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens: list[CancelToken] = []

    def start() -> CancelToken:
        tokens.append(start_warm_up())
        return tokens[-1]

    monkeypatch.setattr("napari_qpi.widgets.extract.dock.start_warm_up", start)
    panel = open_panel(viewer)
    qtbot.waitUntil(lambda: len(tokens) == 1)
    assert not tokens[0].cancelled
    viewer.window.remove_dock_widget(panel)
    assert tokens[0].cancelled
