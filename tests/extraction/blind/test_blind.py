"""Blind extraction: kernel and defects from the map alone."""

import time
from dataclasses import dataclass

import numpy as np
import pytest

from qpi_kernels import extract
from qpi_kernels.bench.blind.problems import BLIND_CASES, blind_problem, shift_corrected
from qpi_kernels.extraction import ExtractionError
from qpi_kernels.extraction.blind.estimator import BlindExtraction
from qpi_kernels.progress import Cancelled, CancelToken, Event
from qpi_kernels.result import KernelResult
from shared.blind_maps import blind, distances, observe, problem_of, rings
from shared.friedel_maps import scattered
from shared.shift_and_add import shift_and_add


@dataclass(frozen=True)
class Found:
    result: KernelResult
    events: list[Event]


@pytest.fixture(scope="module")
def found():
    """Extract once, with all that is there by default, what several tests look at."""
    events = []
    image = observe(rings(), scattered())
    return Found(blind(image, on_event=events.append, prior="library"), events)


@pytest.fixture(scope="module")
def one_kind():
    """Extract once, without a prior and without counting kinds."""
    events = []
    return Found(blind(observe(rings(), scattered()), on_event=events.append, kinds=1), events)


def codes(found):
    return {reason.code for reason in found.quality.reasons}


@pytest.mark.parametrize("sign", [1, -1])
def test_finds_kernel_positions_and_strengths(sign):
    kernel = sign * rings()
    random = np.random.default_rng(3)
    defects = scattered(strength=random.normal(1, 0.2, 10))
    image = 4.0 + shift_and_add(kernel, defects.positions, (72, 72), defects.strength)
    image += 0.03 * random.standard_normal(image.shape)
    result = blind(image)
    known = extract(image, defects, method="least_squares", kernel_shape=(21, 21)).kernel.values
    score, shift = shift_corrected(kernel, result.kernel.values)
    assert score > np.corrcoef(known.ravel(), kernel.ravel())[0, 1] - 0.003
    assert shift == (0.0, 0.0)
    assert len(result.defects) == 10
    assert distances(result.defects, defects).max() < 0.2
    nearest = np.linalg.norm(result.defects.positions[:, None] - defects.positions, axis=-1).argmin(
        axis=0
    )
    ratio = result.defects.strength[nearest] / defects.strength
    assert ratio.std() / ratio.mean() < 0.05
    assert result.quality.reduced_chi2[0] == pytest.approx(1, abs=0.1)


def test_the_std_is_neither_too_small_nor_too_large():
    kernel, scores = rings(), []
    for seed in range(3):
        defects = scattered(20, size=96, seed=seed, apart=10.0)
        image = shift_and_add(kernel, defects.positions, (96, 96))
        image += 0.2 * np.random.default_rng(seed).standard_normal(image.shape)
        result = blind(image, kinds=1)
        assert len(result.defects) == 20
        scores.append(np.square((result.kernel.values - kernel) / result.std.values))
    # A std 1.4 times as large or as small would be outside.
    assert 1 / 1.18 < np.sqrt(np.mean(scores)) < 1.18


def test_overlapping_defects_under_noise_are_as_good_as_known():
    kernel = rings()
    defects = scattered(60, size=96, seed=1, apart=0.0)
    image = observe(kernel, defects, size=96, noise=0.15)
    known = extract(image, defects, method="least_squares", kernel_shape=(21, 21)).kernel.values
    found = blind(image, kinds=1).kernel.values
    score = shift_corrected(kernel, found)[0]
    assert score > np.corrcoef(known.ravel(), kernel.ravel())[0, 1] - 0.02


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "whole_pixels", "lost", "least"),
    [
        ("sparse", True, 0.003, 0.97),
        ("sparse", False, 0.003, 0.97),
        ("dense", True, 0.015, 0.97),
        ("published", True, 0.04, 0.90),
        ("published", False, 0.05, 0.90),
    ],
)
def test_reaches_its_aim(name, whole_pixels, lost, least):
    problem = blind_problem(BLIND_CASES[name], seed=2, whole_pixels=whole_pixels)
    shape = problem.kernel.shape
    known = extract(
        problem.observation, problem.defects, method="least_squares", kernel_shape=shape
    ).kernel.values
    oracle = np.corrcoef(known.ravel(), problem.kernel.ravel())[0, 1]
    found = blind(problem.observation, kernel_shape=shape).kernel.values
    score = shift_corrected(problem.kernel, found)[0]
    assert score > max(least, oracle - lost)


def test_a_window_that_cuts_the_kernel_finds_the_same_defects():
    kernel, defects = rings(31, decay=8.0), scattered(10, size=128, apart=20.0)
    cut = blind(observe(kernel, defects, size=128), kernel_shape=(11, 11), kinds=1)
    assert len(cut.defects) == 10
    assert distances(cut.defects, defects).max() < 0.5
    assert "faint_defects" not in codes(cut)


def test_masked_pixels_change_nothing():
    kernel, defects = rings(), scattered(seed=2)
    image = observe(kernel, defects)
    mask = np.ones(image.shape, bool)
    mask[20:30, 40:60] = mask[50] = False
    random = np.random.default_rng(0)
    spoiled = np.where(mask, image, 30 * random.standard_normal(image.shape))
    masked = blind(spoiled, mask, kinds=1)
    missing = blind(np.where(mask, image, np.nan), kinds=1)
    np.testing.assert_array_equal(masked.kernel, missing.kernel)
    assert shift_corrected(kernel, masked.kernel.values)[0] > 0.97


def test_biases_share_their_defects():
    defects = scattered(seed=4)
    kernels = [rings(wave=wave) for wave in (0.8, 1.0, 1.2)]
    scales = (1.0, 1e-3, 50.0)
    cube = np.stack(
        [
            scale * observe(kernel, defects, noise=0.2, seed=index)
            for index, (kernel, scale) in enumerate(zip(kernels, scales, strict=True))
        ]
    )
    result = blind(cube, kinds=1)
    assert result.kernel.dims == ("bias", "y", "x")
    assert distances(result.defects, defects).max() < 0.5
    known = extract(cube, defects, method="least_squares", kernel_shape=(21, 21)).kernel.values
    for kernel, found, best in zip(kernels, result.kernel.values, known, strict=True):
        aim = np.corrcoef(kernel.ravel(), best.ravel())[0, 1]
        assert shift_corrected(kernel, found)[0] > aim - 0.03


@pytest.mark.parametrize("background", ["offset", "rows"])
def test_a_background_does_no_harm(background):
    kernel, defects = rings(), scattered(seed=5)
    random = np.random.default_rng(1)
    added = {"offset": 1e3, "rows": 2 * random.standard_normal((72, 1))}[background]
    result = blind(observe(kernel, defects) + added, background=background, kinds=1)
    assert len(result.defects) == 10
    assert shift_corrected(kernel, result.kernel.values)[0] > 0.97


@pytest.mark.parametrize("kernel_shape", [(20, 24), (21, 16)])
def test_even_and_oblong_windows_keep_the_centre(kernel_shape):
    kernel, defects = rings(), scattered(seed=6)
    result = blind(observe(kernel, defects), kernel_shape=kernel_shape, kinds=1)
    assert np.median(distances(result.defects, defects)) < 0.2


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.random.default_rng(0).standard_normal((64, 64)), "no repeating pattern"),
        (np.full((64, 64), 3.0), "no repeating pattern"),
        (np.random.default_rng(0).standard_normal((20, 64)), "larger than the image"),
    ],
)
def test_maps_without_a_pattern_are_refused_in_words(image, message):
    with pytest.raises(ExtractionError, match=message):
        blind(image)


def test_the_same_seed_gives_the_same_bits(one_kind):
    # With a prior and kinds to be counted: test_kinds.py, test_as_many_kinds_as_asked_for.
    again = blind(observe(rings(), scattered()), kinds=1)
    np.testing.assert_array_equal(again.kernel, one_kind.result.kernel)
    assert again.defects == one_kind.result.defects


def assert_steady(events):
    assert len({event.total for event in events}) == 1
    steps = [event.step for event in events]
    assert steps == sorted(steps)
    assert events[-1].fraction == 1.0
    assert any(9 <= event.values.get("defects", 0) <= 12 for event in events)


def test_progress_has_one_total_and_never_runs_backwards(found, one_kind):
    assert_steady(found.events)
    assert_steady(one_kind.events)


def test_no_step_is_long_enough_to_make_a_cancel_wait():
    stepper = BlindExtraction(problem_of(observe(rings(), scattered(40, 128), 128), kinds=1))
    gaps, last = [], time.thread_time()
    while not stepper.done:
        stepper.step()
        gaps.append(time.thread_time() - last)
        last = time.thread_time()
    # A sweep of a search or all of a relaxation takes longer than any of its steps.
    assert max(gaps) < 0.3
    assert len(gaps) > 500


@pytest.mark.parametrize("allowed", [1, 40])
def test_cancelling_stops_at_once(allowed):
    token, seen = CancelToken(), []

    def count(event):
        seen.append(event)
        if len(seen) == allowed:
            token.cancel()

    with pytest.raises(Cancelled):
        blind(observe(rings(), scattered()), on_event=count, cancel=token)
    assert len(seen) == allowed


def test_an_unfinished_extraction_has_no_result():
    stepper = BlindExtraction(problem_of(observe(rings(), scattered())))
    assert not stepper.done
    with pytest.raises(RuntimeError, match="not finished"):
        _ = stepper.result
