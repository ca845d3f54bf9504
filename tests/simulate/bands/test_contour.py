"""How far the waves of a band reach: speeds on the contour, damping, and gaps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qpi_kernels import simulate
from qpi_kernels.simulate.bands import HBAR2_OVER_2M, Band, SimulationError
from qpi_kernels.simulate.bands.contour import find_contour
from qpi_kernels.simulate.bands.lattice_vectors import reciprocal


@pytest.mark.parametrize(
    ("band", "energy", "expected"),
    [
        (simulate.EllipticBand(0.4, 1.2, -0.1), 0.2, 2 * (HBAR2_OVER_2M / 0.4 * 0.3) ** 0.5),
        (
            simulate.RashbaBand(0.4, 0.0, 0.03),
            0.2,
            (0.03**2 + 4 * HBAR2_OVER_2M / 0.4 * 0.2) ** 0.5,
        ),
        (simulate.DiracBand(0.3, 0.0), 0.2, 0.3),
        (simulate.GrapheneBand(), 0.2, 3**0.5 / 2 * 2.7 * 0.246),
        (simulate.SquareBand(0.1, 0.4), 0.0, 2 * 2**0.5 * 0.1 * 0.4),
    ],
    ids=["elliptic", "rashba", "dirac", "graphene", "square"],
)
def test_speeds_are_those_of_the_contour(band, energy, expected):
    found = band.largest_velocity(energy, 1e-6, 0.3)
    # The mesh's cells that the contour crosses reach a little beyond it.
    assert 0.98 * expected < found < 1.3 * expected
    assert simulate.RotatedBand(band, 30.0).largest_velocity(energy, 1e-6, 0.3) == found


def test_pockets_of_very_different_speeds_do_not_hide_each_other():
    pockets = simulate.NematicPockets(0.036, 0.29, 0.022, 0.0029, 0.154, -0.261)
    fastest = 2 * (HBAR2_OVER_2M / 0.0029 * 0.261) ** 0.5
    assert pockets.largest_velocity(0.0, 1e-6, 0.625) > 0.95 * fastest


@given(
    energy=st.floats(-0.3, 0.3),
    broadening=st.floats(1e-3, 0.1),
    mass=st.floats(0.1, 2.0),
    pixel_nm=st.floats(0.15, 0.5),
)
@settings(max_examples=40, deadline=None)
def test_damping_is_never_overestimated_by_much(energy, broadening, mass, pixel_nm):
    band = simulate.ParabolicBand(mass, 0.0)
    exact = band.smallest_damping(energy, broadening, pixel_nm)
    found = Band.smallest_damping(band, energy, broadening, pixel_nm)
    assert exact / 60 < found < 1.15 * exact


@pytest.mark.parametrize("depth", [0.0, 0.002, 0.02, 0.1])
def test_waves_beyond_a_band_edge_are_damped_by_their_distance_to_it(depth):
    broadening = 0.003
    dirac = simulate.CustomBand(
        lambda kx, ky: np.stack(
            [
                np.stack([0.1 + 0 * kx, 0.3 * (kx - 1j * ky)], -1),
                np.stack([0.3 * (kx + 1j * ky), -0.1 + 0 * kx], -1),
            ],
            -2,
        )
    )
    energy = 0.1 - depth
    exact = (np.sqrt((energy + 1j * broadening) ** 2 - 0.1**2) / 0.3).imag
    found = dirac.smallest_damping(energy, broadening, 0.3)
    assert exact / 12 < found < 1.1 * exact


def test_a_contour_smaller_than_the_mesh_is_no_gap():
    graphene = simulate.GrapheneBand()
    for energy in (0.0, 0.01, -0.03):
        expected = 0.01 / (3**0.5 / 2 * 2.7 * 0.246)
        assert graphene.smallest_damping(energy, 0.01, 0.1) == pytest.approx(expected, rel=0.05)
    span = reciprocal(graphene.lattice)
    assert find_contour(graphene.hamiltonian, span, 0.01, 0.01).distance == 0
    gapped = simulate.GrapheneBand(gap=0.2)
    assert find_contour(gapped.hamiltonian, span, 0.0, 0.01).distance == pytest.approx(0.1, rel=0.1)
    assert find_contour(gapped.hamiltonian, span, 10.0, 0.01).distance == pytest.approx(
        10 - (8.1**2 + 0.1**2) ** 0.5, rel=0.01
    )


@pytest.mark.parametrize(
    "band",
    [
        simulate.ParabolicBand.copper(),
        simulate.EllipticBand(0.4, 0.5, -0.435),
        simulate.RotatedBand(simulate.EllipticBand(0.4, 0.5, -0.435), 20.0),
        simulate.RotatedBand(simulate.ParabolicBand.copper(), 20.0),
    ],
)
def test_waves_too_short_for_the_pixels_are_refused(band):
    band.smallest_damping(0.0, 0.01, 0.5)
    with pytest.raises(SimulationError, match="smaller pixels"):
        band.smallest_damping(0.0, 0.01, 6.25)
    band.smallest_damping(-0.5, 0.01, 6.25)  # below the band waves are long
