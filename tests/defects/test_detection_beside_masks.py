"""Detection beside masked pixels: what is left of a spot counts, the mask itself never does."""

import numpy as np
import pytest
from scipy import ndimage

from qpi_kernels.defects import detect_defects
from qpi_kernels.defects.blobs import BlobFilter, DetectionError

SIDE = 128
ROWS, COLS = np.mgrid[:SIDE, :SIDE]


def noise(seed=0, sigma=0.1):
    return np.random.default_rng(seed).normal(0, sigma, (SIDE, SIDE))


def spot(row, col, height=1.0, diameter=8.0):
    sigma = diameter / (2 * np.sqrt(2))
    return height * np.exp(-((ROWS - row) ** 2 + (COLS - col) ** 2) / (2 * sigma**2))


def distance(found, row, col):
    return np.hypot(*(found.positions - [row, col]).T).min()


def test_masked_values_have_no_influence():
    mask = np.ones((SIDE, SIDE), bool)
    mask[:, 60:70] = False
    mask[30, 10:50] = False
    image = noise() + spot(64, 30) + spot(90, 100)
    wild = np.where(mask, image, 1e4 * np.sin(ROWS * COLS))
    plain = detect_defects(np.where(mask, image, 0.0), mask=mask)
    assert len(plain) == 2
    np.testing.assert_array_equal(detect_defects(wild, mask=mask).positions, plain.positions)


def test_the_filter_has_unit_variance_however_much_is_masked():
    mask = np.random.default_rng(1).random((SIDE, SIDE)) > 0.3
    mask[:, :20] = False
    responses = np.array(
        [BlobFilter.of(noise(seed, 1.0), mask, 6.0).response for seed in range(60)]
    )
    inner, beside = responses[:, 20:-20, 60:-20].std(), responses[:, :, 20:23].std()
    assert inner == pytest.approx(beside, rel=0.1)


def test_the_filter_ignores_a_level():
    mask = COLS + ROWS > 70
    filtered = BlobFilter.of(np.full((SIDE, SIDE), 7.0), mask, 8.0)
    assert np.abs(filtered.response[filtered.share > 0.2]).max() < 1e-4


@pytest.mark.parametrize("tilt", [0.1, -0.1])
def test_slopes_beside_a_mask_are_no_defects(tilt):
    away = COLS - 60 + 0.4 * (ROWS - 64)
    shading = 10 * tilt * np.exp(-np.abs(away) / 12) * np.sign(away)
    image = noise(2, 0.02) + np.where(away > 0, 5.0, 0.0) + shading
    assert len(detect_defects(image, mask=np.abs(away) > 5)) == 0


@pytest.mark.parametrize("cut", [-4.0, 1.0, 3.0])
def test_a_spot_cut_by_a_mask_is_found_as_far_as_it_was_measured(cut):
    found = detect_defects(noise(3) + spot(64, 60, 2.0), mask=60 + cut >= COLS, size_px=8)
    if cut < 0:
        assert len(found) == 0
    else:
        assert len(found) == 1
        assert distance(found, 64, 60) < 1.5


def test_a_spot_with_masked_pixels_in_its_core_is_found():
    mask = np.ones((SIDE, SIDE), bool)
    mask[63:65, 59:62] = False
    found = detect_defects(noise(4) + spot(64, 60), mask=mask, size_px=8)
    assert len(found) == 1
    assert distance(found, 64, 60) < 1.0


def test_what_a_mask_leaves_of_a_streak_is_no_defect():
    random = np.random.default_rng(5)
    image, mask = noise(5, 0.05) + spot(20, 20) + spot(100, 90), np.ones((SIDE, SIDE), bool)
    for row, start in zip(range(6, 124, 8), random.integers(5, 80, 15), strict=True):
        if np.hypot(row - 20, start - 20) > 30 and np.hypot(row - 100, start - 90) > 50:
            image[row, start : start + 30] += 2.0
            mask[row, start + 4 : start + 26] = False
    found = detect_defects(image, mask=mask)
    assert len(found) == 2
    assert max(distance(found, 20, 20), distance(found, 100, 90)) < 1.0


def test_the_shadow_of_an_island_is_no_defect():
    island = ndimage.gaussian_filter(np.hypot(ROWS - 50, COLS) < 9, 1.0, output=float)
    shadow = -0.06 * ndimage.gaussian_filter(np.roll(island, 9, axis=1), 2.0)
    points = -spot(20, 90, 0.2, 5) - spot(90, 40, 0.2, 5) - spot(70, 100, 0.2, 5)
    found = detect_defects(4 * island + 4 * shadow + points + noise(6, 0.02), polarity="dark")
    assert len(found) == 3
    assert (found.positions[:, 1] > 30).all()


def test_both_polarities_are_kept_where_they_stand_out_alike():
    points = [(20, 30, 1), (40, 90, -1), (80, 30, 1), (100, 100, -1)]
    image = noise(7) + sum(spot(row, col, sign) for row, col, sign in points)
    assert detect_defects(image).counts() == {"bright": 2, "dark": 2}


@pytest.mark.parametrize("lines", [False, True])
def test_a_sparse_map_is_refused_and_half_a_frame_is_not(lines):
    rng = np.random.default_rng(0)
    rows, cols = np.indices((96, 96))
    spots = [(12, 12), (12, 60), (34, 36), (34, 84)]
    image = sum(np.exp(-((rows - y) ** 2 + (cols - x) ** 2) / 12) for y, x in spots)
    image = image + 0.05 * rng.standard_normal(image.shape)
    holes = rng.random((96, 1) if lines else (96, 96)) > 0.3
    with pytest.raises(DetectionError, match="sparse"):
        detect_defects(np.where(holes, np.nan, image))
    image[48:] = np.nan
    assert len(detect_defects(image)) == 4
