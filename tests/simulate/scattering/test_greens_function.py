"""Green's functions against closed forms, and the box that waves need."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import hankel1

from qpi_kernels import simulate
from qpi_kernels.simulate.bands import HBAR2_OVER_2M, SimulationError
from qpi_kernels.simulate.scattering.greens_function import (
    Box,
    _round_up,
    box_pixels,
    greens_function,
    local_greens_function,
)

CPU = torch.device("cpu")


def local(band, energies, broadening, size, pixel_nm, centres=((0.0, 0.0),), width_nm=0.0):
    box = Box(size, pixel_nm, torch.float64, CPU)
    at = torch.tensor(np.atleast_1d(energies), dtype=torch.float64)
    where = torch.tensor(centres, dtype=torch.float64)
    return local_greens_function(band, at, broadening, box, where, width_nm).numpy()


def elliptic_integral(modulus):
    """Complete elliptic integral K of a complex modulus, by the arithmetic-geometric mean."""
    a, b = np.ones_like(modulus), np.sqrt(1 - modulus**2)
    for _ in range(40):
        a, b = (a + b) / 2, np.sqrt(a * b)
    return np.pi / (2 * a)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_greens_function_is_the_inverse(size, dtype):
    rng = np.random.default_rng(size)
    matrices = rng.standard_normal((7, size, size)) + 1j * rng.standard_normal((7, size, size))
    matrices = matrices + matrices.conj().swapaxes(-2, -1)
    expected = np.linalg.inv((0.3 + 0.1j) * np.eye(size) - matrices)
    kind = dtype.to_complex()
    hamiltonian = torch.from_numpy(matrices).to(kind).movedim((-2, -1), (0, 1))
    found = greens_function(hamiltonian, torch.tensor(0.3, dtype=dtype), 0.1)
    assert found.dtype == kind
    close = 1e-4 if dtype == torch.float32 else 1e-12
    np.testing.assert_allclose(found.movedim((0, 1), (-2, -1)), expected, rtol=close, atol=close)


@pytest.mark.parametrize("energy", [0.05, 0.2])
def test_free_electrons_have_a_constant_density(energy):
    band, broadening = simulate.ParabolicBand(0.4, -0.3), 0.06
    green = local(band, energy, broadening, 512, 0.1)[0, 0, 0]
    per_spin = band.mass / (4 * np.pi * HBAR2_OVER_2M)
    # What the states' width moves below the band's bottom is missing.
    expected = per_spin * (0.5 + np.arctan((energy + 0.3) / broadening) / np.pi)
    assert -green.imag / np.pi == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("energy", [-0.5, -0.39, -0.2, 0.0, 0.03, 0.3])
def test_the_square_lattice_gives_the_elliptic_integral(energy):
    hopping, lattice, broadening = 0.1, 0.4, 0.01
    band = simulate.SquareBand(hopping, lattice)
    z = energy + 1j * broadening
    expected = 2 / (np.pi * z) * elliptic_integral(4 * hopping / z) / lattice**2
    found = local(band, energy, broadening, 512, 0.2)[0, 0, 0]
    assert found == pytest.approx(expected, rel=2e-3)


def test_graphene_has_a_linear_density():
    band, broadening = simulate.GrapheneBand(), 0.03
    velocity = 3**0.5 / 2 * 2.7 * 0.246
    energies = np.array([-0.4, 0.2, 0.4, 0.6])
    green = local(band, energies, broadening, 1024, 0.1)
    density = -np.trace(green, axis1=1, axis2=2).imag / np.pi  # two valleys, one spin
    # |E| / (pi v^2) as a Lorentzian sees it; the cone ends where the band holds its two states.
    end = (3**0.5 * np.pi) ** 0.5 * 2.7
    seen = abs(energies) * 2 / np.pi * np.arctan(abs(energies) / broadening)
    seen += broadening / np.pi * np.log(end**2 / (energies**2 + broadening**2))
    np.testing.assert_allclose(density, seen / (np.pi * velocity**2), rtol=0.04)
    assert density[0] == pytest.approx(density[2], rel=1e-6)
    gapped = local(simulate.GrapheneBand(gap=1.0), 0.0, 0.01, 256, 0.1)
    assert -np.trace(gapped[0]).imag / np.pi < 0.1 * density[1]


@pytest.mark.parametrize(
    "band",
    [
        simulate.SquareBand(0.1, 0.4),
        simulate.TriangularBand(0.1, 0.4),
        simulate.RotatedBand(simulate.TriangularBand(0.1, 0.4), 12.0),
        simulate.CuprateSuperconductor(gap=0.1),
    ],
)
def test_a_lattice_does_not_know_of_pixels(band):
    coarse, fine, even_finer = (
        local(band, [-0.15, 0.05], 0.02, size, pixel)
        for size, pixel in ((256, 0.2), (512, 0.1), (1280, 0.05))
    )
    np.testing.assert_allclose(coarse, fine, atol=2e-3 * abs(fine).max())
    np.testing.assert_allclose(even_finer, fine, atol=2e-3 * abs(fine).max())


def test_waves_between_centres_are_hankel_functions():
    band = simulate.ParabolicBand(0.4, -0.3)
    centres = ((0.0, 0.0), (1.5, 0.0), (-0.3, 2.07))
    green = local(band, [0.0, 0.1], 0.06, 512, 0.1, centres)
    for number, energy in enumerate((0.0, 0.1)):
        for i, j in ((0, 1), (1, 0), (0, 2), (1, 2)):
            distance = np.hypot(*np.subtract(centres[i], centres[j]))
            k = band.wave_number(energy, 0.06)
            expected = -0.25j * band.mass / HBAR2_OVER_2M * hankel1(0, k * distance)
            assert green[number, i, j] == pytest.approx(expected, abs=0.02 * abs(expected))
    np.testing.assert_allclose(
        green[:, 0, 0], local(band, [0.0, 0.1], 0.06, 512, 0.1)[:, 0, 0], rtol=1e-9
    )


def test_a_form_factor_cuts_large_momenta_off():
    band, width = simulate.ParabolicBand(0.4, -0.3), 0.4
    fine, finer = (
        local(band, 0.0, 0.02, n, p, width_nm=width) for n, p in ((512, 0.1), (1024, 0.05))
    )
    assert fine[0, 0, 0] == pytest.approx(finer[0, 0, 0], rel=1e-3)
    point, finer_point = (local(band, 0.0, 0.02, n, p) for n, p in ((512, 0.1), (1024, 0.05)))
    assert abs(point - finer_point).max() > 0.05 * abs(point).max()
    # On the shell k_F the density has the form factor squared.
    k = band.wave_number(0.0).real
    expected = point[0, 0, 0].imag * np.exp(-((k * width) ** 2))
    assert fine[0, 0, 0].imag == pytest.approx(expected, rel=0.05)


def test_one_energy_and_many_give_the_same_bits(monkeypatch):
    monkeypatch.setattr("qpi_kernels.simulate.scattering.greens_function._ELEMENTS_AT_ONCE", 5000)
    band, centres = simulate.RashbaBand.gold(), ((0.0, 0.0), (1.0, 0.4))
    energies = np.linspace(-0.2, 0.2, 5)
    many = local(band, energies, 0.05, 96, 0.2, centres)
    for number, energy in enumerate(energies):
        np.testing.assert_array_equal(local(band, energy, 0.05, 96, 0.2, centres)[0], many[number])


@given(
    mass=st.floats(0.2, 1.0),
    energy=st.floats(0.05, 0.5),
    broadening=st.floats(0.02, 0.2),
    extent=st.integers(1, 300),
)
@settings(max_examples=50, deadline=None)
def test_the_box_is_as_large_as_waves_need_and_not_much_larger(mass, energy, broadening, extent):
    band = simulate.ParabolicBand(mass, 0.0)
    damping = band.wave_number(energy, broadening).imag
    size = box_pixels(band, energy, broadening, 0.2, extent)
    assert size * 0.2 * damping >= 5
    assert (size - extent) * 0.2 * damping >= 3
    assert size <= max(1.34 * max(5 / (0.2 * damping), extent + 3 / (0.2 * damping)), 8)
    assert size in {factor * 2**power for factor in (4, 5, 6, 7) for power in range(1, 11)}


@given(size=st.floats(1.0, 5000.0))
@example(16.000000000000004)
@example(16.0)
@example(9.0)
def test_sizes_are_rounded_up_by_a_quarter_at_most(size):
    found = _round_up(size)
    assert max(size - 1e-6, 8) <= found <= max(1.25 * size + 2, 8)


def test_boxes_beyond_the_memory_are_refused():
    silver = simulate.ParabolicBand.silver()
    with pytest.raises(SimulationError, match=r"reach .* nm.* raise the broadening"):
        box_pixels(silver, 0.0, 1e-6, 0.2, 9)
    with pytest.raises(SimulationError, match="smaller window"):
        box_pixels(silver, 0.0, 0.01, 0.2, 4000)
    many = simulate.CustomBand(
        lambda kx, ky: (kx**2 + ky**2)[..., None, None] * np.diag(np.linspace(0.1, 0.2, 40))
    )
    assert box_pixels(many, 0.1, 0.2, 0.2, 9) <= 204
    with pytest.raises(SimulationError, match="more than 204"):
        box_pixels(many, 0.1, 0.2, 0.2, 200)
    with pytest.raises(SimulationError, match="unit cells in a row"):
        local(simulate.SquareBand(0.1, 0.4), 0.1, 0.01, 4096, 0.5)
