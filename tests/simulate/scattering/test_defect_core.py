"""The core of a defect: its height, its fold and its direction."""

import numpy as np
import pytest

from qpi_kernels import simulate
from qpi_kernels.symmetry import symmetry_scores

COPPER = simulate.ParabolicBand(mass=0.41, onset=-0.437)


def test_a_core_is_added_in_units_of_the_waves():
    options = dict(bias=[0.0, 0.1], pixel_nm=0.2, shape=(21, 21), impurity=5.0, broadening=0.1)
    plain = simulate.single_defect(COPPER, **options)
    core = simulate.CoreShape(amplitude=-0.5, width_nm=0.3, ring_nm=0.4)
    added = simulate.single_defect(COPPER, core=core, **options) - plain
    for index in range(2):
        largest = float(abs(plain[index]).max())
        assert float(added[index].min()) == pytest.approx(-0.5 * largest, rel=1e-6)
        assert float(added[index, 10, 12]) == pytest.approx(-0.5 * largest)  # at 0.4 nm
        middle = -0.5 * largest * np.exp(-(0.4**2) / (2 * 0.3**2))
        assert float(added[index, 10, 10]) == pytest.approx(middle)


@pytest.mark.parametrize("fold", [2, 3, 4, 6])
def test_lobes_have_their_fold_and_point_from_columns_to_rows(fold):
    axis = np.arange(-32, 33) * 0.1
    core = simulate.CoreShape(1.0, 0.5, 1.0, fold=fold, lobes=0.8, angle_deg=90.0)
    density = core.density(axis, axis)
    assert symmetry_scores(density)[f"C{fold}"] > 0.995
    radius = np.hypot(*(np.indices(density.shape) - 32))
    ring = abs(radius - 10) < 0.5
    assert density[42, 32] == pytest.approx(density[ring].max(), rel=0.02)  # 1 nm straight down
    assert density[ring].min() < 0.9 * density[42, 32]
    assert np.isfinite(density).all()
    assert density[32, 32] == pytest.approx(np.exp(-2.0))
    for numbers in (dict(width_nm=0.0), dict(width_nm=1.0, ring_nm=-1.0)):
        with pytest.raises(ValueError, match="must be positive"):
            simulate.CoreShape(1.0, **numbers)
