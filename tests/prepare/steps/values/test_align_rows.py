"""Row offsets go, steps stay."""

import numpy as np
import pytest

from qpi_kernels import open_scan, prepare
from shared.surfaces import stepped


def rms_about_line(values, rows):
    return float(np.std(values[rows] - np.polyval(np.polyfit(rows, values[rows], 1), rows)))


@pytest.mark.parametrize("angle", [15, 45, 135, 90])
def test_offsets_go_and_a_step_across_the_rows_keeps_its_height(angle):
    surface = stepped(angle, offsets=0.05)
    made = prepare.run(surface.image, [prepare.AlignRows()])
    rest = surface.offsets - made.report["align_rows"]["offsets"]
    assert np.std(rest) < 0.05 * np.std(surface.offsets)
    assert surface.height(made.image.values) == pytest.approx(0.25, rel=0.02)


def test_atoms_adsorbates_and_tilt_do_not_matter():
    surface = stepped(45, offsets=0.03, atoms=0.02, adsorbates=10, tilt=(0.002, -0.003), seed=3)
    made = prepare.run(surface.image, [prepare.AlignRows()])
    rest = surface.offsets - made.report["align_rows"]["offsets"]
    assert rms_about_line(rest, np.arange(160)) < 0.07 * np.std(surface.offsets)


@pytest.mark.parametrize("width", [0.01, 1.5])
@pytest.mark.parametrize("angle", [0, 0.3, 2])
def test_a_step_along_the_rows_stays_while_row_artefacts_go(angle, width):
    surface = stepped(angle, shape=(256, 200), offsets=0.02, width=width, seed=5)
    made = prepare.run(surface.image, [prepare.AlignRows()])
    assert surface.height(made.image.values) == pytest.approx(0.25, rel=0.08)
    clear = np.flatnonzero((np.abs(surface.distance) > 8).all(axis=1))
    rest = surface.offsets - made.report["align_rows"]["offsets"]
    for side in (clear[clear < 128], clear[clear > 128]):
        assert rms_about_line(rest, side) < 0.1 * np.std(surface.offsets)


def test_without_kept_jumps_every_row_comes_to_one_level():
    surface = stepped(0, offsets=0.02)
    made = prepare.run(surface.image, [prepare.AlignRows(keep_jumps=False)])
    assert abs(surface.height(made.image.values)) < 0.005
    assert made.report["align_rows"]["jump_rows_px"].size == 0


def test_a_small_sudden_jump_is_a_change_of_the_tip_and_goes():
    surface = stepped(60, shape=(256, 128), offsets=0.002, noise=0.003)
    image = surface.image + 0.02 * (np.arange(256) >= 100)[:, None]
    made = prepare.run(image, [prepare.AlignRows()])
    offsets = made.report["align_rows"]["offsets"] - surface.offsets
    assert np.median(offsets[105:150]) - np.median(offsets[50:95]) == pytest.approx(0.02, rel=0.1)


def test_rows_without_a_measured_pixel_stay_so_and_do_not_disturb_others():
    surface = stepped(45, offsets=0.05)
    image = surface.image.copy()
    image[110:] = np.nan
    image[40:43] = np.nan
    made = prepare.run(image, [prepare.AlignRows()])
    np.testing.assert_array_equal(np.isnan(made.image), np.isnan(image))
    rest = (surface.offsets - made.report["align_rows"]["offsets"])[:110]
    assert np.std(np.delete(rest, [40, 41, 42])) < 0.05 * np.std(surface.offsets)


def test_masked_pixels_have_no_say():
    surface = stepped(90, offsets=0.05)
    mask = np.ones(surface.image.shape, bool)
    mask[:, :60] = False
    spoiled = np.where(mask, surface.image, np.random.default_rng(1).normal(0, 3, mask.shape))
    made = prepare.run(spoiled, [prepare.AlignRows()], mask=mask)
    rest = surface.offsets - made.report["align_rows"]["offsets"]
    assert np.std(rest) < 0.05 * np.std(surface.offsets)


def test_a_cube_loses_the_same_offsets_at_every_bias():
    surface = stepped(45, height=0.0, offsets=0.05)
    cube = surface.image + np.random.default_rng(2).normal(0, 0.01, (4, *surface.image.shape))
    made = prepare.run(cube, [prepare.AlignRows()])
    taken = cube - made.image.values
    np.testing.assert_allclose(taken, np.broadcast_to(taken[:1, :, :1], cube.shape), atol=1e-12)
    assert np.std(taken[0, :, 0] - surface.offsets) < 0.05 * np.std(surface.offsets)


def test_the_step_of_a_real_terrace_is_not_sheared(sample):
    raw = open_scan(sample("createc_step_defects_100nm.dat"))["topography_forward"]
    made = prepare.run(raw, [prepare.AlignRows()]).image.values.astype(float)
    right = made[:, 215:250]  # one terrace in all rows, where row medians leave 0.1 nm and more
    across = np.median(right, axis=1)
    assert np.ptp(np.polyval(np.polyfit(np.arange(256), across, 1), [0, 255])) < 0.01
    assert np.abs(np.diff(across))[60:80].max() < 0.01
