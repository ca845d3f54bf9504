"""Scores of found kernels: known values, and what they must not see."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qpi_kernels.metrics import (
    affine_invariant_nrmse,
    core_excluded_correlation,
    correlation,
    fourier_correlation,
    min_max,
    published_errors,
)

SCORES = (affine_invariant_nrmse, correlation, core_excluded_correlation, fourier_correlation)
seeds = st.integers(0, 2**32 - 1)
scales = st.floats(1e-6, 1e6)
offsets = st.floats(-1e3, 1e3)


def images(seed: int, shape: tuple[int, ...] = (3, 16, 20)) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


@settings(max_examples=20, deadline=None)
@given(seeds, scales, offsets)
def test_scale_and_offset_do_not_count(seed: int, scale: float, offset: float) -> None:
    true, found = images(seed), images(seed + 1)
    for score in SCORES:
        expected = score(true, found)
        np.testing.assert_allclose(score(true, scale * (found + offset)), expected, atol=1e-9)
        np.testing.assert_allclose(score(scale * (true + offset), found), expected, atol=1e-9)
    expected = published_errors(true, found)
    changed = published_errors(scale * (true + offset), scale * (found + offset))
    for name in ("mae", "mse", "rmse"):
        np.testing.assert_allclose(getattr(changed, name), getattr(expected, name), atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_a_kernel_found_exactly_scores_perfectly(seed: int) -> None:
    true = images(seed)
    np.testing.assert_allclose(affine_invariant_nrmse(true, true), 0, atol=1e-12)
    for score in SCORES[1:]:
        np.testing.assert_allclose(score(true, true), 1, atol=1e-12)
    assert published_errors(true, true).rmse == pytest.approx(0, abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_nrmse_is_the_error_after_the_best_scale_and_offset(seed: int) -> None:
    true, found = images(seed, (12, 12)), np.abs(images(seed + 1, (12, 12)))
    found += 0.5 * true
    design = np.stack([found.ravel(), np.ones(found.size)], axis=1)
    best, *_ = np.linalg.lstsq(design, true.ravel(), rcond=None)
    rest = design @ best - true.ravel()
    assert best[0] > 0
    assert affine_invariant_nrmse(true, found) == pytest.approx(
        np.sqrt(np.mean(rest**2)) / true.std()
    )


def test_nrmse_of_a_small_error_keeps_its_digits() -> None:
    true, wrong = images(0, (32, 32)), images(1, (32, 32))
    wrong -= wrong.mean() + (wrong * true).mean() / (true - true.mean()).var() * (
        true - true.mean()
    )
    expected = 1e-9 * wrong.std() / true.std()
    assert affine_invariant_nrmse(true, true + 1e-9 * wrong) == pytest.approx(expected, rel=1e-4)


def test_the_wrong_sign_is_no_answer() -> None:
    true = images(0)
    np.testing.assert_allclose(affine_invariant_nrmse(true, -true), 1)
    np.testing.assert_allclose(correlation(true, -true), -1)
    np.testing.assert_allclose(fourier_correlation(true, -true), 1)


def test_published_units_by_hand() -> None:
    # On 0 ... 1 the true kernel is 0, 0, 1, 1 and the found one 0, 1/2, 1, 1/2.
    true, found = np.array([[3.0, 3.0], [7.0, 7.0]]), np.array([[-2.0, 0.0], [2.0, 0.0]])
    errors = published_errors(true, found)
    assert errors.mae == pytest.approx(2 * (0.5 + 0.5) / 4)
    assert errors.mse == pytest.approx(4 * (0.25 + 0.25) / 4)
    assert errors.rmse == pytest.approx(np.sqrt(errors.mse))
    as_it_is = published_errors(true, [[0.0, 0.0], [1.0, 0.5]], stretch=False)
    assert as_it_is.mae == pytest.approx(2 * 0.5 / 4)


def test_min_max_reaches_both_ends_and_survives_constants() -> None:
    stretched = min_max(images(0))
    assert stretched.min(axis=(1, 2)).tolist() == [0, 0, 0]
    assert stretched.max(axis=(1, 2)).tolist() == [1, 1, 1]
    assert not min_max(np.full((4, 4), 5.0)).any()


def test_the_core_does_not_count() -> None:
    true = images(0, (64, 64))
    changed = true.copy()
    # All pixels with r <= 3 about (32, 32), and none beyond.
    for row, col in np.ndindex(64, 64):
        if (row - 32) ** 2 + (col - 32) ** 2 <= 9:
            changed[row, col] = 1000.0
    assert core_excluded_correlation(true, changed) == pytest.approx(1)
    changed[32, 36] = 1000.0
    assert core_excluded_correlation(true, changed) < 0.5
    assert core_excluded_correlation(true, changed, core_radius=4) == pytest.approx(1)
    with pytest.raises(ValueError, match="smaller"):
        core_excluded_correlation(true, changed, core_radius=100)


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(-20, 20), st.integers(-20, 20))
def test_q_space_does_not_see_where_a_kernel_lies(seed: int, down: int, across: int) -> None:
    true, found = images(seed), images(seed + 1)
    np.testing.assert_allclose(
        fourier_correlation(true, np.roll(found, (down, across), (-2, -1))),
        fourier_correlation(true, found),
    )


def test_q_space_sees_the_wavelength() -> None:
    x = np.arange(64)
    wave = {number: np.tile(np.cos(2 * np.pi * number * x / 64), (64, 1)) for number in (5, 6)}
    assert fourier_correlation(wave[5], wave[5]) == pytest.approx(1)
    assert fourier_correlation(wave[5], wave[6]) == pytest.approx(0, abs=1e-3)


def test_constant_kernels() -> None:
    flat, true = np.full((8, 8), 0.1), images(0, (8, 8))
    assert affine_invariant_nrmse(true, flat) == 1
    assert [score(true, flat) for score in SCORES[1:]] == [0, 0, 0]
    assert np.isnan([score(flat, true) for score in SCORES]).all()


def test_stacks_broadcast_and_tensors_are_welcome() -> None:
    true, found = (
        torch.from_numpy(images(0, (5, 1, 16, 16))),
        torch.from_numpy(images(1, (5, 7, 16, 16))),
    )
    for score in SCORES:
        scores = score(true, found)
        assert scores.shape == (5, 7)
        assert scores[2, 3] == pytest.approx(score(true[2, 0], found[2, 3]))
    assert published_errors(true, found).mae.shape == (5, 7)
    with pytest.raises(ValueError, match="h, w"):
        correlation(np.zeros(4), np.zeros(4))
