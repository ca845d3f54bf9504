"""Maps of many defects: superposed kernels, and what superposition misses."""

import numpy as np
import pytest

from qpi_kernels import Defects, simulate
from qpi_kernels.simulate.bands import SimulationError
from qpi_kernels.simulate.scattering.ldos import ldos_change

COPPER = simulate.ParabolicBand(mass=0.41, onset=-0.437)
MAP = dict(bias=0.0, pixel_nm=0.25, shape=(40, 50), broadening=0.12)


def superposed(defects, impurity, band=COPPER):
    kernel = simulate.single_defect(band, impurity=impurity, **MAP | dict(shape=(121, 121)))
    found = np.zeros(MAP["shape"])
    for (row, col), strength in zip(
        np.rint(defects.positions).astype(int), defects.strength, strict=True
    ):
        found += strength * kernel.values[60 - row : 100 - row, 60 - col : 110 - col]
    return found


def test_one_defect_of_many_is_its_kernel_moved():
    defects = Defects([[12.0, 31.0]])
    found = simulate.multiple_defects(COPPER, defects, impurity=5.0, **MAP)
    expected = superposed(defects, 5.0)
    np.testing.assert_allclose(found, expected, atol=2e-3 * abs(expected).max())
    np.testing.assert_allclose(found.x, 0.25 * np.arange(50))
    np.testing.assert_allclose(found.y, 0.25 * np.arange(40))


@pytest.mark.parametrize(
    ("positions", "impurity", "least", "most"),
    [
        ([[3.0, 4.0], [36.0, 45.0]], 5.0, 0.0, 0.02),
        ([[18.0, 20.0], [22.0, 24.0]], 1e-4, 0.0, 0.01),
        ([[18.0, 20.0], [20.0, 21.0]], 5.0, 0.1, 1.0),
    ],
    ids=["far", "weak", "close"],
)
def test_superposition_holds_for_far_or_weak_defects_only(positions, impurity, least, most):
    defects = Defects(positions)
    found = simulate.multiple_defects(COPPER, defects, impurity=impurity, **MAP).values
    error = np.std(found - superposed(defects, impurity)) / np.std(found)
    assert least <= error <= most


def test_strengths_are_potentials_and_defects_may_lie_outside():
    defects = Defects([[10.0, 10.0], [-6.0, 20.0]], strength=[1.0, 2.0])
    found = simulate.multiple_defects(COPPER, defects, impurity=1e-5, **MAP).values
    expected = superposed(defects, 1e-5)
    np.testing.assert_allclose(found, expected, atol=2e-3 * abs(expected).max())
    order = defects[[1, 0]]
    again = simulate.multiple_defects(COPPER, order, impurity=1e-5, **MAP).values
    np.testing.assert_allclose(again, found, atol=1e-9 * abs(found).max())


def test_many_defects_on_one_sublattice():
    band = simulate.GrapheneBand(lattice_nm=1.0)
    options = MAP | dict(bias=0.8, broadening=0.4, tip_nm=0.3)
    defects = Defects([[0.0, 12.0], [0.2, 28.1]])
    site = simulate.PointImpurity(1.0, orbital=1)
    found = simulate.multiple_defects(band, defects, impurity=site, **options)
    near = simulate.multiple_defects(
        band, Defects([[0.0, 12.0], [0.0, 28.0]]), impurity=site, **options
    )
    np.testing.assert_allclose(found, near)
    with pytest.raises(SimulationError, match="orbital="):
        simulate.multiple_defects(band, defects, impurity=1.0, **options)


def test_bad_defects_are_refused():
    with pytest.raises(SimulationError, match="no defects"):
        simulate.multiple_defects(COPPER, Defects(np.zeros((0, 2))), impurity=1.0, **MAP)
    with pytest.raises(SimulationError, match="must be point impurities"):
        simulate.multiple_defects(
            COPPER, Defects([[1, 1]]), impurity=simulate.GaussianImpurity(1.0, 0.3), **MAP
        )
    with pytest.raises(SimulationError, match="share a lattice site"):
        simulate.multiple_defects(
            simulate.SquareBand(0.1, 1.0), Defects([[1, 1], [1.2, 1]]), impurity=1.0, **MAP
        )
    with pytest.raises(SimulationError, match="choose fewer defects or a smaller window"):
        simulate.multiple_defects(
            COPPER,
            Defects(np.arange(4000).reshape(-1, 2) / 10),
            impurity=1.0,
            **MAP | dict(shape=(256, 256)),
        )
    with pytest.raises(SimulationError, match="same centres"):
        ldos_change(
            COPPER,
            np.array([0.0]),
            pixel_nm=0.2,
            window=(np.arange(3), np.arange(3)),
            impurities=[simulate.PointImpurity(1.0), simulate.GaussianImpurity(1.0, 0.3)],
            broadening=0.1,
        )


def test_scattered_defects_keep_their_distance():
    defects = simulate.scatter_defects(20, (64, 64), seed=0, min_distance_px=8)
    distance = np.hypot(*(defects.positions[:, None] - defects.positions[None]).T)
    assert distance[~np.eye(20, dtype=bool)].min() >= 8
    with pytest.raises(ValueError, match="do not fit"):
        simulate.scatter_defects(100, (32, 32), seed=0, min_distance_px=10)
