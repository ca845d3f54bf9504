"""Removing the set-point's contrast, from a model density of states with a known answer."""

import numpy as np
import pytest
import xarray as xr

from qpi_kernels import prepare

BIASES = np.linspace(-0.2, 0.2, 81)
STEP = BIASES[1] - BIASES[0]
SHAPE = (12, 16)


@pytest.fixture
def densities():
    """A density of states (bias, y, x) with waves on a level of 1."""
    rows, columns = np.indices(SHAPE)
    q = 0.6 + 2.0 * BIASES[:, None, None]
    return 1.0 + 0.2 * np.cos(q * columns) + 0.3 * np.sin(q * rows) * BIASES[:, None, None]


def stack(values):
    return xr.DataArray(
        values, dims=("bias", "y", "x"), coords={"bias": ("bias", BIASES, {"units": "V"})}
    )


def measured(densities, offset=0.0):
    """Return dI/dV and I of feedback that holds I = 1 at the largest bias."""
    integral = np.cumsum(densities, axis=0) * STEP
    zero = np.abs(BIASES).argmin()
    current = integral - integral[zero] - STEP / 2 * (densities - densities[zero])
    level = current[-1]
    didv, current = stack(densities / level), stack(current / level)
    shifted = {"bias": BIASES + offset}
    return didv.assign_coords(shifted), current.assign_coords(shifted)


@pytest.mark.parametrize("offset", [0.0, 0.0031])
def test_the_current_takes_the_set_point_out(densities, offset) -> None:
    didv, current = measured(densities, offset)
    step = prepare.NormalizeSetpoint(way="current")
    made = prepare.run(didv, [step], channels={"current": current})
    assert made.report["normalize_setpoint"]["bias_offset_V"] == pytest.approx(offset, abs=2e-4)
    # A pixel with three times the set-point current shows the same density of states.
    factor = np.ones(SHAPE)
    factor[5, 6] = 3.0
    again = prepare.run(didv * factor, [step], channels={"current": current * factor})
    far = np.abs(BIASES) > 0.02  # nearer to zero bias I/V is 0 by 0
    np.testing.assert_allclose(again.image.values[far], made.image.values[far], rtol=2e-3)


def test_coordinates_that_differ_by_rounding_lose_no_pixel(densities) -> None:
    didv, current = measured(densities)
    columns = np.arange(SHAPE[1]) * 0.1
    step = [prepare.NormalizeSetpoint(way="current")]
    plain = prepare.run(didv, step, channels={"current": current}).image
    shifted = current.assign_coords(x=columns + 1e-6, bias=BIASES * (1 + 1e-9))
    made = prepare.run(didv.assign_coords(x=columns), step, channels={"current": shifted}).image
    np.testing.assert_array_equal(made.values, plain.values)
    with pytest.raises(prepare.PreparationError, match="same biases"):
        prepare.run(didv, step, channels={"current": current[1:]})


def test_a_current_that_the_feedback_held_is_refused(densities) -> None:
    didv, _ = measured(densities)
    noise = np.random.default_rng(0).normal(scale=0.01, size=didv.shape)
    held = stack((1.0 + noise) * np.sign(BIASES + 1e-9)[:, None, None])
    with pytest.raises(prepare.PreparationError, match="feedback held it"):
        prepare.run(didv, [prepare.NormalizeSetpoint()], channels={"current": held})
    with pytest.raises(prepare.PreparationError, match="channel 'current'"):
        prepare.run(didv, [prepare.NormalizeSetpoint()])


def test_the_ratio_is_free_of_any_set_point(densities) -> None:
    didv, _ = measured(densities)
    made = prepare.run(didv, [prepare.NormalizeSetpoint(way="ratio")])
    assert made.image.bias.values == pytest.approx(BIASES[BIASES > 1e-9])
    wanted = densities[BIASES > 1e-9] / densities[BIASES < -1e-9][::-1]
    np.testing.assert_allclose(made.image.values, wanted, rtol=1e-9)
    with pytest.raises(prepare.PreparationError, match="partner"):
        prepare.run(didv[BIASES > 0.01], [prepare.NormalizeSetpoint(way="ratio")])


def test_the_ratio_invents_nothing_and_takes_its_planes_of_channels(densities) -> None:
    didv, current = measured(densities)
    didv.values[BIASES < 0, 3, 4] = 0.0
    topography = xr.DataArray(np.zeros(SHAPE), dims=("y", "x"))
    channels = {"current": current, "topography": topography, "retrace": didv[:5]}
    made = prepare.run(didv, [prepare.NormalizeSetpoint(way="ratio")], channels=channels)
    assert np.isnan(made.image.values[:, 3, 4]).all()
    assert np.isfinite(made.image.values).sum() == made.image.size - len(made.image)
    assert sorted(made.channels) == ["current", "topography"]
    np.testing.assert_array_equal(made.channels["current"].bias, made.image.bias)
    np.testing.assert_array_equal(made.channels["current"], current.sel(bias=made.image.bias))


def test_the_height_gives_the_exponential_back(densities) -> None:
    # The tip is higher where the integral is larger: I = rho_integral exp(-2 kappa z).
    integral = densities[40:].sum(axis=0)
    decay = 10.246 * np.sqrt(4.0)
    z = np.log(integral) / decay
    didv = stack(densities * np.exp(-decay * z))
    step = prepare.NormalizeSetpoint(way="height", work_function=4.0)
    made = prepare.run(didv, [step], channels={"topography": z})
    ratio = made.image.values / densities
    np.testing.assert_allclose(ratio, ratio[0, 0, 0], rtol=1e-9)
    assert made.report["normalize_setpoint"]["decay_per_nm"] == pytest.approx(decay)
    with pytest.raises(prepare.PreparationError, match="flat"):
        prepare.run(didv, [step], channels={"topography": 0 * z})
