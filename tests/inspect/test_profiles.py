"""Radial and sector profiles against rings, noise and functions that are known."""

import numpy as np
import pytest
import xarray as xr
from scipy.special import j0

from qpi_kernels.inspect import InspectionError, fourier, radial_profile, sector_profile

PITCH = 0.2


def image(values, centred=False):
    coords = {}
    for axis, size in zip(("y", "x"), values.shape[-2:], strict=True):
        first = -(size // 2) if centred else 0
        coords[axis] = (axis, (first + np.arange(size)) * PITCH, {"units": "nm"})
    dims = ("bias", "y", "x")[-values.ndim :]
    return xr.DataArray(values, dims=dims, coords=coords, attrs={"units": "nS"})


def radii(size):
    axis = (np.arange(size) - size // 2) * PITCH
    return np.hypot(axis[:, None], axis)


@pytest.mark.parametrize("size", [80, 81])
def test_the_profile_of_a_round_kernel_is_the_kernel(size):
    kernel = image(j0(3.0 * radii(size)), centred=True)
    found = radial_profile(kernel)
    assert found["mean"].dims == ("r",)
    assert found["mean"].attrs["units"] == "nS"
    assert found["r"].attrs["units"] == "nm"
    assert float(found["r"].max()) == pytest.approx((size - 1) // 2 * PITCH, abs=PITCH)
    np.testing.assert_allclose(found["mean"], j0(3.0 * found["r"]), atol=0.03)
    assert int(found["count"][0]) == 1
    assert int(found["count"].sum()) < size**2


def test_the_centre_may_lie_anywhere():
    values = np.zeros((40, 50))
    values[12, 30] = 1.0
    found = radial_profile(image(values), centre=(12 * PITCH, 30 * PITCH))
    assert float(found["mean"][0]) == 1.0
    assert float(abs(found["mean"][1:]).max()) == 0.0


@pytest.mark.parametrize("window", ["none", "hann", "blackman"])
@pytest.mark.parametrize("padding", [1, 2])
def test_white_noise_gives_a_flat_profile_with_errors_that_hold(window, padding):
    values = np.random.default_rng(1).normal(0, 2.0, (150, 48, 60))
    for scale, level in (("psd", 4 * PITCH**2), ("amplitude", None)):
        transform = fourier(image(values), window=window, scale=scale, padding=padding)
        found = radial_profile(transform)
        assert np.isnan(found["mean"][:, 0]).all()  # the strip of row offsets
        good = found.isel(q=slice(4, None))
        claimed = np.sqrt((good["std"] ** 2).mean("bias"))
        if level is not None:
            away = (good["mean"].mean("bias") - level) / (claimed / np.sqrt(150))
            assert float(abs(away).max()) < 4
        ratio = float((claimed / good["mean"].std("bias")).mean())
        assert 0.9 < ratio < 1.35


def test_the_floor_is_that_of_white_noise_and_bragg_peaks_do_not_move_it():
    rng = np.random.default_rng(2)
    size = 128
    noise = rng.normal(0, 0.5, (size, size))
    at = np.arange(size)
    peaks = 3 * np.cos(2 * np.pi * (61 * at[:, None] + 3 * at) / size)
    ring = 4.0 * j0(5.0 * radii(size)) * np.hanning(size) * np.hanning(size)[:, None]
    psd = fourier(image(ring + peaks + noise), scale="psd")
    found = radial_profile(psd, floor=True)
    assert float(found["floor"]) == pytest.approx(0.25 * PITCH**2, rel=0.06)
    rest = found["mean"].sel(q=slice(8, 13))
    assert float(abs(rest.mean())) < 0.1 * 0.25 * PITCH**2
    for one in (found, radial_profile(fourier(image(ring + peaks + noise)), floor=True)):
        low = one.sel(q=slice(0, 12))
        assert float(low["q"][low["mean"].argmax("q")]) == pytest.approx(5.0, abs=0.5)
    assert (one["mean"].dropna("q") >= 0).all()  # an amplitude


def test_offsets_of_rows_do_not_show():
    rng = np.random.default_rng(3)
    values = rng.normal(size=(64, 64))
    rows = values + 20 * rng.normal(size=(64, 1))
    clean = radial_profile(fourier(image(values)))
    found = radial_profile(fourier(image(rows)))
    kept = radial_profile(fourier(image(rows)), skip_axis=False)
    inner = slice(3, None)
    np.testing.assert_allclose(found["mean"][inner], clean["mean"][inner], rtol=1e-6)
    assert float(kept["mean"][8]) > 2 * float(clean["mean"][8])


def test_the_magnitude_is_averaged_by_its_power():
    transform = fourier(image(np.random.default_rng(4).normal(size=(64, 64))))
    found = radial_profile(transform, step=0.5, skip_axis=False)
    q = np.hypot(transform.q_y.values[:, None], transform.q_x.values)
    ring = np.rint(q / 0.5) == 12
    assert float(found["mean"][12]) == pytest.approx(np.sqrt((transform.values[ring] ** 2).mean()))
    assert int(found["count"][12]) == ring.sum()


@pytest.mark.parametrize("angle", [0, 30, 90, 150, 210])
def test_a_sector_looks_along_its_angle_as_seen(angle):
    size = 81
    axis = (np.arange(size) - size // 2) * PITCH
    seen = np.rad2deg(np.arctan2(-axis[:, None], axis))
    value = np.cos(np.deg2rad(seen - angle))
    found = sector_profile(image(value, centred=True), angle)
    # Of a cosine over 20 degrees the mean is above 0.99.
    assert float(found["mean"].sel(r=slice(3, None)).min()) > 0.98
    opposite = sector_profile(image(value, centred=True), angle + 180)
    assert float(opposite["mean"].sel(r=slice(3, None)).max()) < -0.98


def test_a_sector_of_a_transform_has_both_sides():
    at = np.arange(64)
    wave = np.cos(2 * np.pi * (-8 * at[:, None] + 8 * at) / 64)  # fronts run up to the left
    transform = fourier(image(wave))
    along = sector_profile(transform, 45)
    q = 8 * np.sqrt(2) * transform.attrs["dq_x"]
    assert float(along["q"][along["mean"].argmax("q")]) == pytest.approx(q, abs=0.5)
    np.testing.assert_allclose(sector_profile(transform, 225)["mean"], along["mean"])
    across = sector_profile(transform, 135)
    assert float(across["mean"].max()) < 1e-6 * float(along["mean"].max())
    whole = radial_profile(transform)
    assert int(along["count"].sum()) < 0.2 * int(whole["count"].sum())


def test_a_stack_keeps_its_biases_and_nan_is_left_out():
    rng = np.random.default_rng(5)
    values = rng.normal(size=(3, 32, 32))
    values[1, 4:9, 4:9] = np.nan
    stack = image(values, centred=True).assign_coords(bias=("bias", [0.1, 0.2, 0.3]))
    found = radial_profile(stack)
    assert found["mean"].dims == ("bias", "r")
    np.testing.assert_array_equal(found["bias"], stack["bias"])
    for index in range(3):
        np.testing.assert_allclose(
            found["mean"][index], radial_profile(stack[index])["mean"], rtol=1e-9, atol=1e-12
        )
    assert int(found["count"][1].sum()) < int(found["count"][0].sum())


def test_wrong_requests_are_refused():
    plain = image(np.zeros((16, 16)))
    with pytest.raises(InspectionError, match="floor"):
        radial_profile(plain, floor=True)
    with pytest.raises(InspectionError, match="positive"):
        radial_profile(plain, step=0.0)
    with pytest.raises(InspectionError, match="width_deg"):
        sector_profile(plain, 0, width_deg=0)
