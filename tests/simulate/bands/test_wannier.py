"""Wannier90's ``_hr.dat``."""

import numpy as np
import pytest
import torch

from qpi_kernels import simulate
from qpi_kernels.simulate.bands import HamiltonianError, WannierBand, WannierFormatError

GRAPHENE = simulate.GrapheneBand()
SITES = np.array([[0.0, 0.0], [0.0, 0.246 / 3**0.5]])
# <0 A| H |R B>: the neighbours of A at (0, 0) are B at (0, 0), -a2 and a1 - a2.
GRAPHENE_HOPPINGS = {
    (0, 0, 0): [[0.0, -2.7], [-2.7, 0.0]],
    (0, -1, 0): [[0.0, -2.7], [0.0, 0.0]],
    (1, -1, 0): [[0.0, -2.7], [0.0, 0.0]],
    (0, 1, 0): [[0.0, 0.0], [-2.7, 0.0]],
    (-1, 1, 0): [[0.0, 0.0], [-2.7, 0.0]],
}


def momenta(count=9):
    return torch.from_numpy(np.random.default_rng(0).uniform(-20, 20, (2, count)))


def write(path, hoppings, degeneracy=None):
    """As Wannier90 does: 15 degeneracies on a line, elements times their degeneracy."""
    size = len(next(iter(hoppings.values())))
    degeneracy = degeneracy or [1] * len(hoppings)
    lines = [" written for a test", f"{size:12d}", f"{len(hoppings):12d}"]
    lines += [
        "".join(f"{value:5d}" for value in degeneracy[first : first + 15])
        for first in range(0, len(degeneracy), 15)
    ]
    for (cell, matrix), times in zip(hoppings.items(), degeneracy, strict=True):
        for b in range(size):
            for a in range(size):
                value = complex(matrix[a][b]) * times
                numbers = "".join(f"{n:5d}" for n in (*cell, a + 1, b + 1))
                lines.append(f"{numbers}{value.real:12.6f}{value.imag:12.6f}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def graphene_file(tmp_path):
    return write(tmp_path / "graphene_hr.dat", GRAPHENE_HOPPINGS, [1, 2, 3, 2, 3])


def test_graphene_from_a_file_is_graphene(graphene_file):
    band = simulate.read_wannier_hr(
        graphene_file, GRAPHENE.lattice, positions_nm=SITES, tip_channels=[[1.0, 1.0]]
    )
    torch.testing.assert_close(band.hamiltonian(*momenta()), GRAPHENE.hamiltonian(*momenta()))
    assert band.reciprocity
    options = dict(
        bias=0.5,
        pixel_nm=0.06,
        shape=(41, 37),
        impurity=simulate.PointImpurity(1.0, orbital=1),
        broadening=0.15,
        tip_nm=0.08,
    )
    expected = simulate.single_defect(GRAPHENE, **options)
    found = simulate.single_defect(band, **options)
    np.testing.assert_allclose(found, expected, atol=1e-9 * float(abs(expected).max()))


def test_without_positions_the_phases_are_those_of_the_cells(graphene_file):
    band = simulate.read_wannier_hr(graphene_file, GRAPHENE.lattice)
    kx, ky = momenta()
    moved = torch.exp(1j * (SITES[1, 0] * kx + SITES[1, 1] * ky))
    hop = GRAPHENE.hamiltonian(kx, ky)[0, 1] * moved.conj()
    torch.testing.assert_close(band.hamiltonian(kx, ky)[0, 1], hop)
    torch.testing.assert_close(band.channels, torch.eye(2, dtype=torch.float64))


def test_the_fermi_level_becomes_zero(graphene_file):
    band = simulate.read_wannier_hr(graphene_file, GRAPHENE.lattice, fermi_level=0.7)
    at_zero = band.hamiltonian(*momenta())[0, 0]
    torch.testing.assert_close(at_zero, torch.full_like(at_zero, -0.7))


def test_more_than_fifteen_cells_and_a_third_dimension(tmp_path):
    a, t, diagonal, up = 0.4, 0.1, 0.02, 0.03
    hoppings = {(i, j, k): [[0.0]] for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)}
    for cell in hoppings:
        inside, out = abs(cell[0]) + abs(cell[1]), abs(cell[2])
        if out == 0 and inside:
            hoppings[cell] = [[-t if inside == 1 else -diagonal]]
        if out == 1 and inside == 0:
            hoppings[cell] = [[up]]
    degeneracy = (np.arange(27) % 4 + 1).tolist()
    path = write(tmp_path / "square_hr.dat", hoppings, degeneracy)
    square = simulate.SquareBand(t, a, diagonal=diagonal)
    for kz in (0.0, 0.4, np.pi):
        band = simulate.read_wannier_hr(path, a * np.eye(2), kz=kz)
        expected = square.hamiltonian(*momenta()) + 2 * up * np.cos(kz)
        found = band.hamiltonian(*momenta())
        torch.testing.assert_close(found.real, expected, atol=1e-5, rtol=0)
        torch.testing.assert_close(found.imag, torch.zeros_like(expected), atol=1e-7, rtol=0)
    assert len(band.cells) == 9


def test_complex_hoppings_out_of_plane_keep_h_hermitian(tmp_path):
    hoppings = {
        (0, 0, 0): [[0.1, 0.02 - 0.03j], [0.02 + 0.03j, -0.2]],
        (1, 0, 1): [[0.0, 0.05j], [0.01, 0.0]],
        (-1, 0, -1): [[0.0, 0.01], [-0.05j, 0.0]],
    }
    path = write(tmp_path / "soc_hr.dat", hoppings)
    band = simulate.read_wannier_hr(path, 0.4 * np.eye(2), kz=0.3)
    kx, ky = momenta()
    found = band.hamiltonian(kx, ky).movedim((0, 1), (-2, -1))
    torch.testing.assert_close(found, found.mH)
    expected = 0.02 - 0.03j + 0.05j * np.exp(0.3j) * torch.exp(0.4j * kx)
    expected = expected + 0.01 * np.exp(-0.3j) * torch.exp(-0.4j * kx)
    torch.testing.assert_close(found[:, 0, 1], expected)
    assert not band.reciprocity


def test_many_momenta_are_done_in_parts(graphene_file, monkeypatch):
    band = simulate.read_wannier_hr(graphene_file, GRAPHENE.lattice, positions_nm=SITES)
    kx, ky = (k.view(8, 10) for k in momenta(80))
    whole = band.hamiltonian(kx, ky)
    monkeypatch.setattr("qpi_kernels.simulate.bands.wannier._PHASES_AT_ONCE", 35)
    torch.testing.assert_close(band.hamiltonian(kx, ky), whole)
    single = band.hamiltonian(kx.float(), ky.float())
    assert single.dtype == torch.complex64
    torch.testing.assert_close(single.to(whole.dtype), whole, atol=1e-4, rtol=0)


def test_an_impurity_acts_on_the_orbitals_of_one_atom(graphene_file):
    options = dict(bias=0.5, pixel_nm=0.06, shape=(9, 9), broadening=0.2, tip_nm=0.08)
    band = simulate.read_wannier_hr(graphene_file, GRAPHENE.lattice, positions_nm=SITES)
    with pytest.raises(simulate.SimulationError, match="orbital="):
        simulate.single_defect(band, impurity=1.0, **options)
    together = simulate.read_wannier_hr(graphene_file, GRAPHENE.lattice)
    simulate.single_defect(together, impurity=1.0, **options)


def change(lines, row, text):
    return [*lines[:row], text, *lines[row + 1 :]]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda lines: [], "not a Wannier90"),
        (lambda lines: lines[:2], "not a Wannier90"),
        (lambda lines: lines[:-1], "need 20 elements"),
        (lambda lines: [*lines, lines[-1]], "need 20 elements"),
        (lambda lines: change(lines, 1, "  two"), "invalid literal"),
        (lambda lines: change(lines, 1, "  3"), "need 45 elements"),
        (lambda lines: change(lines, 1, "  0"), "need 0 elements"),
        (lambda lines: change(lines, 1, "999999999"), "need"),
        (lambda lines: change(lines, 2, "999999999"), "invalid literal"),
        (lambda lines: change(lines, 2, "0"), "no cells"),
        (lambda lines: change(lines, 3, "1 2 3 2"), "invalid literal|need|not a Wannier90"),
        (lambda lines: change(lines, 3, "1 2 3 2 0"), "degeneracy is not positive"),
        (lambda lines: change(lines, 6, "0 0 0 1 2 -2.7"), "inhomogeneous|R1 R2 R3"),
        (lambda lines: change(lines, 6, "0 0 0 1 2 -2.7 nan"), "R1 R2 R3"),
        (lambda lines: change(lines, 6, "0 0 0 1 3 -2.7 0.0"), "within 1 to 2"),
        (lambda lines: change(lines, 6, "0 0 0 1 0 -2.7 0.0"), "within 1 to 2"),
        (lambda lines: change(lines, 6, "7 0 0 1 2 -2.7 0.0"), "follow each other"),
        (lambda lines: change(lines, 6, "0 0 0 1 2 -2.6 0.0"), "not Hermitian"),
        (lambda lines: [line[: len(line) // 2] for line in lines], "not a Wannier90"),
    ],
)
def test_damaged_files_are_refused(graphene_file, damage, reason):
    lines = damage(graphene_file.read_text().splitlines())
    graphene_file.write_text("\n".join(lines))
    with pytest.raises(WannierFormatError, match=reason) as caught:
        simulate.read_wannier_hr(graphene_file, GRAPHENE.lattice)
    assert str(caught.value).startswith("graphene_hr.dat")


def test_a_binary_file_is_refused(tmp_path):
    path = tmp_path / "binary_hr.dat"
    path.write_bytes(bytes(range(256)) * 100)
    with pytest.raises(WannierFormatError, match=r"binary_hr\.dat"):
        simulate.read_wannier_hr(path, np.eye(2))


def test_hoppings_of_ones_own():
    cells = np.array([[0, 0], [1, 0], [-1, 0]])
    hoppings = np.array([[[0.1]], [[0.2 + 0.1j]], [[0.2 - 0.1j]]])
    band = WannierBand(cells, hoppings, 0.5 * np.eye(2))
    kx, ky = momenta()
    expected = 0.1 + 0.4 * torch.cos(0.5 * kx) - 0.2 * torch.sin(0.5 * kx)
    torch.testing.assert_close(band.hamiltonian(kx, ky)[0, 0].real, expected)
    assert "0.2" not in repr(band)
    with pytest.raises(HamiltonianError, match="Hermitian"):
        WannierBand(cells, abs(hoppings) * 1j, 0.5 * np.eye(2))
    for changes, reason in (
        (dict(cells=cells[:2]), "hoppings must be"),
        (dict(cells=cells[:, :1]), "cells"),
        (dict(lattice_nm=[0.5, 0.5]), "lattice_nm must be"),
        (dict(positions_nm=[[0.0, 0.0]] * 2), r"positions_nm must be \(1, 2\)"),
    ):
        arguments = dict(cells=cells, hoppings=hoppings, lattice_nm=0.5 * np.eye(2)) | changes
        with pytest.raises(ValueError, match=reason):
            WannierBand(**arguments)
