"""Marking and extracting from napari's console."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_qpi import console
from napari_qpi.layers.conversion import LayerConversionError, add_layers, points_from_defects
from napari_qpi.layers.result import result_layers
from napari_qpi.tasks.job import JobState
from qpi_kernels.defects import Defects
from qpi_kernels.extraction import ExtractionError, known_estimators
from qpi_kernels.extraction.planning.parameters import MapProposalParameters
from qpi_kernels.inspect.figures.kind import FigureError
from qpi_kernels.progress import Cancelled
from shared.results import planted_result

if TYPE_CHECKING:
    from pathlib import Path

    from napari import Viewer
    from napari.components import ViewerModel
    from napari.layers import Image
    from pytestqt.qtbot import QtBot


def add_observation(model: ViewerModel, biases: int = 1) -> tuple[Image, Defects, np.ndarray]:
    """Show a noisy map made of one known kernel, and give its defects and the kernel."""
    random = np.random.default_rng(2)
    defects = Defects(random.uniform(8, 56, size=(12, 2)))
    rows, cols = np.mgrid[-5:6, -5:6]
    distance = np.hypot(rows, cols)
    kernel = np.exp(-distance / 2) * np.cos(1.2 * distance)
    activation = np.fft.rfft2(defects.activation((64, 64)), (80, 80))
    clean = np.fft.irfft2(activation * np.fft.rfft2(kernel, (80, 80)), (80, 80))[5:69, 5:69]
    stack = np.stack([(index + 1) * clean for index in range(biases)])
    stack += random.normal(scale=0.01, size=stack.shape)
    image = model.add_image(
        stack if biases > 1 else stack[0],
        scale=(0.1, 0.5, 0.5)[-2 if biases == 1 else 0 :],
        translate=(0.0, 7.0, 8.0)[-2 if biases == 1 else 0 :],
        units=("V", "nm", "nm")[-2 if biases == 1 else 0 :],
        name="map",
    )
    return image, defects, kernel


def test_mark_finds_the_defects_of_the_active_image(viewer: Viewer) -> None:
    image, defects, _ = add_observation(viewer)
    points = console.mark(viewer, polarity="bright", size_px=3.0, isolation=0.2)
    assert points in viewer.layers
    assert points.units == image.units
    assert len(points.data) > 3
    nearest = [np.hypot(*(defects.positions - found).T).min() for found in points.data]
    assert np.median(nearest) < 1.0


def test_extract_gives_layers_with_the_known_kernel(viewer: Viewer) -> None:
    image, defects, kernel = add_observation(viewer)
    add_layers(viewer, [points_from_defects(defects, image)])
    extraction = console.extract(viewer, kernel_shape=(11, 11))
    assert extraction.result is None
    result = extraction.wait()
    error = np.linalg.norm(result.kernel.values - kernel) / np.linalg.norm(kernel)
    assert error < 0.1
    shown = viewer.layers[-1]
    np.testing.assert_allclose(shown.scale, image.scale)
    assert shown.units == image.units
    camera = viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera
    middle = np.array(camera.center[-2:])
    assert np.abs(middle - viewer.layers.extent.world.mean(axis=0)).max() < 0.5
    assert console.kernels(viewer) == [result] == [extraction.result]

    # The new kernel layer is selected now, and yet the map is meant.
    again = console.extract(viewer, kernel_shape=(9, 9)).wait()
    assert again.reconstruction.shape == image.data.shape
    assert [found.kernel.shape for found in console.kernels(viewer)] == [(11, 11), (9, 9)]


def test_napari_stays_alive_and_may_cancel(qtbot: QtBot, model: ViewerModel) -> None:
    image, defects, _ = add_observation(model, biases=30)
    add_layers(model, [points_from_defects(defects, image)])
    extraction = console.extract(model, image, kernel_shape=(41, 41))
    assert extraction.state.busy
    before = list(model.layers)
    with pytest.raises(TimeoutError, match="needs longer"):
        extraction.wait(timeout_s=0.2)
    extraction.cancel()
    with pytest.raises(Cancelled):
        extraction.wait(timeout_s=30)
    assert extraction.state is JobState.CANCELLED
    assert list(model.layers) == before


def test_layers_appear_though_nobody_keeps_the_handle(qtbot: QtBot, model: ViewerModel) -> None:
    image, defects, _ = add_observation(model)
    (points,) = add_layers(model, [points_from_defects(defects, image)])
    console.extract(model, image, points, method="average", kernel_shape=(9, 9))
    qtbot.waitUntil(lambda: len(console.kernels(model)) == 1, timeout=60_000)


def test_a_window_larger_than_the_image_is_refused_at_once(model: ViewerModel) -> None:
    image, defects, _ = add_observation(model)
    add_layers(model, [points_from_defects(defects, image)])
    with pytest.raises(ExtractionError, match=r"\(999, 999\) is larger than the image \(64, 64\)"):
        console.extract(model, kernel_shape=(999, 999))


def test_a_field_of_another_method_is_refused_at_once(model: ViewerModel) -> None:
    image, defects, _ = add_observation(model)
    add_layers(model, [points_from_defects(defects, image)])
    with pytest.raises(ExtractionError, match="ridge is a field of least_squares, not of bayes"):
        console.extract(model, kernel_shape=(9, 9), ridge=1.0)


def test_an_error_at_work_reaches_who_waits(qtbot: QtBot, model: ViewerModel) -> None:
    image, _, _ = add_observation(model)
    points = model.add_points([[1e4, 1e4]], units=("nm", "nm"))
    extraction = console.extract(model, image, points, kernel_shape=(9, 9))
    with pytest.raises(ExtractionError, match="reaches into the image"):
        extraction.wait(timeout_s=60)


def test_completion_knows_every_field() -> None:
    known = {name for one in known_estimators().values() for name in one.parameters.model_fields}
    assert known <= set(inspect.signature(console.extract).parameters)


def test_blind_needs_no_points(qtbot: QtBot, model: ViewerModel) -> None:
    image, _, kernel = add_observation(model)
    choice = {"method": "blind", "kernel_shape": (11, 11), "kinds": 1}
    result = console.extract(model, image, **choice).wait()
    assert len(result.defects)
    assert np.abs(np.corrcoef(result.kernel.values.ravel(), kernel.ravel())[0, 1]) > 0.9
    assert len(model.layers["map found defects"].data) == len(result.defects)


def test_a_bias_range_and_excluded_pixels_reach_the_extraction(
    qtbot: QtBot, model: ViewerModel
) -> None:
    image, defects, _ = add_observation(model, biases=3)
    (points,) = add_layers(model, [points_from_defects(defects, image)])
    labels = np.zeros((64, 64), int)
    labels[:10] = 1
    excluded = model.add_labels(
        labels, scale=(0.5, 0.5), translate=(7.0, 8.0), units=("nm", "nm"), name="step"
    )
    result = console.extract(
        model, image, points, excluded=excluded, bias=(0.2, 0.06), kernel_shape=(11, 11)
    ).wait()
    np.testing.assert_allclose(result.kernel["bias"], [0.1, 0.2])
    assert model.layers[-1].data_to_world((0, 0, 0))[0] == pytest.approx(0.1)
    with pytest.raises(ExtractionError, match="no plane has a bias from 5 to 6 V"):
        console.extract(model, image, points, bias=(5, 6), kernel_shape=(11, 11))


def test_missing_layers_are_asked_for(model: ViewerModel) -> None:
    with pytest.raises(LayerConversionError, match="open an image"):
        console.mark(model)
    model.add_image(np.zeros((8, 8)))
    with pytest.raises(LayerConversionError, match="mark defects first"):
        console.extract(model)
    assert console.kernels(model) == []


def test_plan_shows_where_to_scan(viewer: Viewer) -> None:
    image, defects, _ = add_observation(viewer)
    add_layers(viewer, [points_from_defects(defects, image)])
    wanted = MapProposalParameters(share=0.4, whole=True, wanted_error=0.01)
    plan = console.plan(viewer, kernel_shape=(11, 11), method="least_squares", wanted=wanted)
    proposal = plan.wait(60)
    assert proposal is plan.result
    assert proposal.best.pixels == round(0.4 * 64 * 64)
    assert proposal.best.in_words() in repr(plan)
    shown = [layer.name for layer in viewer.layers if layer.name.startswith("map")]
    assert len(shown) > 2


@pytest.mark.slow
def test_report_writes_the_topmost_kernel(model: ViewerModel, tmp_path: Path) -> None:
    with pytest.raises(LayerConversionError, match="extract a kernel first"):
        console.report(model, tmp_path / "r.html")
    for data, arguments, kind in result_layers(planted_result()):
        assert kind == "image"
        model.add_image(data, **arguments)
    path = console.report(model, tmp_path / "r.html").wait(60)
    assert "<h1>Kernel" in path.read_text(encoding="utf-8")
    with pytest.raises(FigureError, match=r"\.html or \.pdf"):
        console.report(model, tmp_path / "r.txt").wait(60)
