"""Directions and windows of kernels, and waves that do not return as they went."""

import numpy as np
import pytest
import torch

from qpi_kernels import simulate
from qpi_kernels.simulate.bands import HBAR2_OVER_2M
from qpi_kernels.symmetry import symmetry_scores

COPPER = simulate.ParabolicBand(mass=0.41, onset=-0.437)


def brute_force(band, cluster, energy, broadening, size, pixel_nm, rows, cols):
    """The formula of `multiple_defects`, momentum by momentum, without any transform."""
    k = 2 * np.pi * np.arange(-size // 2 + 1, size // 2) / (size * pixel_nm)
    kx, ky = (each.ravel() for each in np.meshgrid(k, k))
    matrices = band.hamiltonian(torch.from_numpy(kx), torch.from_numpy(ky)).numpy()
    identity = np.eye(band.orbitals)
    inverse = np.linalg.inv((energy + 1j * broadening) * identity - np.moveaxis(matrices, 2, 0))

    def green_at(x, y):
        phase = np.exp(1j * (kx * x + ky * y))
        return np.einsum("k,kab->ab", phase, inverse) / (size * pixel_nm) ** 2

    centres, count = cluster.centres_nm, len(cluster.centres_nm)
    between = np.block([[green_at(xi - xj, yi - yj) for xj, yj in centres] for xi, yi in centres])
    potential = np.kron(np.diag(cluster.strengths), identity)
    t_matrix = np.linalg.inv(np.eye(count * band.orbitals) - potential @ between) @ potential
    found = np.empty((len(rows), len(cols)))
    for i, row in enumerate(rows):
        for j, col in enumerate(cols):
            x, y = col * pixel_nm, row * pixel_nm
            out = np.hstack([green_at(x - xc, y - yc) for xc, yc in centres])
            back = np.vstack([green_at(xc - x, yc - y) for xc, yc in centres])
            found[i, j] = -np.trace(out @ t_matrix @ back).imag / np.pi
    return found


@pytest.mark.parametrize(
    "band",
    [
        simulate.EllipticBand(0.4, 0.9, -0.2),
        simulate.WarpedBand(0.4, -0.2, 3, 0.4),
        simulate.RashbaBand(0.4, -0.2, 0.08),
        simulate.RotatedBand(simulate.DiracBand(0.3, 0.2), 20.0),
    ],
    ids=str,
)
def test_waves_go_out_and_back_as_the_formula_says(band, monkeypatch):
    monkeypatch.setattr("qpi_kernels.simulate.scattering.ldos.box_pixels", lambda *_: 24)
    cluster = simulate.ClusterImpurity(((0.25, 0.1), (-0.6, 0.7)), (1.1, -0.6))
    options = dict(bias=0.1, pixel_nm=0.3, broadening=0.1)
    found = simulate.single_defect(band, impurity=cluster, shape=(5, 4), **options)
    rows, cols = np.arange(5) - 2, np.arange(4) - 2
    expected = brute_force(band, cluster, 0.1, 0.1, 24, 0.3, rows, cols)
    np.testing.assert_allclose(found, expected, atol=1e-10 * abs(expected).max())


def test_a_moved_fermi_sea_scatters_alike():
    """A parabola about another momentum only gets phases that cancel between out and back."""
    moved = simulate.CustomBand(
        lambda kx, ky: -0.437 + HBAR2_OVER_2M / 0.41 * ((kx - 1.3) ** 2 + (ky + 0.7) ** 2)
    )
    assert not moved.reciprocity
    options = dict(
        bias=0.0,
        pixel_nm=0.1,
        shape=(31, 31),
        impurity=simulate.PhaseShiftImpurity(0.6),
        broadening=0.2,
    )
    found, expected = (simulate.single_defect(band, **options).values for band in (moved, COPPER))
    far = np.hypot(*(np.indices((31, 31)) - 15)) > 4
    np.testing.assert_allclose(found[far], expected[far], atol=0.02 * abs(expected[far]).max())


@pytest.mark.parametrize("band", [COPPER, simulate.RashbaBand.gold()], ids=str)
def test_every_window_shows_the_same_kernel(band, monkeypatch):
    monkeypatch.setattr("qpi_kernels.simulate.scattering.ldos.box_pixels", lambda *_: 160)
    options = dict(bias=0.0, pixel_nm=0.2, impurity=5.0, broadening=0.1)
    whole = simulate.single_defect(band, shape=(64, 64), **options).values
    for height, width in ((64, 63), (20, 21), (1, 40), (33, 10)):
        part = simulate.single_defect(band, shape=(height, width), **options).values
        top, left = 32 - height // 2, 32 - width // 2
        expected = whole[top : top + height, left : left + width]
        np.testing.assert_allclose(part, expected, atol=1e-12 * abs(whole).max())


@pytest.mark.parametrize(
    ("band", "impurity"),
    [
        (simulate.EllipticBand(0.9, 0.4, -0.2), simulate.PointImpurity(1.0)),
        (simulate.GrapheneBand(2.7, 1.2), simulate.PointImpurity(1.0, orbital=0)),
        (simulate.DiracBand(0.3, 0.2), simulate.MagneticImpurity(1.0)),
    ],
    ids=["elliptic", "graphene", "dirac"],
)
def test_a_turned_crystal_turns_its_kernel(band, impurity):
    options = dict(bias=0.3, pixel_nm=0.2, shape=(31, 31), broadening=0.2, tip_nm=0.3)
    straight = simulate.single_defect(band, impurity=impurity, **options).values
    turned = simulate.single_defect(
        simulate.RotatedBand(band, 90.0), impurity=impurity, **options
    ).values
    # From columns towards rows is clockwise on the screen.
    np.testing.assert_allclose(turned, np.rot90(straight, -1), atol=1e-6 * abs(straight).max())
    assert abs(turned - straight).max() > 0.02 * abs(straight).max()


@pytest.mark.parametrize(
    "impurity",
    [
        simulate.PointImpurity(2.0),
        simulate.PhaseShiftImpurity(0.9),
        simulate.MagneticImpurity(2.0),
        simulate.MagneticImpurity(1.0, 2.0),
    ],
    ids=str,
)
def test_a_point_on_a_warped_dirac_cone_is_six_fold_not_three_fold(impurity):
    """For ``g(-r) = sigma_y g(r)^T sigma_y``, although H itself is but three-fold."""
    kernel = simulate.single_defect(
        simulate.DiracBand(0.255, 0.25),
        bias=0.35,
        pixel_nm=0.25,
        shape=(65, 65),
        impurity=impurity,
        broadening=0.1,
        tip_nm=0.3,
    )
    found = symmetry_scores(kernel.values)
    assert min(found["C6"], found["C3"], found["C2"]) > 0.99
    assert found["C4"] < min(found["C6"], 0.97)


def test_a_site_of_graphene_is_three_fold_and_the_other_site_its_mirror_image():
    options = dict(bias=0.8, pixel_nm=0.05, shape=(65, 65), broadening=0.3, tip_nm=0.06)
    site_a, site_b = (
        simulate.single_defect(
            simulate.GrapheneBand(), impurity=simulate.PointImpurity(3.0, orbital), **options
        ).values
        for orbital in (0, 1)
    )
    found = symmetry_scores(site_a)
    assert found["C3"] > 0.99
    assert max(found["C2"], found["C4"], found["C6"]) < 0.6
    close = 1e-8 * abs(site_a).max()
    np.testing.assert_allclose(site_b, site_a[::-1, ::-1], atol=close)
    np.testing.assert_allclose(site_a, site_a[:, ::-1], atol=close)
    # Round A its three B neighbours light up, one of them straight down, 0.142 nm off.
    assert abs(site_a[32 + 3, 32]) > 2 * abs(site_a[32 - 3, 32])
