"""Phase shifts and waves of the simulator's T-matrix are read back, with their sign."""

from __future__ import annotations

import numpy as np
import pytest

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
