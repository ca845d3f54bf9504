"""Priors that nearly fit: their waves are fitted to the map, and a hidden level is in doubt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special
import torch
from numpy.typing import NDArray

from qpi_kernels import Defects, extract
from qpi_kernels.extraction.bayes.convolution_normal import normal_operators
from qpi_kernels.extraction.bayes.parameters import BayesParameters
from qpi_kernels.extraction.bayes.posterior_solver import PosteriorSolver
from qpi_kernels.extraction.bayes.priors.covariance_roots import (
    ComponentRoot,
    KindRoot,
    SumRoot,
    WaveRoot,
    WhiteRoot,
)
from qpi_kernels.extraction.bayes.priors.discrepancy import fit_discrepancy, has_waves
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.progress import finish
from shared.planted import random_waves, shift_and_add, with_noise

Array = NDArray[Any]
WINDOW, SIDE = (24, 24), 96
POSITIONS = np.random.default_rng(8).integers(0, SIDE, (25, 2))


def ring_waves(side: int, wave: float, seed: int) -> Array:
    """Draw waves of one length that fade from the centre."""
    momentum = 2 * np.pi * np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None])
    noise = np.fft.fft2(np.random.default_rng(seed).standard_normal((side, side)))
    waves = np.fft.ifft2(noise * np.exp(-np.square((momentum - wave) / 0.2))).real
    rows = np.arange(side) - side // 2
    return np.asarray(waves / waves.std() * np.exp(-np.hypot(rows[:, None], rows) / 5))


def problem_of(kernel: Array, snr: float) -> Problem[BayesParameters]:
    image = with_noise(shift_and_add(kernel, POSITIONS, (SIDE, SIDE)), snr, 0)
    parameters = BayesParameters(kernel_shape=WINDOW)
    return Problem.check(image, Defects(POSITIONS.astype(float)), None, parameters)


def shapes_and_waves(like: torch.Tensor, shapes: Array) -> SumRoot:
    """Root a prior of a few shapes, with weak white waves beside."""
    flat = WaveRoot(np.full(WINDOW, 0.05), np.ones((WINDOW[0], WINDOW[1] // 2 + 1)), like)
    return SumRoot([(1.0, ComponentRoot(torch.from_numpy(shapes).to(like))), (1.0, flat)])


@pytest.mark.parametrize("strength", [0.0, 0.3])
def test_waves_that_a_prior_lacks_are_learnt_from_the_map(strength: float) -> None:
    shapes = np.stack([random_waves(WINDOW, seed) for seed in range(4)])
    kernel = shapes.sum(axis=0) + strength * ring_waves(WINDOW[0], 1.4, 1)
    problem = problem_of(kernel, 30.0)
    operators, signal = normal_operators(problem), problem.signal(0)[None]
    solver = PosteriorSolver(problem, shapes_and_waves(problem.coverage, shapes), operators)
    (first,) = finish(solver.solve(signal))
    sample = finish(solver.draw_numbers(first))
    found = fit_discrepancy(solver.prior, 1, [first], [sample])
    (second,) = finish(PosteriorSolver(problem, found.root, operators).solve(signal))
    assert second.cost < first.cost
    truth = torch.from_numpy(kernel) / float(problem.planes(0, 1).scale)
    before, after = (float((one.kernels[0] - truth).square().mean()) for one in (first, second))
    if not strength:
        # Nothing is there to learn, and nothing is lost.
        assert after < 1.2 * before
        return
    assert after < 0.8 * before
    assert 0 < found.fitted < 300
    waves = found.root.parts[1][1].variance  # type: ignore[attr-defined]
    assert float(waves[12, 12]) > 1.3 * float(waves[0, 0])


def test_each_kind_has_waves_of_its_own() -> None:
    like = torch.ones(1, dtype=torch.float64)
    flat = WaveRoot(np.ones(WINDOW), np.ones((24, 13)), like)
    assert has_waves(flat)
    assert has_waves(KindRoot([flat, flat]))
    assert not has_waves(WhiteRoot(WINDOW))
    kernel = ring_waves(WINDOW[0], 1.0, 3)
    kinds = np.array(["a", "b"])[np.arange(len(POSITIONS)) % 2]
    image = shift_and_add(kernel, POSITIONS[kinds == "a"], (SIDE, SIDE))
    image = with_noise(image + 1e-3 * np.random.default_rng(0).standard_normal(image.shape), 30, 1)
    marked = Defects(POSITIONS.astype(float), kind=kinds)
    problem = Problem.check(image, marked, None, BayesParameters(kernel_shape=WINDOW))
    solver = PosteriorSolver(problem, flat, normal_operators(problem))
    (first,) = finish(solver.solve(problem.signal(0)[None]))
    found = fit_discrepancy(flat, 2, [first], [finish(solver.draw_numbers(first))])
    strong, weak = found.root.variance  # type: ignore[attr-defined]
    assert float(strong[12, 12]) > 10 * float(weak[12, 12])


def spaced(count: int, distance: float, side: int) -> Array:
    """Draw positions that keep apart."""
    draw = np.random.default_rng(0)
    found: list[Array] = []
    while len(found) < count:
        place = draw.uniform(0, side - 1, 2)
        if all(np.hypot(*(place - other)) > distance for other in found):
            found.append(np.rint(place))
    return np.array(found)


def test_a_level_that_the_background_hides_is_in_doubt() -> None:
    """Defects that keep apart cover the map evenly: a level of the kernel looks like an offset."""
    side, rows = 32, np.arange(32) - 16
    radius = np.hypot(rows[:, None], rows)
    kernel = sum(scipy.special.j0(wave * radius) ** 2 for wave in (0.35, 0.45))
    kernel = kernel * np.exp(-radius / 12)
    positions = spaced(26, 17.0, 128)
    image = with_noise(shift_and_add(kernel, positions.astype(int), (128, 128)), 10.0, 0)
    result = extract(image, positions, kernel_shape=(side, side))
    error, std = result.kernel.values - kernel, result.std.values
    assert abs(error.mean()) < 3 * std.mean()
    assert np.mean(np.abs(error) < 1.96 * std) > 0.9
