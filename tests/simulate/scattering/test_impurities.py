"""Impurities: T-matrices against closed forms, sum rules and symmetries."""

import numpy as np
import pytest
import torch
from scipy.special import hankel1

from qpi_kernels import simulate
from qpi_kernels.simulate.bands import HBAR2_OVER_2M, SimulationError
from qpi_kernels.simulate.scattering.impurities import as_impurity
from qpi_kernels.simulate.scattering.ldos import ldos_change
from shared.impurity_kernels import DIRAC, RASHBA, SURFACE, kernel, local

CLUSTER = simulate.ClusterImpurity(((0.4, 0.0), (-0.5, 0.6)), (1.0, -0.7), 0.2)


@pytest.mark.parametrize(
    ("band", "impurity", "kinds"),
    [
        (SURFACE, simulate.PointImpurity(1.5), ["scalar"]),
        (SURFACE, simulate.PointImpurity(-0.4), ["scalar"]),
        (SURFACE, simulate.GaussianImpurity(2.0, 0.4), ["scalar"]),
        (SURFACE, CLUSTER, ["scalar"]),
        (simulate.NematicPockets(0.4, 0.8, 0.6, 0.3, 0.3, -0.3), simulate.PointImpurity(1.0), None),
        (RASHBA, simulate.MagneticImpurity(1.0, 0.3), ["magnetic"]),
        (DIRAC, CLUSTER, ["scalar"]),
    ],
    ids=["repulsive", "attractive", "gaussian", "cluster", "pockets", "magnetic", "dirac cluster"],
)
def test_friedel_sum_rule(band, impurity, kinds):
    r"""All of space gains ``-1/pi d/dE Im ln det(1 - V g(E))`` states.

    For the waves of a box are complete, ``sum_r g(r) g(-r) = sum_k G(k)^2 = -dg/dE``, and ``Tr T
    dg/dE = -d/dE ln det(1 - V g)``.
    """
    size, pixel_nm, broadening, energy, step = 48, 0.3, 0.1, 0.1, 1e-4
    window = (np.arange(size) - size // 2, np.arange(size) - size // 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("qpi_kernels.simulate.scattering.ldos.box_pixels", lambda *_: size)
        change = ldos_change(
            band,
            np.array([energy]),
            pixel_nm=pixel_nm,
            window=window,
            impurities=[impurity],
            broadening=broadening,
        )
    total = float(change.sum()) * pixel_nm**2
    energies = [energy - step, energy + step]
    green = local(band, energies, broadening, size, pixel_nm, impurity)
    middle = local(band, [energy], broadening, size, pixel_nm, impurity)
    t_matrix = impurity.t_matrix(band, middle)[0]
    potential = torch.linalg.inv(torch.linalg.inv(t_matrix) + middle[0])
    determinants = torch.linalg.det(torch.eye(len(potential)) - potential @ green)
    phase = torch.log(determinants[1] / determinants[0]).imag / (2 * step)
    assert total == pytest.approx(-float(phase) / np.pi, rel=1e-5)
    assert abs(total) > 1e-3


@pytest.mark.parametrize("band", [SURFACE, RASHBA, simulate.SquareBand(0.1, 0.6)])
def test_weak_impurities_scatter_in_proportion(band):
    weak, opposite, weaker = (kernel(band, strength) for strength in (2e-5, -2e-5, 1e-5))
    np.testing.assert_allclose(weak, 2 * weaker, atol=1e-3 * abs(weak).max())
    np.testing.assert_allclose(weak, -opposite, atol=1e-3 * abs(weak).max())


@pytest.mark.parametrize(
    "make",
    [
        simulate.PointImpurity,
        lambda strength: simulate.MagneticImpurity(0.0, strength),
        lambda strength: simulate.GaussianImpurity(strength, 0.3),
        lambda strength: simulate.ClusterImpurity.trimer(0.5, strength),
    ],
)
def test_the_unitary_limit_knows_no_sign(make):
    repulsive, attractive = kernel(RASHBA, make(1e6)), kernel(RASHBA, make(-1e6))
    np.testing.assert_allclose(repulsive, attractive, atol=1e-4 * abs(repulsive).max())
    assert abs(repulsive).max() > 1e-3
    moderate = kernel(RASHBA, make(1.0)), kernel(RASHBA, make(-1.0))
    assert abs(moderate[0] - moderate[1]).max() > 0.1 * abs(moderate[0]).max()


def test_a_repulsive_potential_pushes_electrons_away():
    """Where the real part of g g is positive the density falls: at the defect, well below E_F."""
    weak = kernel(simulate.SquareBand(0.1, 0.6), 1e-3, bias=-0.3)
    assert weak[12, 12] < 0
    shifted = kernel(simulate.SquareBand(0.1, 0.6), -1e-3, bias=-0.3)
    assert shifted[12, 12] > 0


def test_the_absolute_value_is_that_of_the_closed_form():
    """``rho_0 / 2 Re{(exp(2 i delta) - 1) H0(k r)^2}`` in absolute units, Crommie et al. 1993.

    The closed form's rho_0 is that of sharp states; broadened ones have lost those that their
    width moves below the band's bottom, and T, which is 1 / rho_0, is as much larger.
    """
    band, energy, broadening, delta = simulate.ParabolicBand(0.41, -0.437), 0.05, 0.02, 0.7
    found = simulate.single_defect(
        band,
        bias=energy,
        pixel_nm=0.1,
        shape=(161, 161),
        impurity=simulate.PhaseShiftImpurity(delta),
        broadening=broadening,
    )
    radius = np.hypot(found.y, found.x).values
    ring = (radius > 0.5) & (radius < 8)
    density = band.mass / (4 * np.pi * HBAR2_OVER_2M)
    wave = hankel1(0, band.wave_number(energy, broadening) * radius[ring])
    expected = density / 2 * ((np.exp(2j * delta) - 1) * wave**2).real
    assert np.corrcoef(found.values[ring], expected)[0, 1] > 0.99999
    ratio = (found.values[ring] @ expected) / (expected @ expected)
    lost = 0.5 + np.arctan((energy - band.onset) / broadening) / np.pi
    assert ratio == pytest.approx(1, abs=0.02)
    assert ratio * lost == pytest.approx(1, abs=5e-4)


def test_a_black_dot_absorbs_what_reaches_it():
    elastic, absorbing = (
        simulate.PhaseShiftImpurity(np.pi / 2, amplitude) for amplitude in (1.0, 0.0)
    )
    # exp(2 i delta) - 1 is -2 and -1.
    np.testing.assert_allclose(kernel(SURFACE, elastic), 2 * kernel(SURFACE, absorbing))
    np.testing.assert_allclose(
        kernel(SURFACE, absorbing), kernel(SURFACE, simulate.PhaseShiftImpurity(0.3, 0.0))
    )
    for amplitude in (-0.1, 1.1):
        with pytest.raises(ValueError, match="between 0"):
            simulate.PhaseShiftImpurity(0.3, amplitude)


@pytest.mark.parametrize(
    ("band", "orbital"),
    [
        (SURFACE, None),
        (RASHBA, None),
        (simulate.NematicPockets(), 1),
        (simulate.NematicPockets(), None),
        (simulate.CuprateSuperconductor(gap=0.1, lattice_nm=0.8), None),
        (simulate.GrapheneBand(2.7, 0.8), 1),
    ],
)
@pytest.mark.parametrize("phase", [0.02, -1.0, np.pi / 2])
def test_phase_shifts_conserve_particles(band, orbital, phase):
    impurity = simulate.PhaseShiftImpurity(phase, orbital=orbital)
    green = local(band, [0.02, 0.05], 0.02, 64, 0.3, impurity)
    t_matrix = impurity.t_matrix(band, green)
    # The optical theorem, T - T^+ = T^+ (g - g^+) T.
    lost = t_matrix.mH @ (green - green.mH) @ t_matrix
    close = 1e-9 * float(t_matrix.abs().max())
    torch.testing.assert_close(t_matrix - t_matrix.mH, lost, rtol=1e-6, atol=close)
    assert float(t_matrix.abs().max()) > 1e-3


@pytest.mark.parametrize(
    "band",
    [SURFACE, RASHBA, simulate.CuprateSuperconductor(gap=0.08, lattice_nm=0.9)],
    ids=["metal", "spins", "superconductor"],
)
def test_a_small_phase_shift_is_a_weak_attractive_potential(band):
    """In a superconductor holes are repelled: a phase shift is a potential, not a moment."""
    shifted = kernel(band, simulate.PhaseShiftImpurity(1e-3))
    weak = kernel(band, -1e-3)
    if band is not SURFACE and band is not RASHBA:
        magnetic = kernel(band, simulate.MagneticImpurity(-1e-3))
        assert np.corrcoef(shifted.ravel(), magnetic.ravel())[0, 1] < 0.9
    assert np.corrcoef(shifted.ravel(), weak.ravel())[0, 1] > 0.999


def test_an_orbital_without_states_does_not_scatter():
    band = simulate.NematicPockets(hole_top=0.3, electron_bottom=-0.3)
    impurity = simulate.PhaseShiftImpurity(0.5)
    empty = torch.diag(torch.tensor([-1j, 0.0], dtype=torch.complex128))[None]
    t_matrix = impurity.t_matrix(band, empty)[0]
    assert t_matrix.isfinite().all()
    assert t_matrix[1, 1] == 0
    assert abs(t_matrix[0, 0]) == pytest.approx(np.sin(0.5))


def test_one_orbital_leaves_the_other_alone():
    pockets = simulate.NematicPockets(0.5, 1.5, 1.0, 0.4, 0.3, -0.3)
    both, holes, electrons = (
        kernel(pockets, simulate.PointImpurity(1.0, orbital)) for orbital in (None, 0, 1)
    )
    np.testing.assert_allclose(both, holes + electrons, atol=1e-12)
    assert np.corrcoef(holes.ravel(), electrons.ravel())[0, 1] < 0.99
    both = kernel(pockets, simulate.PointImpurity(1.0, (0, 1)))
    np.testing.assert_allclose(both, holes + electrons, atol=1e-12)


def test_a_moment_and_its_opposite_look_alike_where_time_reversal_holds():
    for band in (RASHBA, DIRAC, simulate.BismuthTellurideIodide()):
        up, down = (kernel(band, simulate.MagneticImpurity(exchange)) for exchange in (1.0, -1.0))
        np.testing.assert_allclose(up, down, atol=1e-9 * abs(up).max())
        both = kernel(band, simulate.MagneticImpurity(1.0, 0.5))
        assert abs(both - up).max() > 0.01 * abs(up).max()
    assert simulate.MagneticImpurity(1.0, 0.5).scaled(-2) == simulate.MagneticImpurity(-2.0, -1.0)


def test_a_moment_splits_the_spins_of_a_superconductor():
    band = simulate.CuprateSuperconductor(gap=0.08, lattice_nm=0.9)
    up, down = (kernel(band, simulate.MagneticImpurity(exchange)) for exchange in (0.5, -0.5))
    assert abs(up - down).max() > 0.1 * abs(up).max()


@pytest.mark.parametrize(
    ("band", "impurity", "reason"),
    [
        (SURFACE, simulate.MagneticImpurity(1.0), "ParabolicBand has no spin"),
        (simulate.RotatedBand(SURFACE, 3.0), simulate.MagneticImpurity(1.0), "no spin"),
        (SURFACE, simulate.PointImpurity(1.0, orbital=1), "orbitals 0 to 0"),
        (RASHBA, simulate.PhaseShiftImpurity(1.0, orbital=2), "orbitals 0 to 1"),
        (RASHBA, simulate.PointImpurity(1.0, orbital=-1), "orbitals 0 to 1"),
        (simulate.GrapheneBand(2.7, 0.9), 1.0, "different places"),
        (simulate.GrapheneBand(2.7, 0.9), simulate.PhaseShiftImpurity(1.0), "different places"),
        (
            simulate.GrapheneBand(2.7, 0.9),
            simulate.ClusterImpurity.trimer(0.9, 1.0),
            "choose those of one place with orbital",
        ),
        (simulate.SquareBand(0.1, 0.6), simulate.GaussianImpurity(1.0, 0.3), "no width"),
        (simulate.SquareBand(0.1, 0.6), simulate.ClusterImpurity.trimer(0.1, 1.0), "share a lat"),
        (SURFACE, simulate.PointImpurity(np.inf), "no finite T-matrix"),
        (SURFACE, simulate.PointImpurity(np.nan), "no finite T-matrix"),
    ],
)
def test_impurities_that_do_not_suit_the_band_are_refused(band, impurity, reason):
    with pytest.raises(SimulationError, match=reason):
        kernel(band, impurity, broadening=0.1)


def test_numbers_are_point_potentials():
    for number in (1, 1.0, np.float32(1), np.int64(1)):
        assert as_impurity(number) == simulate.PointImpurity(1.0)
    np.testing.assert_array_equal(kernel(SURFACE, 0), 0.0)
    for centres, strengths, width in (
        ((), (), 0.0),
        (((0, 0),), (1, 2), 0.0),
        (((0, 0),), (1,), -1),
    ):
        with pytest.raises(ValueError, match="one strength per centre"):
            simulate.ClusterImpurity(centres, strengths, width)


def test_a_width_is_not_negative():
    with pytest.raises(ValueError, match="must not be negative"):
        simulate.GaussianImpurity(1.0, -0.1)
