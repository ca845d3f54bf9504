"""Bands of one's own: functions of the momentum, their sites, spins and tips."""

import numpy as np
import pytest
import torch

from qpi_kernels import simulate
from qpi_kernels.simulate.bands import HBAR2_OVER_2M, HamiltonianError, SimulationError


def momenta(count=7, largest=9.0, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).uniform(-largest, largest, (2, count)))


def graphene_function(kx, ky):
    bond = 0.246 / 3**0.5
    hop = -2.7 * (np.exp(1j * bond * ky) + 2 * np.cos(0.123 * kx) * np.exp(-0.5j * bond * ky))
    zero = np.zeros_like(hop)
    return np.stack([np.stack([zero, hop], -1), np.stack([hop.conj(), zero], -1)], -2)


@pytest.mark.parametrize(
    ("ours", "custom", "impurity", "pixel_nm"),
    [
        (
            simulate.ParabolicBand(0.4, -0.1),
            simulate.CustomBand(lambda kx, ky: -0.1 + HBAR2_OVER_2M / 0.4 * (kx**2 + ky**2)),
            simulate.PointImpurity(1.0),
            0.3,
        ),
        (
            simulate.GrapheneBand(),
            simulate.CustomBand(
                graphene_function,
                lattice_nm=simulate.GrapheneBand().lattice,
                tip_channels=[[1.0, 1.0]],
            ),
            simulate.PointImpurity(1.0, orbital=1),
            0.07,
        ),
    ],
    ids=["parabolic", "graphene"],
)
def test_a_band_of_ones_own_gives_the_same_kernel(ours, custom, impurity, pixel_nm, monkeypatch):
    kx, ky = momenta(largest=30.0)
    torch.testing.assert_close(custom.hamiltonian(kx, ky), ours.hamiltonian(kx, ky))
    assert custom.hamiltonian(kx.float(), ky.float()).dtype in (torch.float32, torch.complex64)
    monkeypatch.setattr("qpi_kernels.simulate.scattering.ldos.box_pixels", lambda *_: 128)
    first, second = (
        simulate.single_defect(
            band,
            bias=0.3,
            pixel_nm=pixel_nm,
            shape=(31, 31),
            impurity=impurity,
            broadening=0.1,
            tip_nm=1.4 * pixel_nm,
        ).values
        for band in (ours, custom)
    )
    np.testing.assert_allclose(first, second, atol=1e-10 * abs(first).max())


@pytest.mark.parametrize(
    ("options", "error", "reason"),
    [
        (dict(function=lambda kx, ky: 1.0), ValueError, r"it gave \(\)"),
        (dict(function=lambda kx, ky: np.zeros((2, 2, len(kx)))), ValueError, "followed by"),
        (dict(function=lambda kx, ky: np.zeros((len(kx), 2, 3))), ValueError, "followed by"),
        (dict(function=lambda kx, ky: kx, lattice_nm=[1, 2]), ValueError, "two independent"),
        (dict(function=lambda kx, ky: kx, lattice_nm=np.ones((2, 2))), ValueError, "two indep"),
        (dict(function=lambda kx, ky: 1j * kx), HamiltonianError, "Hermitian"),
        (dict(function=lambda kx, ky: np.nan * kx), HamiltonianError, "finite"),
        (
            dict(function=lambda kx, ky: np.cos(4.0 * kx), lattice_nm=3 * np.eye(2) / 10),
            HamiltonianError,
            "lattice_nm in nm",
        ),
        (
            dict(function=lambda kx, ky: kx, magnetic_potential=np.eye(2)),
            ValueError,
            "magnetic_potential must be 1 x 1",
        ),
    ],
)
def test_functions_that_are_no_hamiltonian_are_told_why(options, error, reason):
    with pytest.raises(error, match=reason):
        simulate.CustomBand(**options)


def test_tip_channels_and_magnetic_potential_of_ones_own():
    def spins(kx, ky):
        return (kx**2 + ky**2)[..., None, None] * 0.1 * np.eye(2)

    band = simulate.CustomBand(
        spins, tip_channels=[[0.0, 1.0]], magnetic_potential=[[1, 0], [0, -1]]
    )
    torch.testing.assert_close(band.channels, torch.tensor([[0.0, 1.0]], dtype=torch.float64))
    options = dict(bias=0.2, pixel_nm=0.3, shape=(15, 15), broadening=0.02)
    down = simulate.single_defect(band, impurity=simulate.MagneticImpurity(1.0), **options)
    scalar = simulate.single_defect(band, impurity=-1.0, **options)
    np.testing.assert_allclose(down, scalar)
    plain = simulate.CustomBand(spins)
    with pytest.raises(SimulationError, match="no spin"):
        simulate.single_defect(plain, impurity=simulate.MagneticImpurity(1.0), **options)
    wrong = simulate.CustomBand(spins, tip_channels=[1.0, 1.0])
    with pytest.raises(ValueError, match=r"tip_channels must be \(channel, 2\)"):
        simulate.single_defect(wrong, impurity=1.0, **options)


def test_a_hole_band_is_that_of_the_same_function():
    """Its waves run against their momentum, and must be damped outwards all the same."""
    options = dict(bias=0.0, pixel_nm=0.3, shape=(41, 41), impurity=1.0, broadening=0.006)
    scale = simulate.bands.HBAR2_OVER_2M / -0.4
    custom = simulate.CustomBand(lambda kx, ky: 0.1 + scale * (kx**2 + ky**2))
    holes = simulate.ParabolicBand(mass=-0.4, onset=0.1)
    first, second = (simulate.single_defect(band, **options).values for band in (holes, custom))
    np.testing.assert_allclose(first, second, atol=2e-3 * abs(second).max())
    assert holes.wave_number(0.0, 0.006).imag > 0


def test_a_band_of_ones_own_may_change():
    """Only bands that can not change are remembered."""

    class Hill(simulate.bands.SingleBand):
        height = 0.1

        def energy(self, kx, ky):
            return self.height * (kx**2 + ky**2)

    hill = Hill()
    before = hill.largest_velocity(0.3, 0.01, 0.5)
    hill.height = 0.4
    assert hill.largest_velocity(0.3, 0.01, 0.5) == pytest.approx(2 * before, rel=0.3)
