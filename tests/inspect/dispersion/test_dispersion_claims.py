"""Fits that must not claim too much: false rings, wrong waves, backgrounds, idle options.

The waves are drawn by Bessel functions, none of the library's.
"""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter
from scipy.special import jv, yv

from qpi_kernels.inspect import DispersionError, fit_dispersion, radial_phase
from qpi_kernels.inspect.dispersion.tables import spreadsheet_text
from qpi_kernels.inspect.report.dispersion_section import dispersion_table
from qpi_kernels.progress import Cancelled, CancelToken, Event
from qpi_kernels.simulate import EnergyResolution, SetPoint

HBAR2_OVER_2M = 0.0380998  # eV nm^2
BIASES = np.linspace(-0.04, 0.16, 6)
PIXEL_NM, SIDE = 0.5, 41
AXIS = (np.arange(SIDE) - SIDE // 2) * PIXEL_NM
DISTANCE = np.maximum(np.hypot(AXIS[:, None], AXIS), 0.1)


def waves(k, kappa, phase, helical=False):
    """Draw Re{(e^(2 i delta) - 1) (J0 + i Y0)^2} / 2, or with J1 + i Y1 beside it."""
    at = (k + 1j * kappa) * DISTANCE
    outgoing = (jv(0, at) + 1j * yv(0, at)) ** 2
    if helical:
        outgoing = outgoing + (jv(1, at) + 1j * yv(1, at)) ** 2
    return 0.5 * ((np.exp(2j * phase) - 1) * outgoing).real


def labelled(planes, biases=BIASES):
    nm = {"units": "nm"}
    coords = {"bias": ("bias", biases, {"units": "V"}), "y": ("y", AXIS, nm), "x": ("x", AXIS, nm)}
    return xr.DataArray(np.asarray(planes), dims=("bias", "y", "x"), coords=coords)


def silver():
    poles = np.sqrt((BIASES + 0.065 + 0.006j) * 0.4 / HBAR2_OVER_2M)
    return labelled([waves(one.real, one.imag, 0.7) for one in poles])


def with_noise(kernel, ratio, seed=0):
    """Add white noise of so many times the rms of the rings, and return its deviation too."""
    deviation = ratio * kernel.where(DISTANCE > 0.8).std(("y", "x"))
    noise = kernel.copy(data=np.random.default_rng(seed).standard_normal(kernel.shape))
    return kernel + deviation * noise, xr.ones_like(kernel) * deviation


def cone(energies, helical, point=-0.3, velocity=0.25):
    return [waves((e - point) / velocity, 0.02, 0.5, helical) for e in energies]


@pytest.mark.parametrize("helical", [False, True])
@pytest.mark.parametrize("ratio", [0.3, 1.0])
def test_noise_does_not_change_whether_waves_scatter_back(helical, ratio):
    """Misfit of the wrong waves must not pass for errors that pixels share."""
    if helical:
        biases, model = np.linspace(-0.1, 0.2, 6), "dirac"
        clean = labelled(cone(biases, helical), biases)
    else:
        clean = silver()

        def model(k, mass=0.35, onset=-0.05):
            return onset + HBAR2_OVER_2M / mass * k**2

    kernel, deviation = with_noise(clean, ratio, 2)
    found = fit_dispersion(kernel, std=deviation, model=model)
    note = next(one for one in found.notes if "chi-squared" in one)
    assert ("do not scatter back" in note) == helical, note
    assert "against" in note


def test_waves_that_noise_hides_are_undecided():
    kernel, deviation = with_noise(silver().isel(bias=[2, 3]), 15.0, 1)
    found = fit_dispersion(kernel, std=deviation, model="dirac")
    assert any("undecided" in one for one in found.notes)


def test_options_that_a_method_can_not_use_are_named():
    kernel, cold = silver(), EnergyResolution(4.2, 0.005)
    for method in ("synthesis", "ring"):
        with pytest.raises(DispersionError, match="no use for resolution, setpoint"):
            fit_dispersion(kernel, method=method, resolution=cold, setpoint=SetPoint(0.2))
    with pytest.raises(DispersionError, match="no parameter 'masse'"):
        fit_dispersion(kernel, method="ring", bounds={"masse": (0.1, 1.0)})
    events: list[Event] = []
    for model, options, words in (
        ("parabola", {"initial": {"masse": 0.4}}, "no parameter 'masse'"),
        ("rashba", {}, "give one of them"),
    ):
        with pytest.raises(DispersionError, match=words):
            fit_dispersion(kernel, model=model, on_event=events.append, **options)
    assert not events  # no wave was fitted before
    held = fit_dispersion(kernel, bounds={"mass": (0.5, 0.6)})
    assert 0.5 <= held.parameters["mass"] <= 0.6
    lost = fit_dispersion(kernel, initial={"mass": -1.0, "onset": 3.0})
    assert lost.parameters == {} or lost.parameters["mass"] == pytest.approx(0.4, rel=0.01)
    for one in (fit_dispersion(kernel), fit_dispersion(kernel.isel(bias=0), resolution=cold)):
        assert any("No instrumental width" in note for note in one.notes)


def test_planes_that_hold_nothing_are_left_out():
    kernel, deviation = with_noise(silver(), 0.3)
    kernel[1, 3, 4], kernel[4] = np.nan, 0.0
    for method in ("hankel", "ring"):
        found = fit_dispersion(kernel, std=deviation, method=method)
        table = found.wave_numbers
        assert not table["used"].values[[1, 4]].any()
        assert table["used"].values.any()
        assert "not finite" in table["reason"].values[1]
        assert "constant" in table["reason"].values[4]
        assert found.profiles.sizes["bias"] == table.sizes["bias"] == len(BIASES)
    assert fit_dispersion(kernel).parameters["mass"] == pytest.approx(0.4, rel=0.03)
    with pytest.raises(DispersionError, match="not finite"):
        fit_dispersion(kernel.isel(bias=1))


def test_there_is_no_band_below_its_edge():
    biases = np.linspace(-0.2, 0.2, 9)
    poles = np.sqrt((biases + 0.065 + 0.006j) * 0.4 / HBAR2_OVER_2M)
    kernel, deviation = with_noise(labelled([waves(k.real, k.imag, 0.7) for k in poles], biases), 1)
    found = fit_dispersion(kernel, std=deviation)
    below = found.curve["bias"].values < found.parameters["onset"]
    assert below.any()
    assert np.isnan(found.curve.values[below]).all()
    assert (found.curve.values[~below] > 0).all()
    band = found.wave_numbers["k_band"].values
    assert not (band <= 0).any()
    assert np.isnan(band[:2]).all()
    axes = found.plot(Figure().subplots())
    low, high = axes.get_xlim()
    assert low >= 0
    assert high < 3


def test_no_damping_gives_limits_instead_of_lifetimes():
    poles = np.sqrt((BIASES + 0.065) * 0.4 / HBAR2_OVER_2M)
    kernel, deviation = with_noise(labelled([waves(k, 1e-6, 0.7) for k in poles]), 1.0)
    fitted = fit_dispersion(kernel, std=deviation)
    table = fitted.wave_numbers
    small = table["damping"].values < table["damping_std"].values
    assert small.any()
    for name in ("lifetime", "coherence_length"):
        assert np.isnan(table[name].values[small]).all()
        assert (table[f"{name}_limit"].values[small] > 1).all()
        assert (table[name].values[~small] < 1e6).all()
    highest = table["self_energy"] + 2 * table["self_energy_std"]
    rows = dispersion_table(fitted).rows
    assert [any(cell.startswith("> ") for cell in row) for row in rows] == small.tolist()
    limit = table["lifetime_limit"].values[small]
    assert limit == pytest.approx(0.65821 / 2 / highest.values[small], rel=1e-4)


@pytest.mark.parametrize("width", [1.0, 1.5, 2.5])
def test_noise_that_is_smooth_is_no_ring(width):
    noise = np.random.default_rng(3).standard_normal((6, SIDE, SIDE))
    smooth = np.stack([gaussian_filter(one, width, mode="wrap") for one in noise])
    kernel = labelled(smooth / smooth.std())
    found = fit_dispersion(kernel, std=xr.ones_like(kernel))
    assert not found.wave_numbers["used"].any()
    assert found.parameters == {}


@pytest.mark.parametrize("width_nm", [0.8, 1.2])
def test_a_halo_is_no_ring(width_nm):
    halo = xr.zeros_like(silver()) + 3 * np.exp(-(DISTANCE**2) / (2 * width_nm**2))
    kernel = halo + 0.1 * np.random.default_rng(0).standard_normal(halo.shape)
    found = fit_dispersion(kernel, std=xr.full_like(kernel, 0.1))
    assert not found.wave_numbers["used"].any()


def test_less_than_one_standing_wave_is_no_ring():
    kernel = labelled([waves(0.3, 0.02, 0.7)], [0.0])
    found = fit_dispersion(kernel).wave_numbers
    assert "less than one standing wave" in found["reason"].values[0]
    assert fit_dispersion(labelled([waves(0.4, 0.02, 0.7)], [0.0])).wave_numbers["used"].all()


@pytest.mark.parametrize("height", [0.05, 0.2])
def test_a_background_is_fitted_beside(height):
    kernel, deviation = with_noise(silver(), 1.0, 2)
    alone = fit_dispersion(kernel, std=deviation)
    halo = height * np.exp(-DISTANCE / 2.5)
    found = fit_dispersion(kernel + halo, std=deviation)
    assert any("background" in note for note in found.notes)
    assert not any("background" in note for note in alone.notes)
    assert found.wave_numbers["used"].all()
    assert found.parameters["mass"] == pytest.approx(0.4, rel=0.02)
    assert found.errors["mass"] < 1.3 * alone.errors["mass"]


def test_report_and_spreadsheet_list_the_phase_shift():
    fitted = fit_dispersion(silver())
    lines = [line.split("\t") for line in spreadsheet_text(fitted).splitlines()]
    head = next(line for line in lines if line[0] == "bias")
    shifts = [float(line[head.index("phase_shift (rad)")]) for line in lines[-6:]]
    assert shifts == pytest.approx([0.7] * 6, abs=5e-3)
    table = dispersion_table(fitted)
    column = table.heads.index("phase shift (rad)")
    assert [float(row[column].split()[0]) for row in table.rows] == pytest.approx(
        [0.7] * 6, abs=5e-3
    )
    ring = dispersion_table(fit_dispersion(silver(), method="ring"))
    assert not any("phase" in head for head in ring.heads)


def test_the_summary_says_what_errors_leave_out():
    assert "calibration" in fit_dispersion(silver()).summary()


@pytest.mark.parametrize("method", ["hankel", "synthesis"])
def test_a_fit_tells_its_progress_and_stops_in_mid_fit(method):
    kernel = silver().isel(bias=slice(1, 4))
    token, events = CancelToken(), []

    def hear(event):
        events.append(event)
        if len(events) == 4:
            token.cancel()

    with pytest.raises(Cancelled):
        fit_dispersion(kernel, method=method, on_event=hear, cancel=token)
    assert len(events) == 4
    shares = [event.fraction for event in events]
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] < 1


def test_a_phase_tells_the_progress_of_its_fit():
    events = []
    found = radial_phase(silver(), on_event=events.append)
    assert len(events) >= found.phase.sizes["bias"]
