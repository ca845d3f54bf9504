"""One prior at many planes: batches, solutions given up, draws between ridges, precision."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from qpi_kernels import Defects, extract
from qpi_kernels.extraction.bayes.convolution_normal import normal_operators
from qpi_kernels.extraction.bayes.parameters import BayesParameters
from qpi_kernels.extraction.bayes.posterior_solver import PosteriorSolver
from qpi_kernels.extraction.bayes.priors.covariance_roots import WaveRoot, WhiteRoot
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.progress import finish
from shared.planted import random_waves, shift_and_add, with_noise

Array = NDArray[Any]
SIDE, WINDOW = 64, (20, 20)
POSITIONS = np.random.default_rng(3).integers(0, SIDE, (15, 2))


def planes(count: int, snr: float) -> Array:
    """Draw maps of one set of defects, each of another kernel."""
    return np.stack(
        [
            with_noise(
                shift_and_add(random_waves(WINDOW, seed), POSITIONS, (SIDE, SIDE)), snr, seed
            )
            for seed in range(count)
        ]
    )


def problem_of(stack: Array) -> Problem[BayesParameters]:
    parameters = BayesParameters(kernel_shape=WINDOW)
    return Problem.check(stack, Defects(POSITIONS.astype(float)), None, parameters)


def ring(problem: Problem[BayesParameters], wave: float) -> WaveRoot:
    """Root a prior of waves of one length under a round envelope."""
    rows, columns = (np.arange(side) - side // 2 for side in WINDOW)
    envelope = np.exp(-(rows[:, None] ** 2 + columns**2) / 50)
    momentum = (
        2
        * np.pi
        * np.hypot(np.fft.fftfreq(WINDOW[0])[:, None], np.fft.rfftfreq(WINDOW[1])[None, :])
    )
    power = np.exp(-((momentum - wave) ** 2) / 0.1) + 1e-6
    return WaveRoot(envelope, power, problem.coverage)


def signals(problem: Problem[BayesParameters]) -> torch.Tensor:
    return torch.stack([problem.signal(index) for index in range(problem.plane_count)])


@pytest.mark.parametrize("wave", [None, 0.9])
def test_planes_together_are_as_one_by_one(wave: float | None) -> None:
    problem = problem_of(planes(4, snr=3.0) * np.array([1.0, 1e3, 1e-4, 0.0])[:, None, None])
    root = WhiteRoot(WINDOW) if wave is None else ring(problem, wave)
    solver = PosteriorSolver(problem, root, normal_operators(problem))
    stack = signals(problem)
    together = finish(solver.solve(stack))
    for signal, one in zip(stack, together, strict=True):
        (alone,) = finish(solver.solve(signal[None]))
        (sample,) = finish(solver.sample([alone]))
        away = (one.kernels - alone.kernels).square().mean().sqrt()
        assert float(away) <= 0.01 * float(sample.std.mean())
        # What the probes know of the determinant depends on the planes before.
        assert one.cost == pytest.approx(alone.cost, abs=0.1 + 0.02 * alone.volume)
        assert one.ridge == pytest.approx(alone.ridge, rel=0.02)


@pytest.mark.parametrize("snr", [3.0, 100.0])
def test_a_solution_that_is_given_up_would_not_have_won(snr: float) -> None:
    """Priors of waves of all lengths, right and wrong, against that of every pixel on its own."""
    problem = problem_of(planes(3, snr))
    operators, stack = normal_operators(problem), signals(problem)
    rivals = finish(PosteriorSolver(problem, WhiteRoot(WINDOW), operators).solve(stack))
    given_up, won = 0, 0
    for wave in np.linspace(0.0, 2.4, 5):
        root = ring(problem, wave)
        whole = finish(PosteriorSolver(problem, root, operators).solve(stack))
        cut = finish(PosteriorSolver(problem, root, operators).solve(stack, candidates=rivals))
        for rival, full, one in zip(rivals, whole, cut, strict=True):
            assert (one.cost < rival.cost) == (full.cost < rival.cost)
            won += one.cost < rival.cost
            if not one.converged:
                # That of any kernel is above that of the best, but for the determinant's estimate.
                assert one.cost > full.cost - 0.01 * full.volume
                given_up += 1
    assert won > 0
    assert given_up > 0 or snr < 100


@pytest.mark.parametrize("over", [1e-4, 1e-2, 0.1, 1.0, 5.0])
def test_draws_between_ridges_are_as_wide_as_draws_at_them(over: float) -> None:
    """At ridges of some share of the largest eigenvalue, so from well determined to not at all."""
    problem = problem_of(planes(1, snr=3.0))
    operators = normal_operators(problem)

    def solver() -> PosteriorSolver:
        return PosteriorSolver(problem, WhiteRoot(WINDOW), operators)

    first = solver()
    (found,) = finish(first.solve(signals(problem)))
    top = finish(first.estimate_spectrum()).maximum
    ridges = over * top * 2 ** np.linspace(0, 4, 6)
    rows = [replace(found, ridge=float(ridge)) for ridge in ridges]
    between = finish(first.sample(rows))
    for row, sample in zip(rows, between, strict=True):
        direct_solver = solver()
        finish(direct_solver.estimate_spectrum())
        (direct,) = finish(direct_solver.sample([row]))
        assert float(sample.std.mean()) == pytest.approx(float(direct.std.mean()), rel=0.05)


def test_single_precision_is_taken_where_it_is_enough() -> None:
    results: dict[tuple[float, str], Array] = {}
    for snr in (10.0, 1000.0):
        image = planes(1, snr)[0]
        for dtype in ("auto", "float64", "float32"):
            found = extract(image, POSITIONS.astype(float), kernel_shape=WINDOW, dtype=dtype)
            results[snr, dtype] = found.kernel.values
        rms = float(np.sqrt(np.mean(results[snr, "float64"] ** 2)))
        away = np.sqrt(np.mean((results[snr, "auto"] - results[snr, "float64"]) ** 2)) / rms
        assert away < 1e-3
    assert (results[1000.0, "auto"] == results[1000.0, "float64"]).all()
    assert not (results[10.0, "auto"] == results[10.0, "float64"]).all()
