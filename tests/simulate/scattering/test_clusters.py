"""Clusters of scatterers: multiple scattering, symmetry and direction."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import hankel1

from qpi_kernels import simulate
from qpi_kernels.simulate.bands import HBAR2_OVER_2M
from qpi_kernels.simulate.scattering.impurities import as_impurity
from qpi_kernels.symmetry import symmetry_scores
from shared.impurity_kernels import DIRAC, RASHBA, SURFACE, kernel, local


@pytest.mark.parametrize("band", [SURFACE, DIRAC, simulate.SquareBand(0.1, 0.6)])
def test_one_centre_is_a_point(band):
    cluster = simulate.ClusterImpurity(((0.0, 0.0),), (0.8,))
    np.testing.assert_allclose(kernel(band, cluster), kernel(band, 0.8), rtol=1e-9, atol=1e-15)


def test_one_wide_centre_is_a_gaussian():
    cluster = simulate.ClusterImpurity(((0.0, 0.0),), (0.8,), 0.5)
    gaussian = simulate.GaussianImpurity(0.8, 0.5)
    np.testing.assert_allclose(kernel(SURFACE, cluster), kernel(SURFACE, gaussian), rtol=1e-9)
    np.testing.assert_allclose(
        kernel(SURFACE, simulate.GaussianImpurity(0.8, 1e-4)), kernel(SURFACE, 0.8), rtol=1e-4
    )


def test_coincident_centres_add_up():
    pair = simulate.ClusterImpurity(((0.2, 0.1), (0.2, 0.1)), (0.5, 0.3))
    single = simulate.ClusterImpurity(((0.2, 0.1),), (0.8,))
    np.testing.assert_allclose(kernel(SURFACE, pair), kernel(SURFACE, single), rtol=1e-7)


@pytest.mark.parametrize(
    ("band", "pixel_nm", "rows", "cols"),
    [
        (SURFACE, 0.3, 3, -2),
        (DIRAC, 0.3, -4, 5),
        (simulate.SquareBand(0.1, 0.6), 0.3, 2, -4),
        (simulate.RotatedBand(simulate.SquareBand(0.1, 0.6), 90), 0.3, 2, -4),
    ],
)
def test_a_moved_cluster_moves_its_kernel(band, pixel_nm, rows, cols, monkeypatch):
    """``centres_nm`` are (x, y): x along columns, y down the rows."""
    monkeypatch.setattr("qpi_kernels.simulate.scattering.ldos.box_pixels", lambda *_: 128)
    shape = np.array([[0.0, 0.0], [0.6, 0.0], [0.0, 1.2]])
    still, moved = (
        simulate.ClusterImpurity(tuple(map(tuple, shape + offset)), (1.0, -0.5, 0.7))
        for offset in ([0.0, 0.0], [cols * pixel_nm, rows * pixel_nm])
    )
    first, second = (kernel(band, cluster, shape=(41, 41)) for cluster in (still, moved))
    np.testing.assert_allclose(
        second[10 + rows : 30 + rows, 10 + cols : 30 + cols],
        first[10:30, 10:30],
        atol=1e-9 * abs(first).max(),
    )


@given(
    x=st.floats(-0.6, 0.6),
    y=st.floats(-0.6, 0.6),
    strength=st.floats(-3, 3),
    other=st.floats(-3, 3),
)
@settings(max_examples=15, deadline=None)
def test_clusters_scatter_to_all_orders(x, y, strength, other):
    cluster = simulate.ClusterImpurity(((0.0, 0.0), (x, y)), (strength, other))
    green = local(RASHBA, [0.05], 0.05, 64, 0.3, cluster)
    t_matrix = cluster.t_matrix(RASHBA, green)
    potential = torch.diag(torch.tensor([strength] * 2 + [other] * 2, dtype=torch.complex128))
    torch.testing.assert_close(t_matrix, potential + potential @ green @ t_matrix)


def test_two_centres_are_the_dense_formula_with_hankel_functions():
    centres, strengths = np.array([[-0.6, 0.3], [0.9, -0.45]]), np.array([1.2, -0.8])
    cluster = simulate.ClusterImpurity(tuple(map(tuple, centres)), tuple(strengths))
    energy, broadening, pixel_nm, tip_nm = 0.05, 0.05, 0.1, 0.1
    found = simulate.single_defect(
        SURFACE,
        bias=energy,
        pixel_nm=pixel_nm,
        shape=(81, 81),
        impurity=cluster,
        broadening=broadening,
        tip_nm=tip_nm,
    )
    k, unit = SURFACE.wave_number(energy, broadening), -0.25j * SURFACE.mass / HBAR2_OVER_2M

    def wave(distance):
        return unit * hankel1(0, k * distance)

    # A point's own Green's function is the pixel grid's: the sum over its momenta.
    own = complex(local(SURFACE, [energy], broadening, 512, pixel_nm, as_impurity(1.0))[0, 0, 0])
    between = wave(np.hypot(*(centres[1] - centres[0])))
    t_matrix = np.linalg.inv(np.diag(1 / strengths) - np.array([[own, between], [between, own]]))
    x, y = np.meshgrid(found.x, found.y)
    distance = np.hypot(x - centres[:, 0, None, None], y - centres[:, 1, None, None])
    far = distance.min(axis=0) > 0.5
    waves = wave(distance[:, far]) * np.exp(-((k * tip_nm) ** 2) / 2)
    expected = -np.einsum("ip,ij,jp->p", waves, t_matrix, waves).imag / np.pi
    np.testing.assert_allclose(found.values[far], expected, atol=0.01 * abs(expected).max())
    # Without the waves between them, it would be something else.
    alone = np.diag(1 / (1 / strengths - own))
    single = -np.einsum("ip,ij,jp->p", waves, alone, waves).imag / np.pi
    assert abs(single - expected).max() > 0.1 * abs(expected).max()


@pytest.mark.parametrize("band", [SURFACE, simulate.WarpedBand(0.4, -0.3, 6, 0.2), DIRAC])
def test_a_trimer_is_three_fold(band):
    trimer = simulate.ClusterImpurity.trimer(0.7, 1.5, width_nm=0.15)
    scores = symmetry_scores(kernel(band, trimer, shape=(41, 41)))
    assert scores["C3"] > 0.995
    assert max(scores["C2"], scores["C4"], scores["C6"]) < 0.9
    # Its first corner points down the image: mirrored, it points up, from left to right it is even.
    found = kernel(SURFACE, trimer)
    np.testing.assert_allclose(found, found[:, ::-1], atol=1e-6 * abs(found).max())
    assert abs(found - found[::-1]).max() > 0.2 * abs(found).max()


def test_an_uneven_cluster_is_asymmetric():
    uneven = simulate.ClusterImpurity.polygon(3, 0.7, [2.0, -0.5, 0.4], width_nm=0.15)
    scores = symmetry_scores(kernel(SURFACE, uneven, shape=(41, 41)))
    assert max(scores.values()) < 0.8


def test_a_turned_cluster_turns_from_columns_to_rows():
    cluster = simulate.ClusterImpurity.polygon(3, 0.7, [2.0, -0.5, 0.4], 10.0, 0.15)
    assert cluster.centres_nm[0] == pytest.approx(
        (0.7 * np.cos(np.pi / 18), 0.7 * np.sin(np.pi / 18))
    )
    straight, turned = kernel(SURFACE, cluster), kernel(SURFACE, cluster.turned(90.0))
    # Clockwise on the screen, for rows grow downwards.
    np.testing.assert_allclose(turned, np.rot90(straight, -1), atol=1e-9 * abs(straight).max())
    assert cluster.scaled(-2.0).strengths == (-4.0, 1.0, -0.8)


def test_centres_on_a_lattice_are_its_sites():
    band = simulate.TriangularBand(0.1, 0.9)
    # The last lies nearest to a1, although its coordinates along a1 and a2 round to 0.
    loose = ((0.05, -0.08), (0.48, 0.71), tuple(0.48 * band.lattice[0] + 0.42 * band.lattice[1]))
    loose = simulate.ClusterImpurity(loose, (1.0, 1.0, 0.5))
    exact = ((0.0, 0.0), (0.45, 0.45 * 3**0.5), (0.9, 0.0))
    exact = simulate.ClusterImpurity(exact, (1.0, 1.0, 0.5))
    np.testing.assert_allclose(kernel(band, loose), kernel(band, exact), rtol=1e-9)
