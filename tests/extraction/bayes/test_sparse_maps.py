"""Maps with holes: the quick operator for priors, and what it says of the posterior."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from qpi_kernels.extraction.bayes.convolution_normal import (
    ConvolutionNormal,
    normal_operators,
    operators_for_priors,
)
from qpi_kernels.extraction.bayes.parameters import BayesParameters
from qpi_kernels.extraction.bayes.posterior_solver import PosteriorSolver
from qpi_kernels.extraction.bayes.priors.covariance_roots import CovarianceRoot
from qpi_kernels.extraction.bayes.priors.library_priors import broad_prior
from qpi_kernels.extraction.bayes.selection.family_selection import prepare_families
from qpi_kernels.extraction.normal_operator import ExactNormal, NormalOperators
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.models.kernel_prior import bundled_prior
from qpi_kernels.progress import finish
from shared.planned_maps import map_of, ring

WINDOW, SIZE = (16, 16), 128
POSITIONS = np.random.default_rng(4).uniform(2, SIZE - 3, (24, 2))


def sparse(mask: NDArray[np.bool_]) -> Problem[BayesParameters]:
    observation = np.where(mask, map_of(ring(16), POSITIONS, 0.5, 3, SIZE), np.nan)
    return Problem.check(observation, POSITIONS, None, BayesParameters(kernel_shape=WINDOW))


def random_holes(share: float) -> NDArray[np.bool_]:
    return np.random.default_rng(5).random((SIZE, SIZE)) < share


def cases() -> list[tuple[str, NDArray[np.bool_]]]:
    lines = np.random.default_rng(6).random((SIZE, 1)) < 0.35
    return [("pixels", random_holes(0.4)), ("lines", np.broadcast_to(lines, (SIZE, SIZE)))]


@pytest.mark.parametrize(("name", "mask"), cases())
def test_the_spread_behind_holes_is_that_of_the_exact_operator(
    name: str, mask: NDArray[np.bool_]
) -> None:
    problem = sparse(np.array(mask))
    exact = normal_operators(problem)
    assert exact.quick is exact.exact
    quick = operators_for_priors(problem, exact, bundled_prior())
    assert isinstance(quick.quick, ConvolutionNormal)
    root: CovarianceRoot = broad_prior(problem, bundled_prior())
    found = []
    for operators in (exact, quick):
        solver = PosteriorSolver(problem, root, operators)
        (posterior,) = finish(solver.solve(problem.signal(0)[None]))
        (sample,) = finish(solver.sample([posterior]))
        found.append((posterior, float(sample.std.square().mean()) ** 0.5))
    (one, std), (other, near) = found
    assert near == pytest.approx(std, rel=0.05)
    # The mean is that of the exact operator in any case.
    torch.testing.assert_close(
        other.kernels, one.kernels, rtol=0, atol=0.1 * float(one.kernels.abs().max())
    )
    assert other.determined == pytest.approx(one.determined, rel=0.15)


def test_holes_where_the_defects_are_need_the_exact_operator() -> None:
    rows, cols = np.indices((SIZE, SIZE))
    near = [np.hypot(rows - y, cols - x) < 4 for y, x in POSITIONS]
    problem = sparse(~np.any(near, axis=0) & random_holes(0.5))
    exact = normal_operators(problem)
    assert operators_for_priors(problem, exact, bundled_prior()) is exact


@pytest.mark.parametrize("coloured", [False, True])
def test_families_by_maps_are_those_by_the_operator(coloured: bool) -> None:
    problem = sparse(random_holes(0.4))
    noise = _Halved() if coloured else None
    exact, apart = (ExactNormal(problem.model, problem.background, noise) for _ in range(2))
    white = torch.zeros(1, *WINDOW).to(problem.coverage)
    by_maps, by_operator = (
        finish(prepare_families(problem, bundled_prior(), NormalOperators(exact, quick))).costs(
            problem.signal(0)[None], white[None]
        )[0]
        for quick in (exact, apart)
    )
    assert by_maps == pytest.approx(by_operator, abs=0.1)


class _Halved:
    """Noise that is weaker in some waves: an average over neighbours is taken off in part."""

    def whiten(self, images: torch.Tensor) -> torch.Tensor:
        return images - 0.2 * (images.roll(1, -1) + images.roll(-1, -1))

    def weigh(self, images: torch.Tensor) -> torch.Tensor:
        return self.whiten(self.whiten(images))


def test_many_kernels_at_once_are_as_one_after_the_other() -> None:
    problem = sparse(random_holes(0.4))
    count = 2**19 // int(np.prod(problem.model.fft_shape)) + 3
    kernels = torch.randn(count, 1, *WINDOW, dtype=torch.float64).to(problem.device)
    together = problem.normal.apply(kernels)
    torch.testing.assert_close(together[-1:], problem.normal.apply(kernels[-1:]))
    torch.testing.assert_close(together[:1], problem.normal.apply(kernels[:1]))
