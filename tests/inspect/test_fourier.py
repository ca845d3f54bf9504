"""The Fourier magnitude in physical units."""

import numpy as np
import pytest
import xarray as xr

from qpi_kernels.inspect import fourier_magnitude

PITCH = (0.2, 0.3)


def image(values):
    coords = {
        axis: (axis, np.arange(size) * step, {"units": "nm"})
        for axis, size, step in zip(("y", "x"), values.shape[-2:], PITCH, strict=True)
    }
    return xr.DataArray(values, dims=("bias", "y", "x")[-values.ndim :], coords=coords)


@pytest.mark.parametrize(("shape", "padding"), [((64, 80), 1), ((65, 81), 1), ((33, 40), 4)])
def test_a_wave_shows_at_two_pi_over_its_length(shape, padding):
    y, x = np.arange(shape[0]) * PITCH[0], np.arange(shape[1]) * PITCH[1]
    wave = np.cos(2 * np.pi * (y[:, None] / 1.6 - x / 2.4))
    found = fourier_magnitude(image(7.0 + wave), padding=padding)
    assert found.dims == ("q_y", "q_x")
    assert found.q_x.attrs["units"] == "1/nm"
    for size, axis in zip(found.shape, ("q_y", "q_x"), strict=True):
        assert float(found[axis][size // 2]) == 0
        assert (np.diff(found[axis]) > 0).all()
    row, column = np.unravel_index(found.values.argmax(), found.shape)
    step = [float(found[axis][1] - found[axis][0]) for axis in ("q_y", "q_x")]
    assert abs(abs(found.q_y[row]) - 2 * np.pi / 1.6) <= step[0]
    assert abs(abs(found.q_x[column]) - 2 * np.pi / 2.4) <= step[1]
    assert float(found.q_y[row]) * float(found.q_x[column]) < 0


def test_the_magnitude_does_not_depend_on_the_sampling():
    def gaussian(pitch):
        axis = np.arange(-12, 12, pitch)
        values = np.exp(-(axis[:, None] ** 2 + axis**2) / 2)
        coords = {name: (name, axis, {"units": "nm"}) for name in ("y", "x")}
        return fourier_magnitude(xr.DataArray(values, dims=("y", "x"), coords=coords))

    coarse, fine = gaussian(0.5), gaussian(0.25)
    assert float(fine.max()) == pytest.approx(float(coarse.max()), rel=0.02)


def test_missing_pixels_count_as_the_mean():
    values = np.random.default_rng(2).normal(size=(3, 32, 32)) + 5
    holed = values.copy()
    holed[:, 4:6] = np.nan
    filled = np.where(np.isnan(holed), np.nanmean(holed, axis=(-2, -1), keepdims=True), holed)
    found = fourier_magnitude(image(holed))
    assert found.dims == ("bias", "q_y", "q_x")
    np.testing.assert_allclose(found, fourier_magnitude(image(filled)), rtol=1e-9, atol=1e-12)
