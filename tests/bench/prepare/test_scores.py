"""Errors that the benchmark of the preparation measures, on results whose error is known."""

from __future__ import annotations

import numpy as np
import pytest

from qpi_kernels.bench.prepare.own import plain_ways
from qpi_kernels.bench.prepare.problems import drift_map, step_map, tone_map
from qpi_kernels.bench.prepare.scores import drift_error, row_error, step_error, tone_changes

SHAPE = (64, 48)


@pytest.fixture(scope="module")
def lattice():
    problem = drift_map("hexagonal", SHAPE, 100.0, seed=3)
    points = np.indices(SHAPE).astype(float)
    exact = np.zeros_like(points)
    for _ in range(50):
        exact = problem.drift(points + exact)
    return problem, points, exact


def test_the_true_displacement_has_no_error_and_its_negative_twice(lattice) -> None:
    problem, points, exact = lattice
    nothing = drift_error(problem, np.zeros_like(exact))
    assert 0.5 < nothing < 3
    assert drift_error(problem, exact) < 1e-6
    assert drift_error(problem, -exact) > 1.6 * nothing
    # Another lattice is no residual drift: pixel r shows what belongs to M r.
    turned = points + 0.01 * points[::-1] - 0.3
    sheared = np.zeros_like(points)
    for _ in range(50):
        sheared = turned - points + problem.drift(points + sheared)
    assert drift_error(problem, sheared) < 1e-6


def test_noise_of_the_displacement_is_its_error(lattice) -> None:
    problem, _, exact = lattice
    noise = 0.05 * np.random.default_rng(0).standard_normal(exact.shape)
    assert drift_error(problem, exact + noise) == pytest.approx(0.05 * np.sqrt(2), rel=0.1)


def test_the_lattice_is_where_the_drift_says(lattice) -> None:
    problem, points, exact = lattice
    spectrum = np.abs(np.fft.fft2(problem.raw))[1:, 1:]
    shown = points + exact
    rows, columns = np.rint(shown).astype(int).clip(0, np.array(SHAPE)[:, None, None] - 1)
    corrected = np.abs(np.fft.fft2(problem.raw[rows, columns]))[1:, 1:]
    # Sharper peaks, even by the nearest pixels.
    assert corrected.max() > 1.1 * spectrum.max()


def test_rows_are_scored_apart_from_tilt_and_noise() -> None:
    problem = step_map(45, 0.05, SHAPE, seed=0)
    y, x = np.indices(SHAPE)
    assert row_error(problem, problem.without_rows + 0.01 * y - 0.02 * x + 5) < 1e-8
    assert row_error(problem, problem.raw) == pytest.approx(100, rel=0.01)


@pytest.mark.parametrize("angle", [0, 30, 45, 90])
def test_step_heights(angle) -> None:
    problem = step_map(angle, 0.0, SHAPE, seed=1)
    ideal = np.where(problem.distance_px < 0, problem.height_nm, 0.0)
    assert step_error(problem, ideal) == pytest.approx(0, abs=1e-9)
    assert step_error(problem, 0.9 * ideal) == pytest.approx(10)


def test_tones_are_scored_apart_from_the_rest() -> None:
    problem = tone_map(SHAPE, seed=0)
    spectrum = np.fft.fft2(problem.tone)
    assert np.abs(spectrum).max() < 0.6 * np.abs(spectrum).sum() / 2, "it lies between points"
    assert tone_changes(problem, problem.clean) == pytest.approx((0, 0), abs=1e-9)
    left, changed = tone_changes(problem, problem.raw)
    assert left == pytest.approx(50, rel=0.05)
    assert changed == pytest.approx(0, abs=1)
    half = problem.clean + problem.tone / 2
    assert tone_changes(problem, half)[0] == pytest.approx(left / 2)


def test_a_notch_takes_most_of_a_tone() -> None:
    problem = tone_map((96, 96), seed=1)
    (notch,) = [way for way in plain_ways() if way.task == "tone"]
    left, changed = tone_changes(problem, notch.apply(problem.raw))
    assert left < 15
    assert changed > 5
