"""Densities of resolved orbitals, against the inverse of a whole crystal's matrix."""

import numpy as np
import pytest

from qpi_kernels.simulate import CrystalBand, SiteImpurity, single_defect
from qpi_kernels.simulate.scattering.greens_function import SimulationError
from qpi_kernels.simulate.scattering.site_density import site_density

CELLS = 16
ENERGY, BROADENING = 0.1, 0.25
NORMAL = CrystalBand(
    vectors_nm=((0.5, 0.0), (0.2, 0.6)),
    sites_nm=((0.0, 0.0), (0.2, 0.25)),
    onsite=(0.05, -0.1),
    bonds=((0, 0, 0, 1, 0.3), (1, 0, 0, 0, -0.2 + 0.1j), (0, 1, 0, 1, 0.15), (1, 1, 1, 1, 0.1)),
    weights=(1.0, 0.4),
)
PAIRED = CrystalBand(
    vectors_nm=((0.5, 0.0), (0.0, 0.5)),
    sites_nm=((0.0, 0.0),),
    onsite=(0.1,),
    bonds=((1, 0, 0, 0, 0.3), (0, 1, 0, 0, 0.25)),
    weights=(1.0,),
    pairings=((0, 0, 0, 0, 0.05), (1, 0, 0, 0, 0.1), (0, 1, 0, 0, -0.1)),
)
IMPURITY = SiteImpurity(((0, 0, 0), (1, 0, 1)), ((0.8, 0.2), (0.2, -0.5)))


def crystal(band, pairs, diagonal):
    """Matrix of a periodic crystal of cells, written bond by bond."""
    count = len(band.sites_nm)
    matrix = np.zeros((CELLS, CELLS, count) * 2, complex)
    for row in range(CELLS):
        for col in range(CELLS):
            for orbital, energy in enumerate(diagonal):
                matrix[row, col, orbital, row, col, orbital] += energy
            for i, j, a, b, hopping in pairs:
                there = (row + i) % CELLS, (col + j) % CELLS
                matrix[row, col, a, *there, b] += hopping
                if (i, j, a) != (0, 0, b):
                    matrix[*there, b, row, col, a] += np.conj(hopping)
    return matrix.reshape(CELLS**2 * count, -1)


def expected(band, impurity, shape, pixel_nm, tip_nm):
    """Density around the defect from matrices of all orbitals of a crystal."""
    count, middle = len(band.sites_nm), CELLS // 2
    h = crystal(band, band.bonds, band.onsite)
    where = [((middle + i) * CELLS + middle + j) * count + a for i, j, a in impurity.sites]
    v = np.zeros_like(h)
    v[np.ix_(where, where)] = impurity.potential
    change = 0.0
    for spin in (1, -1):
        up, down = (1 + spin * impurity.exchange) * v, (1 - spin * impurity.exchange) * v
        clean, dirty = h, h + up
        if band.pairings:
            gap = crystal(band, band.pairings, [0.0] * count)
            clean = np.block([[h, gap], [gap.conj().T, -h.T]])
            dirty = clean + np.block([[up, 0 * v], [0 * v, -down]])
        for sign, matrix in ((1, dirty), (-1, clean)):
            green = np.linalg.inv((ENERGY + 1j * BROADENING) * np.eye(len(matrix)) - matrix)
            change = change - sign * np.diag(green)[: len(h)].imag / np.pi
    change = change / (1 if impurity.exchange else 2)
    cells = np.stack(np.meshgrid(*[np.arange(CELLS) - middle] * 2, indexing="ij"), -1)
    places = (cells @ np.array(band.vectors_nm))[:, :, None] + np.array(band.sites_nm)
    x, y = (places.reshape(-1, 2) - impurity.centre_nm(band)).T
    rows, cols = ((np.arange(n) - n // 2) * pixel_nm for n in shape)
    square = (cols - x[:, None, None]) ** 2 + (rows[:, None] - y[:, None, None]) ** 2
    spots = np.exp(-square / (2 * tip_nm**2)) / (2 * np.pi * tip_nm**2)
    return np.tensordot(change * np.tile(band.weights, CELLS**2), spots, 1)


@pytest.mark.parametrize(
    ("band", "impurity"),
    [
        (NORMAL, IMPURITY),
        (PAIRED, SiteImpurity(((0, 0, 0),), ((1.0,),), exchange=0.7)),
        (PAIRED, SiteImpurity(((0, 0, 0), (1, 0, 0)), ((0.4, -0.1), (-0.1, 0.4)))),
    ],
)
def test_densities_are_those_of_the_whole_crystals_matrix(band, impurity):
    found = single_defect(
        band,
        bias=ENERGY,
        pixel_nm=0.15,
        shape=(13, 14),
        impurity=impurity,
        broadening=BROADENING,
        tip_nm=0.1,
    ).values
    true = expected(band, impurity, (13, 14), 0.15, 0.1)
    np.testing.assert_allclose(found, true, atol=2e-3 * np.abs(true).max())


def test_hamiltonian_repeats_and_is_hermitian():
    import torch

    from qpi_kernels.simulate.bands.custom import check_hamiltonian

    for band in (NORMAL, PAIRED):
        check_hamiltonian(band)
        kx, ky = torch.tensor([[0.3, 1.0], [0.5, -2.0]]).double()
        x, y = np.array(band.vectors_nm) @ np.stack([kx, ky])
        energies = [
            torch.linalg.eigvalsh(matrix.movedim(-1, 0))
            for matrix in (
                band.hamiltonian(kx, ky),
                band.bloch(torch.from_numpy(x), torch.from_numpy(y)),
            )
        ]
        torch.testing.assert_close(*energies)


def test_what_does_not_fit_is_refused():
    ask = dict(pixel_nm=0.1, shape=(9, 9), broadening=0.2, tip_nm=0.1)
    other = SiteImpurity(((0, 0, 1),), ((1.0,),))
    with pytest.raises(SimulationError, match="same sites"):
        site_density(NORMAL, np.zeros(1), impurities=[IMPURITY, other], **ask)
    with pytest.raises(SimulationError, match="tip_nm"):
        site_density(NORMAL, np.zeros(1), impurities=[other], **ask | {"tip_nm": 0.0})
    with pytest.raises(ValueError, match="symmetric"):
        SiteImpurity(((0, 0, 0), (0, 0, 1)), ((1.0, 0.0), (0.5, 1.0)))
    with pytest.raises(ValueError, match="one length"):
        CrystalBand(NORMAL.vectors_nm, NORMAL.sites_nm, (0.0,), (), (1.0, 1.0))
