"""The simulation panel in real viewers, opened by its manifest name, with real simulations."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from napari.layers import Image, Points
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QApplication, QDoubleSpinBox

from napari_qpi.layers.conversion import METADATA_KEY, defects_from_points, observation_from_layer
from napari_qpi.tasks.job import JobState
from napari_qpi.tasks.simulation_preview import SimulatedPlane, SimulationPreview
from napari_qpi.widgets.extract.dock import ExtractKernel
from napari_qpi.widgets.simulate import dock as simulate_module
from napari_qpi.widgets.simulate.dock import Simulate
from qpi_kernels.io import open_scan
from qpi_kernels.simulate.materials import known_materials, register_material, unregister_material
from qpi_kernels.simulate.scan.parameters import SimulatedScanParameters
from qpi_kernels.simulate.scan.simulation import ScanSimulation, simulate_scan
from shared.docks import open_dock

if TYPE_CHECKING:
    from napari import Viewer

SMALL = {"image_shape": (48, 64), "kernel_shape": (17, 17)}


def open_panel(viewer: Viewer) -> Simulate:
    panel = open_dock(viewer, "Simulate", Simulate)
    panel.set_values(**SMALL, density=5)
    return panel


def test_a_registered_material_is_in_the_form(
    qtbot: QtBot, viewer: Viewer, request: pytest.FixtureRequest
) -> None:
    toy = replace(known_materials()["Ag111"], name="toy", label="toy material", density=5.0)
    register_material(toy)
    request.addfinalizer(lambda: unregister_material("toy"))
    panel = open_panel(viewer)
    panel.set_values(material="toy")
    assert shown(qtbot, panel).scan.parameters.material == "toy"


@pytest.fixture
def panel(qtbot: QtBot, viewer: Viewer) -> Simulate:
    made = open_panel(viewer)
    shown(qtbot, made)
    return made


def shown(qtbot: QtBot, panel: Simulate) -> SimulatedPlane:
    """Wait until the pictures show what is entered."""

    def current() -> bool:
        plane, wanted = panel.preview.plane, panel.parameters
        if plane is None or wanted is None:
            return False
        bias = wanted.bias_values[panel.bias_slider.value()]
        return bool(plane.scan.parameters == wanted.at(bias))

    qtbot.waitUntil(current, timeout=60_000)
    assert panel.preview.plane is not None
    return panel.preview.plane


def added(qtbot: QtBot, panel: Simulate) -> None:
    panel.run_controls.run_button.click()
    qtbot.waitUntil(lambda: not panel.job.state.busy, timeout=60_000)
    assert panel.job.state is JobState.DONE, panel.run_controls.status.text()


class Gate:
    """Makes steppers wait, so that the test can do things meanwhile."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, stepper: type) -> None:
        self.open = threading.Event()
        self.entered = threading.Event()
        self.steps = 0
        step = stepper.step

        def waiting(simulation: Any) -> Any:
            self.entered.set()
            assert self.open.wait(20)
            self.steps += 1
            return step(simulation)

        monkeypatch.setattr(stepper, "step", waiting)


def test_the_pictures_show_the_librarys_scene(qtbot: QtBot, panel: Simulate) -> None:
    plane = shown(qtbot, panel)
    expected = simulate_scan(SimulatedScanParameters(**SMALL, density=5))
    np.testing.assert_allclose(plane.scan.observation, expected.observation, rtol=1e-4, atol=1e-5)
    assert panel.preview.observation.shape == (48, 64)
    assert panel.preview.kernel.shape == (17, 17)
    assert plane.kernel_fft["q_x"].attrs["units"] == "rad/nm"
    assert "rad/nm" in panel.preview.fft.toolTip()
    assert "14.4 × 19.2 nm" in panel.preview.observation.toolTip()  # noqa: RUF001
    assert "14 defects" in panel.run_controls.status.text()
    panel.fft_box.setChecked(True)
    assert "of map" in panel.preview.fft.toolTip()


def test_nothing_is_added_to_the_viewer_unasked(viewer: Viewer, panel: Simulate) -> None:
    assert not viewer.layers


def test_pictures_follow_the_entries(qtbot: QtBot, panel: Simulate) -> None:
    before = shown(qtbot, panel)
    panel.set_values(noise=0.7)
    after = shown(qtbot, panel)
    assert after is not before
    np.testing.assert_array_equal(before.scan.kernel, after.scan.kernel)
    assert not np.array_equal(before.scan.observation, after.scan.observation)


def test_what_nobody_chose_follows_the_material(qtbot: QtBot, panel: Simulate) -> None:
    panel.set_values(broadening=0.03, noise=0.4, biases=3)
    assert panel.parameters == SimulatedScanParameters(
        **SMALL, density=5, broadening=0.03, noise=0.4, biases=3
    )
    assert panel.form.values()["bias"] == -0.05
    panel.set_values(material="Bi2Te3")
    assert panel.parameters == SimulatedScanParameters(
        material="Bi2Te3", **SMALL, noise=0.4, biases=3
    )
    values = panel.form.values() | panel.advanced_form.values()
    assert values == panel.parameters.model_dump()
    assert panel.description.text() == panel.parameters.known_material.description
    shown(qtbot, panel)


def test_only_impurities_that_make_sense_are_offered(qtbot: QtBot, panel: Simulate) -> None:
    with pytest.raises(ValueError, match="not offered"):
        panel.set_values(impurity="magnetic")
    assert not panel.form.editor("phase_deg").isEnabled()
    panel.set_values(material="Au111", impurity="magnetic")
    assert panel.parameters is not None
    assert panel.parameters.impurity == "magnetic"
    panel.set_values(impurity="phase_shift")
    assert panel.form.editor("phase_deg").isEnabled()
    assert not panel.form.editor("strength").isEnabled()
    panel.set_values(material="graphene")
    assert panel.parameters.impurity == "point"


def test_the_slider_shows_the_planes_of_a_stack(qtbot: QtBot, panel: Simulate) -> None:
    assert panel.bias_slider.isHidden()
    panel.set_values(biases=5)
    assert not panel.bias_slider.isHidden()
    first = shown(qtbot, panel)
    panel.bias_slider.setValue(4)
    last = shown(qtbot, panel)
    assert panel.bias_label.text() == "0.15 V"
    assert float(first.scan.kernel["bias"]) == -0.05
    assert float(last.scan.kernel["bias"]) == 0.15
    panel.set_values(biases=2)
    assert panel.bias_slider.value() == 1
    shown(qtbot, panel)


def test_arrows_step_in_proportion_to_the_material(qtbot: QtBot, panel: Simulate) -> None:
    spin = panel.form.editor("bias").findChild(QDoubleSpinBox)
    assert spin is not None
    spin.stepUp()
    assert panel.form.values()["bias"] == pytest.approx(0.06)
    panel.set_values(material="FeSe")
    assert spin.text() == "0"
    spin.stepDown()
    assert spin.text() == "-0.001"
    assert panel.parameters is not None
    assert panel.parameters.bias == -0.001


def test_another_seed_moves_the_defects(qtbot: QtBot, panel: Simulate) -> None:
    before = shown(qtbot, panel)
    panel.seed_button.click()
    after = shown(qtbot, panel)
    assert not np.array_equal(before.scan.defects.positions, after.scan.defects.positions)


def test_a_newer_change_supersedes_an_older_run(
    qtbot: QtBot, panel: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures: list[SimulatedPlane] = []
    panel.preview_job.succeeded.connect(pictures.append)
    gate = Gate(monkeypatch, SimulationPreview)
    panel.set_values(noise=0.3)
    qtbot.waitUntil(gate.entered.is_set)
    panel.set_values(noise=0.4)
    qtbot.waitUntil(lambda: panel.preview_job.state is JobState.CANCELLING)
    panel.set_values(noise=0.5)
    gate.open.set()
    shown(qtbot, panel)
    assert [plane.scan.parameters.noise for plane in pictures] == [0.5]


def test_what_is_impossible_is_said(qtbot: QtBot, panel: Simulate) -> None:
    panel.set_values(density=0.001)
    assert "change the density" in panel.run_controls.status.text()
    assert panel.parameters is None
    assert not panel.run_controls.run_button.isEnabled()
    assert not panel.copy_button.isEnabled()
    panel.set_values(density=5, broadening=1e-6)
    qtbot.waitUntil(
        lambda: "raise the broadening" in panel.run_controls.status.text(), timeout=10_000
    )
    assert not panel.run_controls.run_button.isEnabled()
    panel.set_values(broadening=0.01)
    shown(qtbot, panel)
    assert panel.run_controls.run_button.isEnabled()
    assert "14 defects" in panel.run_controls.status.text()


@pytest.mark.parametrize("biases", [1, 3])
def test_layers_lie_right_and_can_be_extracted(
    qtbot: QtBot, viewer: Viewer, panel: Simulate, biases: int
) -> None:
    panel.set_values(biases=biases, noise=0.2)
    shown(qtbot, panel)
    added(qtbot, panel)
    kernel, image, points = viewer.layers
    assert isinstance(kernel, Image)
    assert isinstance(points, Points)
    assert {str(unit) for layer in viewer.layers for unit in layer.units[-2:]} == {"nanometer"}
    np.testing.assert_allclose(image.scale[-2:], 0.3)
    np.testing.assert_allclose(kernel.scale, image.scale)
    assert kernel.extent.world[0, -1] > image.extent.world[1, -1]
    assert panel.parameters is not None
    expected = simulate_scan(panel.parameters)
    np.testing.assert_allclose(image.data, expected.observation, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(kernel.data, expected.kernel, rtol=1e-4, atol=1e-6)
    known = image.metadata[METADATA_KEY]
    found = defects_from_points(points, image)
    np.testing.assert_allclose(found.positions, known["defects_true"].positions, atol=1e-6)
    assert known["kernel_true"].dims[-2:] == ("kernel_y", "kernel_x")
    assert known["scan"]["header"]["noise"] == "0.2"
    observation = observation_from_layer(image)
    np.testing.assert_allclose(observation["bias"], panel.parameters.bias_values.squeeze())

    extract = open_dock(viewer, "Extract kernel", ExtractKernel)
    assert extract.image_choice.layer is image
    assert extract.points_choice.layer is points
    extract.form.set_values({"kernel_shape": (17, 17), "method": "least_squares"})
    extract.run_controls.run_button.click()
    qtbot.waitUntil(lambda: not extract.job.state.busy, timeout=60_000)
    assert extract.result is not None, extract.run_controls.status.text()
    extracted = extract.result.kernel.values.ravel()
    assert np.corrcoef(extracted, kernel.data.ravel())[0, 1] > 0.9


def test_a_second_simulation_lies_beside_the_first(
    qtbot: QtBot, viewer: Viewer, panel: Simulate
) -> None:
    for _ in range(2):
        shown(qtbot, panel)
        added(qtbot, panel)
    images = [layer for layer in viewer.layers if isinstance(layer, Image)]
    left, right = zip(*sorted(layer.extent.world[:, -1].tolist() for layer in images), strict=True)
    assert len(images) == 4
    assert all(np.array(left[1:]) > np.array(right[:-1]))


def test_adding_can_be_cancelled(
    qtbot: QtBot, viewer: Viewer, panel: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel.set_values(biases=30)
    shown(qtbot, panel)
    gate = Gate(monkeypatch, ScanSimulation)
    panel.run_controls.run_button.click()
    assert gate.entered.wait(10)
    panel.run_controls.cancel_button.click()
    assert panel.job.state is JobState.CANCELLING
    gate.open.set()
    qtbot.waitUntil(lambda: not panel.job.state.busy)
    assert panel.job.state is JobState.CANCELLED
    assert gate.steps < 30
    assert not viewer.layers
    panel.set_values(biases=2)
    shown(qtbot, panel)
    added(qtbot, panel)
    assert len(viewer.layers) == 3


@pytest.mark.parametrize(
    "close", [lambda v, p: v.window.remove_dock_widget(p), lambda v, p: v.close()]
)
def test_closing_meanwhile(
    qtbot: QtBot,
    viewer: Viewer,
    panel: Simulate,
    monkeypatch: pytest.MonkeyPatch,
    close: Callable[[Viewer, Simulate], None],
) -> None:
    gate = Gate(monkeypatch, ScanSimulation)
    panel.run_controls.run_button.click()
    assert gate.entered.wait(10)
    panel.new_seed()
    qtbot.waitUntil(lambda: panel.preview_job.state.busy)
    jobs = panel.job, panel.preview_job
    close(viewer, panel)
    gate.open.set()
    qtbot.waitUntil(lambda: not any(job.state.busy for job in jobs))
    assert {job.state for job in jobs} == {JobState.CANCELLED}
    assert not viewer.layers


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), ValueError("no such thing")])
def test_an_error_is_shown_and_the_next_run_works(
    qtbot: QtBot, viewer: Viewer, panel: Simulate, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(parameters: SimulatedScanParameters) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(simulate_module, "start_simulation", fail)
        panel.run_controls.run_button.click()
        qtbot.waitUntil(lambda: not panel.job.state.busy)
    assert panel.job.state is JobState.FAILED
    assert str(error) in panel.run_controls.status.text()
    added(qtbot, panel)
    assert len(viewer.layers) == 3


def test_the_script_repeats_the_simulation(
    qtbot: QtBot, viewer: Viewer, panel: Simulate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel.set_values(material="triangular", density=60, biases=2, artefacts="typical")
    shown(qtbot, panel)
    panel.copy_button.click()
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    assert panel.parameters is not None
    monkeypatch.chdir(tmp_path)
    exec(compile(clipboard.text(), "again.py", "exec"), {})
    expected = simulate_scan(panel.parameters)
    scan = open_scan(tmp_path / "simulated.nc")
    np.testing.assert_allclose(scan["didv"], expected.observation, rtol=1e-4, atol=1e-5)
    (image,) = viewer.open(tmp_path / "simulated.nc", plugin="napari-qpi")
    (points,) = viewer.open(tmp_path / "simulated_defects.csv", plugin="napari-qpi")
    assert points.units == image.units[-2:]
    np.testing.assert_allclose(points.data_to_world((3, 4)), image.data_to_world((0, 3, 4))[-2:])


def test_every_field_of_the_parameters_has_a_row(panel: Simulate) -> None:
    rows = panel.form.values() | panel.advanced_form.values()
    assert set(rows) == set(SimulatedScanParameters.model_fields)
