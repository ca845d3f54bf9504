"""The plane of a cube from which steps take their parameters."""

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from qpi_kernels import prepare
from qpi_kernels.prepare.reference_plane import mean_plane

LEVELS = np.array([0.0, 5.0, 10.0])[:, None, None]


def cube(values):
    return xr.DataArray(values, dims=("bias", "y", "x"))


def noise(shape=(3, 64, 64)):
    return np.random.default_rng(0).normal(0, 0.01, shape)


@pytest.mark.parametrize("lazy", [False, True])
def test_a_bias_that_ends_early_makes_no_step(lazy) -> None:
    values = LEVELS + noise()
    values[2, 40:] = np.nan
    image = cube(da.from_array(values, chunks=(1, 20, 64)) if lazy else values)
    plane = mean_plane(image)
    assert np.ptp(plane) < 0.1
    assert plane.mean() == pytest.approx(5.0, abs=0.01)


def test_biases_without_a_common_pixel_are_averaged_about_their_own_levels() -> None:
    values = LEVELS + noise()
    values[0, :40] = np.nan
    values[2, 30:] = np.nan
    values[1, 30:40] = np.nan
    plane = mean_plane(cube(values))
    np.testing.assert_array_equal(np.isnan(plane).all(axis=1), np.arange(64) // 10 == 3)
    assert np.nanmax(plane) - np.nanmin(plane) < 0.1


def test_alike_measured_biases_have_their_plain_mean() -> None:
    values = LEVELS + noise()
    values[:, 50:] = np.nan
    values[1] = np.nan
    expected = np.full((64, 64), np.nan)
    expected[:50] = np.nanmean(values[:, :50], axis=0)
    np.testing.assert_array_equal(mean_plane(cube(values)), expected)


def test_an_unfinished_bias_leaves_rows_and_mask_alone() -> None:
    values = LEVELS + noise()
    values[2, 40:] = np.nan
    rows = prepare.run(cube(values), [prepare.AlignRows(keep_jumps=False)])
    assert float(rows.image[0].std()) < 0.012
    assert prepare.run(cube(values), [prepare.MaskSteps()]).mask.all()


@pytest.mark.parametrize("name", ["align_rows", "mask_steps", "mask_pixels", "mask_streaks"])
def test_a_lazy_cube_is_read_once(name) -> None:
    read = []

    def block(values):
        read.append(values.shape)
        return values

    lazy = da.from_array(LEVELS + noise(), chunks=(1, 64, 64))
    lazy = lazy.map_blocks(block, dtype=float, meta=np.empty((0, 0, 0)))
    prepare.run(cube(lazy), [prepare.known_steps()[name]()])
    assert len(read) == 3
