"""Band models: formulas, symmetries, directions and sites."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qpi_kernels import simulate
from qpi_kernels.simulate.bands import HBAR2_OVER_2M, SimulationError
from qpi_kernels.simulate.bands.lattice_vectors import nearest_lattice_vectors, reciprocal

BANDS = {
    "parabolic": simulate.ParabolicBand.silver(),
    "elliptic": simulate.EllipticBand(0.4, 1.2, -0.1),
    "warped": simulate.WarpedBand(0.4, -0.1, fold=6, warping=0.3),
    "warped, odd": simulate.WarpedBand(0.4, -0.1, fold=3, warping=0.3),
    "pockets": simulate.NematicPockets(),
    "square": simulate.SquareBand(0.1, 0.4, diagonal=-0.02),
    "triangular": simulate.TriangularBand.niobium_diselenide(),
    "graphene": simulate.GrapheneBand(gap=0.3),
    "rashba": simulate.RashbaBand.gold(),
    "dirac": simulate.DiracBand.bismuth_telluride(),
    "BiTeI": simulate.BismuthTellurideIodide(),
    "cuprate": simulate.CuprateSuperconductor(),
    "turned": simulate.RotatedBand(simulate.GrapheneBand(gap=0.3), 17.0),
}
every_band = pytest.mark.parametrize("band", BANDS.values(), ids=BANDS)


def momenta(count=7, largest=9.0, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).uniform(-largest, largest, (2, count)))


def matrices(band, kx, ky):
    """H as (..., m, m) numpy."""
    return band.hamiltonian(kx, ky).movedim((0, 1), (-2, -1)).numpy()


def energies(band, kx, ky):
    """Sorted, (..., m)."""
    kx, ky = (torch.as_tensor(np.asarray(k, float)) for k in (kx, ky))
    return np.linalg.eigvalsh(matrices(band, kx, ky))


@every_band
def test_h_is_hermitian_and_repeats_with_the_lattice(band):
    kx, ky = momenta()
    found = matrices(band, kx, ky)
    assert found.shape == (7, band.orbitals, band.orbitals)
    np.testing.assert_allclose(found, found.conj().swapaxes(-2, -1), atol=1e-12)
    if band.lattice is not None:
        turns = reciprocal(band.lattice) @ band.lattice.T / (2 * np.pi)
        np.testing.assert_allclose(turns, np.eye(2), atol=1e-12)
        for x, y in reciprocal(band.lattice):
            moved = energies(band, kx + x, ky + y)
            np.testing.assert_allclose(moved, energies(band, kx, ky), atol=1e-9)


@every_band
def test_waves_return_as_they_went_out_exactly_where_the_band_says_so(band):
    kx, ky = momenta()
    there, back = matrices(band, kx, ky), matrices(band, -kx, -ky)
    assert np.allclose(back, there.swapaxes(-2, -1), atol=1e-12) == band.reciprocity


@every_band
@pytest.mark.parametrize("angle", [90.0, 23.0])
def test_turning_goes_from_columns_to_rows(band, angle):
    turned = simulate.RotatedBand(band, angle)
    kx, ky = momenta()
    cosine, sine = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    # The state at k is now at k turned from +x towards +y.
    there = turned.hamiltonian(cosine * kx - sine * ky, sine * kx + cosine * ky)
    torch.testing.assert_close(there, band.hamiltonian(kx, ky))
    if band.lattice is not None:
        expected = band.lattice @ np.array([[cosine, sine], [-sine, cosine]])
        np.testing.assert_allclose(turned.lattice, expected)
    torch.testing.assert_close(turned.channels, band.channels)
    assert turned.orbitals == band.orbitals


def test_free_electrons_have_their_wave_numbers():
    silver = simulate.ParabolicBand.silver()
    assert silver.wave_number(0.0).real == pytest.approx(0.81, abs=0.005)  # Ag(111), 1/nm
    k = silver.wave_number(0.1, 0.02)
    assert silver.onset + HBAR2_OVER_2M / silver.mass * k**2 == pytest.approx(0.1 + 0.02j)
    assert energies(silver, [k.real], [0.0])[0, 0] == pytest.approx(0.1, abs=1e-3)
    ellipse = simulate.EllipticBand(mass_x=1.0, mass_y=0.25, onset=0.0)
    np.testing.assert_allclose(energies(ellipse, [1.0, 0.0], [0.0, 0.5]), HBAR2_OVER_2M)


@pytest.mark.parametrize("fold", [2, 3, 4, 6])
def test_warped_contours_follow_the_cosine(fold):
    band = simulate.WarpedBand(0.5, -0.1, fold, 0.3)
    angle = np.linspace(0, 2 * np.pi, 25)
    found = energies(band, 2 * np.cos(angle), 2 * np.sin(angle))[:, 0]
    expected = -0.1 + HBAR2_OVER_2M / 0.5 * 4 * (1 + 0.3 * np.cos(fold * angle))
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert energies(band, 0.0, 0.0)[0] == -0.1


def test_the_triangular_lattice_has_its_shells():
    for shell, (length, count) in enumerate(
        [(1, 6), (3**0.5, 6), (2, 6), (7**0.5, 12), (3, 6)], start=1
    ):
        further = tuple(float(n == shell) for n in range(2, 6))
        band = simulate.TriangularBand(float(shell == 1), 0.4, further=further)
        radius = length * 0.4
        # Long waves see the number of neighbours and their distance: E = -z + z (k r)^2 / 4.
        k = 1e-2
        assert energies(band, 0.0, 0.0)[0] == pytest.approx(-count)
        for x, y in ((k, 0.0), (0.0, k), (0.6 * k, 0.8 * k)):
            assert energies(band, x, y)[0] + count == pytest.approx(
                count * (k * radius) ** 2 / 4, rel=1e-3
            )
    band = simulate.TriangularBand(0.1, 0.4)
    corner = 4 * np.pi / 3 / 0.4
    assert energies(band, corner, 0.0)[0] == pytest.approx(0.3)
    assert energies(band, 0.0, 2 * np.pi / 3**0.5 / 0.4)[0] == pytest.approx(0.2)


def test_graphene_has_dirac_points_and_an_a_site_above_its_b_neighbour():
    band = simulate.GrapheneBand()
    corner, step = 4 * np.pi / 3 / 0.246, 1e-3
    np.testing.assert_allclose(energies(band, corner, 0.0), 0, atol=1e-9)
    velocity = 3**0.5 / 2 * 2.7 * 0.246
    np.testing.assert_allclose(energies(band, corner, step)[1] / step, velocity, rtol=1e-3)
    np.testing.assert_allclose(energies(band, 0.0, 0.0), [-3 * 2.7, 3 * 2.7])
    np.testing.assert_allclose(
        energies(simulate.GrapheneBand(gap=0.4, centre=0.1), corner, 0.0), [-0.1, 0.3], atol=1e-9
    )
    # The hop from A to B straight down carries exp(i k_y bond) alone where the other two cancel.
    bond = 0.246 / 3**0.5
    hop = matrices(band, *torch.tensor([[np.pi / 0.246], [0.7]]))[0, 0, 1]
    assert hop == pytest.approx(-2.7 * np.exp(0.7j * bond))


def test_spin_bands_split_as_their_formulas_say():
    rashba = simulate.RashbaBand(0.255, -0.487, 0.033)
    kinetic = -0.487 + HBAR2_OVER_2M / 0.255
    np.testing.assert_allclose(
        energies(rashba, 0.6, 0.8), [kinetic - 0.033, kinetic + 0.033], rtol=1e-9
    )
    dirac = simulate.DiracBand(0.255, 0.25, -0.3)
    angle = np.linspace(0, 2 * np.pi, 13)
    found = energies(dirac, 1.1 * np.cos(angle), 1.1 * np.sin(angle))[:, 1]
    warped = 0.25 * 1.1**3 * np.cos(3 * angle)
    np.testing.assert_allclose(found, -0.3 + np.hypot(0.255 * 1.1, warped))
    # The numbers of the source, in Angstrom, at k = 0.1/A along y, where the warping is largest.
    bitei = energies(simulate.BismuthTellurideIodide(), 0.0, 1.0)
    k = 0.1
    scalar = -0.352 + k**2 / (2 * 0.0168) * (1 - 2.03 * k**2 + 87.5 * k**4)
    split = np.hypot(3.13 * k * (1 - 2.01 * k**2 + 323 * k**4), 41.7 * k**3 * (1 + 2.43 * k**2))
    np.testing.assert_allclose(bitei, [scalar - split, scalar + split], rtol=1e-4)


def test_spin_bands_turn_the_spin_as_their_formulas_say():
    x, y, z = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
    kx, ky = 0.8, -0.5
    at = torch.tensor([[kx], [ky]], dtype=torch.float64)
    helical, warped = kx * y - ky * x, kx**3 - 3 * kx * ky**2
    found = matrices(simulate.DiracBand(0.255, 0.25, -0.3), *at)[0]
    np.testing.assert_allclose(found, -0.3 * np.eye(2) + 0.255 * helical + 0.25 * warped * z)
    kinetic = HBAR2_OVER_2M / 0.255 * (kx**2 + ky**2) - 0.487
    found = matrices(simulate.RashbaBand(0.255, -0.487, 0.033), *at)[0]
    np.testing.assert_allclose(found, kinetic * np.eye(2) + 0.033 * helical)


def test_the_cuprate_has_nodes_on_the_diagonal_and_its_gap_at_the_zone_edge():
    band = simulate.CuprateSuperconductor(gap=0.04)
    normal = simulate.CuprateSuperconductor(gap=0.0)
    edge = np.pi / band.lattice_nm
    assert matrices(band, *torch.tensor([[edge], [0.0]], dtype=torch.float64))[0, 0, 1] == (
        pytest.approx(-0.04)
    )
    epsilon = float(normal.energy(torch.tensor(edge), torch.tensor(0.0)))
    assert energies(band, edge, 0.0)[1] == pytest.approx(np.hypot(epsilon, 0.04), rel=1e-5)
    diagonal = np.linspace(0, edge, 2001)
    assert energies(band, diagonal, diagonal)[:, 1].min() < 1e-3
    # Norman et al. 1995: the saddle at (pi, 0) lies 34 meV below the Fermi level.
    assert epsilon == pytest.approx(-0.034, abs=1e-3)


def test_pockets_are_elongated_across_each_other():
    pockets = simulate.NematicPockets()
    axis = np.linspace(0.01, 2, 400)
    holes = [matrices(pockets, *k)[:, 0, 0] for k in _axes(axis)]
    electrons = [matrices(pockets, *k)[:, 1, 1] for k in _axes(axis)]
    hole_x, hole_y = (axis[np.argmax(along < 0)] for along in holes)
    electron_x, electron_y = (axis[np.argmax(along > 0)] for along in electrons)
    assert hole_y / hole_x == pytest.approx(2.0, rel=0.02)
    assert electron_x / electron_y == pytest.approx((3 / 0.8) ** 0.5, rel=0.02)


def _axes(axis):
    line, nothing = torch.from_numpy(axis), torch.zeros(len(axis), dtype=torch.float64)
    return (line, nothing), (nothing, line)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: simulate.WarpedBand(0.4, 0.0, 4, 1.0), "between -1 and 1"),
        (lambda: simulate.WarpedBand(0.4, 0.0, 1, 0.1), "at least 2"),
        (lambda: simulate.TriangularBand(0.1, 0.4, further=(0.1,) * 5), "at most 4"),
    ],
)
def test_bad_numbers_are_refused(make, reason):
    with pytest.raises(ValueError, match=reason):
        make()


def test_orbitals_of_several_places_are_no_site():
    graphene = simulate.GrapheneBand()
    assert graphene.site(1) == [1]
    for band in (graphene, simulate.RotatedBand(graphene, 10.0)):
        with pytest.raises(SimulationError, match="different places"):
            band.site(None)
        with pytest.raises(SimulationError, match="different places"):
            band.site((0, 1))
        with pytest.raises(SimulationError, match="orbitals 0 to 1"):
            band.site(2)
    assert simulate.CuprateSuperconductor().site(None) == [0, 1]
    assert simulate.NematicPockets().site((0, 1)) == [0, 1]
    for nonsense in (-1, (), (0, 0)):
        with pytest.raises(SimulationError, match="orbitals 0 to 1"):
            simulate.CuprateSuperconductor().site(nonsense)


@given(
    point=st.tuples(st.floats(-3, 3), st.floats(-3, 3)),
    opening=st.sampled_from([60.0, 90.0, 110.0, 120.0]),
    angle=st.floats(0, 360),
)
@settings(max_examples=60, deadline=None)
def test_the_nearest_lattice_vector_is_the_nearest(point, opening, angle):
    turn = np.deg2rad([angle, angle + opening])
    lattice = 0.5 * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    found = nearest_lattice_vectors(np.array([point]), lattice)[0]
    cells = np.stack(np.meshgrid(np.arange(-20, 21), np.arange(-20, 21)), -1).reshape(-1, 2)
    distance = np.linalg.norm(cells @ lattice - point, axis=1).min()
    assert np.linalg.norm(found - point) == pytest.approx(distance, abs=1e-6)
    np.testing.assert_allclose(np.rint(found @ np.linalg.inv(lattice)) @ lattice, found, atol=1e-9)


@pytest.mark.parametrize("mass", [0.0, np.nan, np.inf])
def test_a_parabola_needs_a_mass(mass):
    with pytest.raises(ValueError, match="mass not zero"):
        simulate.ParabolicBand(mass=mass, onset=0.0)
