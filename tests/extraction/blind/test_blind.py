"""Blind extraction: kernel and defects from the map alone, and each of its parts."""

import time

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.special import hankel1

from qpi_kernels import Defects, extract
from qpi_kernels.bench.blind.problems import BLIND_CASES, blind_problem, shift_corrected
from qpi_kernels.extraction import ExtractionError
from qpi_kernels.extraction.blind.alternating_fit import AlternatingFit
from qpi_kernels.extraction.blind.convolution_model import ConvolutionModel
from qpi_kernels.extraction.blind.estimator import BlindExtraction
from qpi_kernels.extraction.blind.fista import sparse_activation
from qpi_kernels.extraction.blind.gibbs_sampler import GibbsSampler, Points
from qpi_kernels.extraction.blind.initial_kernels import unlike_patches
from qpi_kernels.extraction.blind.kernel_centre import centre_offset, shifted
from qpi_kernels.extraction.blind.parameters import BlindParameters
from qpi_kernels.extraction.blind.quality_report import faint_defects
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.forward import ForwardModel
from qpi_kernels.progress import Cancelled, CancelToken, drive, finish
from shared.shift_and_add import shift_and_add


def codes(found):
    return {reason.code for reason in found.quality.reasons}


def rings(size=21, wave=0.9, fold=4, contrast=0.4, decay=6.0):
    """Friedel rings with an n-fold contrast, from the closed form."""
    rows, cols = np.indices((size, size)) - size // 2
    radius = np.hypot(rows, cols) + 0.6
    waves = (hankel1(0, wave * radius / 2) ** 2).real * np.exp(-radius / decay)
    kernel = waves * (1 + contrast * np.cos(fold * np.arctan2(rows, cols)))
    return kernel / np.abs(kernel).max()


def scattered(count=10, size=72, seed=0, apart=4.0, **columns):
    """Defects anywhere in the image, none closer to another than a few pixels."""
    random, points = np.random.default_rng(seed), []
    while len(points) < count:
        point = random.uniform(0, size - 1, 2)
        if all(np.hypot(*(point - other)) > apart for other in points):
            points.append(point)
    return Defects(points, **columns)


def observe(kernel, defects, size=72, noise=0.03, seed=0):
    clean = ForwardModel(defects, (size, size), kernel.shape).apply(torch.from_numpy(kernel)[None])
    return clean.numpy() + noise * np.random.default_rng(seed).standard_normal((size, size))


def problem_of(observation, mask=None, **parameters):
    dims = ("bias", "y", "x")[3 - np.ndim(observation) :]
    image = xr.DataArray(observation, dims=dims)
    chosen = BlindParameters(**({"kernel_shape": (21, 21)} | parameters))
    return Problem.check(image, None, mask, chosen)


def blind(observation, mask=None, on_event=None, cancel=None, **parameters):
    stepper = BlindExtraction(problem_of(observation, mask, **parameters))
    return drive(stepper, on_event, cancel)


def distances(found, true):
    """From each true defect to the nearest found one, in px."""
    return np.linalg.norm(found.positions[:, None] - true.positions, axis=-1).min(axis=0)


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
        result = blind(image, kinds=1, prior="none")
        assert len(result.defects) == 20
        scores.append(np.square((result.kernel.values - kernel) / result.std.values))
    # A std 1.4 times as large or as small would be outside.
    assert 1 / 1.18 < np.sqrt(np.mean(scores)) < 1.18


def test_overlapping_defects_under_noise_are_as_good_as_known():
    kernel = rings()
    defects = scattered(60, size=96, seed=1, apart=0.0)
    image = observe(kernel, defects, size=96, noise=0.15)
    known = extract(image, defects, method="least_squares", kernel_shape=(21, 21)).kernel.values
    found = blind(image).kernel.values
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


def test_many_faint_defects_are_remarked_on():
    kernel, defects = rings(31, decay=8.0), scattered(10, size=128, apart=20.0)
    image = observe(kernel, defects, size=128)
    cut, whole = (blind(image, kernel_shape=(side, side)) for side in (11, 31))
    assert len(cut.defects) > 2 * len(whole.defects)
    assert "faint_defects" in codes(cut)
    assert "faint_defects" not in codes(whole)


@pytest.mark.parametrize("name", ["both signs", "two kinds"])
def test_kinds_are_told_apart(name):
    problem = blind_problem(BLIND_CASES[name], seed=2)
    result = blind(problem.observation, kernel_shape=(31, 31))
    assert result.kernel.dims == ("kind", "y", "x")
    strong = result.defects[result.defects.strength > 0.5]
    assert strong.counts() == {"kind 1": 8, "kind 2": 8}
    assert list(result.kernel["kind"].values) == ["kind 1", "kind 2"]
    # The kind that shows most comes first, which need not be the problem's first.
    first = int(shift_corrected(problem.kernels[1], result.kernel.values[0])[0] > 0.9)
    if name == "two kinds":
        assert first == np.square(problem.kernels).sum(axis=(1, 2)).argmax()
    for kind, found in zip((first, 1 - first), result.kernel.values, strict=True):
        score, shift = shift_corrected(problem.kernels[kind], found)
        assert score > 0.98
        assert np.hypot(*shift) < 0.5
        true = problem.defects.of_kind(f"kind {kind + 1}")
        same = result.defects.of_kind(f"kind {1 if kind == first else 2}")
        assert distances(same, true).max() < 0.5
    assert "several_kinds" in codes(result)


def test_first_guesses_are_not_taken_where_all_is_masked():
    problem = blind_problem(BLIND_CASES["two kinds"], seed=2)
    mask = np.ones((128, 128), bool)
    mask[:, 40:] = False
    model = ConvolutionModel(problem_of(problem.observation, mask, kernel_shape=(31, 31)))
    guesses = unlike_patches(model, kinds=2, each=2)
    assert guesses
    assert all(bool(torch.isfinite(guess).all()) for guess in guesses)


def test_a_run_without_points_explains_nothing():
    model = ConvolutionModel(problem_of(observe(rings(), scattered())))
    fit = AlternatingFit(model, torch.from_numpy(rings())[None, None].float(), seed=0)
    for threshold in (0.5, 0.35):
        finish(fit.relax(threshold))
    fit.begin_sampling()
    finish(fit.sample())
    alive = fit.cost
    fit.sampler.place(Points(np.zeros((0, 2)), np.zeros(0), np.zeros(0, int)))
    fit.sampler.density[:], fit.sampler.noise_variance = 1e-12, 1e6
    finish(fit.sample())
    assert not len(fit.sampler.points)
    assert fit.cost > alive


def test_as_many_kinds_as_asked_for():
    problem = blind_problem(BLIND_CASES["two kinds"], seed=2)
    one = blind(problem.observation, kernel_shape=(31, 31), kinds=1)
    assert one.kernel.dims == ("y", "x")
    assert one.provenance["parameters"]["kinds"] == 1
    two = blind(problem.observation, kernel_shape=(31, 31), kinds=2)
    auto = blind(problem.observation, kernel_shape=(31, 31))
    np.testing.assert_array_equal(two.kernel, auto.kernel)
    with pytest.raises(ValueError, match="kinds"):
        blind(problem.observation, kinds=0)


def test_a_kind_that_is_not_there_is_told_of():
    result = blind(observe(rings(), scattered(3, apart=15.0)), kinds=3)
    assert result.kernel.dims == ("y", "x")
    (missing,) = (one for one in result.quality.reasons if one.code == "kinds_missing")
    assert (missing.number, missing.threshold) == (1, 3)


def test_a_few_faint_defects_are_not_remarked_on():
    assert faint_defects(np.array([1.0, 1.0, 1.0, 1.0, 0.3])) == 0
    assert faint_defects(np.array([1.0, 1.0, 1.0, 0.2, 0.3])) == 2
    assert faint_defects(np.ones(3)) == 0


def test_masked_pixels_change_nothing():
    kernel, defects = rings(), scattered(seed=2)
    image = observe(kernel, defects)
    mask = np.ones(image.shape, bool)
    mask[20:30, 40:60] = mask[50] = False
    random = np.random.default_rng(0)
    spoiled = np.where(mask, image, 30 * random.standard_normal(image.shape))
    first, second = blind(image, mask), blind(spoiled, mask)
    np.testing.assert_array_equal(first.kernel, second.kernel)
    missing = blind(np.where(mask, image, np.nan))
    np.testing.assert_array_equal(first.kernel, missing.kernel)
    assert shift_corrected(kernel, first.kernel.values)[0] > 0.97


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
    result = blind(cube)
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
    result = blind(observe(kernel, defects) + added, background=background)
    assert len(result.defects) == 10
    assert shift_corrected(kernel, result.kernel.values)[0] > 0.97


@pytest.mark.parametrize("kernel_shape", [(20, 24), (21, 16)])
def test_even_and_oblong_windows_keep_the_centre(kernel_shape):
    kernel, defects = rings(), scattered(seed=6)
    result = blind(observe(kernel, defects), kernel_shape=kernel_shape)
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


def test_the_same_seed_gives_the_same_bits():
    image = observe(rings(), scattered())
    first, second = blind(image, seed=3), blind(image, seed=3)
    np.testing.assert_array_equal(first.kernel, second.kernel)
    assert first.defects == second.defects


@pytest.mark.parametrize("kinds", [1, "auto"])
def test_progress_has_one_total_and_never_runs_backwards(kinds):
    events = []
    blind(observe(rings(), scattered()), on_event=events.append, kinds=kinds)
    assert len({event.total for event in events}) == 1
    steps = [event.step for event in events]
    assert steps == sorted(steps)
    assert events[-1].fraction == 1.0
    assert any(9 <= event.values.get("defects", 0) <= 12 for event in events)


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


def test_the_map_predicts_what_the_forward_model_does():
    random = np.random.default_rng(0)
    kernel, shape = random.standard_normal((6, 5)), (17, 19)
    model = ConvolutionModel(problem_of(random.standard_normal(shape), kernel_shape=(6, 5)))
    sites = random.uniform(4, 16, (7, 2))
    strengths = random.normal(1, 0.2, 7)
    kernels = torch.from_numpy(kernel)[None, None].float()
    whole = np.rint(sites)
    spectrum = model.point_spectrum(whole, strengths)
    predicted = model.predict(spectrum[None], model.kernel_spectrum(kernels))
    defects = Defects(whole - [5, 4] + [3, 2], strength=strengths)
    expected = ForwardModel(defects, shape, (6, 5)).apply(kernels[0].double())
    np.testing.assert_allclose(predicted[0], expected, atol=1e-4)
    # The plain sum of waves and the map on the grid are the same where both can be used.
    waves = model.point_spectrum(np.vstack([whole, [[3.5, 3.5]]]), np.append(strengths, 0.0))
    np.testing.assert_allclose(waves, spectrum, atol=1e-4)


def test_correlate_is_the_transpose_of_predict():
    generator = torch.Generator().manual_seed(0)
    image = np.random.default_rng(0).standard_normal((2, 17, 19))
    model = ConvolutionModel(problem_of(image, kernel_shape=(6, 5)))
    planes = len(model.values)
    kernels = model.kernel_spectrum(torch.randn(3, planes, 6, 5, generator=generator))
    activation = torch.randn(3, *model.sites, generator=generator)
    images = torch.randn(planes, 17, 19, generator=generator)
    left = (model.predict(model.activation_spectrum(activation), kernels) * images).sum()
    right = (activation * model.correlate(images, kernels)).sum()
    assert float(left) == pytest.approx(float(right), rel=1e-4)


def test_sparse_activation_fulfils_the_optimality_conditions():
    kernel = rings(9)
    model = ConvolutionModel(problem_of(observe(kernel, scattered(5, 24), 24), kernel_shape=(9, 9)))
    # A second kernel whose threshold is higher.
    kernels = torch.from_numpy(np.stack([kernel, np.roll(kernel, 2, 1)]))[:, None].float()
    level = torch.tensor([0.2, 0.3])
    found = finish(sparse_activation(model, kernels, torch.zeros(2, *model.sites), level, 3000))
    left = model.residual(model.activation_spectrum(found), kernels)
    slope = model.correlate(left, model.kernel_spectrum(kernels)) - level.view(2, 1, 1)
    assert float(slope.max()) < 0.02
    assert float(slope[found > 1e-3].abs().max()) < 0.02
    assert 0 < int((found > 1e-3).sum()) < found.numel() / 4


def test_the_sampler_gives_each_point_its_kind():
    kernels = np.stack([rings(), -rings(wave=1.3)])
    kinds = np.tile([0, 1], 5)
    defects = scattered(10, seed=7, kind=kinds.astype(str))
    observation = ForwardModel(defects, (72, 72), (21, 21)).apply(torch.from_numpy(kernels)).numpy()
    observation += 0.1 * np.random.default_rng(0).standard_normal((72, 72))
    model, scale = ConvolutionModel(problem_of(observation)), float(np.std(observation))
    sampler = GibbsSampler(model, kinds=2, seed=0)
    wrong = Points(defects.positions + 10, np.full(10, 0.5), 1 - kinds)
    sampler.place(wrong, pitch=8, group_reach=2)
    sampler.noise_variance = (0.1 / scale) ** 2
    for _ in range(10):
        finish(sampler.sweep(torch.from_numpy(kernels / scale)[:, None].float()))
    points = sampler.points
    for kind in (0, 1):
        strong = (points.kinds == kind) & (points.strengths > 0.5)
        found = Defects(points.sites[strong] - 10)
        assert len(found) == 5
        assert distances(found, defects.of_kind(str(kind))).max() < 1


@pytest.mark.parametrize("fold", [2, 3, 4, 6])
@pytest.mark.parametrize("shift", [(0, 0), (2, -1)])
def test_the_centre_of_a_symmetric_kernel_is_found(fold, shift):
    kernel = shifted(rings(31, fold=fold, decay=3.0)[None], *shift)
    np.testing.assert_allclose(centre_offset(kernel), shift, atol=0.1)


def test_a_centre_between_pixels_is_found():
    kernel = ForwardModel(Defects([(15.4, 14.7)]), (31, 31), (31, 31)).apply(
        torch.from_numpy(rings(31, decay=3.0))[None]
    )
    np.testing.assert_allclose(centre_offset(kernel.numpy()[None]), (0.4, -0.3), atol=0.1)


def test_the_sampler_splits_and_joins_points_until_they_fit():
    kernel, defects = rings(), scattered(8, seed=7)
    model = ConvolutionModel(problem_of(observe(kernel, defects)))
    scale = float(np.std(observe(kernel, defects)))
    kernels = torch.from_numpy(kernel / scale)[None, None].float()
    sampler = GibbsSampler(model, kinds=1, seed=0)
    wrong = scattered(30, seed=8).positions + 10
    sampler.place(Points(wrong, np.full(30, 0.5), np.zeros(30, int)), pitch=4, group_reach=2)
    sampler.noise_variance = (0.03 / scale) ** 2
    for _ in range(20):
        finish(sampler.sweep(kernels))
    found = Defects(sampler.points.sites - 10)
    assert len(found) == 8
    assert distances(found, defects).max() < 0.3
