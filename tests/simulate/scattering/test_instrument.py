"""Energy resolution and set-point effect."""

import numpy as np
import pytest
from scipy.special import hankel1

from qpi_kernels import simulate
from qpi_kernels.simulate.scattering.instrument import EnergyResolution, SetPoint

SURFACE = simulate.ParabolicBand(0.4, -0.3)
OPTIONS = dict(pixel_nm=0.4, shape=(21, 21), impurity=1.0, tip_nm=0.4)


def kernel(bias, broadening=0.04, **options):
    return simulate.single_defect(
        SURFACE, bias=bias, broadening=broadening, **OPTIONS | options
    ).values


def drawn_energies(kelvin, volt, count=400_000):
    """Draw energies of a Fermi edge's derivative and of a modulation's semicircle."""
    rng = np.random.default_rng(0)
    radius, angle = np.sqrt(rng.uniform(size=count)), rng.uniform(0, 2 * np.pi, count)
    # One coordinate of points that fill a disc is distributed as a semicircle.
    swing = np.sqrt(2) * volt * radius * np.cos(angle)
    return swing + 8.617333e-5 * kelvin * rng.logistic(size=count)


@pytest.mark.parametrize("instrument", [(4.2, 0.0), (0.0, 2e-3), (4.2, 2e-3), (20.0, 2e-3)])
@pytest.mark.parametrize("broadening", [5e-4, 2e-3])
def test_nodes_are_those_of_a_fermi_edge_and_a_sinusoidal_modulation(instrument, broadening):
    resolution, drawn = EnergyResolution(*instrument), drawn_energies(*instrument)
    offsets, weights = resolution.nodes(broadening)
    assert resolution.sigma_eV == pytest.approx(drawn.std(), rel=0.01)
    assert weights.sum() == pytest.approx(1)
    assert np.diff(offsets).max() <= broadening / 2
    assert weights @ offsets == pytest.approx(0, abs=1e-12)
    assert np.sqrt(weights @ offsets**2) == pytest.approx(resolution.sigma_eV)
    # A state as wide as the broadening shows its own shape.
    at = np.linspace(0, 3, 7) * resolution.sigma_eV
    state = 1 / (np.subtract.outer(at, offsets) ** 2 + broadening**2)
    expected = [(1 / ((one - drawn) ** 2 + broadening**2)).mean() for one in at]
    np.testing.assert_allclose(state @ weights, expected, rtol=0.02)


def test_a_width_far_below_the_broadening_needs_one_energy():
    assert len(EnergyResolution(0.1).nodes(0.01).offsets) == 1
    assert len(EnergyResolution(300.0, 0.1).nodes(1e-6).offsets) <= 401


def test_resolution_is_the_average_over_energies():
    resolution = EnergyResolution(60.0, 5e-3)
    offsets, weights = resolution.nodes(0.04)
    expected = np.einsum("eyx,e->yx", kernel(0.05 + offsets), weights)
    np.testing.assert_allclose(kernel(0.05, resolution=resolution), expected, rtol=1e-9, atol=1e-14)
    np.testing.assert_array_equal(kernel(0.05, resolution=EnergyResolution.none()), kernel(0.05))


def test_rings_are_damped_by_the_spread_of_wave_numbers():
    """The phase 2 k r of a ring turns by 2 r sigma dk/dE within the width."""
    band, energy, broadening = simulate.ParabolicBand(0.4, -0.065), 0.02, 0.008
    resolution = EnergyResolution(0.0, 6e-3)
    options = dict(
        bias=energy,
        pixel_nm=0.4,
        shape=(3, 131),
        impurity=simulate.PhaseShiftImpurity(0.8),
        broadening=broadening,
    )
    sharp, blurred = (
        simulate.single_defect(band, resolution=which, **options) for which in (None, resolution)
    )
    sigma = 6e-3 / np.sqrt(2)
    k = band.wave_number(energy, broadening)
    slowness = (band.wave_number(energy + 1e-5).real - band.wave_number(energy - 1e-5).real) / 2e-5
    for near, far in ((4.0, 9.0), (9.0, 16.0), (16.0, 24.0)):
        ring = (sharp.x.values > near) & (sharp.x.values < far)
        radius = sharp.x.values[ring]
        envelope = abs(hankel1(0, k * radius)) ** 2
        sizes = [np.std(found.values[1, ring] / envelope) for found in (sharp, blurred)]
        expected = np.exp(-((2 * slowness * sigma * radius) ** 2) / 2)
        assert sizes[1] / sizes[0] == pytest.approx(np.sqrt((expected**2).mean()), rel=0.12)


# --- set-point ---


@pytest.mark.parametrize("bias", [0.2, -0.15])
def test_at_constant_current_the_current_does_not_change(bias):
    setpoint = SetPoint(bias)
    energies = setpoint.energies(0.04)
    assert energies[0] == 0
    assert energies[-1] == bias
    assert abs(np.diff(energies)).max() <= 0.04
    stack = kernel(energies, setpoint=setpoint)
    free = kernel(energies)
    current, free_current = (np.trapezoid(values, energies, axis=0) for values in (stack, free))
    assert abs(current).max() < 1e-9 * abs(free_current).max()


def test_the_set_point_adds_one_pattern_to_all_energies():
    """It is the topography: the same in space at every bias, as strong as the clean density."""
    energies = np.array([-0.25, -0.1, 0.05, 0.2])
    added = kernel(energies, setpoint=SetPoint(0.2)) - kernel(energies)
    flat = added.reshape(4, -1)
    values = np.linalg.svd(flat, compute_uv=False)
    assert values[1] < 1e-9 * values[0]
    followed = np.trapezoid(kernel(SetPoint(0.2).energies(0.04)), axis=0)
    assert abs(np.corrcoef(followed.ravel(), flat[0])[0, 1]) == pytest.approx(1)
    # Free electrons have one density at all energies; of short waves the tip sees less.
    seen = [np.exp(-((SURFACE.wave_number(energy).real * 0.4) ** 2)) for energy in energies[2:]]
    np.testing.assert_allclose(flat[3] / flat[2], seen[1] / seen[0], rtol=0.03)
    assert np.corrcoef(flat[0], flat[2])[0, 1] == pytest.approx(1)


def test_other_set_points_add_other_rings():
    added = [kernel(0.0, setpoint=SetPoint(bias)) - kernel(0.0) for bias in (0.05, 0.6)]
    assert np.corrcoef(added[0].ravel(), added[1].ravel())[0, 1] < 0.99


def test_set_point_and_resolution_work_together():
    resolution = EnergyResolution(60.0)
    found = kernel([0.0, 0.1], resolution=resolution, setpoint=SetPoint(0.1))
    added = found - kernel([0.0, 0.1], resolution=resolution)
    plain = kernel([0.0, 0.1], setpoint=SetPoint(0.1)) - kernel([0.0, 0.1])
    np.testing.assert_allclose(added, plain, rtol=0.05)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: SetPoint(0.0), "must not be zero"),
        (lambda: EnergyResolution(-1.0), "not be negative"),
        (lambda: EnergyResolution(1.0, -1e-3), "not be negative"),
    ],
)
def test_bad_numbers_are_refused(make, reason):
    with pytest.raises(ValueError, match=reason):
        make()
