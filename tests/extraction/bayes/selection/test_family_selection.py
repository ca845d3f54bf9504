"""Families of simulated kernels: told apart by a map's evidence."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from qpi_kernels.defects import Defects
from qpi_kernels.extraction.bayes.convolution_normal import (
    ConvolutionNormal,
    NormalOperator,
    choose_normal_operator,
)
from qpi_kernels.extraction.bayes.parameters import BayesParameters
from qpi_kernels.extraction.bayes.selection import family_selection
from qpi_kernels.extraction.bayes.selection.family_selection import (
    likely_families,
    prepare_families,
)
from qpi_kernels.extraction.normal_operator import NormalOperators
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.forward import ForwardModel
from qpi_kernels.models.kernel_prior import bundled_prior
from qpi_kernels.progress import finish
from qpi_kernels.simulate.kernel_sampler import KernelSampler


def problem_of(family: str, snr: float) -> tuple[Problem, torch.Tensor]:
    """A map of a kernel of a family, and the kernel in the plane's units."""
    kernel = np.asarray(KernelSampler([family], seed=5).kernel(1).values, float)
    positions = Defects(np.random.default_rng(0).uniform(0, 255, (12, 2)))
    clean = ForwardModel(positions, (256, 256), (64, 64)).apply(torch.from_numpy(kernel)[None])
    noise = torch.randn(256, 256, generator=torch.Generator().manual_seed(0)).double()
    parameters = BayesParameters(kernel_shape=(64, 64))
    observation = (clean + clean.std() / snr**0.5 * noise).numpy()
    problem = Problem.check(observation, positions, None, parameters)
    return problem, torch.from_numpy(kernel / observation.std())[None].to(problem.device)


def costs_of(problem: Problem, start: torch.Tensor, normal: NormalOperator) -> dict[str, float]:
    work = prepare_families(problem, bundled_prior(), NormalOperators(problem.normal, normal))
    signals = problem.background.remove(problem.planes(0, 1).values)
    (costs,) = finish(work).costs(signals, start[None])
    return costs


@pytest.mark.parametrize("family", ["free_electrons", "warped_four_fold", "square_lattice"])
def test_the_true_family_is_among_the_likely(family: str) -> None:
    problem, start = problem_of(family, snr=9.0)
    costs = costs_of(problem, start, choose_normal_operator(problem, problem.normal))
    assert family in sorted(costs, key=costs.__getitem__)[:4]
    assert costs[family] < costs["asymmetric_cluster"]


def test_the_quick_operator_tells_the_same_as_the_exact_one() -> None:
    problem, start = problem_of("warped_four_fold", snr=100.0)
    quick = choose_normal_operator(problem, problem.normal)
    assert isinstance(quick, ConvolutionNormal)
    near, exact = costs_of(problem, start, quick), costs_of(problem, start, problem.normal)
    best = min(exact, key=exact.__getitem__)
    assert min(near, key=near.__getitem__) == best
    others = np.array([[one[name] - one[best] for name in exact] for one in (near, exact)])
    # Decisions are taken at differences of 10 (`_CLEAR_GAP`, twice a log-evidence of 5).
    np.testing.assert_allclose(others[0], others[1], rtol=0.25, atol=10.0)


def test_planes_share_a_family_unless_they_strongly_differ() -> None:
    alike = [{"a": 0.0, "b": 1.0}, {"a": 1.0, "b": 0.0}, {"a": 0.0, "b": 1.0}]
    assert likely_families(alike) == (["a", "a", "a"], 1.0)
    unlike = [{"a": 0.0, "b": 100.0}, {"a": 100.0, "b": 0.0}]
    assert likely_families(unlike)[0] == ["a", "b"]


@pytest.mark.parametrize(("family", "snr"), [("square_lattice", 30.0), ("free_electrons", 1.0)])
def test_bounds_of_families_far_behind_hide_none_that_is_better(
    family: str, snr: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, start = problem_of(family, snr)
    normal = choose_normal_operator(problem, problem.normal)
    bounds = costs_of(problem, start, normal)
    monkeypatch.setattr(family_selection, "_MAX_BEHIND", np.inf)
    exact = costs_of(problem, start, normal)
    above = np.array([bounds[name] - exact[name] for name in exact])
    assert (above > -1e-6).all()
    assert (above > 1e-3).any()
    assert likely_families([bounds]) == likely_families([exact])
    # Those that are near are exact.
    near = np.array([exact[name] - min(exact.values()) < 30 for name in exact])
    np.testing.assert_allclose(above[near], 0, atol=1e-6)
