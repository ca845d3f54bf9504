"""Tilt goes; terraces keep their heights, or come to one level."""

import dask.array
import numpy as np
import pytest
import xarray as xr

from qpi_kernels import open_scan, prepare
from shared.surfaces import stepped

TILT = (0.004, -0.003)


@pytest.mark.parametrize("angle", [0, 5, 30, 90])
def test_terraces_between_masked_steps_lose_the_tilt_and_keep_their_heights(angle):
    surface = stepped(angle, tilt=TILT, adsorbates=8)
    made = prepare.run(surface.image, [prepare.Level()], mask=np.abs(surface.distance) > 5)
    found = made.report["level"]
    assert found["slope_down_per_px"] == pytest.approx(TILT[0], rel=0.01)
    assert found["slope_right_per_px"] == pytest.approx(TILT[1], rel=0.01)
    assert surface.height(made.image.values) == pytest.approx(0.25, rel=0.02)
    assert np.abs(found["terrace_levels"]).max() == pytest.approx(0.25, rel=0.01)
    sides = (surface.distance > 5, surface.distance < -5)
    assert min(abs(np.median(made.image.values[side])) for side in sides) < 0.002


def test_terraces_come_to_one_level_on_request():
    surface = stepped(30, tilt=TILT)
    step = prepare.Level(terraces="one level")
    made = prepare.run(surface.image, [step], mask=np.abs(surface.distance) > 5)
    assert abs(surface.height(made.image.values)) < 0.002


def test_an_unmasked_step_does_not_tilt_the_plane():
    surface = stepped(30, tilt=TILT)
    made = prepare.run(surface.image, [prepare.Level()])
    assert surface.height(made.image.values) == pytest.approx(0.25, rel=0.03)


def test_a_third_of_outliers_changes_the_slopes_by_less_than_a_percent():
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:120, :150]
    image = 0.01 * rows + 0.02 * columns + random.normal(0, 0.01, rows.shape)
    image[random.random(rows.shape) < 0.3] += 2.0
    found = prepare.run(image, [prepare.Level()]).report["level"]
    assert found["slope_down_per_px"] == pytest.approx(0.01, rel=0.01)
    assert found["slope_right_per_px"] == pytest.approx(0.02, rel=0.01)


def test_a_parabola_takes_a_bow_with_it():
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[-1:1:90j, -1:1:110j]
    bow = 0.3 * rows**2 - 0.2 * rows * columns + 0.1 * columns**2 + rows
    made = prepare.run(bow + random.normal(0, 0.01, rows.shape), [prepare.Level(order=2)])
    assert float(made.image.std()) < 0.0102


def test_a_plane_or_constant_added_before_changes_nothing_after():
    surface = stepped(30, adsorbates=5)
    rows, columns = np.indices(surface.image.shape)
    plain = prepare.run(surface.image, [prepare.Level()]).image.values
    more = surface.image + 7.0 + 0.02 * rows - 0.05 * columns
    np.testing.assert_allclose(prepare.run(more, [prepare.Level()]).image.values, plain, atol=1e-7)


def test_the_transposed_image_is_levelled_alike():
    surface = stepped(90, tilt=TILT)
    one = prepare.run(surface.image, [prepare.Level()])
    other = prepare.run(surface.image.T, [prepare.Level()])
    assert other.report["level"]["slope_down_per_px"] == pytest.approx(
        one.report["level"]["slope_right_per_px"], rel=0.01
    )
    np.testing.assert_allclose(other.image.values.T, one.image.values, atol=0.002)


def test_a_cube_loses_a_constant_for_each_bias_and_stays_lazy():
    random = np.random.default_rng(0)
    wave = np.cos(2 * np.pi * np.arange(60) / 200)  # slower than the frame
    cube = random.normal(0, 0.1, (3, 50, 60)) + wave + np.array([0, 5, -3])[:, None, None]
    image = xr.DataArray(dask.array.from_array(cube, chunks=(1, 25, 60)), dims=("bias", "y", "x"))
    made = prepare.run(image, [prepare.Level()])
    assert isinstance(made.image.data, dask.array.Array)
    taken = cube - made.image.values
    np.testing.assert_allclose(taken, np.broadcast_to(taken[:, :1, :1], cube.shape), atol=1e-12)
    np.testing.assert_allclose(taken[:, 0, 0], np.median(cube, axis=(1, 2)))


def test_after_a_crop_terraces_are_those_of_the_mask():
    surface = stepped(90, tilt=TILT)
    steps = [prepare.Crop(rows=(20, 120), columns=(10, 150)), prepare.Level()]
    made = prepare.run(surface.image, steps, mask=np.abs(surface.distance) > 5)
    levels = made.report["level"]["terrace_levels"]
    assert np.sort(np.abs(levels)) == pytest.approx([0, 0.25], abs=0.003)


def test_a_real_step_keeps_its_height(sample):
    raw = open_scan(sample("createc_step_defects_100nm.dat"))["topography_forward"]
    steps = [prepare.AlignRows(), prepare.MaskSteps(), prepare.Level()]
    made = prepare.run(raw, steps)
    levels = made.report["level"]["terrace_levels_nm"]
    assert np.abs(levels[1]) == pytest.approx(0.246, rel=0.02)
    again = prepare.replay(raw, made.history)
    assert again.image.identical(made.image)
    np.testing.assert_array_equal(again.mask, made.mask)


@pytest.mark.parametrize("terraces", ["keep", "one level"])
def test_a_bias_that_did_not_measure_the_largest_terrace_is_kept(terraces):
    cube = (
        np.random.default_rng(0).normal(0, 0.01, (3, 64, 70)) + np.array([0, 5, 9])[:, None, None]
    )
    cube[:, :, 38:] += 0.25
    mask = np.ones((64, 70), bool)
    mask[:, 37] = False
    cube[2, :, :37] = np.nan
    made = prepare.run(cube, [prepare.Level(terraces=terraces)], mask=mask)
    kept = made.image.values[2]
    np.testing.assert_array_equal(np.isfinite(kept), np.isfinite(cube[2]))
    expected = 0.25 if terraces == "keep" else 0.0
    assert np.median(kept[:, 38:]) == pytest.approx(expected, abs=0.005)
    assert np.median(made.image.values[0, :, 38:]) == pytest.approx(expected, abs=0.005)
