"""Bands whose contours are not round, from kernels that Bessel functions and sums over k draw."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import xarray as xr
from scipy.special import hankel1

from qpi_kernels.inspect import DispersionError, fit_dispersion
from qpi_kernels.simulate import EllipticBand, WarpedBand
from shared.results import planted_result

HBAR2_OVER_2M = 0.0380998  # eV nm^2
PIXEL_NM = 0.35
CORE_NM = 0.8


def axes(side):
    axis = (np.arange(side) - side // 2) * PIXEL_NM
    return np.meshgrid(axis, axis, indexing="ij")


def ellipse(energy, width, side, mass_x, mass_y, onset, angle_deg):
    """Scale the plane so that the ellipse is a circle: its waves are Hankel functions."""
    y, x = axes(side)
    angle = np.deg2rad(angle_deg)
    # y counts down the screen.
    along, across = np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y
    distance = np.maximum(np.hypot(mass_x**0.5 * along, mass_y**0.5 * across), 0.1)
    k = np.sqrt((energy - onset + 1j * width) / HBAR2_OVER_2M)
    return hankel1(0, k * distance) ** 2


def hexagon(energy, width, side, mass, onset, warping, angle_deg):
    """Sum over wave vectors of a mesh twice as fine as the pixels."""
    points = 1536
    k = 2 * np.pi * np.fft.fftfreq(points, PIXEL_NM / 2)
    ky, kx = np.meshgrid(k, k, indexing="ij")
    ripple = np.cos(6 * (np.arctan2(-ky, kx) - np.deg2rad(angle_deg)))
    states = onset + HBAR2_OVER_2M / mass * (kx**2 + ky**2) * (1 + warping * ripple)
    wave = np.fft.fftshift(np.fft.ifft2(1 / (energy + 1j * width - states))) * points
    first = points // 2 - 2 * (side // 2)
    return wave[first : first + 2 * side : 2, first : first + 2 * side : 2] ** 2


def drawn(waves, biases, widths, *, side, noise, seed, **band):
    """Draw a stack with a phase shift at each bias and white noise, and its deviation."""
    rng = np.random.default_rng(seed)
    phases = rng.uniform(0.3, 2.5, len(biases))
    planes = np.stack(
        [
            (np.exp(1j * phase) * waves(energy, width, side, **band)).imag
            for energy, width, phase in zip(biases, widths, phases, strict=True)
        ]
    )
    outside = np.hypot(*axes(side)) > CORE_NM
    rms = np.sqrt(np.square(planes[:, outside]).mean(axis=1))[:, None, None]
    # What the core holds is the defect's own and must not matter.
    planes[:, ~outside] = 50 * rms[:, :, 0]
    std = np.broadcast_to(noise * rms, planes.shape)
    axis = axes(side)[0][:, 0]
    coords = {
        "bias": ("bias", biases, {"units": "V"}),
        "y": ("y", axis, {"units": "nm"}),
        "x": ("x", axis, {"units": "nm"}),
    }
    kernel = xr.DataArray(planes + std * rng.standard_normal(planes.shape), coords=coords)
    return kernel, kernel.copy(data=std)


ELLIPSE = {"mass_x": 0.6, "mass_y": 0.3, "onset": -0.1, "angle_deg": 20.0}
BIASES, WIDTHS = np.array([0.0, 0.1]), np.array([0.015, 0.025])


@pytest.fixture(scope="module")
def ellipse_fit():
    kernel, std = drawn(ellipse, BIASES, WIDTHS, side=31, noise=0.5, seed=1, **ELLIPSE)
    start = {"mass_x": 0.5, "mass_y": 0.36, "onset": -0.09, "angle_deg": 10.0}
    return fit_dispersion(kernel, std=std, model="elliptic", method="synthesis", initial=start)


def test_masses_and_axes_of_an_ellipse(ellipse_fit):
    for name, truth in ELLIPSE.items():
        assert ellipse_fit.parameters[name] == pytest.approx(truth, rel=0.05)
        assert abs(ellipse_fit.parameters[name] - truth) < 3 * ellipse_fit.errors[name]
    assert 0.9 < ellipse_fit.reduced_chi2 < 1.1
    assert ellipse_fit.covariance.shape == (4, 4)
    assert "mass_x = 0." in ellipse_fit.summary()


def test_contours_and_lifetimes_of_an_ellipse(ellipse_fit):
    table = ellipse_fit.wave_numbers
    energy = BIASES + 0.1
    along = np.sqrt(energy * 0.6 / HBAR2_OVER_2M)
    measured, error = (ellipse_fit.contours[name].sel(angle=20.0) for name in ("k", "k_std"))
    assert (np.abs(measured - along) < 3 * error).all()
    assert (error < 0.05 * measured).all()
    mean = np.sqrt(energy * np.sqrt(0.6 * 0.3) / HBAR2_OVER_2M)
    # A circle with as many states has the area of the ellipse.
    np.testing.assert_allclose(table["k"], mean, rtol=0.02)
    assert (np.abs(table["self_energy"] - WIDTHS) < 3 * table["self_energy_std"]).all()
    assert (table["self_energy_std"] < 0.3 * WIDTHS).all()
    np.testing.assert_allclose(table["lifetime"] * table["self_energy"], 0.6582119569 / 2)


def test_the_synthesised_kernel_is_that_without_noise(ellipse_fit):
    kernel, _ = drawn(ellipse, BIASES, WIDTHS, side=31, noise=0.0, seed=1, **ELLIPSE)
    outside = np.hypot(*axes(31)) > 1.2
    found = ellipse_fit.synthesised.values[:, outside]
    truth = kernel.values[:, outside]
    assert np.corrcoef(found.ravel(), truth.ravel())[0, 1] > 0.99


def test_a_function_that_builds_a_band_and_a_parameter_held(ellipse_fit):
    kernel, std = drawn(
        ellipse, BIASES, WIDTHS, side=31, noise=0.3, seed=2, **ELLIPSE | {"angle_deg": 0.0}
    )
    found = fit_dispersion(
        kernel, std=std, model=EllipticBand, method="synthesis",
        initial={"mass_x": 0.55, "mass_y": 0.33}, fixed={"onset": -0.1},
    )  # fmt: skip
    assert found.parameters["onset"] == -0.1
    assert found.errors["onset"] == 0
    assert found.parameters["mass_x"] == pytest.approx(0.6, rel=0.05)
    assert found.covariance.shape == (2, 2)


def test_a_kernel_of_a_prior_is_said_to_be_weakened():
    kernel, std = drawn(ellipse, BIASES[:1], WIDTHS[:1], side=25, noise=0.5, seed=1, **ELLIPSE)
    plain = replace(planted_result(), kernel=kernel, std=std, draws=None)
    held = {name: ELLIPSE[name] for name in ("mass_x", "mass_y", "angle_deg")}
    options = {
        "model": "elliptic",
        "method": "synthesis",
        "fixed": held,
        "initial": {"onset": -0.1},
    }
    for result, told in ((plain, False), (replace(plain, draws=std.expand_dims("draw")), True)):
        notes = fit_dispersion(result, **options).notes
        assert any("method='least_squares'" in note for note in notes) == told


def test_without_a_start_the_error_says_what_to_give():
    kernel, std = drawn(ellipse, BIASES, WIDTHS, side=31, noise=0.3, seed=2, **ELLIPSE)
    with pytest.raises(DispersionError, match=r"initial=\{'mass_x'"):
        fit_dispersion(kernel, std=std, model=EllipticBand, method="synthesis")
    with pytest.raises(DispersionError, match="no parameter 'mass'"):
        fit_dispersion(kernel, std=std, model="elliptic", method="synthesis", initial={"mass": 1.0})
    with pytest.raises(DispersionError, match="elliptic, warped"):
        fit_dispersion(kernel, std=std, model="octagon", method="synthesis")
    shifted = kernel.assign_coords(x=kernel["x"] + 1.0)
    with pytest.raises(DispersionError, match="h//2"):
        fit_dispersion(shifted, std=std, model="elliptic", method="synthesis")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shape", ["elliptic", "warped"])
def test_parameters_within_five_per_cent_from_no_start_at_all(shape, seed):
    rng = np.random.default_rng(100 + seed)
    biases, widths = np.linspace(-0.02, 0.15, 6), rng.uniform(0.008, 0.015, 6)
    onset, mass = rng.uniform(-0.15, -0.07), rng.uniform(0.3, 0.5)
    if shape == "elliptic":
        ratio = rng.uniform(1.3, 3)
        band = {"mass_x": mass * ratio**0.5, "mass_y": mass / ratio**0.5, "onset": onset}
        band["angle_deg"] = rng.uniform(-40, 40)
        waves = ellipse
    else:
        band = {"mass": mass, "onset": onset, "warping": rng.uniform(0.08, 0.3)}
        band["angle_deg"] = rng.uniform(-25, 25)
        waves = hexagon
    kernel, std = drawn(waves, biases, widths, side=49, noise=0.5, seed=seed, **band)
    found = fit_dispersion(kernel, std=std, model=shape, method="synthesis")
    assert found.parameters["angle_deg"] == pytest.approx(band.pop("angle_deg"), abs=1.0)
    for name, truth in band.items():
        assert found.parameters[name] == pytest.approx(truth, rel=0.05), name


@pytest.mark.slow
def test_a_warped_contour_is_searched_between_bounds():
    band = {"mass": 0.4, "onset": -0.1, "warping": 0.2, "angle_deg": 0.0}
    kernel, std = drawn(hexagon, BIASES, WIDTHS, side=41, noise=0.5, seed=3, **band)
    bounds = {"mass": (0.3, 0.5), "onset": (-0.13, -0.08), "warping": (0.0, 0.4)}
    found = fit_dispersion(
        kernel, std=std, model=partial(WarpedBand, fold=6), method="synthesis", bounds=bounds,
    )  # fmt: skip
    for name in bounds:
        assert found.parameters[name] == pytest.approx(band[name], rel=0.05)
