"""Fourier transforms: amplitude, power, phase and axes, against what analysis says of them."""

import numpy as np
import pytest
import xarray as xr

from qpi_kernels.inspect import (
    InspectionError,
    autocorrelation,
    fourier,
    line_cut,
    pixel_edges,
    radial_profile,
)
from qpi_kernels.prepare import world_nm

PITCH = (0.2, 0.3)
SCALES = ("amplitude", "psd", "complex")
WINDOWS = ("none", "tukey", "hann", "hamming", "blackman")
# How much less a cosine reads half a point off the grid, per axis: Harris 1978.
SCALLOPING = {"none": 0.363, "tukey": 0.226, "hann": 0.151, "hamming": 0.183, "blackman": 0.119}
# Even, odd and not square.
SHAPES = ((64, 64), (65, 63), (48, 81))


def image(values, first=(0.0, 0.0), pitch=PITCH):
    coords = {
        axis: (axis, start + np.arange(size) * step, {"units": "nm"})
        for axis, size, step, start in zip(("y", "x"), values.shape[-2:], pitch, first, strict=True)
    }
    dims = ("bias", "y", "x")[-values.ndim :]
    return xr.DataArray(values, dims=dims, coords=coords, attrs={"units": "nS"})


def cosine(shape, points, amplitude=1.0):
    """Make a cosine with so many periods a frame along the rows' axis and the columns' axis."""
    y, x = (np.arange(n) / n for n in shape)
    return amplitude * np.cos(2 * np.pi * (points[0] * y[:, None] + points[1] * x) + 0.4)


@pytest.mark.parametrize(("shape", "padding"), [((64, 80), 1), ((65, 81), 1), ((33, 40), 4)])
def test_a_wave_shows_at_two_pi_over_its_length(shape, padding):
    y, x = np.arange(shape[0]) * PITCH[0], np.arange(shape[1]) * PITCH[1]
    wave = np.cos(2 * np.pi * (y[:, None] / 1.6 - x / 2.4))
    found = fourier(image(7.0 + wave), padding=padding)
    assert found.dims == ("q_y", "q_x")
    assert found.q_x.attrs["units"] == "rad/nm"
    assert found.attrs["units"] == "nS"
    for size, axis in zip(found.shape, ("q_y", "q_x"), strict=True):
        assert float(found[axis][size // 2]) == 0
        assert (np.diff(found[axis]) > 0).all()
    row, column = np.unravel_index(found.values.argmax(), found.shape)
    step = [float(found[axis][1] - found[axis][0]) for axis in ("q_y", "q_x")]
    assert abs(abs(found.q_y[row]) - 2 * np.pi / 1.6) <= step[0]
    assert abs(abs(found.q_x[column]) - 2 * np.pi / 2.4) <= step[1]
    assert float(found.q_y[row]) * float(found.q_x[column]) < 0


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("window", WINDOWS)
def test_a_cosine_reads_its_amplitude(window, shape):
    wave = image(12.0 + cosine(shape, (9, 11), 2.5))
    assert float(fourier(wave, window=window).max()) == pytest.approx(2.5, rel=0.01)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("window", WINDOWS)
def test_a_cosine_off_the_grid_reads_its_amplitude_after_padding(window, shape):
    wave = image(12.0 + cosine(shape, (9.5, 11.5), 2.5))
    loss = (1 - SCALLOPING[window]) ** 2
    assert float(fourier(wave, window=window).max()) == pytest.approx(2.5 * loss, rel=0.03)
    # Without a window the sidelobes of the opposite peak add up to some percent.
    tolerance = 0.04 if window == "none" else 0.015
    padded = fourier(wave, window=window, padding=4)
    assert float(padded.max()) == pytest.approx(2.5, rel=tolerance)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("padding", [1, 2])
@pytest.mark.parametrize("masked", [False, True])
def test_the_psd_of_white_noise_is_its_variance_times_the_pixel(window, shape, padding, masked):
    rng = np.random.default_rng(3)
    noise = image(rng.normal(5.0, 1.7, (40, *shape)))
    mask = rng.random(shape) > 0.3
    mask[10:25, 12:30] = False
    psd = fourier(noise, window=window, scale="psd", padding=padding, mask=mask if masked else None)
    assert psd.attrs["units"] == "nS^2 nm^2"
    away = (abs(psd.q_y) > 3 * psd.attrs["dq_y"]) | (abs(psd.q_x) > 3 * psd.attrs["dq_x"])
    expected = 1.7**2 * PITCH[0] * PITCH[1]
    assert float(psd.where(away).mean()) == pytest.approx(expected, rel=0.02)


def test_power_is_kept():
    values = np.random.default_rng(4).normal(size=(40, 51))
    for window in WINDOWS:
        psd = fourier(image(values), window=window, scale="psd", padding=2)
        steps = [float(psd[axis][1] - psd[axis][0]) for axis in ("q_y", "q_x")]
        total = float(psd.sum()) * steps[0] * steps[1] / (2 * np.pi) ** 2
        whole = fourier(image(values), window=window, scale="complex", padding=2)
        assert total == pytest.approx(np.var(values), rel=0.2)
        if window == "none":
            assert total == pytest.approx(np.var(values), rel=1e-9)
            energy = (abs(whole) ** 2).sum() * steps[0] * steps[1] / (2 * np.pi) ** 2
            area = PITCH[0] * PITCH[1]
            assert float(energy) == pytest.approx(np.var(values) * values.size * area, rel=1e-9)


@pytest.mark.parametrize("shape", [(32, 32), (31, 33), (32, 45)])
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("padding", [1, 3])
def test_a_delta_at_the_centre_of_a_kernel_has_no_phase(shape, window, padding):
    kernel = np.zeros(shape)
    kernel[shape[0] // 2, shape[1] // 2] = 2.0
    first = [-(n // 2) * step for n, step in zip(shape, PITCH, strict=True)]
    found = fourier(image(kernel, first), window=window, scale="complex", padding=padding)
    level = 2.0 * PITCH[0] * PITCH[1]
    # Near q = 0 the mean is missing, with the sidelobes of the window; where this does not vanish
    # at the edge, the first row and column of an even frame have no counterpart.
    ends_at_zero = window in ("tukey", "hann", "blackman") or padding == 1
    assert float(abs(found.imag).max()) < (1e-12 if ends_at_zero else 0.05) * level
    far = (abs(found.q_y) > 3) & (abs(found.q_x) > 3)
    np.testing.assert_allclose(found.real.where(far, level), level, rtol=0.03)


def test_a_delta_aside_has_the_phase_of_its_place():
    kernel = np.zeros((21, 24))
    kernel[13, 9] = 1.0  # 3 rows down, 3 columns left of the centre
    found = fourier(image(kernel, (-2.0, -3.6)), window="none", scale="complex")
    expected = np.exp(-1j * (found.q_y * 0.6 - found.q_x * 0.9)) * PITCH[0] * PITCH[1]
    rest = (found - expected).values
    rest[10, 12] = 0.0  # the mean
    np.testing.assert_allclose(rest, 0, atol=1e-12)


def test_nothing_is_left_at_zero_of_a_masked_map_on_a_background():
    rng = np.random.default_rng(5)
    values = 100.0 + rng.normal(size=(3, 40, 50))
    mask = np.ones((40, 50), bool)
    mask[5:20, 30:] = False
    values[:, ~mask] = -1e4
    found = fourier(image(values), mask=mask)
    assert float(abs(found.sel(q_y=0, q_x=0)).max()) < 1e-10
    holed = image(np.where(mask, values, np.nan))
    xr.testing.assert_allclose(found, fourier(holed))
    # What is masked does not count: a plain mean would leave the hole's edges.
    assert float(found.max()) < 0.4


def test_the_transform_does_not_depend_on_the_sampling():
    def gaussian(pitch):
        axis = np.arange(-12, 12, pitch)
        values = np.exp(-(axis[:, None] ** 2 + axis**2) / 2)
        return fourier(image(values, (-12, -12), (pitch, pitch)), scale="complex")

    coarse, fine = gaussian(0.5), gaussian(0.25)
    assert float(fine.real.max()) == pytest.approx(float(coarse.real.max()), rel=0.02)
    at = fine.sel(q_y=0, q_x=2 * np.pi / 24 * 4, method="nearest")
    q = float(at.q_x)
    # The window's curvature lifts the Gaussian's transform, 2 pi exp(-q^2/2), by a percent.
    assert float(at.real) == pytest.approx(2 * np.pi * np.exp(-(q**2) / 2), rel=0.05)


@pytest.mark.parametrize("angle_deg", [0.0, 30.0, -75.0])
def test_the_axes_are_those_of_a_frame_scanned_at_an_angle(angle_deg):
    frame = image(np.zeros((60, 70))).assign_attrs(scan_angle_deg=angle_deg, offset_nm=(3.0, 5.0))
    pixels = np.moveaxis(np.indices(frame.shape), 0, -1)
    on_sample = np.array([2.1, -3.3])  # (x, y), y upwards, of waves on the sample
    found = fourier(frame.copy(data=np.cos(world_nm(frame, pixels) @ on_sample)), padding=4)
    row, column = np.unravel_index(found.values.argmax(), found.shape)
    right, up = float(found.q_x[column]), -float(found.q_y[row])
    # The scan angle is positive clockwise.
    cosine, sine = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    turned = np.array([right * cosine + up * sine, up * cosine - right * sine])
    apart = min(np.linalg.norm(turned - on_sample), np.linalg.norm(turned + on_sample))
    assert apart < 0.2 * found.attrs["dq_y"]


def test_coordinates_may_descend_or_lack():
    values = np.random.default_rng(6).normal(size=(12, 15))
    up = image(values)
    for scale in ("amplitude", "complex"):
        xr.testing.assert_allclose(
            fourier(up, scale=scale, window="none"),
            fourier(up.isel(y=slice(None, None, -1)), scale=scale, window="none"),
        )
    plain = fourier(xr.DataArray(values, dims=("y", "x")))
    assert plain.q_y.attrs["units"] == "rad/px"
    assert float(plain.q_x[-1]) == pytest.approx(2 * np.pi * 7 / 15)


@pytest.mark.parametrize("labels", [False, True])
def test_a_mask_turns_with_its_image(labels):
    values = np.random.default_rng(5).standard_normal((40, 33))
    values[:10, :7] += 1000.0
    good = image(np.ones((40, 33)))
    good[:10, :7] = 0
    straight = image(values)
    expected = fourier(straight, mask=good.values > 0)
    assert float(expected.max()) < 1
    turned = {"y": slice(None, None, -1), "x": slice(None, None, -1)}
    mask = (good > 0).isel(turned)
    found = fourier(straight.isel(turned), mask=mask if labels else mask.values)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    if labels:
        np.testing.assert_allclose(fourier(straight, mask=mask), expected, atol=1e-12)
        with pytest.raises(InspectionError, match="coordinates of axis y"):
            fourier(straight, mask=mask.assign_coords(y=mask["y"] + 0.1))


def test_a_stack_is_transformed_plane_by_plane():
    values = np.random.default_rng(7).normal(size=(3, 20, 24)).astype(np.float32)
    stack = image(values).assign_coords(bias=("bias", [0.1, 0.2, 0.3], {"units": "V"}))
    found = fourier(stack)
    assert found.dims == ("bias", "q_y", "q_x")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found.bias, stack.bias)
    np.testing.assert_allclose(found[1], fourier(stack[1]), rtol=1e-5)


def test_a_lazy_stack_is_computed_once():
    calls = []

    def plane(block):
        calls.append(1)
        return block * 2

    stack = image(np.random.default_rng(10).normal(size=(2, 16, 16)))
    lazy = stack.chunk({"bias": 1, "y": -1, "x": -1})
    lazy = lazy.copy(data=lazy.data.map_blocks(plane, dtype=float, meta=np.empty((0, 0, 0))))
    for work in (
        fourier,
        autocorrelation,
        radial_profile,
        lambda lazy: line_cut(lazy, (0, 0), (2, 2)),
    ):
        calls.clear()
        xr.testing.assert_allclose(work(lazy), work(2 * stack).assign_attrs(work(lazy).attrs))
        assert len(calls) == 4  # two planes, for each of the two calls


def test_units_of_powers_are_clear():
    for unit, power, whole in (
        ("nS", "nS^2 nm^2", "nS nm^2"),
        ("1/(eV nm^2)", "(1/(eV nm^2))^2 nm^2", "(1/(eV nm^2)) nm^2"),
        ("", "nm^2", "nm^2"),
    ):
        one = image(np.eye(8)).assign_attrs(units=unit)
        found = {scale: fourier(one, scale=scale).attrs["units"] for scale in SCALES}
        assert found == {"amplitude": unit, "psd": power, "complex": whole}


@pytest.mark.parametrize("size", [8, 9])
def test_pixel_edges_lie_half_a_step_outside(size):
    found = fourier(image(np.random.default_rng(8).normal(size=(size, size)), pitch=(0.5, 0.5)))
    first, last = pixel_edges(found.q_x)
    nyquist, step = np.pi / 0.5, 2 * np.pi / (0.5 * size)
    assert last - first == pytest.approx(2 * nyquist)
    expected = (-nyquist - step / 2, nyquist - step / 2) if size % 2 == 0 else (-nyquist, nyquist)
    assert (first, last) == pytest.approx(expected)


def test_a_plane_without_a_pixel_is_nan():
    values = np.random.default_rng(9).normal(size=(2, 8, 8))
    values[1] = np.nan
    found = fourier(image(values))
    assert np.isfinite(found[0]).all()
    assert np.isnan(found[1]).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"window": "kaiser"}, "hann"),
        ({"scale": "power"}, "psd"),
        ({"padding": 0}, "whole number"),
        ({"mask": np.ones((3, 3), bool)}, "shape"),
    ],
)
def test_wrong_parameters_are_refused_by_name(options, words):
    with pytest.raises(InspectionError, match=words):
        fourier(image(np.zeros((8, 8))), **options)


def test_wrong_images_are_refused():
    with pytest.raises(InspectionError, match="transpose"):
        fourier(image(np.zeros((8, 8))).T)
    with pytest.raises(InspectionError, match="already"):
        fourier(fourier(image(np.random.default_rng(1).normal(size=(8, 8)))))
    with pytest.raises(InspectionError, match="real numbers"):
        fourier(image(np.zeros((8, 8)) + 1j))
    uneven = image(np.zeros((8, 8))).assign_coords(x=("x", np.arange(8.0) ** 2))
    with pytest.raises(InspectionError, match="not even"):
        fourier(uneven)
