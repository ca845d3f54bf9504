"""Plans of maps that are not measured, against maps that are simulated without our simulator."""

import json
import math

import numpy as np
import pytest
import xarray as xr

from qpi_kernels.defects import Defects
from qpi_kernels.extraction import ExtractionError, extract, plan
from shared.planned_maps import PIXEL_NM, SIZE, WINDOW, map_of, positions, ring


def planned(**changes):
    settings = {"noise": 0.5, "prior": ring(), "method": "least_squares"} | changes
    defects = settings.pop("defects", positions())
    shape, window = settings.pop("shape", (SIZE, SIZE)), settings.pop("window", (WINDOW, WINDOW))
    return plan(defects, shape, settings.pop("pixel_nm", PIXEL_NM), window, **settings)


@pytest.mark.parametrize("method", ["least_squares", "bayes"])
def test_a_map_has_the_error_that_was_planned(method):
    found = planned(method=method, rehearsals=3)
    errors = []
    for seed in (50, 51, 52):
        observation = map_of(ring(), positions(), 0.5, seed)
        result = extract(observation, positions(), kernel_shape=(WINDOW, WINDOW), method=method)
        errors.append(np.sqrt(np.square(result.kernel.values - ring()).mean()))
    assert found.error == pytest.approx(np.sqrt(np.square(errors).mean()), rel=0.2)
    assert found.spread[0] <= found.error <= found.spread[1]


def test_without_a_prior_the_error_is_that_of_the_theory():
    """Noise over the root of the number of defects, see Marchenko and Pastur."""
    found = planned(noise=0.05, ridge=0.0)
    gamma = (WINDOW / SIZE) ** 2
    expected = 0.05 / math.sqrt(len(positions()) * (1 - gamma))
    # Defects near the edges show only a part.
    assert expected < found.error < 1.5 * expected


def test_bands_add_up_and_averaging_pays():
    found = planned()
    assert np.square(found.band_error).sum() == pytest.approx(found.error**2)
    assert np.square(found.band_signal).sum() == pytest.approx(1)
    assert found.band_edges[-1] == pytest.approx(np.pi / PIXEL_NM)
    # The ring at twice the wave vector, 1 rad per pixel, and its width.
    near = np.abs(found.band_edges[:-1] * PIXEL_NM - 1.0) < 0.6
    assert np.square(found.band_signal[near]).sum() > 0.75
    assert found.errors[0] > found.errors[1] > found.errors[2]
    assert found.hours == pytest.approx(SIZE**2 / 3600)
    assert found.error_at(found.hours) == pytest.approx(found.error)
    for error in (2 * found.error, 0.3 * found.error):
        assert found.error_at(found.hours_for(error)) == pytest.approx(error, rel=1e-3)
    assert 0 < found.gain_of(1.0) < 1 - (found.hours / (found.hours + 1)) ** 0.5 + 1e-9


def test_time_is_that_of_all_pixels_and_biases():
    half = np.random.default_rng(1).random((SIZE, SIZE)) < 0.5
    few = planned(measured=half, biases=3, time_per_pixel_s=2.0)
    assert few.pixels == half.sum()
    assert few.hours == pytest.approx(half.sum() * 6 / 3600)
    assert few.error > 1.2 * planned().error


def test_a_plan_is_plain_numbers_and_words():
    found = planned(rehearsals=1)
    plain = json.loads(json.dumps(found.as_dict()))
    assert plain["error"] == found.error
    assert plain["hours"] == found.hours
    assert plain["shape"] == [SIZE, SIZE]
    assert f"{100 * found.error:.2g} %" in found.in_words()
    plt = pytest.importorskip("matplotlib.figure")
    for kind in ("time", "bands"):
        ax = plt.Figure().subplots()
        assert found.plot(ax, kind) is ax
        assert ax.get_xlabel()


def test_signal_and_units_scale():
    one = planned(rehearsals=1)
    other = planned(rehearsals=1, noise=5e-12, signal=1e-11)
    assert other.error == pytest.approx(one.error, rel=0.02)
    assert other.error_in_units == pytest.approx(one.error * 1e-11, rel=0.02)


def test_a_kernel_in_nm_is_put_on_the_pixels_of_the_map():
    step = PIXEL_NM / 2
    # Twice as fine, the same waves.
    fine = ring(2 * WINDOW, wave=0.25, reach=12.0)
    where = (np.arange(2 * WINDOW) - WINDOW) * step
    units = {"units": "nm"}
    known = xr.DataArray(
        fine, dims=("y", "x"), coords={"y": ("y", where, units), "x": ("x", where, units)}
    )
    found = planned(prior=known, signal=1.0)
    resolved = np.sqrt(found.error**2 - found.unresolved**2)
    assert resolved == pytest.approx(planned(signal=1.0).error, rel=0.1)
    assert 0 < found.unresolved < 0.2
    coarse = planned(prior=known, signal=1.0, pixel_nm=1.2, window=(5, 5), shape=(18, 18),
                     defects=positions() / 4)  # fmt: skip
    assert coarse.unresolved > 2 * found.unresolved
    assert coarse.hours_for(0.5 * coarse.unresolved) == math.inf


def test_families_need_a_signal_and_give_a_range():
    with pytest.raises(ExtractionError, match="signal="):
        planned(prior="free_electrons")
    found = planned(prior="free_electrons", signal=1.0, rehearsals=1)
    assert found.spread[0] < found.error < found.spread[1]
    assert "free_electrons" in found.prior
    with pytest.raises(ExtractionError, match="free_electrons"):
        planned(prior="unobtainium", signal=1.0)


def test_kinds_and_biases_of_a_result_are_rehearsed():
    marks = Defects(positions(), np.repeat(["a", "b"], 6))
    stack = np.stack([np.stack([ring(), -2 * ring(wave=0.7)])] * 2)
    found = planned(defects=marks, prior=stack, rehearsals=1)
    assert found.biases == 2
    with pytest.raises(ExtractionError, match="2 biases"):
        planned(defects=marks, prior=stack, biases=5)
    with pytest.raises(ExtractionError, match="kinds"):
        planned(defects=marks, prior=np.stack([ring()] * 3))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"noise": 0.0}, "noise"),
        ({"pixel_nm": -1.0}, "pixel_nm"),
        ({"time_per_pixel_s": np.inf}, "time_per_pixel_s"),
        ({"defects": [(500.0, 3.0)]}, "reaches"),
        ({"measured": np.ones((3, 3))}, "agree"),
        ({"measured": np.zeros((SIZE, SIZE))}, "no pixel"),
        ({"window": (99, 99)}, "larger"),
        ({"method": "blind"}, "blind"),
        ({"choose_window": True}, "given window"),
        ({"validation_folds": 3}, "validation_folds"),
        ({"prior": np.full((WINDOW, WINDOW), np.nan)}, "NaN"),
        ({"prior": np.zeros((WINDOW, WINDOW))}, "zero"),
    ],
)
def test_what_does_not_fit_is_told(changes, reason):
    with pytest.raises(ExtractionError, match=reason):
        planned(**changes)
