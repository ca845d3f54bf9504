"""Phase shifts and waves of the simulator's T-matrix are read back, with their sign."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from scipy.special import hankel1

from qpi_kernels.inspect import DispersionError, fit_dispersion, radial_phase
from qpi_kernels.simulate import DiracBand, ParabolicBand, PhaseShiftImpurity, single_defect

BIASES = np.linspace(-0.02, 0.15, 3)


def kernel(impurity):
    return single_defect(
        ParabolicBand.silver(), bias=BIASES, pixel_nm=0.5, shape=(41, 41), impurity=impurity,
        broadening=0.006, tip_nm=0.2,
    )  # fmt: skip


@pytest.mark.parametrize("phase", [-1.1, 0.4, 1.3])
def test_phase_shift_of_a_t_matrix(phase):
    found = radial_phase(kernel(PhaseShiftImpurity(phase)))
    assert found.phase.values == pytest.approx(phase, abs=0.02)
    assert found.phase.attrs["units"] == "rad"


@pytest.mark.parametrize("strength", [-0.05, 0.05])
def test_attraction_is_a_positive_phase(strength):
    """Of weak potentials: stronger ones bind a state, which adds pi."""
    phase = radial_phase(kernel(strength)).phase.values
    assert (np.sign(phase) == -np.sign(strength)).all()


def drawn(biases, poles, phases):
    """Draw waves from Hankel functions: T = -sin(delta) e^(i delta) if energies rise with k."""
    axis = (np.arange(41) - 20) * 0.5
    distance = np.maximum(np.hypot(axis[:, None], axis), 0.1)
    planes = [
        (1j * np.sin(one) * np.exp(1j * one) * hankel1(0, k * distance) ** 2).real
        for k, one in zip(poles, phases, strict=True)
    ]
    nm = {"units": "nm"}
    coords = {"bias": ("bias", biases, {"units": "V"}), "y": ("y", axis, nm), "x": ("x", axis, nm)}
    return xr.DataArray(np.stack(planes), dims=("bias", "y", "x"), coords=coords)


@pytest.mark.parametrize("strength", [-0.3, 0.3])
def test_repulsion_is_a_negative_phase_of_holes_too(strength):
    """Of a T-matrix T = U / (1 - U G) with the imaginary part of G alone, written out here."""
    mass, h2m = -0.4, 0.0380998
    biases = np.linspace(-0.25, -0.05, 5)
    poles = np.sqrt(mass * (biases + 0.005j) / h2m)
    poles = np.where(poles.imag < 0, -poles, poles)
    axis = (np.arange(41) - 20) * 0.5
    distance = np.maximum(np.hypot(axis[:, None], axis), 0.1)
    t_matrix = strength / (1 + 1j * strength * abs(mass) / (4 * h2m))
    planes = [
        -((-mass / h2m * 0.25j * hankel1(0, k * distance)) ** 2 * t_matrix).imag / np.pi
        for k in poles
    ]
    simulated = drawn(biases, poles, np.ones(5)).copy(data=np.stack(planes))
    found = radial_phase(simulated)
    wanted = np.angle(-t_matrix) if strength < 0 else np.angle(t_matrix)
    assert np.sign(wanted) == -np.sign(strength)
    assert found.phase.values == pytest.approx(wanted, abs=0.01)


def test_phase_is_continuous_across_a_dirac_point():
    biases = np.array([-0.24, -0.2, -0.16, 0.16, 0.2, 0.24])
    poles = (np.abs(biases) + 0.006j) / 0.25
    simulated = drawn(biases, poles, 0.5 * np.sign(biases))
    found = radial_phase(simulated, model="dirac")
    assert found.phase.values == pytest.approx(0.5, abs=0.01)


def test_phase_of_a_band_that_does_not_fit_is_taken_at_each_bias():
    biases, h2m = np.linspace(0.0, 0.25, 8), 0.0380998
    square = (biases + 0.005j + 0.065) * 0.4 / h2m
    poles = np.sqrt((1 - np.sqrt(1 - 4 * 0.05 * square)) / (2 * 0.05))
    clean = drawn(biases, poles, np.full(8, 0.6))
    noise = np.random.default_rng(0).standard_normal(clean.shape)
    deviation = 0.5 * clean.where(np.hypot(clean["y"], clean["x"]) > 0.8).std(("y", "x"))
    simulated = clean + deviation * clean.copy(data=noise)
    found = radial_phase(simulated, std=xr.ones_like(clean) * deviation)
    assert not found.on_band
    assert "does not fit" in found.notes[0]
    assert (np.abs(found.phase - 0.6) < 3 * found.std).all()


def test_phases_are_drawn_continuous():
    biases = np.linspace(0.0, 0.2, 6)
    poles = np.sqrt((biases + 0.065 + 0.006j) * 0.4 / 0.0380998)
    found = radial_phase(drawn(biases, poles, np.linspace(1.2, 2.0, 6)))
    assert found.phase.values.min() < -1
    axes = found.plot(Figure().subplots())
    drawn_phases = axes.lines[0].get_ydata()
    assert drawn_phases == pytest.approx(np.linspace(1.2, 2.0, 6), abs=0.02)


def test_a_ring_has_no_phase():
    ring = fit_dispersion(kernel(PhaseShiftImpurity(0.4)), method="ring")
    with pytest.raises(DispersionError, match="use method='hankel'"):
        radial_phase(ring)


def test_a_topological_surface_does_not_scatter_back():
    simulated = single_defect(
        DiracBand(velocity=0.255, warping=0.0, centre=-0.1), bias=np.linspace(0.05, 0.25, 3),
        pixel_nm=0.5, shape=(41, 41), impurity=0.3, broadening=0.01, tip_nm=0.3,
    )  # fmt: skip
    found = fit_dispersion(simulated, model="dirac")
    assert any("do not scatter back" in note for note in found.notes)
    assert found.parameters == pytest.approx({"velocity": 0.255, "dirac_point": -0.1}, rel=0.02)
    assert found.wave_numbers["self_energy"].values == pytest.approx(0.01, rel=0.1)
