"""Positions and strengths found with the kernel, as well as if they had been known."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize

from qpi_kernels import Defects
from qpi_kernels.extraction import ExtractionError, extract
from qpi_kernels.extraction.least_squares.estimator import LeastSquares
from qpi_kernels.extraction.least_squares.method import LeastSquaresParameters
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.extraction.refine.kernel_origin import rotation_centre
from qpi_kernels.extraction.refine.position_fit import PointPrior, PositionFit
from qpi_kernels.extraction.refine.prior_width import prior_width
from qpi_kernels.extraction.refine.refinement import Refinement, RefinementParameters
from qpi_kernels.extraction.refine.residual import ResidualMap
from qpi_kernels.extraction.refine.shifted_kernel import ShiftedKernel
from qpi_kernels.forward import ForwardModel
from qpi_kernels.metrics import affine_invariant_nrmse
from qpi_kernels.progress import Cancelled, CancelToken, drive, finish
from qpi_kernels.result import KernelResult
from qpi_kernels.simulate import KernelSampler
from shared.friedel_maps import rings
from shared.planted import random_waves
from shared.shift_and_add import shift_and_add

Array = NDArray[np.float64]


def observed(kernels: Array, defects: Defects, size: int, snr: float, seed: int = 0) -> Array:
    """Maps of kernels (..., kind, h, w) with noise of a variance 1/snr of the signal's."""
    model = ForwardModel(defects, (size, size), kernels.shape[-2:])
    clean = model.apply(torch.from_numpy(kernels.copy())).numpy()
    scatter = clean.std(axis=(-2, -1), keepdims=True) / np.sqrt(snr)
    return np.asarray(clean + scatter * np.random.default_rng(seed).standard_normal(clean.shape))


def placed(count: int, size: int, seed: int, **columns: object) -> Defects:
    positions = np.random.default_rng(seed).uniform(0, size - 1, (count, 2))
    return Defects(positions, **columns)  # type: ignore[arg-type]


def clicked(defects: Defects, jitter: float, seed: int = 0) -> Defects:
    noise = np.random.default_rng([seed, 7]).standard_normal(defects.positions.shape)
    return Defects(defects.positions + jitter * noise, defects.kind)


def problem(image: Array, defects: Defects, window: int, **choice: object) -> Problem:
    parameters = LeastSquaresParameters(kernel_shape=(window, window), **choice)  # type: ignore[arg-type]
    return Problem.check(image, defects, None, parameters)


def refined(task: Problem, **choice: object) -> KernelResult:
    return drive(Refinement(task, LeastSquares, RefinementParameters(**choice)))  # type: ignore[arg-type]


def error(kernel: Array, result: KernelResult) -> float:
    return float(affine_invariant_nrmse(kernel, result.kernel.values))


def test_a_shifted_kernel_is_what_the_forward_model_shows() -> None:
    kernel = np.random.default_rng(0).standard_normal((1, 6, 9))
    position = np.array([2.3, 17.8])
    view = ShiftedKernel(kernel, (1, 19), (20, 24), 5)
    rows, cols = view.window
    whole = ForwardModel(Defects([position]), (20, 24), (6, 9)).apply(torch.from_numpy(kernel))
    np.testing.assert_allclose(view.at(position)[0], whole.numpy()[rows, cols], atol=1e-12)
    for axis in range(2):
        ahead = np.where(np.arange(2) == axis, 1e-4, 0.0)
        change = (view.at(position + ahead) - view.at(position - ahead)) / 2e-4
        np.testing.assert_allclose(view.slopes(position)[axis], change, atol=1e-4)


@pytest.mark.parametrize("fold", [3, 4])
def test_the_centre_of_a_symmetric_kernel_is_found(fold: int) -> None:
    rows, cols = np.indices((31, 31)) - 15 - np.array([0.3, -0.2])[:, None, None]
    radius, angle = np.hypot(rows, cols), np.arctan2(rows, cols)
    kernel = np.cos(0.9 * radius) * np.exp(-radius / 6) * (1 + 0.5 * np.cos(fold * angle))
    noise = 0.02 * np.random.default_rng(1).standard_normal(kernel.shape)
    found = rotation_centre((kernel + noise)[None], np.ones(1), np.zeros(2), 0.3)
    assert found is not None
    centre, error = found
    np.testing.assert_allclose(centre, [0.3, -0.2], atol=0.02)
    assert 0 < error < 0.05


def test_a_kernel_without_symmetry_has_no_centre() -> None:
    kernel = rings(31, lopsided=3.0)[None]
    assert rotation_centre(kernel, np.ones(1), np.zeros(2), 0.2) is None
    assert rotation_centre(np.zeros((1, 31, 31)), np.ones(1), np.zeros(2), 0.2) is None


@pytest.mark.parametrize("width", [0.1, 1.0])
def test_the_width_of_the_prior_is_learnt_from_noisy_shifts(width: float) -> None:
    rng = np.random.default_rng(2)
    error_alone = rng.uniform(0.02, 0.5, 400)
    alone = width * rng.standard_normal(400) + error_alone * rng.standard_normal(400)
    share = 1 / (1 + np.square(error_alone / 0.75))
    posterior = np.sqrt(share) * error_alone
    assert prior_width(share * alone, posterior, 0.75, 0.75) == pytest.approx(width, rel=0.25)


def test_one_pixel_of_jitter_costs_next_to_nothing() -> None:
    kernel, true = rings(24), placed(12, 96, seed=1)
    image = shift_and_add(kernel, true.positions, (96, 96))
    image += image.std() / np.sqrt(20) * np.random.default_rng(0).standard_normal(image.shape)
    clicks = clicked(true, 1.0)
    known = drive(LeastSquares(problem(image, true, 24)))
    at_clicks = drive(LeastSquares(problem(image, clicks, 24)))
    result = refined(problem(image, clicks, 24))
    assert error(kernel, at_clicks) > 2 * error(kernel, known)
    assert error(kernel, result) < 1.05 * error(kernel, known)
    assert np.sqrt(np.square(result.defects.positions - true.positions).mean()) < 0.06
    summary = result.provenance["refinement"]
    assert summary["settled"]
    assert summary["jitter_px"] == pytest.approx(1.0, abs=0.4)


def test_many_defects_do_not_follow_the_noise() -> None:
    """Slopes of a noisy kernel show what it took from the noise, not where defects are."""
    kernel, true = random_waves((20, 20), 1), placed(40, 80, seed=1)
    image = observed(kernel[None], true, 80, snr=1.0)
    known = drive(LeastSquares(problem(image, true, 20)))
    result = refined(problem(image, clicked(true, 0.5), 20))
    # With the kernel as it is extracted they settle after nine rounds, at 1.16.
    assert result.provenance["refinement"]["rounds"] <= 7
    assert error(kernel, result) < 1.12 * error(kernel, known)


def test_errors_of_positions_and_strengths_are_neither_too_small_nor_too_large() -> None:
    """Fits to a known kernel of separate defects, drawn from the prior of the fit."""
    kernel, prior, noise = rings(21), PointPrior(0.5, 0.2, 4.0), 0.1
    grid = np.stack(np.meshgrid(*[np.arange(14, 150, 22.0)] * 2), -1).reshape(-1, 2)
    position_scores, strength_scores = [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        positions = grid + rng.uniform(-2, 2, grid.shape)
        strengths = 1 + prior.spread * rng.standard_normal(len(grid))
        clicks = Defects(positions + prior.jitter_px * rng.standard_normal(grid.shape))
        image = shift_and_add(kernel, positions, (160, 160), strengths)
        image += noise * rng.standard_normal(image.shape)
        residual = ResidualMap(
            (image - shift_and_add(kernel, clicks.positions, image.shape))[None],
            np.ones(image.shape, bool),
            np.array([1 / noise**2]),
            {"defect": kernel[None]},
        )
        fit = finish(PositionFit.solve(clicks, clicks, residual, prior, sweeps=20))
        position_scores.append((fit.defects.positions - positions) / fit.position_error)
        strength_scores.append((fit.defects.strength - strengths) / fit.strength_error)
    for scores in (position_scores, strength_scores):
        # An error 1.4 times as large or as small would be outside.
        assert 1 / 1.18 < np.sqrt(np.mean(np.square(scores))) < 1.18


def test_the_fit_is_where_the_likelihood_times_the_prior_is_largest() -> None:
    """One faint wave packet in closed form: prior and data pull about equally."""
    rows, cols = np.indices((40, 40), dtype=float)

    def packet(row: float, col: float) -> Array:
        away = (rows - row) ** 2 + (cols - col) ** 2
        return np.asarray(np.cos(0.8 * np.sqrt(away + 1)) * np.exp(-away / 18))

    click, prior, noise = np.array([19.0, 21.0]), PointPrior(0.3, 0.2, 4.0), 1.0
    rng = np.random.default_rng(1)
    image = 1.5 * packet(18.2, 21.9) + noise * rng.standard_normal(rows.shape)

    def cost(state: Array) -> float:
        misfit = np.square(image - state[2] * packet(*state[:2])).sum() / noise**2
        offset = np.array([*(state[:2] - click), state[2] - 1]) / [0.3, 0.3, 0.2]
        return float(misfit + np.square(offset).sum())

    best = minimize(cost, [*click, 1.0], method="Nelder-Mead", options={"xatol": 1e-5}).x
    kernel = packet(20, 20)[5:36, 5:36]
    residual = ResidualMap(
        (image - packet(*click))[None],
        np.ones(image.shape, bool),
        np.array([1 / noise**2]),
        {"defect": kernel[None]},
    )
    clicks = Defects([click])
    fit = finish(PositionFit.solve(clicks, clicks, residual, prior, sweeps=20))
    assert np.hypot(*(best[:2] - click)) > 0.2
    np.testing.assert_allclose(fit.defects.positions[0], best[:2], atol=0.005)
    np.testing.assert_allclose(fit.defects.strength[0], best[2], atol=0.01)


def test_exact_positions_stay_where_little_can_be_seen() -> None:
    kernel, true = rings(20), placed(12, 80, seed=2)
    image = observed(kernel[None], true, 80, snr=0.2)
    known = drive(LeastSquares(problem(image, true, 20)))
    result = refined(problem(image, true, 20), max_rounds=5)
    assert error(kernel, result) < 1.05 * error(kernel, known)


def test_a_defect_that_shows_nothing_keeps_its_click() -> None:
    kernel, true = rings(16), placed(10, 64, seed=3)
    far = Defects.concatenate([true, Defects([[-30.0, 20.0]])])
    clicks = clicked(far, 0.7)
    result = refined(problem(observed(kernel[None], true, 64, snr=50), clicks, 16))
    # All of a kind share one shift of the origin, seen or not.
    common = (true.positions - clicks.positions[:10]).mean(axis=0)
    moved = result.defects.positions - clicks.positions
    np.testing.assert_allclose(moved[10], common, atol=0.25)
    assert np.abs(moved).max() > 1


def test_moves_are_bounded() -> None:
    kernel, true = rings(16), placed(10, 64, seed=4)
    clicks = clicked(true, 1.5)
    result = refined(
        problem(observed(kernel[None], true, 64, snr=50), clicks, 16), limit_px=0.5, max_rounds=3
    )
    moved = np.hypot(*(result.defects.positions - clicks.positions).T)
    assert moved.max() == pytest.approx(0.5)


def test_without_symmetry_the_mean_move_is_zero() -> None:
    kernel, true = rings(20, lopsided=3.0), placed(12, 80, seed=5)
    clicks = clicked(true, 0.7)
    result = refined(problem(observed(kernel[None], true, 80, snr=50), clicks, 20))
    moved = result.defects.positions - clicks.positions
    np.testing.assert_allclose(moved.mean(axis=0), 0, atol=1e-9)
    off = result.defects.positions - true.positions
    assert (off - off.mean(axis=0)).std() < 0.06


def test_an_imposed_symmetry_fixes_the_origin() -> None:
    kernel, true = rings(21), placed(12, 80, seed=6)
    clicks = clicked(true, 0.7)
    image = observed(kernel[None], true, 80, snr=50)
    result = refined(problem(image, clicks, 21, symmetry="C4"))
    assert np.abs(result.defects.positions - true.positions).max() < 0.15


def test_strengths_are_found_and_their_mean_stays() -> None:
    strength = 1 + 0.3 * np.random.default_rng(8).standard_normal(14)
    true = placed(14, 96, seed=7, strength=strength / strength.mean())
    probability = np.linspace(0.5, 1, 14)
    clicks = Defects(clicked(true, 0.5).positions, probability=probability)
    image = observed(rings(20)[None], true, 96, snr=50)
    result = refined(problem(image, clicks, 20), refine="positions+strengths")
    np.testing.assert_array_equal(result.defects.probability, probability)
    assert result.defects.strength.mean() == pytest.approx(1.0)
    np.testing.assert_allclose(result.defects.strength, true.strength, atol=0.06)
    assert result.provenance["refinement"]["strength_spread"] == pytest.approx(0.3, abs=0.12)
    positions_only = refined(problem(image, clicks, 20), max_rounds=2)
    np.testing.assert_array_equal(positions_only.defects.strength, 1.0)


def test_kinds_and_biases_are_refined_together() -> None:
    size = 80
    true = placed(16, size, seed=9, kind=["a", "b"] * 8)
    kernels = np.stack([[rings(17, wave), -rings(17, 1.3 * wave)] for wave in (0.7, 0.8, 0.9)])
    stack = observed(kernels, true, size, snr=10)
    result = refined(problem(stack, clicked(true, 0.7), 17))
    assert result.kernel.dims == ("kind", "bias", "y", "x")
    np.testing.assert_array_equal(result.defects.kind, true.kind)
    assert np.sqrt(np.square(result.defects.positions - true.positions).mean()) < 0.06


def test_the_costly_estimator_makes_the_last_kernel_only() -> None:
    true = placed(8, 48, seed=10)
    image = observed(rings(12)[None], true, 48, snr=50)
    made: list[str] = []

    def estimator(name: str) -> object:
        def make(task: Problem) -> LeastSquares:
            made.append(name)
            return LeastSquares(task)

        return make

    refinement = Refinement(
        problem(image, clicked(true, 0.5), 12),
        estimator("costly"),  # type: ignore[arg-type]
        RefinementParameters(max_rounds=3),
        quick_estimator=estimator("quick"),  # type: ignore[arg-type]
    )
    with pytest.raises(RuntimeError, match="not finished"):
        _ = refinement.result
    fractions = []
    drive(refinement, lambda event: fractions.append(event.fraction))
    assert made[:2] == ["quick", "quick"]
    assert made.count("costly") == 1
    assert made[-1] == "costly"
    assert fractions[-1] == 1.0


def test_a_kernel_as_large_as_the_image_is_refined_by_its_middle() -> None:
    kernel, true = rings(40), placed(12, 40, seed=12)
    image, clicks = observed(kernel[None], true, 40, snr=50), clicked(true, 0.7)
    windows: list[tuple[int, int]] = []

    def estimator(task: Problem) -> LeastSquares:
        windows.append(task.parameters.kernel_shape)
        return LeastSquares(task)

    result = drive(Refinement(problem(image, clicks, 40), estimator))
    assert set(windows[:-1]) == {(20, 20)}
    assert windows[-1] == result.kernel.shape == (40, 40)
    assert np.sqrt(np.square(result.defects.positions - true.positions).mean()) < 0.15


def test_it_can_be_stopped_and_changes_nothing() -> None:
    true = placed(8, 48, seed=11)
    clicks = clicked(true, 0.5)
    task = problem(observed(rings(12)[None], true, 48, snr=50), clicks, 12)
    cancel = CancelToken()

    def stop_after_a_move(event: object) -> None:
        if "Moving" in event.message:  # type: ignore[attr-defined]
            cancel.cancel()

    with pytest.raises(Cancelled):
        drive(Refinement(task, LeastSquares), stop_after_a_move, cancel)
    assert task.defects == clicks


def test_progress_has_one_total_and_no_step_makes_a_cancel_wait() -> None:
    true = placed(60, 128, seed=13)
    image = observed(rings(32)[None], true, 128, snr=20)
    refinement = Refinement(problem(image, clicked(true, 0.7), 32), LeastSquares)
    events, gaps, last = [], [], time.thread_time()
    while not refinement.done:
        events.append(refinement.step())
        gaps.append(time.thread_time() - last)
        last = time.thread_time()
    assert len({event.total for event in events}) == 1
    steps = [event.step for event in events]
    assert steps == sorted(steps)
    assert events[-1].fraction == 1.0
    # Moving all 60 defects takes longer than moving one.
    assert max(gaps) < 0.2
    assert sum("Moving" in event.message for event in events) > 120


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "window", "count", "snr"),
    [
        (128, 32, 20, 10),
        (128, 32, 20, 100),
        (128, 32, 60, 10),
        (128, 32, 60, 100),
        (64, 64, 20, 10),
        (64, 64, 20, 100),
    ],
)
def test_jitter_costs_less_than_five_percent(
    size: int, window: int, count: int, snr: float
) -> None:
    library = KernelSampler(shape=(window, window), seed=11)
    ratios = []
    for seed in range(3):
        kernel = np.asarray(library.kernel(seed).values, float)
        true = placed(count, size, seed=seed)
        image = observed(kernel[None], true, size, snr=snr, seed=seed)
        known = drive(LeastSquares(problem(image, true, window)))
        result = refined(problem(image, clicked(true, 1.0, seed), window))
        ratios.append(error(kernel, result) / error(kernel, known))
    assert np.median(ratios) < 1.05


def test_extract_refines_when_asked() -> None:
    generator = np.random.default_rng(4)
    true = Defects(generator.uniform(4, 91, (14, 2)))
    kernel = rings(21)
    observation = observed(kernel[None], true, 96, 50.0)
    clicks = Defects(true.positions + generator.normal(0, 0.7, true.positions.shape))
    errors = {}
    for refine in (None, "positions"):
        result = extract(observation, clicks, kernel_shape=(21, 21), refine=refine)
        errors[refine] = float(affine_invariant_nrmse(kernel, result.kernel.values))
    assert errors["positions"] < 0.5 * errors[None]
    with pytest.raises(ExtractionError, match="refine is a field of"):
        extract(observation, clicks, method="average", refine="positions")
