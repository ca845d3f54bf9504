"""Detection and snapping of a prepared map use its mask."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from qpi_kernels.defects import DetectionError, detect_defects, snap_positions
from qpi_kernels.prepare import Crop, Prepared, run

SPOTS = np.array([[20.3, 30.6], [24.0, 64.5], [70.25, 20.75], [60.5, 75.0], [40.0, 50.0]])


def spotted() -> Prepared:
    """Five bright spots, of which the right half is masked."""
    rows, cols = np.mgrid[:90, :90]
    image = np.random.default_rng(0).normal(0, 0.1, rows.shape)
    for row, col in SPOTS:
        image += np.exp(-((rows - row) ** 2 + (cols - col) ** 2) / 16)
    return Prepared.start(xr.DataArray(image, dims=("y", "x")), cols < 57)


def test_detection_leaves_masked_defects_out() -> None:
    prepared = spotted()
    found = detect_defects(prepared, size_px=8)
    given = detect_defects(prepared.image, mask=prepared.mask, size_px=8)
    np.testing.assert_array_equal(found.positions, given.positions)
    away = np.linalg.norm(found.positions[:, None] - SPOTS[[0, 2, 4]], axis=-1)
    assert len(found) == 3
    assert away.min(axis=0).max() < 0.5


def test_a_further_mask_narrows_that_of_the_preparation() -> None:
    upper = np.arange(90)[:, None] < np.full(90, 50)
    found = detect_defects(spotted(), mask=upper, size_px=8)
    assert len(found) == 2


def test_detection_sees_the_prepared_pixels() -> None:
    cut = run(spotted(), [Crop(rows=(10, 90), columns=(5, 85))])
    found = detect_defects(cut, size_px=8)
    away = np.linalg.norm(found.positions[:, None] - (SPOTS[[0, 2, 4]] - [10, 5]), axis=-1)
    assert away.min(axis=0).max() < 0.5


@pytest.mark.parametrize("method", ["pattern", "extremum"])
def test_snapping_uses_the_mask(method: str) -> None:
    prepared = spotted()
    clicks = SPOTS + np.array([0.8, -0.6])
    found = snap_positions(prepared, clicks, method=method)
    given = snap_positions(prepared.image, clicks, mask=prepared.mask, method=method)
    np.testing.assert_array_equal(found.positions, given.positions)
    without = snap_positions(prepared.image, clicks, method=method)
    assert np.abs(found.positions - without.positions).max() > 0.1


def test_a_prepared_cube_is_refused() -> None:
    cube = Prepared.start(np.zeros((3, 20, 20)))
    with pytest.raises(DetectionError, match="choose a bias"):
        detect_defects(cube)
