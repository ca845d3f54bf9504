"""A kernel beside its map in q space."""

import matplotlib.figure
import numpy as np
import pytest
import xarray as xr
from scipy.signal import fftconvolve
from scipy.special import j0

from qpi_kernels.inspect import InspectionError, compare_fourier, fourier, radial_profile

PITCH, Q = 0.25, 4.0


def image(values, centred=False, pitch=PITCH):
    coords = {}
    for axis, size in zip(("y", "x"), values.shape[-2:], strict=True):
        first = -(size // 2) if centred else 0
        coords[axis] = (axis, (first + np.arange(size)) * pitch, {"units": "nm"})
    dims = ("bias", "y", "x")[-values.ndim :]
    return xr.DataArray(values, dims=dims, coords=coords, attrs={"units": "nS"})


def scene(noise=0.05):
    """Make a kernel of standing waves and a map of twelve of it with noise."""
    rng = np.random.default_rng(0)
    axis = (np.arange(41) - 20) * PITCH
    radius = np.hypot(axis[:, None], axis)
    kernel = j0(Q * radius) * np.exp(-radius / 4)
    marks = np.zeros((120, 129))
    marks[rng.integers(0, 120, 12), rng.integers(0, 129, 12)] = 1
    clean = fftconvolve(marks, kernel, mode="same")
    return image(kernel, centred=True), image(clean + noise * rng.normal(size=clean.shape))


def test_both_are_on_one_grid_and_show_the_ring():
    kernel, observation = scene()
    found = compare_fourier(kernel, observation)
    assert found.kernel.shape == found.observation.shape == (120, 129)
    xr.testing.assert_identical(found.kernel["q_x"], found.observation["q_x"])
    xr.testing.assert_allclose(found.observation, fourier(observation))
    for profile in (found.kernel_profile, found.observation_profile):
        inner = profile.sel(q=slice(1.5, None))
        assert float(inner["q"][inner["mean"].argmax("q")]) == pytest.approx(Q, abs=0.4)
    # The floor is the map's noise, as amplitude: 2 sigma sqrt(sum w^2) / sum w with Hann's sums.
    expected = 2 * 0.05 * 1.5 / np.sqrt(120 * 129)
    assert float(found.observation_profile["floor"]) == pytest.approx(expected, rel=0.1)
    assert float(found.kernel_profile["floor"]) < float(found.kernel_profile["mean"].max()) / 10


def test_a_stack_is_compared_bias_by_bias_and_drawn():
    kernel, observation = scene()
    biases = xr.DataArray([0.1, 0.2], dims="bias", attrs={"units": "V"})
    stacks = [xr.concat([one, 2 * one], biases) for one in (kernel, observation)]
    found = compare_fourier(*stacks)
    assert found.kernel.dims == ("bias", "q_y", "q_x")
    one = compare_fourier(kernel, observation)
    np.testing.assert_allclose(found.kernel_profile["mean"][1], 2 * one.kernel_profile["mean"])
    axes = matplotlib.figure.Figure().subplots()
    assert found.plot(axes, bias=1) is axes
    drawn = axes.containers[1].lines[0].get_ydata()
    np.testing.assert_array_equal(drawn, found.kernel_profile["mean"][1])
    assert "rad/nm" in axes.get_xlabel()


def test_the_profiles_are_those_of_each_transform_alone():
    """Nothing is subtracted from what is drawn over its floor, and no ring of a kernel is out."""
    kernel, observation = scene(noise=0.3)
    found = compare_fourier(kernel, observation)
    alone = radial_profile(fourier(kernel, padding=4))
    xr.testing.assert_allclose(found.kernel_profile[["mean", "std"]], alone[["mean", "std"]])
    assert int(found.kernel_profile["count"][0]) > 0
    assert int(found.observation_profile["count"][0]) == 0
    seen = found.observation_profile
    outer = seen["mean"].where(seen["q"] > 9.0)
    assert float(outer.mean()) == pytest.approx(float(seen["floor"]), rel=0.1)


def test_masked_pixels_do_not_count():
    kernel, observation = scene()
    mask = np.ones(observation.shape, bool)
    mask[30:60, 40:90] = False
    spoiled = observation.where(mask, 1e5)
    found = compare_fourier(kernel, spoiled, mask=mask)
    assert float(found.observation.max()) < 1


def test_what_does_not_fit_is_refused():
    kernel, observation = scene()
    with pytest.raises(InspectionError, match="pitch"):
        compare_fourier(image(kernel.values, pitch=0.3), observation)
    with pytest.raises(InspectionError, match="larger"):
        compare_fourier(observation, kernel)
    with pytest.raises(InspectionError, match="not Fourier"):
        compare_fourier(kernel, fourier(observation))
