"""Blind extraction of several kinds: told apart, counted, and each point given its own."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from qpi_kernels import Defects
from qpi_kernels.bench.blind.problems import (
    BLIND_CASES,
    BlindProblem,
    blind_problem,
    shift_corrected,
)
from qpi_kernels.extraction.blind.convolution_model import ConvolutionModel
from qpi_kernels.extraction.blind.gibbs_sampler import GibbsSampler, Points
from qpi_kernels.extraction.blind.initial_kernels import unlike_patches
from qpi_kernels.forward import ForwardModel
from qpi_kernels.progress import finish
from qpi_kernels.result import KernelResult
from shared.blind_maps import blind, distances, observe, problem_of, rings
from shared.friedel_maps import scattered


@dataclass(frozen=True)
class Told:
    problem: BlindProblem
    result: KernelResult


def told_apart(name, prior="none", **size):
    problem = blind_problem(replace(BLIND_CASES[name], **size), seed=2)
    return Told(problem, blind(problem.observation, kernel_shape=problem.kernel.shape, prior=prior))


SMALL = {"image_px": 80, "kernel_px": 21, "defects": 12}


@pytest.fixture(scope="module")
def two_kinds():
    """Extract once, with all that is there by default, what two tests look at."""
    return told_apart("two kinds", "library", **SMALL)


def test_two_kinds_are_told_apart(two_kinds):
    assert_told_apart(two_kinds)
    # The kind that shows most comes first.
    shown = np.square(two_kinds.problem.kernels).sum(axis=(1, 2))
    assert first_kind(two_kinds) == shown.argmax()


def test_both_signs_are_told_apart():
    assert_told_apart(told_apart("both signs", **SMALL))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["both signs", "two kinds"])
def test_kinds_are_told_apart_on_maps_of_the_benchmark(name):
    assert_told_apart(told_apart(name, "library"))


def first_kind(told):
    """Find which of the problem's kinds comes first in the result."""
    return int(shift_corrected(told.problem.kernels[1], told.result.kernel.values[0])[0] > 0.9)


def assert_told_apart(told):
    problem, result = told.problem, told.result
    assert result.kernel.dims == ("kind", "y", "x")
    strong = result.defects[result.defects.strength > 0.5]
    assert strong.counts() == problem.defects.counts()
    assert list(result.kernel["kind"].values) == ["kind 1", "kind 2"]
    first = first_kind(told)
    for kind, found in zip((first, 1 - first), result.kernel.values, strict=True):
        score, shift = shift_corrected(problem.kernels[kind], found)
        assert score > 0.98
        assert np.hypot(*shift) < 0.5
        true = problem.defects.of_kind(f"kind {kind + 1}")
        same = result.defects.of_kind(f"kind {1 if kind == first else 2}")
        assert distances(same, true).max() < 0.5
    assert "several_kinds" in {reason.code for reason in result.quality.reasons}


def test_as_many_kinds_as_asked_for(two_kinds):
    problem, auto = two_kinds.problem, two_kinds.result
    one = blind(problem.observation, kinds=1)
    assert one.kernel.dims == ("y", "x")
    assert one.provenance["parameters"]["kinds"] == 1
    two = blind(problem.observation, kinds=2, prior="library")
    np.testing.assert_array_equal(two.kernel, auto.kernel)
    with pytest.raises(ValueError, match="kinds"):
        blind(problem.observation, kinds=0)


def test_a_kind_that_is_not_there_is_told_of():
    result = blind(observe(rings(), scattered(3, apart=15.0)), kinds=3)
    assert result.kernel.dims == ("y", "x")
    (missing,) = (one for one in result.quality.reasons if one.code == "kinds_missing")
    assert (missing.number, missing.threshold) == (1, 3)


def test_first_guesses_are_not_taken_where_all_is_masked():
    problem = blind_problem(BLIND_CASES["two kinds"], seed=2)
    mask = np.ones((128, 128), bool)
    mask[:, 40:] = False
    model = ConvolutionModel(problem_of(problem.observation, mask, kernel_shape=(31, 31)))
    guesses = unlike_patches(model, kinds=2, each=2)
    assert guesses
    assert all(bool(torch.isfinite(guess).all()) for guess in guesses)


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
