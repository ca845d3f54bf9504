"""The compare button: each method's kernel beside the others, and a table."""

from __future__ import annotations

from pathlib import Path
from threading import Event as Gate
from typing import TYPE_CHECKING

import numpy as np
import pytest
from napari.layers import Image
from pytestqt.qtbot import QtBot

import qpi_kernels as qk
from napari_qpi.layers.conversion import result_of
from napari_qpi.tasks.extraction import ExtractionInput
from napari_qpi.tasks.job import JobState
from napari_qpi.tasks.method_comparison import COMPARED, Comparison
from napari_qpi.widgets.extract import dock
from napari_qpi.widgets.extract.dock import ExtractKernel
from qpi_kernels.defects import Defects
from shared.extract_panel import (
    DEFECTS,
    SHAPE,
    add_defects,
    extract,
    finish,
    observed,
    of_role,
    open_panel,
)

if TYPE_CHECKING:
    from napari import Viewer


def test_methods_are_compared_side_by_side(
    qtbot: QtBot, viewer: Viewer, panel: ExtractKernel, image: Image
) -> None:
    panel.form.set_values({"method": "bayes", "prior": "smooth"})
    extract(qtbot, panel)
    (earlier,) = of_role(viewer, "kernel")
    result = panel.result
    messages: list[str] = []
    shares: list[float] = []
    panel.job.progressed.connect(lambda event: messages.append(event.message))
    panel.job.progressed.connect(lambda event: shares.append(event.fraction))
    panel.predict_box.setChecked(False)
    panel.compare_button.click()
    finish(qtbot, panel)
    assert panel.result is result
    assert earlier.visible
    assert shares == sorted(shares)
    assert any("of 4" in message for message in messages)
    kernels = [layer for layer in of_role(viewer, "kernel") if layer is not earlier]
    found = [result_of(layer) for layer in kernels]
    methods = [one.provenance["parameters"]["method"] for one in found if one is not None]
    assert methods == list(COMPARED)
    assert [layer.name for layer in kernels][1] == "kernel by least squares of map"
    assert len({tuple(layer.contrast_limits) for layer in kernels}) == 1
    first = [image.world_to_data(layer.data_to_world((0, 0))) for layer in kernels]
    np.testing.assert_allclose([row for row, _ in first], 0, atol=1e-6)
    columns = np.array([column for _, column in first])
    assert columns[0] > SHAPE[1]
    assert (np.diff(columns) > 9).all()
    expected = qk.extract(observed(), DEFECTS, kernel_shape=(9, 9), prior="smooth")
    np.testing.assert_allclose(kernels[-1].data, expected.kernel, rtol=1e-4, atol=1e-5)
    (captions,) = of_role(viewer, "captions")
    assert [text.split() for text in captions.features["method"]][1] == ["least", "squares"]
    offered = [panel.points_choice.itemText(row) for row in range(panel.points_choice.count())]
    assert captions.name not in offered

    table = panel.comparison_table
    assert not table.isHidden()
    shown = [[table.item(row, column).text() for column in range(6)] for row in range(4)]
    assert [row[0] for row in shown] == ["average", "least squares", "two step", "bayes"]
    assert shown[3][2] == f"{expected.quality.reduced_chi2[0]:.3g}"
    assert shown[3][3] == f"{expected.quality.r_squared[0]:.1%}"
    said = expected.quality.verdict[0]
    assert f"expected error {shown[3][4]}" in said
    assert all(float(row[5]) >= 0 for row in shown)

    assert [row[1] for row in shown] == ["–"] * 4  # noqa: RUF001
    assert panel.prediction_view.isHidden()
    panel.compare_button.click()
    finish(qtbot, panel)
    extract(qtbot, panel)
    shown_kernels = of_role(viewer, "kernel")
    assert all(layer.visible for layer in shown_kernels)
    left = [layer.extent.world[0, -1] for layer in shown_kernels]
    assert len(shown_kernels) == 10
    assert (np.diff(left) > 8 * image.scale[-1]).all()


def test_predictions_are_shown_with_errors_and_words(
    qtbot: QtBot, panel: ExtractKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dock, "COMPARED", ("average", "least_squares"))
    assert panel.predict_box.isChecked()
    panel.compare_button.click()
    finish(qtbot, panel)
    view, table = panel.prediction_view, panel.comparison_table
    assert not view.isHidden()
    assert not view.plot.isHidden()
    words = view.words.text()
    assert "Least squares predicts best: R² 0." in words
    assert "Average predicts worse: R² smaller by 0." in words
    average, least_squares = (float(table.item(row, 1).text()) for row in (0, 1))
    expected = qk.extraction.cross_validate(
        observed(), DEFECTS, methods=("average", "least_squares"), kernel_shape=(9, 9)
    )
    assert least_squares == pytest.approx(expected.scores["least_squares"].r_squared, abs=1e-4)
    gap = expected.difference("average", "least_squares")
    assert average - least_squares == pytest.approx(gap.r_squared, abs=2e-4)
    view.show_comparison(Comparison([], None, "there are 2 blocks"))
    assert view.words.text() == "Nothing was predicted: there are 2 blocks"
    assert view.plot.isHidden()
    panel.predict_box.setChecked(False)
    panel.compare_button.click()
    finish(qtbot, panel)
    assert view.isHidden()


def test_a_window_is_chosen_and_the_prediction_is_on_the_card(
    qtbot: QtBot, panel: ExtractKernel
) -> None:
    panel.advanced_form.set_values({"choose_window": True, "validation_folds": 2})
    extract(qtbot, panel)
    assert panel.result is not None
    side = panel.result.kernel.shape[0]
    assert side in (8, 12, 16)
    assert f"A window of {side} px predicts best" in panel.run_controls.status.text()
    score = panel.result.quality.prediction
    assert score is not None
    assert f"{score.r_squared:.4f} ±" in panel.card.details.text()


def test_a_stack_with_two_kinds_is_compared(qtbot: QtBot, viewer: Viewer) -> None:
    stack = np.stack([observed(), 2 * observed()])
    image = viewer.add_image(
        stack, scale=(0.1, 0.5, 0.5), units=("V", "nm", "nm"), axis_labels=("bias", "y", "x")
    )
    add_defects(viewer, image, Defects(DEFECTS.positions, list("ababa")))
    panel = open_panel(viewer, method="bayes", prior="smooth")
    panel.predict_box.setChecked(False)
    panel.compare_button.click()
    finish(qtbot, panel)
    kernels = of_role(viewer, "kernel")
    # The networks know one kind.
    assert len(kernels) == 6
    assert "two step: " in panel.run_controls.status.text()
    places = [layer.translate[-1] for layer in kernels]
    assert places == sorted(set(places))
    assert all(layer.ndim == 3 for layer in kernels)


def test_a_comparison_is_cancelled(
    qtbot: QtBot, viewer: Viewer, panel: ExtractKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, gate = Gate(), Gate()
    start = ExtractionInput.start

    def waiting(task: ExtractionInput) -> object:
        if task.parameters.method == "least_squares":
            entered.set()
            assert gate.wait(20)
        return start(task)

    monkeypatch.setattr(ExtractionInput, "start", waiting)
    before = list(viewer.layers)
    panel.compare_button.click()
    assert entered.wait(30)
    assert not panel.compare_button.isEnabled()
    assert not panel.run_controls.run_button.isEnabled()
    panel.run_controls.cancel_button.click()
    gate.set()
    qtbot.waitUntil(lambda: not panel.job.state.busy)
    assert panel.job.state is JobState.CANCELLED
    assert list(viewer.layers) == before
    assert panel.comparison_table.isHidden()
    assert panel.compare_button.isEnabled()


def test_one_method_may_fail(
    qtbot: QtBot, viewer: Viewer, panel: ExtractKernel, tmp_path: Path
) -> None:
    panel.form.set_values({"method": "bayes", "prior": "smooth"})
    panel.form.set_values({"method": "two_step"})
    panel.form.set_values({"model": str(tmp_path / "no model")})
    panel.predict_box.setChecked(False)
    panel.compare_button.click()
    finish(qtbot, panel)
    assert len(of_role(viewer, "kernel")) == 3
    item = panel.comparison_table.item(2, 2)
    assert item is not None
    assert item.text() == "failed"
    assert "two step:" in panel.run_controls.status.text()


def test_networks_of_another_method_are_not_compared(panel: ExtractKernel) -> None:
    panel.form.set_values({"method": "one_step"})
    panel.form.set_values({"model": "/a/one/step/model"})
    _, _, two_step, bayes = panel.extraction_form.parameters_of_each(COMPARED)
    assert (two_step.model, bayes.model) == ("bundled", "bundled")
    panel.form.set_values({"method": "bayes", "prior": "smooth"})
    panel.advanced_form.set_values({"refine": "positions"})
    _, least_squares, _, bayes = panel.extraction_form.parameters_of_each(COMPARED)
    assert bayes.prior == "smooth"
    assert (least_squares.refine, bayes.refine) == (None, None)


def test_a_comparison_of_nothing_shows_nothing(
    qtbot: QtBot, viewer: Viewer, panel: ExtractKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(task: ExtractionInput) -> object:
        raise ValueError(f"no {task.parameters.method} today")

    monkeypatch.setattr(ExtractionInput, "start", spoilt)
    before = list(viewer.layers)
    panel.compare_button.click()
    finish(qtbot, panel)
    assert list(viewer.layers) == before
    assert "no bayes today" in panel.run_controls.status.text()
