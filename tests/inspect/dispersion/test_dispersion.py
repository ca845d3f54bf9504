"""Bands, lifetimes and phases from waves that Bessel functions draw, none of the library's."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from scipy.special import jv, yv

from qpi_kernels.inspect import DispersionError, fit_dispersion, radial_phase
from qpi_kernels.simulate import EnergyResolution, SetPoint

HBAR2_OVER_2M = 0.0380998  # eV nm^2
BIASES = np.linspace(-0.04, 0.16, 6)
PIXEL_NM, SIDE = 0.5, 41


def waves(k, kappa, phase, helical=False):
    """Draw Re{(e^(2 i delta) - 1) (J0 + i Y0)^2} / 2, or with J1 + i Y1 beside it."""
    axis = (np.arange(SIDE) - SIDE // 2) * PIXEL_NM
    distance, places = np.unique(np.hypot(axis[:, None], axis), return_inverse=True)
    at = (k + 1j * kappa) * np.maximum(distance, 0.1)
    outgoing = (jv(0, at) + 1j * yv(0, at)) ** 2
    if helical:
        outgoing = outgoing + (jv(1, at) + 1j * yv(1, at)) ** 2
    return (0.5 * ((np.exp(2j * phase) - 1) * outgoing).real)[places]


def labelled(planes, biases=BIASES):
    axis = (np.arange(SIDE) - SIDE // 2) * PIXEL_NM
    return xr.DataArray(
        np.asarray(planes),
        dims=("bias", "y", "x"),
        coords={
            "bias": ("bias", biases, {"units": "V"}),
            "y": ("y", axis, {"units": "nm"}),
            "x": ("x", axis, {"units": "nm"}),
        },
    )


def silver(mass=0.4, onset=-0.065, width=0.006, phase=0.7):
    poles = np.sqrt((BIASES - onset + 1j * width) * mass / HBAR2_OVER_2M)
    if mass < 0:
        poles = np.where(poles.imag < 0, -poles, poles)
    return labelled([waves(one.real, one.imag, phase) for one in poles])


def with_noise(kernel, ratio, seed=0):
    """Add white noise of so many times the rms of the rings, and return its deviation too."""
    outside = np.hypot(kernel["y"], kernel["x"]) > 0.8
    deviation = ratio * kernel.where(outside).std(("y", "x"))
    noise = kernel.copy(data=np.random.default_rng(seed).standard_normal(kernel.shape))
    return kernel + deviation * noise, xr.ones_like(kernel) * deviation


@pytest.mark.parametrize("phase", [-np.pi / 4, 0.2, np.pi / 4, 1.5])
def test_parabola_lifetime_and_phase_without_noise(phase):
    kernel = silver(phase=phase)
    found = fit_dispersion(kernel)
    assert found.parameters == pytest.approx({"mass": 0.4, "onset": -0.065}, rel=1e-3)
    assert found.wave_numbers["self_energy"].values == pytest.approx(0.006, rel=1e-2)
    assert found.wave_numbers["lifetime"].values == pytest.approx(0.65821 / 0.012, rel=1e-2)
    assert radial_phase(kernel).phase.values == pytest.approx(phase, abs=5e-3)


def test_noise_as_strong_as_the_rings_is_told_by_errors():
    pulls = []
    for seed in range(3):
        kernel, deviation = with_noise(silver(), 1.0, seed)
        found = fit_dispersion(kernel, std=deviation)
        assert found.parameters["mass"] == pytest.approx(0.4, rel=0.03)
        assert found.parameters["onset"] == pytest.approx(-0.065, rel=0.03)
        truth = {"mass": 0.4, "onset": -0.065}
        pulls += [(found.parameters[n] - truth[n]) / found.errors[n] for n in truth]
    assert np.abs(pulls).max() < 3


def test_phases_are_known_better_on_the_band():
    pulls = []
    for seed in range(3):
        kernel, deviation = with_noise(silver(phase=0.7), 1.0, seed)
        found = fit_dispersion(kernel, std=deviation)
        alone, on_band = (radial_phase(found, on_band=one) for one in (False, True))
        assert float(on_band.std.mean()) < 0.9 * float(alone.std.mean())
        pulls += ((on_band.phase - 0.7) / on_band.std).values.tolist()
    assert 0.4 < np.sqrt(np.mean(np.square(pulls))) < 1.6


def test_a_wide_core_does_not_hide_the_waves():
    kernel, deviation = with_noise(silver(), 0.5)
    core = 3 * np.exp(-(kernel["y"] ** 2 + kernel["x"] ** 2) / 2)
    both = [(one + core).isel(bias=slice(2, 5)) for one in (kernel, kernel - silver())]
    found, nothing = (fit_dispersion(one, std=deviation.isel(bias=slice(2, 5))) for one in both)
    assert found.wave_numbers["used"].all()
    assert found.parameters["mass"] == pytest.approx(0.4, rel=0.03)
    assert not nothing.wave_numbers["used"].any()


def test_rings_of_the_core_are_left_out():
    kernel, deviation = with_noise(silver(), 0.3)
    core = 3 * np.exp(-(kernel["y"] ** 2 + kernel["x"] ** 2) / (2 * 0.7**2))
    everything = fit_dispersion(kernel + core, std=deviation, radii_nm=(1.0, 10.0))
    found = fit_dispersion(kernel + core, std=deviation)
    assert abs(everything.parameters.get("mass", np.inf) / 0.4 - 1) > 0.03
    assert found.parameters["mass"] == pytest.approx(0.4, rel=0.02)
    assert found.profiles["r"].min() > 1.5
    assert any("core shows" in note for note in found.notes)
    assert not any("core shows" in note for note in fit_dispersion(kernel, std=deviation).notes)


def test_ring_maximum_is_biased_where_the_real_space_fit_is_not():
    kernel = silver(phase=np.pi / 4)
    ring = fit_dispersion(kernel, method="ring")
    assert ring.method == "ring"
    assert abs(ring.parameters["mass"] / 0.4 - 1) > 0.05
    assert np.isnan(ring.wave_numbers["lifetime"]).all()


def stack_of(biases, density):
    """Draw silver at biases, each as `density(draw)` makes it of the draws at energies."""

    def draw(energies):
        poles = np.sqrt((np.asarray(energies) + 0.065 + 0.006j) * 0.4 / HBAR2_OVER_2M)
        return np.stack([waves(one.real, one.imag, 0.7) for one in poles])

    return labelled([density(draw, one) for one in biases], biases)


@pytest.mark.parametrize(("kelvin", "volt"), [(4.2, 0.005), (77.0, 0.0)])
def test_the_width_of_the_instrument_is_not_damping(kelvin, volt):
    """Draw a sinusoidal modulation, whose weights are a semicircle, and a thermal edge."""
    angle = (np.arange(12) + 0.5) / 12 * np.pi if volt else np.array([np.pi / 2])
    edge = np.linspace(-10, 10, 31) if kelvin else np.zeros(1)
    offsets = np.add.outer(np.sqrt(2) * volt * np.cos(angle), 8.617333e-5 * kelvin * edge).ravel()
    share = np.multiply.outer(np.sin(angle) ** 2, 1 / np.cosh(edge / 2) ** 2).ravel()
    share /= share.sum()
    biases = np.linspace(0.0, 0.15, 4)
    kernel = stack_of(biases, lambda draw, at: np.tensordot(share, draw(at + offsets), 1))
    blind = fit_dispersion(kernel).wave_numbers["self_energy"].values
    found = fit_dispersion(kernel, resolution=EnergyResolution(kelvin, volt))
    assert blind.min() > 1.05 * 0.006
    assert found.wave_numbers["self_energy"].values == pytest.approx(0.006, rel=0.03)
    assert found.parameters == pytest.approx({"mass": 0.4, "onset": -0.065}, rel=0.01)


def test_waves_that_the_feedback_follows_are_fitted_beside():
    biases = np.linspace(0.0, 0.15, 4)
    followed = stack_of([0.0], lambda draw, at: draw(np.linspace(0.0, 0.2, 81)).mean(axis=0))
    kernel = stack_of(biases, lambda draw, at: draw([at])[0]) - followed.values
    blind = fit_dispersion(kernel, radii_nm=(1.0, 10.0))
    found = fit_dispersion(kernel, setpoint=SetPoint(0.2))
    assert abs(blind.parameters["mass"] / 0.4 - 1) > 0.03
    assert any("set-point, 0.2 V, are fitted too" in note for note in found.notes)
    assert not any("set-point" in note for note in blind.notes)
    assert found.parameters == pytest.approx({"mass": 0.4, "onset": -0.065}, rel=0.01)
    assert radial_phase(found).phase.values == pytest.approx(0.7, abs=0.06)


@pytest.mark.parametrize("alike", [False, True])
def test_errors_follow_the_correlation_of_pixels(alike):
    """The mean of a ring with one common error is known no better than a pixel."""
    kernel, deviation = with_noise(silver(), 0.5)
    if alike:
        distance = np.hypot(kernel["y"], kernel["x"]).values
        ring = np.rint(distance / PIXEL_NM).astype(int)
        common = np.random.default_rng(4).standard_normal((len(BIASES), ring.max() + 1))
        kernel = silver() + deviation * common[:, ring]
    found = fit_dispersion(kernel, std=deviation).wave_numbers
    k = np.sqrt((BIASES + 0.065 + 0.006j) * 0.4 / HBAR2_OVER_2M).real
    pulls = (found["k"] - k) / found["k_std"]
    assert 0.4 < np.sqrt((pulls**2).mean()) < 1.8


def test_errors_of_rings_add_the_squares_of_their_pixels():
    kernel = silver()
    std = xr.zeros_like(kernel) + xr.where(kernel["x"] > 0, 0.05, 0.005)
    noise = kernel.copy(data=np.random.default_rng(8).standard_normal(kernel.shape))
    profiles = fit_dispersion(kernel + std * noise, std=std).profiles
    ring = np.rint(np.hypot(kernel["y"], kernel["x"]) / PIXEL_NM).values
    for radius, error in zip(profiles["r"].values, profiles["std"].values[0], strict=True):
        pixels = std.values[0][ring == np.rint(radius / PIXEL_NM)]
        assert error == pytest.approx(np.sqrt((pixels**2).sum()) / pixels.size, rel=1e-6)


def test_holes_have_a_negative_mass():
    biases = np.linspace(-0.2, -0.02, 6)
    poles = np.sqrt((biases - 0.05 + 0.006j) * -0.3 / HBAR2_OVER_2M)
    kernel = labelled([waves(abs(one.real), abs(one.imag), 0.5) for one in poles], biases)
    found = fit_dispersion(kernel)
    assert found.parameters == pytest.approx({"mass": -0.3, "onset": 0.05}, rel=2e-3)
    assert found.wave_numbers["self_energy"].values == pytest.approx(0.006, rel=2e-2)


@pytest.mark.parametrize("helical", [False, True])
def test_dirac_cone_on_both_sides_of_its_point(helical):
    biases = np.array([-0.2, -0.16, -0.12, 0.14, 0.18, 0.22])
    width = 0.01
    planes = [waves(abs(e + 0.01) / 0.2, width / 0.2, 0.5, helical) for e in biases]
    found = fit_dispersion(labelled(planes, biases), model="dirac")
    assert found.parameters == pytest.approx({"velocity": 0.2, "dirac_point": -0.01}, rel=1e-2)
    assert found.wave_numbers["self_energy"].values == pytest.approx(width, rel=2e-2)
    assert any("do not scatter back" in note for note in found.notes) == helical


def test_rashba_waves_show_half_the_sum_of_both_wave_numbers():
    mass, onset, alpha = 0.4, -0.05, 0.06
    split = mass * alpha / (2 * HBAR2_OVER_2M)
    root = np.sqrt((BIASES - onset) * mass / HBAR2_OVER_2M + split**2)
    inner, outer = root - split, root + split
    kernel = labelled([waves(k, 0.02, 0.6) for k in (inner + outer) / 2])
    with pytest.raises(DispersionError, match="fixed="):
        fit_dispersion(kernel, model="rashba")
    held = fit_dispersion(kernel, model="rashba", fixed={"alpha": alpha})
    truth = {"mass": mass, "onset": onset, "alpha": alpha}
    assert held.parameters == pytest.approx(truth, rel=5e-3)
    assert held.errors["alpha"] == 0
    known = fit_dispersion(kernel, model="rashba", fixed={"onset": onset})
    assert known.parameters == pytest.approx(truth, rel=2e-2)


def test_any_function_of_k_is_a_model():
    def bent(k, mass=0.5, onset=-0.05, bend=0.0):
        return onset + HBAR2_OVER_2M / mass * k**2 * (1 - bend * k**2)

    table = np.linspace(0, 2, 20001)
    k = np.interp(BIASES, bent(table, 0.4, -0.065, 0.05), table)
    found = fit_dispersion(labelled([waves(one, 0.02, 0.6) for one in k]), model=bent)
    assert found.parameters == pytest.approx({"mass": 0.4, "onset": -0.065, "bend": 0.05}, rel=0.05)
    with pytest.raises(DispersionError, match="start values"):
        fit_dispersion(silver(), model=lambda k, mass: mass * k)


def test_waves_of_a_topograph_fall_faster():
    axis = (np.arange(SIDE) - SIDE // 2) * PIXEL_NM
    plane = waves(1.5, 0.02, 0.7) / np.maximum(np.hypot(axis[:, None], axis), 0.1)
    kernel = labelled([plane], [0.15])
    found = fit_dispersion(kernel, waves="integrated").wave_numbers
    assert found["k"].values == pytest.approx([1.5], rel=1e-3)
    assert found["chi2"].values < 0.1 * fit_dispersion(kernel).wave_numbers["chi2"].values


def test_a_single_map_gives_a_wave_number_and_no_band():
    kernel = silver().isel(bias=3)
    found = fit_dispersion(kernel)
    pole = np.sqrt((BIASES[3] + 0.065 + 0.006j) * 0.4 / HBAR2_OVER_2M)
    assert found.wave_numbers["k"].values == pytest.approx([pole.real], rel=1e-3)
    assert found.parameters == {}
    assert "give no dispersion" in found.summary()


def test_a_bias_without_a_ring_is_left_out_and_told():
    kernel, deviation = with_noise(silver(), 0.5)
    kernel[2] = deviation[2] * np.random.default_rng(1).standard_normal((SIDE, SIDE))
    found = fit_dispersion(kernel, std=deviation)
    assert found.wave_numbers["used"].values.tolist() == [True, True, False, True, True, True]
    assert "no ring" in found.wave_numbers["reason"].values[2]
    assert "left out" in found.summary()
    assert np.isnan(radial_phase(kernel, std=deviation).phase.values[2])


def test_plots_show_the_numbers_of_the_result():
    found = fit_dispersion(silver())
    axes = found.plot(Figure().subplots())
    line = next(one for one in axes.lines if one.get_label() == "parabola")
    assert line.get_xdata() == pytest.approx(found.curve.values)
    assert line.get_ydata() == pytest.approx(found.curve["bias"].values)
    axes = radial_phase(found).plot(Figure().subplots())
    assert axes.get_ylabel() == "phase shift (rad)"


def test_what_can_not_be_fitted_is_refused():
    kernel = silver()
    with pytest.raises(DispersionError, match="choose of parabola, dirac, rashba"):
        fit_dispersion(kernel, model="cone")
    with pytest.raises(DispersionError, match="no parameter 'masse'"):
        fit_dispersion(kernel, fixed={"masse": 1.0})
    kinds = xr.concat([kernel, kernel], "kind").assign_coords(kind=["up", "down"])
    with pytest.raises(DispersionError, match="kind='up'"):
        fit_dispersion(kinds)
    assert fit_dispersion(kinds, kind="down").kind == "down"
    for pixels in (
        kernel.assign_coords(x=kernel["x"].assign_attrs(units="px")),
        kernel.drop_vars("x"),
    ):
        with pytest.raises(DispersionError, match="pixel pitch"):
            fit_dispersion(pixels)


def test_biases_in_millivolts_are_converted():
    kernel = silver()
    milli = kernel.assign_coords(bias=("bias", 1e3 * BIASES, {"units": "mV"}))
    found = fit_dispersion(milli)
    assert found.parameters == pytest.approx({"mass": 0.4, "onset": -0.065}, rel=1e-3)
    assert found.wave_numbers["bias"].attrs["units"] == "V"
    for unit in ("nA", "V"):
        with pytest.raises(DispersionError, match="units"):
            fit_dispersion(milli.assign_coords(bias=milli["bias"].assign_attrs(units=unit)))
