"""Comparing methods, proposing defects and finding them blindly, in the panel in real viewers."""

from __future__ import annotations

from pathlib import Path
from threading import Event as Gate
from typing import TYPE_CHECKING

import numpy as np
import pytest
from napari.layers import Image, Layer, Points
from pytestqt.qtbot import QtBot

import qpi_kernels as qk
from napari_qpi.layers.conversion import METADATA_KEY, points_from_defects, result_of
from napari_qpi.layers.defect_points import DefectPoints
from napari_qpi.tasks.extraction import ExtractionInput
from napari_qpi.tasks.job import JobState
from napari_qpi.tasks.method_comparison import COMPARED
from napari_qpi.widgets.extract.dock import ExtractKernel
from qpi_kernels.bench.blind.problems import BLIND_CASES, blind_problem
from qpi_kernels.defects import Defects
from shared.docks import PLACED, open_dock

if TYPE_CHECKING:
    from napari import Viewer

SHAPE = (64, 72)
TRUE = np.array(
    [[10.3, 12.2], [50.1, 14.7], [30.4, 33.6], [52.0, 58.2], [12.0, 58.5], [33.2, 60.0]]
)
MISSED = 5
NOWHERE = [48.0, 36.0]


def observed() -> np.ndarray:
    rows, cols = np.indices(SHAPE)
    noise = 0.02 * np.random.default_rng(3).normal(size=SHAPE)
    away = [np.hypot(rows - r, cols - c) for r, c in TRUE]
    return (noise + sum(np.cos(1.5 * d) * np.exp(-d / 3) for d in away)).astype(np.float32)


@pytest.fixture
def image(viewer: Viewer) -> Image:
    return viewer.add_image(observed(), name="map", **PLACED)


@pytest.fixture
def marked(viewer: Viewer, image: Image) -> Points:
    table = Defects(np.vstack([TRUE[:MISSED], [NOWHERE]]))
    data, arguments, _ = points_from_defects(table, image)
    # Elsewhere and in other pixels than the image.
    data = data / 2 + 7
    arguments |= {"features": {**arguments["features"], "note": list("abcdef")}}
    layer = Points(data, **{**arguments, "feature_defaults": None})
    layer.scale = 2 * np.array(image.scale)
    shift = np.array(image.data_to_world(table.positions[0])) - layer.data_to_world(data[0])
    layer.translate = layer.translate + shift
    return viewer.add_layer(layer)


@pytest.fixture
def panel(viewer: Viewer, marked: Points) -> ExtractKernel:
    return open_panel(viewer)


def open_panel(viewer: Viewer) -> ExtractKernel:
    panel = open_dock(viewer, "Extract kernel", ExtractKernel)
    panel.form.set_values({"kernel_shape": (11, 11)})
    return panel


def wait(qtbot: QtBot, panel: ExtractKernel) -> None:
    qtbot.waitUntil(lambda: not panel.job.state.busy, timeout=120_000)
    assert panel.job.state is JobState.DONE, panel.run_controls.status.text()


def run(qtbot: QtBot, panel: ExtractKernel, *buttons: str) -> None:
    rows = {"extract": panel.run_controls.run_button, "propose": panel.defect_review.propose_button}
    for name in buttons:
        rows[name].click()
        wait(qtbot, panel)


def of_role(viewer: Viewer, role: str) -> list[Layer]:
    return [
        layer for layer in viewer.layers if layer.metadata.get(METADATA_KEY, {}).get("role") == role
    ]


def in_image(layer: Points, image: Image) -> np.ndarray:
    return np.array([image.world_to_data(layer.data_to_world(point)) for point in layer.data])


def test_methods_are_compared_side_by_side(
    qtbot: QtBot, viewer: Viewer, panel: ExtractKernel, image: Image
) -> None:
    run(qtbot, panel, "extract")
    (earlier,) = of_role(viewer, "kernel")
    result = panel.result
    messages: list[str] = []
    shares: list[float] = []
    panel.job.progressed.connect(lambda event: messages.append(event.message))
    panel.job.progressed.connect(lambda event: shares.append(event.fraction))
    panel.compare_button.click()
    wait(qtbot, panel)
    assert panel.result is result
    assert earlier.visible
    assert shares == sorted(shares)
    assert any("of 4" in message for message in messages)
    kernels = [layer for layer in of_role(viewer, "kernel") if layer is not earlier]
    found = [result_of(layer) for layer in kernels]
    methods = [one.provenance["parameters"]["method"] for one in found if one is not None]
    assert methods == list(COMPARED)
    assert [layer.name for layer in kernels][1] == "map least squares kernel"
    assert len({tuple(layer.contrast_limits) for layer in kernels}) == 1
    first = [image.world_to_data(layer.data_to_world((0, 0))) for layer in kernels]
    np.testing.assert_allclose([row for row, _ in first], 0, atol=1e-6)
    columns = np.array([column for _, column in first])
    assert columns[0] > SHAPE[1]
    assert (np.diff(columns) > 11).all()
    expected = qk.extract(observed(), panel.task.defects, kernel_shape=(11, 11))  # type: ignore[union-attr]
    np.testing.assert_allclose(kernels[-1].data, expected.kernel, rtol=1e-4, atol=1e-5)
    (captions,) = of_role(viewer, "captions")
    assert [text.split() for text in captions.features["method"]][1] == ["least", "squares"]
    offered = [panel.points_choice.itemText(row) for row in range(panel.points_choice.count())]
    assert captions.name not in offered

    table = panel.comparison_table
    assert not table.isHidden()
    shown = [[table.item(row, column).text() for column in range(5)] for row in range(4)]
    assert [row[0] for row in shown] == ["average", "least squares", "two step", "bayes"]
    assert shown[3][1] == f"{expected.quality.reduced_chi2[0]:.3g}"
    assert shown[3][2] == f"{expected.quality.r_squared[0]:.1%}"
    said = expected.quality.verdict[0]
    assert f"expected error {shown[3][3]}" in said
    assert all(float(row[4]) >= 0 for row in shown)

    panel.compare_button.click()
    wait(qtbot, panel)
    run(qtbot, panel, "extract")
    shown_kernels = of_role(viewer, "kernel")
    assert all(layer.visible for layer in shown_kernels)
    left = [layer.extent.world[0, -1] for layer in shown_kernels]
    assert len(shown_kernels) == 10
    assert (np.diff(left) > 10 * image.scale[-1]).all()


def test_a_stack_with_two_kinds_is_compared(qtbot: QtBot, viewer: Viewer) -> None:
    stack = np.stack([observed(), 2 * observed()])
    image = viewer.add_image(
        stack, scale=(0.1, 0.5, 0.5), units=("V", "nm", "nm"), axis_labels=("bias", "y", "x")
    )
    data, arguments, _ = points_from_defects(Defects(TRUE, ["a", "b"] * 3), image)
    viewer.add_points(data, **arguments)
    panel = open_panel(viewer)
    panel.compare_button.click()
    wait(qtbot, panel)
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
    panel.form.set_values({"method": "two_step"})
    panel.form.set_values({"model": str(tmp_path / "no model")})
    panel.compare_button.click()
    wait(qtbot, panel)
    assert len(of_role(viewer, "kernel")) == 3
    item = panel.comparison_table.item(2, 1)
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


@pytest.mark.parametrize("refine", [None, "positions"])
def test_proposals_are_accepted_and_taken_back(
    qtbot: QtBot,
    viewer: Viewer,
    panel: ExtractKernel,
    image: Image,
    marked: Points,
    refine: str | None,
) -> None:
    row = panel.defect_review
    panel.advanced_form.set_values({"refine": refine})
    assert not row.propose_button.isEnabled()
    run(qtbot, panel, "extract")
    before = DefectPoints(marked).snapshot()
    run(qtbot, panel, "propose")
    proposed, doubtful = row.proposed, row.doubtful
    assert proposed is not None
    assert doubtful is not None
    assert proposed.name == "map proposed defects"
    assert panel.points_choice.layer is marked
    assert panel.points_choice.count() == 1
    near = np.hypot(*(in_image(proposed, image) - TRUE[MISSED]).T)
    assert near.min() < 0.3
    assert (proposed.features["z_score"] > 4).all()
    np.testing.assert_allclose(in_image(doubtful, image), [NOWHERE], atol=1e-4)
    colours = {tuple(layer.face_color[0]) for layer in (proposed, doubtful, marked)}
    assert len(colours) == 3
    assert DefectPoints(marked).snapshot().same_as(before)

    proposed.selected_data = {int(near.argmin())}
    row.accept_button.click()
    assert len(marked.data) == 7
    np.testing.assert_allclose(in_image(marked, image)[-1], TRUE[MISSED], atol=0.3)
    np.testing.assert_array_equal(marked.data[:6], before.data)
    assert list(marked.features["note"][:6]) == list("abcdef")
    assert marked.features["kind"].iloc[-1] == "defect"
    row.undo_button.click()
    assert DefectPoints(marked).snapshot().same_as(before)
    assert not row.undo_button.isEnabled()

    row.remove_button.click()
    assert doubtful not in viewer.layers
    assert len(marked.data) == 5
    assert np.hypot(*(in_image(marked, image) - NOWHERE).T).min() > 5
    row.undo_button.click()
    assert DefectPoints(marked).snapshot().same_as(before)


def test_all_left_proposals_are_accepted_and_help(
    qtbot: QtBot, viewer: Viewer, panel: ExtractKernel, image: Image, marked: Points
) -> None:
    run(qtbot, panel, "extract", "propose")
    assert panel.result is not None
    misfit = panel.result.quality.reduced_chi2[0]
    proposed = panel.defect_review.proposed
    assert proposed is not None
    count = len(proposed.data)
    panel.defect_review.accept_button.click()
    assert proposed not in viewer.layers
    assert not panel.defect_review.accept_button.isEnabled()
    assert len(marked.data) == 6 + count
    panel.defect_review.remove_button.click()
    run(qtbot, panel, "extract", "propose")
    assert panel.result.quality.reduced_chi2[0] < misfit
    assert panel.defect_review.doubtful is None


def test_proposals_with_layers_removed_or_edited_meanwhile(
    qtbot: QtBot, viewer: Viewer, panel: ExtractKernel, image: Image, marked: Points
) -> None:
    run(qtbot, panel, "extract", "propose", "propose")
    assert len(of_role(viewer, "proposals")) == 2
    marked.data = np.vstack([marked.data[2:], [[20.0, 20.0]]])
    panel.defect_review.remove_button.click()
    assert len(marked.data) == 4
    assert np.hypot(*(in_image(marked, image) - NOWHERE).T).min() > 5
    marked.data = np.zeros((0, 2))
    panel.defect_review.accept_button.click()
    assert len(marked.data) >= 1
    run(qtbot, panel, "propose")
    viewer.layers.remove(marked)
    assert not panel.defect_review.undo_button.isEnabled()
    panel.defect_review.accept_button.click()
    assert "removed" in panel.run_controls.status.text()
    proposed = panel.defect_review.proposed
    assert proposed is not None
    viewer.layers.remove(proposed)
    assert not panel.defect_review.accept_button.isEnabled()


def test_closing_the_panel_leaves_the_proposals(
    qtbot: QtBot, viewer: Viewer, panel: ExtractKernel
) -> None:
    run(qtbot, panel, "extract", "propose")
    viewer.window.remove_dock_widget(panel)
    left = of_role(viewer, "proposals")
    assert len(left) == 2
    for layer in left:
        viewer.layers.remove(layer)


def test_blind_needs_no_points_and_gives_them(
    qtbot: QtBot, viewer: Viewer, image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = open_panel(viewer)
    assert not panel.run_controls.run_button.isEnabled()
    panel.form.set_values({"method": "blind"})
    assert panel.points_choice.isHidden()
    assert panel.run_controls.run_button.isEnabled()
    assert panel.run_controls.status.text() == ""
    assert not panel.compare_button.isEnabled()
    run(qtbot, panel, "extract")
    assert panel.result is not None
    (found,) = of_role(viewer, "defects")
    assert found.name == "map found defects"
    expected = qk.extract(observed(), method="blind", kernel_shape=(11, 11))
    assert len(found.data) == len(expected.defects)
    np.testing.assert_allclose(in_image(found, image), panel.result.defects.positions, atol=1e-6)
    for position in TRUE:
        assert np.hypot(*(in_image(found, image) - position).T).min() < 1
    assert f"{len(found.data)} defects found" in panel.run_controls.status.text()
    script = panel.export_buttons.script("observation.npy")
    assert "defects" not in script.split("result = ")[0]
    np.save(tmp_path / "observation.npy", observed())
    monkeypatch.chdir(tmp_path)
    exec(compile(script, "again.py", "exec"), {})
    again = qk.KernelResult.load(tmp_path / "kernel.nc")
    np.testing.assert_allclose(again.kernel.values, panel.result.kernel.values, atol=1e-4)
    # The layer came from no file, and still its kernel is in nanometres and its own units.
    assert again.kernel["x"].attrs["units"] == "nm"
    np.testing.assert_allclose(again.kernel["x"], panel.result.kernel["x"])
    assert again.kernel.attrs["units"] == panel.result.kernel.attrs["units"]

    panel.form.set_values({"method": "bayes"})
    assert not panel.points_choice.isHidden()
    assert panel.points_choice.layer is found
    run(qtbot, panel, "propose")
    assert panel.job.state is JobState.DONE


def test_blind_tells_kinds_apart(qtbot: QtBot, viewer: Viewer) -> None:
    problem = blind_problem(BLIND_CASES["both signs"], seed=2)
    viewer.add_image(problem.observation.astype(np.float32), name="map")
    panel = ExtractKernel(viewer)
    viewer.window.add_dock_widget(panel)
    panel.form.set_values({"method": "blind", "kernel_shape": (31, 31)})
    run(qtbot, panel, "extract")
    assert panel.result is not None
    (found,) = of_role(viewer, "defects")
    assert set(found.features["kind"]) == {"kind 1", "kind 2"}
    colours = np.unique(found.face_color, axis=0)
    assert len(colours) == 2
    first, second = panel.result.kernel.values
    assert np.corrcoef(first.ravel(), -second.ravel())[0, 1] > 0.98
    panel.advanced_form.set_values({"kinds": 1})
    assert panel.parameters().kinds == 1
    panel.form.set_values({"method": "bayes"})
    assert not hasattr(panel.parameters(), "kinds")


def test_blind_ignores_marked_points(
    qtbot: QtBot, viewer: Viewer, panel: ExtractKernel, marked: Points
) -> None:
    panel.form.set_values({"method": "blind"})
    before = DefectPoints(marked).snapshot()
    run(qtbot, panel, "extract")
    assert panel.task is not None
    assert len(panel.task.defects) == 0
    assert DefectPoints(marked).snapshot().same_as(before)
    assert panel.points_choice.layer is marked


def test_a_comparison_of_nothing_shows_nothing(
    qtbot: QtBot, viewer: Viewer, panel: ExtractKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(task: ExtractionInput) -> object:
        raise ValueError(f"no {task.parameters.method} today")

    monkeypatch.setattr(ExtractionInput, "start", spoilt)
    before = list(viewer.layers)
    panel.compare_button.click()
    wait(qtbot, panel)
    assert list(viewer.layers) == before
    assert "no bayes today" in panel.run_controls.status.text()
