"""Glitches are masked; defects, atoms and edges are not."""

import time

import numpy as np
import pytest

from qpi_kernels import open_scan, prepare
from shared.surfaces import stepped


def planted(surface, count=200, seed=7, smallest=0.12):
    """Add glitches away from marked adsorbates."""
    random = np.random.default_rng(seed)
    rows, columns = np.indices(surface.image.shape)
    free = np.ones(surface.image.shape, bool)
    for row, column in surface.adsorbates:
        free &= np.hypot(rows - row, columns - column) > 4
    places = random.choice(np.flatnonzero(free), count, replace=False)
    glitches = np.zeros(surface.image.shape, bool)
    glitches.flat[places] = True
    image = surface.image.copy()
    image[glitches] += random.choice([-1, 1], count) * random.uniform(smallest, 0.6, count)
    return image, glitches


@pytest.mark.parametrize(
    "disturbed",
    [
        {},
        {"offsets": 0.05},
        {"atoms": 0.015, "tilt": (0.01, 0.02)},
        {"adsorbates": 15, "rings": 5},
    ],
)
def test_planted_glitches_are_found_and_no_marked_defect_is_touched(disturbed):
    surface = stepped(30, shape=(256, 256), seed=2, **disturbed)
    image, glitches = planted(surface)
    made = prepare.run(image, [prepare.MaskPixels()], defects=surface.adsorbates)
    found = ~made.mask
    assert (found & glitches).sum() > 0.98 * 200
    assert (found & ~glitches).sum() <= 4
    for row, column in surface.adsorbates:
        assert made.mask[
            round(row) - 2 : round(row) + 3, round(column) - 2 : round(column) + 3
        ].all()
    np.testing.assert_array_equal(made.image, image)
    assert made.report["mask_pixels"]["masked_px"] == found.sum()


def test_small_defects_that_nobody_marked_stay():
    surface = stepped(30, noise=0.003, seed=4)
    rows, columns = np.indices(surface.image.shape)
    image = surface.image.copy()
    for row, column in [(30.3, 40.1), (80.5, 120.5), (120, 30)]:
        image -= 0.2 * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * 1.0**2))
    made = prepare.run(image, [prepare.MaskPixels()])
    assert made.mask[2:-2, 2:-2].all()


def test_marked_pixels_are_protected_even_if_they_are_one_pixel():
    image = np.random.default_rng(0).normal(0, 0.01, (64, 64))
    image[20, 20] = image[40, 41] = 1.0
    made = prepare.run(image, [prepare.MaskPixels()], defects=[(20.2, 19.9)])
    assert made.mask[20, 20]
    assert not made.mask[40, 41]
    assert made.report["mask_pixels"]["protected_px"] == 1


def test_more_than_a_percent_is_an_error_that_names_the_limit():
    image = np.random.default_rng(0).normal(0, 0.01, (60, 60))
    image[::6, ::6] += 1.0
    with pytest.raises(prepare.PreparationError, match=r"2\.8 % of the pixels.*limit of 1 %"):
        prepare.run(image, [prepare.MaskPixels()])
    made = prepare.run(image, [prepare.MaskPixels(limit=5.0)])
    assert (~made.mask).sum() == 100


def test_a_glitch_of_a_cube_masks_all_biases_and_the_mask_only_shrinks():
    cube = np.random.default_rng(0).normal(0, 0.01, (5, 60, 60))
    cube[:, 30, 31] += 0.2
    mask = np.ones((60, 60), bool)
    mask[:4] = False
    made = prepare.run(cube, [prepare.MaskPixels()], mask=mask)
    assert not made.mask[30, 31]
    assert not made.mask[:4].any()


def test_units_do_not_matter():
    image, _ = planted(stepped(30, seed=5))
    plain = prepare.run(image, [prepare.MaskPixels()])
    scaled = prepare.run(image * -3e-12, [prepare.MaskPixels()])
    np.testing.assert_array_equal(scaled.mask, plain.mask)


@pytest.mark.parametrize("name", ["createc_step_defects_100nm.dat", "nanonis_moire_10nm.sxm"])
def test_hardly_anything_of_a_good_scan_is_masked(sample, name):
    raw = open_scan(sample(name))["topography_forward"]
    started = time.process_time()
    made = prepare.run(raw, [prepare.MaskPixels()])
    assert time.process_time() - started < 1.0
    assert made.report["mask_pixels"]["masked_percent"] < 0.3
