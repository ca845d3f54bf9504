"""Smoothing along the bias."""

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from qpi_kernels import prepare


def cube(biases, curve, lazy=False):
    values = np.asarray(curve(np.asarray(biases)))[:, None, None] * np.ones((1, 3, 4))
    return xr.DataArray(
        da.from_array(values, chunks=(1, 3, 4)) if lazy else values,
        dims=("bias", "y", "x"),
        coords={"bias": ("bias", np.asarray(biases), {"units": "V"})},
    )


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("falling", [False, True])
def test_a_gaussian_line_grows_in_quadrature(falling, lazy) -> None:
    biases = np.linspace(-0.1, 0.1, 201)[:: -1 if falling else 1]
    raw = cube(biases, lambda v: np.exp(-((v / 0.006) ** 2) / 2), lazy)
    made = prepare.run(raw, [prepare.SmoothBias(sigma=0.008)])
    assert hasattr(made.image.data, "dask") == lazy
    curve = made.image.values[:, 1, 2]
    width = np.sqrt((curve * biases**2).sum() / curve.sum())
    assert width == pytest.approx(0.010, rel=0.01)
    assert curve.sum() == pytest.approx(raw.values[:, 1, 2].sum(), rel=1e-6)
    assert made.report["smooth_bias"]["fwhm_V"] == pytest.approx(0.008 * 2.3548, rel=1e-4)


def test_ends_stay_level_and_uneven_axes_count_by_length() -> None:
    biases = np.concatenate([np.linspace(0, 0.05, 51), np.linspace(0.055, 0.1, 10)])
    flat = prepare.run(cube(biases, np.ones_like), [prepare.SmoothBias()]).image.values
    np.testing.assert_allclose(flat, 1.0)
    line = prepare.run(cube(biases, lambda v: v), [prepare.SmoothBias(sigma=0.01)]).image.values
    middle = np.abs(biases - 0.05).argmin()
    assert line[middle, 0, 0] == pytest.approx(biases[middle], abs=4e-4)


def test_a_sweep_there_and_back_is_smoothed_one_way_at_a_time() -> None:
    there = np.linspace(0, 0.1, 21)
    biases = np.concatenate([there, there[-2::-1]])
    values = np.r_[np.zeros(21), np.ones(20)]
    made = prepare.run(cube(biases, lambda v: values), [prepare.SmoothBias(sigma=0.01)])
    np.testing.assert_allclose(made.image.values[:, 0, 0], values)
    assert made.report["smooth_bias"]["stretches"] == 2


@pytest.mark.parametrize("biases", [[0, 1, 2, 2, 1, 0], [0, 1, 2, 0, 1, 2]])
def test_a_turning_point_that_is_repeated_turns_once(biases) -> None:
    values = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 3.0])
    made = prepare.run(cube(biases, lambda v: values), [prepare.SmoothBias(sigma=1.0)])
    assert made.report["smooth_bias"]["stretches"] == 2
    curve = made.image.values[:, 0, 0]
    np.testing.assert_allclose(curve[:3], 0.0)
    assert (curve[3:] > 1.0).all()


def test_what_was_not_measured_does_not_count_and_stays() -> None:
    raw = cube(np.linspace(0, 0.1, 11), np.ones_like)
    raw.values[5, 1, 1] = np.nan
    raw.values[4, 1, 1] = 3.0
    made = prepare.run(raw, [prepare.SmoothBias(sigma=0.01)]).image.values
    assert np.isnan(made[5, 1, 1])
    assert np.isfinite(np.delete(made[:, 1, 1], 5)).all()
    with pytest.raises(prepare.PreparationError, match="no stack"):
        prepare.run(raw[0], [prepare.SmoothBias()])
