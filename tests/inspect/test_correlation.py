"""The autocorrelation beside sums over pairs of pixels."""

import numpy as np
import pytest
import xarray as xr

from qpi_kernels.inspect import InspectionError, autocorrelation, fourier


def image(values):
    coords = {
        axis: (axis, np.arange(size) * step, {"units": "nm"})
        for axis, size, step in zip(("y", "x"), values.shape[-2:], (0.2, 0.3), strict=True)
    }
    return xr.DataArray(values, dims=("bias", "y", "x")[-values.ndim :], coords=coords)


@pytest.mark.parametrize("shape", [(9, 12), (10, 7)])
def test_it_is_the_mean_over_pairs_that_count(shape):
    rng = np.random.default_rng(0)
    values = rng.normal(5.0, 1.0, shape)
    mask = rng.random(shape) > 0.25
    values[~mask] = 1e6
    found = autocorrelation(image(values), mask=mask)
    away = np.where(mask, values - values[mask].mean(), 0.0)
    for down in range(-shape[0] + 1, shape[0]):
        for right in range(-shape[1] + 1, shape[1]):
            rows = slice(max(down, 0), shape[0] + min(down, 0))
            columns = slice(max(right, 0), shape[1] + min(right, 0))
            back = (
                slice(max(-down, 0), shape[0] + min(-down, 0)),
                slice(max(-right, 0), shape[1] + min(-right, 0)),
            )
            pairs = (mask[rows, columns] & mask[back]).sum()
            got = float(found[shape[0] - 1 + down, shape[1] - 1 + right])
            if pairs < 0.1 * mask.sum():
                assert np.isnan(got)
                continue
            expected = (away[rows, columns] * away[back]).sum() / pairs
            assert got == pytest.approx(expected / away[mask].var(), abs=1e-9)
    assert float(found.sel(y=0, x=0)) == pytest.approx(1)
    assert found.dims == ("y", "x")
    assert float(found["x"][-1]) == pytest.approx((shape[1] - 1) * 0.3)
    holed = np.where(mask, values, np.nan)
    xr.testing.assert_allclose(found, autocorrelation(image(holed)))


def test_a_wave_keeps_its_amplitude_to_where_little_overlaps():
    at = np.arange(80)
    wave = np.cos(2 * np.pi * at / 8) * np.ones((60, 1))
    found = autocorrelation(image(np.stack([wave, 3 * wave])))
    assert found.dims == ("bias", "y", "x")
    middle = found.sel(y=0, method="nearest").values
    expected = np.cos(2 * np.pi * np.arange(-79, 80) / 8)
    known = np.isfinite(middle[0])
    assert 140 < known.sum() < 159
    # At the ends the mean over the overlap holds no whole number of periods.
    np.testing.assert_allclose(middle[:, known], [expected[known]] * 2, atol=0.11)


def test_white_noise_correlates_with_nothing():
    found = autocorrelation(image(np.random.default_rng(1).normal(size=(64, 64))))
    away = found.values.copy()
    away[63, 63] = 0
    assert np.nanmax(np.abs(away[40:88, 40:88])) < 0.1


def test_a_transform_is_refused():
    with pytest.raises(InspectionError, match="Fourier"):
        autocorrelation(fourier(image(np.random.default_rng(2).normal(size=(8, 8)))))
