"""Runs of rows under another tip are masked; waves, steps and whole rows are not."""

import numpy as np
import pytest

from qpi_kernels import open_scan, prepare
from shared.surfaces import stepped


def planted(surface, count=15, seed=3):
    random = np.random.default_rng(seed)
    image, streaks = surface.image.copy(), np.zeros(surface.image.shape, bool)
    height, width = streaks.shape
    for band in random.permutation(np.arange(4, height - 8, 8))[:count]:
        thick, length = random.integers(1, 5), random.integers(20, width // 2)
        first = random.integers(0, width - length)
        part = np.s_[band : band + thick, first : first + length]
        streaks[part] = True
        image[part] += random.choice([-1, 1]) * random.uniform(0.08, 0.3)
    return image, streaks


@pytest.mark.parametrize(
    "disturbed", [{}, {"offsets": 0.05}, {"atoms": 0.01, "tilt": (0.01, -0.02)}, {"rings": 6}]
)
def test_planted_streaks_are_found(disturbed):
    surface = stepped(40, shape=(200, 240), seed=1, **disturbed)
    image, streaks = planted(surface)
    found = ~prepare.run(image, [prepare.MaskStreaks()]).mask
    assert (found & streaks).sum() > 0.95 * streaks.sum()
    assert (found & ~streaks).sum() < 0.02 * streaks.size


@pytest.mark.parametrize("angle", [0, 5, 10, 90])
def test_steps_rings_and_row_offsets_are_no_streaks(angle):
    surface = stepped(angle, offsets=0.05, rings=6, noise=0.003, seed=2)
    made = prepare.run(surface.image, [prepare.MaskStreaks()])
    assert (~made.mask).mean() < 0.002


@pytest.mark.parametrize("period", [6, 12, 30])
def test_waves_along_the_rows_are_no_streaks(period):
    rows = np.arange(120)[:, None]
    image = 0.1 * np.cos(2 * np.pi * rows / period) + np.zeros(100)
    image[:, 50:] *= 0.3
    image = image + np.random.default_rng(0).normal(0, 0.002, image.shape)
    made = prepare.run(image, [prepare.MaskStreaks()])
    assert (~made.mask).mean() < 0.005


def test_a_streak_of_a_cube_masks_all_biases_but_no_marked_defect():
    cube = np.random.default_rng(0).normal(0, 0.01, (4, 60, 80))
    cube[:, 30, 10:50] += 0.2
    made = prepare.run(cube, [prepare.MaskStreaks()], defects=[(30, 20)])
    assert made.mask[30, 17:24].all()
    assert not made.mask[30, 26:48].any()
    assert made.report["mask_streaks"]["rows_px"] == 1


def test_units_do_not_matter_and_too_much_is_an_error():
    image, _ = planted(stepped(40, seed=4))
    plain = prepare.run(image, [prepare.MaskStreaks()])
    scaled = prepare.run(image * 2e-10, [prepare.MaskStreaks()])
    np.testing.assert_array_equal(scaled.mask, plain.mask)
    with pytest.raises(prepare.PreparationError, match=r"limit of 0\.1 %"):
        prepare.run(image, [prepare.MaskStreaks(limit=0.1)])


def test_the_quiet_rows_of_a_real_scan_stay(sample):
    raw = open_scan(sample("createc_friedel_rings_60nm.dat"))["topography_forward"]
    bad = ~prepare.run(raw, [prepare.AlignRows(), prepare.MaskStreaks()]).mask
    assert bad[115:425].mean() < 0.001
    assert bad[440:].mean() > 0.3
