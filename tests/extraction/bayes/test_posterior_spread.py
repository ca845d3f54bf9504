"""The standard deviation of a posterior against its dense covariance, for any seed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from qpi_kernels import Defects
from qpi_kernels.extraction.bayes.convolution_normal import normal_operators
from qpi_kernels.extraction.bayes.parameters import BayesParameters
from qpi_kernels.extraction.bayes.posterior_solver import PosteriorSolver
from qpi_kernels.extraction.bayes.priors.covariance_roots import (
    ComponentRoot,
    CovarianceRoot,
    SumRoot,
    WaveRoot,
    WhiteRoot,
)
from qpi_kernels.extraction.bayes.priors.near_symmetry import NearlySymmetricRoot, NearSymmetry
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.progress import finish
from shared.planted import random_waves, shift_and_add, with_noise

Array = NDArray[Any]
WINDOW = (18, 18)
POSITIONS = np.random.default_rng(5).integers(0, 72, (14, 2))


def root_of(name: str, like: torch.Tensor) -> CovarianceRoot:
    """Make a prior: every pixel alone, waves under an envelope, symmetric or with a few shapes."""
    if name == "white":
        return WhiteRoot(WINDOW)
    rows, columns = (np.arange(side) - side // 2 for side in WINDOW)
    envelope = np.exp(-np.hypot(rows[:, None], columns) / 5)
    momentum = np.hypot(np.fft.fftfreq(WINDOW[0])[:, None], np.fft.rfftfreq(WINDOW[1])[None])
    waves = WaveRoot(envelope, np.exp(-np.square(momentum / 0.15)) + 1e-3, like)
    if name == "waves":
        return waves
    if name == "symmetric":
        return NearlySymmetricRoot(waves, NearSymmetry(two=0.02, mirror=0.05), WINDOW, like)
    shapes = np.stack([random_waves(WINDOW, seed) for seed in range(12)]) * envelope
    return SumRoot([(1.0, ComponentRoot(torch.from_numpy(shapes).to(like))), (0.05, waves)])


@pytest.mark.parametrize("snr", [1.0, 30.0])
@pytest.mark.parametrize("name", ["white", "waves", "shapes", "symmetric"])
def test_standard_deviations_are_those_of_the_dense_posterior(name: str, snr: float) -> None:
    image = with_noise(shift_and_add(random_waves(WINDOW, 3), POSITIONS, (72, 72)), snr, 0)
    problem = Problem.check(
        image, Defects(POSITIONS.astype(float)), None, BayesParameters(kernel_shape=WINDOW)
    )
    operators = normal_operators(problem)
    root = root_of(name, problem.coverage)
    count = int(np.prod(WINDOW))
    unit = torch.eye(count, dtype=torch.float64)
    normal = operators.quick.apply(unit.view(count, 1, *WINDOW)).flatten(1)
    covariance = root.apply(root.adjoint(unit.view(count, *WINDOW))).flatten(1)
    if root.variance is not None:
        assert root.variance.flatten() == pytest.approx(covariance.diagonal(), rel=1e-6)
    first = None
    for seed in range(3):
        own = replace(problem, parameters=problem.parameters.model_copy(update={"seed": seed}))
        solver = PosteriorSolver(own, root, operators)
        (found,) = finish(solver.solve(problem.signal(0)[None]))
        (sample,) = finish(solver.sample([found]))
        exact = torch.linalg.solve(found.ridge * unit + covariance @ normal, covariance)
        std = (found.noise_variance * exact.diagonal()).sqrt().view(WINDOW)
        away = sample.std[0] / std - 1
        assert float(away.square().mean().sqrt()) < 0.035
        assert abs(float(away.mean())) < 0.015
        first = sample.std[0] if first is None else first
        # Chance in the draws must not show.
        assert float((sample.std[0] / first - 1).square().mean().sqrt()) < 0.02


def test_standard_deviations_of_defects_at_an_edge_keep_where_nothing_is_measured() -> None:
    # All defects lie at the map's left edge: their kernels' left halves are outside of it.
    positions = np.column_stack([np.arange(4, 72, 5), np.zeros(14)]).astype(float)
    image = with_noise(
        shift_and_add(random_waves(WINDOW, 3), positions.astype(int), (72, 72)), 9, 0
    )
    problem = Problem.check(
        image, Defects(positions), None, BayesParameters(kernel_shape=WINDOW, dtype="float64")
    )
    operators = normal_operators(problem)
    solver = PosteriorSolver(problem, WhiteRoot(WINDOW), operators)
    (found,) = finish(solver.solve(problem.signal(0)[None]))
    (sample,) = finish(solver.sample([found]))
    share = sample.std[0] / (found.noise_variance / found.ridge) ** 0.5
    # Rings about the centre would mix the halves.
    assert 0.993 < float(share[:, :6].mean()) < 1.007
    assert float(share[:, 12:].mean()) < 0.6
