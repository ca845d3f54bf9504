"""Averaging blocks of pixels."""

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from qpi_kernels import prepare


def raw(shape=(2, 25, 33), lazy=False):
    values = np.random.default_rng(0).normal(size=shape)
    return xr.DataArray(
        da.from_array(values) if lazy else values,
        dims=("bias", "y", "x"),
        coords={
            "y": ("y", np.arange(shape[1]) * 0.3, {"units": "nm"}),
            "x": ("x", np.arange(shape[2]) * 0.2, {"units": "nm"}),
        },
    )


@pytest.mark.parametrize("lazy", [False, True])
def test_blocks_are_averaged_and_points_keep_their_nm(lazy) -> None:
    image = raw(lazy=lazy)
    made = prepare.run(image, [prepare.Rebin(factor=4)], defects=[(10.0, 20.0)])
    assert made.image.shape == (2, 6, 8)
    np.testing.assert_allclose(made.image.values[1, 2, 3], image.values[1, 8:12, 12:16].mean())
    assert float(made.image.y[0]) == pytest.approx(0.3 * 1.5)
    row, column = made.defects.positions[0]
    assert float(made.image.y[0]) + row * 1.2 == pytest.approx(10 * 0.3)
    assert float(made.image.x[0]) + column * 0.8 == pytest.approx(20 * 0.2)
    np.testing.assert_allclose(
        prepare.world_nm(made.image, made.defects.positions),
        prepare.world_nm(image, [(10.0, 20.0)]),
        atol=1e-9,
    )
    assert made.report["rebin"]["removed_px"] == 25 * 33 - 24 * 32
    assert made.report["rebin"]["nyquist_rad_per_nm"] == pytest.approx(np.pi / 1.2)


def test_coordinates_keep_their_direction() -> None:
    image = raw().isel(y=slice(None, None, -1))
    made = prepare.run(image, [prepare.Rebin(factor=2)]).image
    np.testing.assert_allclose(made.y, image.y.values[:24].reshape(12, 2).mean(axis=1))
    np.testing.assert_allclose(made.x, image.x.values[:32].reshape(16, 2).mean(axis=1))


def test_a_block_with_a_pixel_that_does_not_count_does_not_count() -> None:
    image = raw()[0]
    image.values[5, 5] = np.nan
    mask = np.ones((25, 33), bool)
    mask[0, 0] = False
    made = prepare.run(image, [prepare.Rebin(factor=2)], mask=mask)
    assert not made.mask[0, 0]
    assert made.mask.sum() == made.mask.size - 1
    assert np.isnan(made.image.values[2, 2])


def test_a_block_larger_than_the_image_is_refused() -> None:
    with pytest.raises(prepare.PreparationError, match="do not fit"):
        prepare.run(np.zeros((10, 40)), [prepare.Rebin(factor=16)])
