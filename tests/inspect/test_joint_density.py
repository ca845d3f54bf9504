"""The joint density of states against formulas and plain sums."""

from __future__ import annotations

import numpy as np
import pytest

from qpi_kernels.inspect import joint_density_of_states
from qpi_kernels.simulate import (
    CustomBand,
    ParabolicBand,
    RashbaBand,
    SimulationError,
    SquareBand,
    TriangularBand,
)

HBAR2_OVER_2M = 0.0380998  # eV nm^2


def test_a_circle_has_the_known_density():
    mass, onset, energy = 0.4, -0.1, 0.05
    found = joint_density_of_states(
        ParabolicBand(mass, onset), bias=energy, broadening=0.003, pixel_nm=0.4, shape=(31, 40)
    )
    assert found.dims == ("q_y", "q_x")
    assert found.attrs["units"] == "1/(eV^2 nm^2)"
    q = np.hypot(*np.meshgrid(found["q_y"], found["q_x"], indexing="ij"))
    diameter = 2 * np.sqrt((energy - onset) * mass / HBAR2_OVER_2M)
    between = (q > 0.3 * diameter) & (q < 0.85 * diameter)
    assert between.sum() > 20
    # Two crossings of circles, each 1/|v1 x v2|.
    density = (mass / (2 * HBAR2_OVER_2M)) ** 2 / np.pi**2
    expected = density / (q[between] * np.sqrt(diameter**2 - q[between] ** 2))
    np.testing.assert_allclose(found.values[between], expected, rtol=0.01)
    assert found.values[q > 1.3 * diameter].max() < 0.05 * expected.min()
    zero = found.sel(q_y=0, q_x=0)
    assert float(zero) == float(found.max())


def test_a_lattice_is_summed_over_its_zone():
    lattice, hopping, energy, width = 0.5, 0.1, -0.1, 0.03
    found = joint_density_of_states(
        SquareBand(hopping, lattice), bias=[energy, 0.05], broadening=width, pixel_nm=0.25,
        shape=(20, 20),
    )  # fmt: skip
    assert found.dims == ("bias", "q_y", "q_x")
    points = 200
    k = 2 * np.pi * np.arange(points) / points
    states = -2 * hopping * (np.cos(k)[:, None] + np.cos(k))
    spectral = width / np.pi / ((energy - states) ** 2 + width**2)
    zone = (2 * np.pi / lattice) ** 2 / (2 * np.pi) ** 2
    for row, column in ((10, 10), (10, 13), (14, 7), (2, 19)):
        # Steps of q are a tenth of a reciprocal vector, 20 points of this mesh.
        moved = np.roll(spectral, ((row - 10) * -20, (column - 10) * -20), axis=(0, 1))
        expected = zone * (spectral * moved).mean()
        assert float(found[0, row, column]) == pytest.approx(expected, rel=1e-3)


def test_it_repeats_with_an_oblique_lattice_and_has_its_symmetry():
    band = TriangularBand(hopping=0.1, lattice_nm=0.4)
    found = joint_density_of_states(band, bias=-0.2, broadening=0.03, pixel_nm=0.1, shape=(24, 24))
    values = found.values
    np.testing.assert_allclose(values[1:, 1:], values[1:, 1:][::-1, ::-1], rtol=1e-6)
    # A reciprocal vector is (0, 4 pi / sqrt(3) a): not on the grid, so compare with a lattice
    # model summed on its own mesh.
    points = 150
    steps = np.arange(points) / points
    vectors = 2 * np.pi * np.linalg.inv(np.asarray(band.lattice)).T
    first, second = np.meshgrid(steps, steps, indexing="ij")
    momenta = np.stack([first, second], -1) @ vectors

    def spectral(k):
        bonds = np.asarray(band.lattice)
        third = bonds[1] - bonds[0] if np.isclose(bonds[0] @ bonds[1], 0.08) else sum(bonds)
        states = -0.2 * sum(np.cos(k @ bond) for bond in (bonds[0], bonds[1], third))
        return 0.03 / np.pi / ((-0.2 - states) ** 2 + 0.03**2)

    q = np.array([float(found["q_x"][17]), float(found["q_y"][5])])
    area = abs(np.linalg.det(vectors)) / (2 * np.pi) ** 2
    expected = area * (spectral(momenta) * spectral(momenta + q)).mean()
    assert float(found[5, 17]) == pytest.approx(expected, rel=2e-3)


def test_overlaps_take_out_pairs_of_opposite_spin():
    options = {"bias": 0.1, "broadening": 0.01, "pixel_nm": 0.4, "shape": (41, 41)}
    band = RashbaBand(mass=0.4, onset=-0.05, splitting=0.06)
    every = joint_density_of_states(band, **options)
    allowed = joint_density_of_states(band, **options, overlap=True)
    assert (allowed <= every + 1e-6 * every.max()).all()
    split = 0.06 * 0.4 / (2 * HBAR2_OVER_2M)
    middle = np.sqrt((0.1 + 0.05) * 0.4 / HBAR2_OVER_2M + split**2)
    row = every["q_y"].size // 2

    def ratio(q):
        return float((allowed / every)[row].sel(q_x=q, method="nearest"))

    # Backscattering within a branch is forbidden, between branches it is free.
    assert ratio(2 * (middle + split)) < 0.5
    assert ratio(2 * middle) > 0.55 > 2 * ratio(2 * (middle + split))


def test_what_can_not_be_summed_is_told():
    band = ParabolicBand(0.4, -0.1)
    with pytest.raises(SimulationError, match="broadening"):
        joint_density_of_states(band, bias=0, broadening=0, pixel_nm=0.3, shape=(11, 11))
    flat = CustomBand(lambda kx, ky: 5 * (kx**2 + ky**2))
    with pytest.raises(SimulationError, match="raise the broadening"):
        joint_density_of_states(flat, bias=1.0, broadening=1e-4, pixel_nm=0.3, shape=(11, 11))
