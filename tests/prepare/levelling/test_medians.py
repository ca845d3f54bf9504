"""Medians and robust centres against scipy and known distributions."""

import numpy as np
import pytest
from scipy import ndimage

from qpi_kernels.prepare.levelling.medians import (
    densest_third,
    filled,
    median_of_five,
    robust_std,
    row_medians,
)


@pytest.mark.parametrize("axis", [0, 1])
def test_the_median_of_five_is_that_of_scipy(axis):
    values = np.random.default_rng(0).normal(size=(30, 41))
    size = (5, 1) if axis == 0 else (1, 5)
    expected = ndimage.median_filter(values, size=size, mode="mirror")
    np.testing.assert_array_equal(median_of_five(values, axis), expected)


def test_row_medians_leave_missing_numbers_out():
    values = np.random.default_rng(0).normal(size=(12, 9))
    values[np.random.default_rng(1).random(values.shape) < 0.4] = np.nan
    values[:, 0] = 1.0
    np.testing.assert_allclose(row_medians(values), np.nanmedian(values, axis=1))
    assert np.isnan(row_medians(np.full((1, 4), np.nan)))[0]


def test_the_densest_third_stands_on_one_of_three_terraces():
    random = np.random.default_rng(0)
    values = np.concatenate([random.normal(level, 0.01, 4000) for level in (0.0, 1.0, 2.0)])
    centre, std = densest_third(np.concatenate([values, random.normal(1.0, 0.01, 1000)]))
    assert centre == pytest.approx(1.0, abs=0.005)
    assert 0.01 < std < 0.05  # a third of all is most of one of three


def test_the_robust_deviation_is_that_of_the_normal_part():
    values = np.random.default_rng(0).normal(3.0, 0.5, 20000)
    values[:1000] = 1e6
    values[1000:1200] = np.nan
    assert robust_std(values) == pytest.approx(0.5, rel=0.1)
    assert robust_std(np.full(3, np.nan)) == 0.0


def test_gaps_take_the_nearest_number_and_others_stay():
    values = np.arange(20.0).reshape(4, 5)
    values[1, 1:4] = np.nan
    full = filled(values)
    assert full[1, 1] in (1.0, 5.0, 11.0)
    measured = np.isfinite(values)
    np.testing.assert_array_equal(full[measured], values[measured])
