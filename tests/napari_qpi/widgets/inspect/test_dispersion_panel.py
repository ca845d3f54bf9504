"""The dispersion in the Inspect dock: mass and onset of a kernel of known waves."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import scipy.special
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QApplication

from napari_qpi.layers.conversion import add_layers
from napari_qpi.layers.result import result_layers
from napari_qpi.tasks.inspection.dispersion_fit import (
    FITTING,
    MODELS,
    NamedValuesError,
    named_values,
)
from napari_qpi.tasks.job import JobState
from napari_qpi.widgets.inspect.curves.dispersion_panel import DispersionPanel
from qpi_kernels.inspect import fit_dispersion
from qpi_kernels.inspect.dispersion_choices import METHODS, parameters_of
from qpi_kernels.result import KernelResult
from qpi_kernels.simulate import SetPoint
from shared.inspect_panels import open_panel, run_script, saved_tables

if TYPE_CHECKING:
    from napari import Viewer

BIASES = np.linspace(0.0, 0.2, 5)
MASS, ONSET, PHASE = 0.4, -0.07, 0.6
HBAR2_OVER_2M = 0.0380998
SIDE, PIXEL = 41, 0.3


@pytest.fixture
def waves(make_result: Callable[..., KernelResult]) -> KernelResult:
    """Return an extraction whose kernel holds the standing waves of a parabolic band."""
    made = make_result(
        biases=BIASES, image_shape=(60, 60), kernel_shape=(SIDE, SIDE), pitch_nm=PIXEL
    )
    axis = (np.arange(SIDE) - SIDE // 2) * PIXEL
    radius = np.maximum(np.hypot(*np.meshgrid(axis, axis)), PIXEL)
    k = np.sqrt((BIASES - ONSET) * MASS / HBAR2_OVER_2M)[:, None, None]
    hankel = scipy.special.hankel1(0, (k + 0.03j) * radius)
    noise = np.random.default_rng(4).normal(scale=0.01, size=(len(BIASES), SIDE, SIDE))
    kernel = made.kernel.copy(data=(np.exp(1j * PHASE) * hankel**2).real + noise)
    std = made.std.copy(data=np.full(noise.shape, 0.01))
    return replace(made, kernel=kernel, std=std)


def fit(qtbot: QtBot, panel: DispersionPanel) -> None:
    """Press the button and wait."""
    panel.run_controls.run_button.click()
    qtbot.waitUntil(lambda: not panel.job.state.busy, timeout=60_000)


def test_mass_and_onset_are_found_drawn_and_repeated(
    qtbot: QtBot,
    viewer: Viewer,
    waves: KernelResult,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add_layers(viewer, result_layers(waves))
    _, panel = open_panel(qtbot, viewer, DispersionPanel)
    qtbot.waitUntil(lambda: panel.stack_image.shown is not None)
    fit(qtbot, panel)
    found = panel.dispersion
    assert found is not None
    assert found.parameters["mass"] == pytest.approx(MASS, rel=0.01)
    assert found.parameters["onset"] == pytest.approx(ONSET, abs=0.003)
    used = found.profiles["r"]
    # The entries show the distances that were chosen.
    assert panel.entries.near_box.value() == pytest.approx(float(used.min()), abs=0.006)
    assert panel.entries.far_box.value() == pytest.approx(float(used.max()), abs=0.006)
    assert "mass = 0.4" in panel.words.toPlainText()
    assert "±" in panel.words.toPlainText()
    # What should be known of the fit is not left to a tooltip.
    assert all(note in panel.words.toPlainText() for note in found.notes)
    assert found.notes
    assert len(panel.figures()) == 2  # k(E), and over E(q)

    points, band = panel.overlay[1], panel.overlay[0]
    truth = 2 * np.sqrt((BIASES - ONSET) * MASS / HBAR2_OVER_2M)
    np.testing.assert_allclose(points.values, truth, rtol=0.01)
    assert float(band.values[0]) == pytest.approx(truth[0], rel=0.01)
    assert panel.stack_image.plot.viewRange()[0][1] > truth[-1]
    panel.quantity_choice.setCurrentIndex(panel.quantity_choice.findData("damping"))
    (curve,) = panel.curve_plot.curves
    np.testing.assert_allclose(curve.values, 0.03, atol=0.005)
    assert curve.std is not None

    # The maximum of a ring knows nothing of the instrument.
    panel.entries.method_choice.setCurrentText("ring")
    for box in (panel.entries.temperature_box, panel.entries.setpoint_box, panel.entries.near_box):
        assert not box.isEnabled()
    fit(qtbot, panel)
    assert panel.dispersion.method == "ring"
    assert not panel.curve_plot.curves  # it has no damping
    panel.entries.method_choice.setCurrentText("hankel")
    assert panel.entries.modulation_box.isEnabled()

    panel.entries.from_box.setValue(0.1)  # three biases are quick
    panel.entries.temperature_box.setValue(4.2)
    panel.entries.modulation_box.setValue(2.0)
    panel.entries.radii_check.setChecked(True)
    panel.entries.near_box.setValue(1.2)
    panel.entries.start_entry.setText("mass = 0.5")
    fit(qtbot, panel)
    assert panel.dispersion is not found
    found = panel.dispersion
    assert "No instrumental width" not in found.summary()
    assert found.profiles["r"].values.min() >= 1.2
    script = panel.script()
    assert "radii_nm=(1.2, 6.0)" in script
    assert "initial={'mass': 0.5}" in script
    variables = run_script(panel, tmp_path, monkeypatch.chdir)
    assert variables["dispersion"].parameters == found.parameters
    parameters, numbers, _ = panel.export()
    assert parameters["value"].values.tolist() == list(found.parameters.values())  # type: ignore[union-attr]
    tables = saved_tables(panel, tmp_path)
    assert {"numbers.csv", "numbers_wave_numbers.csv"} <= set(tables)
    assert "mass," in tables["numbers.csv"]
    panel.copy_table()
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    first, *_ = clipboard.text().splitlines()
    assert first == "parameter\tvalue\terror\tunit"
    assert f"{float(numbers['k'][0])!r}"[:8] in clipboard.text()  # type: ignore[index]
    assert "phase_shift (rad)" in clipboard.text()

    for layer in list(viewer.layers):
        viewer.layers.remove(layer)
    assert panel.dispersion is found
    assert len(panel.curve_plot.curves) == 1


def test_a_set_point_is_fitted_too(qtbot: QtBot, viewer: Viewer, waves: KernelResult) -> None:
    add_layers(viewer, result_layers(waves))
    _, panel = open_panel(qtbot, viewer, DispersionPanel)
    entries = panel.entries
    assert entries.setpoint_box.value() == 0.2  # the largest bias, until another is entered
    entries.setpoint_check.setChecked(True)
    entries.setpoint_box.setValue(0.3)
    entries.from_box.setValue(0.1)  # three biases are quick
    made = entries.fit_of(waves.kernel, waves.std, "waves")
    assert "setpoint=qk.simulate.SetPoint(0.3)" in made.code()
    expected = fit_dispersion(
        waves.kernel, std=waves.std, bias_range=(0.1, 0.2), setpoint=SetPoint(0.3)
    )
    assert made.run().parameters == expected.parameters
    entries.method_choice.setCurrentText("ring")
    assert "setpoint" not in entries.fit_of(waves.kernel, None, "waves").code()


def test_what_can_not_be_fitted_is_said(qtbot: QtBot, viewer: Viewer, waves: KernelResult) -> None:
    add_layers(viewer, result_layers(waves))
    _, panel = open_panel(qtbot, viewer, DispersionPanel)
    panel.entries.model_choice.setCurrentText("warped")
    assert panel.entries.method_choice.currentText() == "synthesis"
    panel.entries.model_choice.setCurrentText("rashba")
    assert panel.entries.method_choice.currentText() == "hankel"
    fit(qtbot, panel)
    assert panel.job.state is JobState.FAILED
    assert "alpha" in panel.run_controls.status.text()
    assert panel.run_controls.run_button.isEnabled()
    panel.entries.held_entry.setText("alpha 0.03")
    panel.run_fit()
    assert "alpha = 0.03" in panel.run_controls.status.text()
    panel.entries.held_entry.setText("alpha = 0.03")
    panel.entries.to_box.setValue(0.16)
    fit(qtbot, panel)
    assert panel.dispersion is not None
    assert panel.fit is not None
    assert panel.dispersion.parameters["alpha"] == 0.03
    assert panel.dispersion.wave_numbers.sizes["bias"] == 4
    panel.run_fit()
    panel.run_controls.cancel_button.click()
    qtbot.waitUntil(lambda: not panel.job.state.busy)
    assert panel.job.state is JobState.CANCELLED
    assert panel.dispersion.parameters["alpha"] == 0.03


def test_a_fit_shows_its_progress_and_stops_in_mid_fit(
    qtbot: QtBot, viewer: Viewer, waves: KernelResult
) -> None:
    add_layers(viewer, result_layers(waves))
    _, panel = open_panel(qtbot, viewer, DispersionPanel)
    panel.entries.model_choice.setCurrentText("elliptic")
    panel.run_controls.run_button.click()
    bar = panel.run_controls.bar
    qtbot.waitUntil(lambda: bar.maximum() > 0 and bar.value() > 0, timeout=20_000)
    # A busy machine shows the second part of the work first.
    parts = ("Fitting waves", "Comparing simulated kernels")
    assert any(part in panel.run_controls.status.text() for part in parts)
    assert FITTING in [thread.name for thread in threading.enumerate()]
    panel.run_controls.cancel_button.click()
    qtbot.waitUntil(lambda: panel.job.state is JobState.CANCELLED, timeout=3_000)
    # Nothing goes on in the background.
    ended = lambda: FITTING not in [thread.name for thread in threading.enumerate()]  # noqa: E731
    qtbot.waitUntil(ended, timeout=3_000)
    assert panel.dispersion is None
    assert panel.run_controls.run_button.isEnabled()


def test_a_map_alone_has_no_dispersion(qtbot: QtBot, viewer: Viewer) -> None:
    viewer.add_image(np.zeros((20, 24), np.float32), name="map")
    _, panel = open_panel(qtbot, viewer, DispersionPanel)
    assert not panel.run_controls.run_button.isEnabled()
    assert "Extract a kernel" in panel.run_controls.status.text()
    assert panel.export() == []
    assert panel.script() == ""


@pytest.mark.parametrize(
    ("text", "held"),
    [("", {}), ("alpha=0.03", {"alpha": 0.03}), (" a = 1e-2 , b=-3,", {"a": 0.01, "b": -3.0})],
)
def test_parameters_to_hold_are_read(text: str, held: dict[str, float]) -> None:
    assert named_values(text, "rashba", "hankel") == held


@pytest.mark.parametrize("text", ["alpha", "alpha = x", "= 3", "0.03"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", MODELS)
def test_what_is_no_parameter_is_refused(text: str, method: str, model: str) -> None:
    """The example is one of the model's own parameters."""
    with pytest.raises(NamedValuesError, match="write for example: ") as refused:
        named_values(text, model, method)
    example = str(refused.value).partition("write for example: ")[2]
    (name,) = named_values(example, model, method)
    assert name in (parameters_of(model, method) or ["onset"])
