"""Posterior kernels: better than least squares where the library helps, honest error bars."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from qpi_kernels.bench.robustness.maps import plain_map
from qpi_kernels.defects import Defects
from qpi_kernels.extraction import ExtractionError, extract
from qpi_kernels.extraction.bayes.estimator import BayesExtraction
from qpi_kernels.extraction.bayes.parameters import BayesParameters
from qpi_kernels.extraction.bayes.posterior_solver import PosteriorSolver
from qpi_kernels.extraction.bayes.priors.covariance_roots import ComponentRoot
from qpi_kernels.extraction.bayes.priors.library_priors import WHITE_PRIOR
from qpi_kernels.extraction.normal_operator import NormalOperators
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.forward import ForwardModel
from qpi_kernels.metrics import affine_invariant_nrmse
from qpi_kernels.models.kernel_prior import KernelPrior
from qpi_kernels.progress import drive, finish
from qpi_kernels.result import KernelResult
from qpi_kernels.simulate.kernel_sampler import KernelSampler
from qpi_kernels.train.prior_fit import PriorFit
from shared.intervals import assert_calibrated, relative_error
from shared.planted import with_noise

FAMILIES = ["free_electrons", "warped_two_fold", "warped_four_fold"]
SHAPE = (32, 32)
Array = NDArray[np.float64]


def codes(found: KernelResult) -> set[str]:
    return {reason.code for reason in found.quality.reasons}


@pytest.fixture(scope="module")
def library() -> KernelPrior:
    fit = PriorFit(KernelSampler(FAMILIES, shape=SHAPE, seed=3), count=768, components=300)
    while not fit.done:
        fit.step()
    return fit.result


def observed(kernel: Array, defects: Defects, snr: float, size: int = 64, seed: int = 1) -> Array:
    model = ForwardModel(defects, (size, size), kernel.shape)
    clean = model.apply(torch.from_numpy(kernel).double()[None]).numpy()
    return with_noise(clean, snr, seed)


def bayes(observation: Array, defects: Defects, library: KernelPrior) -> KernelResult:
    parameters = BayesParameters(kernel_shape=SHAPE)
    return drive(BayesExtraction(Problem.check(observation, defects, None, parameters), library))


def test_known_families_at_low_signal(library: KernelPrior) -> None:
    ratios, truths, results = [], [], []
    unseen = KernelSampler(FAMILIES, shape=SHAPE, seed=77)
    for number in range(4):
        truth = unseen.kernel(number).values
        truth = truth / np.abs(truth).max()
        positions = np.random.default_rng(number).uniform(0, 63, (15, 2))
        observation = observed(truth, Defects(positions), snr=1.0)
        plain = extract(observation, positions, kernel_shape=SHAPE, method="least_squares")
        found = bayes(observation, Defects(positions), library)
        truths.append(truth)
        results.append(found)
        ratios.append(
            affine_invariant_nrmse(truth, found.kernel.values)
            / affine_invariant_nrmse(truth, plain.kernel.values)
        )
    assert np.median(ratios) < 0.6
    kernels, stds = ([getattr(one, name).values for one in results] for name in ("kernel", "std"))
    assert_calibrated(kernels, stds, truths)


def test_a_kernel_that_no_prior_knows_is_left_to_least_squares(library: KernelPrior) -> None:
    strange = np.random.default_rng(5).normal(size=SHAPE)
    positions = np.random.default_rng(6).uniform(0, 127, (30, 2))
    observation = observed(strange, Defects(positions), snr=30.0, size=128)
    plain = extract(observation, positions, kernel_shape=SHAPE, method="least_squares")
    found = bayes(observation, Defects(positions), library)
    assert found.provenance["priors"][0]["prior"] == WHITE_PRIOR
    assert "white_prior" in codes(found)
    np.testing.assert_allclose(
        affine_invariant_nrmse(strange, found.kernel.values),
        affine_invariant_nrmse(strange, plain.kernel.values),
        rtol=0.02,
    )


def test_each_kind_has_a_size_of_its_own(library: KernelPrior) -> None:
    unseen = KernelSampler(FAMILIES, shape=SHAPE, seed=78)
    truth = np.stack([unseen.kernel(number).values for number in range(2)])
    truth *= np.array([1.0, 0.2])[:, None, None] / np.abs(truth).max(axis=(1, 2), keepdims=True)
    positions = np.random.default_rng(3).uniform(0, 95, (50, 2))
    defects = Defects(positions, kind=["strong", "weak"] * 25)
    clean = ForwardModel(defects, (96, 96), SHAPE).apply(torch.from_numpy(truth)).numpy()
    noise = np.random.default_rng(1).normal(size=clean.shape)
    observation = clean + clean.std() / 2 * noise
    plain = extract(observation, defects, kernel_shape=SHAPE, method="least_squares")
    found = bayes(observation, defects, library)
    for kind, true in zip(("strong", "weak"), truth, strict=True):
        kernel = found.kernel.sel(kind=kind).values
        assert affine_invariant_nrmse(true, kernel) < 0.7 * affine_invariant_nrmse(
            true, plain.kernel.sel(kind=kind).values
        )
    assert_calibrated(found.kernel, found.std, truth)


def test_several_biases_and_progress(library: KernelPrior) -> None:
    unseen = KernelSampler(FAMILIES, shape=SHAPE, seed=79)
    positions = Defects(np.random.default_rng(4).uniform(0, 63, (12, 2)))
    stack = np.stack([observed(unseen.kernel(n).values, positions, 5.0, seed=n) for n in range(3)])
    parameters = BayesParameters(kernel_shape=SHAPE)
    run = BayesExtraction(Problem.check(stack, positions, None, parameters), library)
    events = []
    while not run.done:
        events.append(run.step())
    assert run.result.kernel.shape == (3, *SHAPE)
    fractions = [event.fraction or 0.0 for event in events]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    for index in range(3):
        truth = unseen.kernel(index).values
        plain = extract(stack[index], positions, kernel_shape=SHAPE, method="least_squares")
        assert affine_invariant_nrmse(
            truth, run.result.kernel.values[index]
        ) < 0.8 * affine_invariant_nrmse(truth, plain.kernel.values)


def test_kernels_that_change_slowly_with_the_bias_help_each_other(library: KernelPrior) -> None:
    source = KernelSampler(FAMILIES, shape=SHAPE, seed=79)
    recipe = source.recipe(0)
    bias = np.mean(recipe.bias) + 0.004 * np.arange(8)
    truth = source.make(recipe, bias=list(bias)).values
    positions = Defects(np.random.default_rng(4).uniform(0, 95, (15, 2)))
    clean = np.stack([observed(one, positions, np.inf, 96) for one in truth])
    noise = np.random.default_rng(1).normal(size=clean.shape)
    stack = clean + clean.std() / 0.5**0.5 * noise
    together = bayes(stack, positions, library)
    assert "bias" in together.provenance["biases"]
    alone = bayes(stack[3], positions, library)
    errors = [
        affine_invariant_nrmse(truth[3], one)
        for one in (together.kernel.values[3], alone.kernel.values)
    ]
    assert errors[0] < 0.8 * errors[1]
    # Each bias is taken to be as uncertain as if its neighbours told less than they do.
    assert 0.5 < relative_error(together.kernel, together.std, truth) < 1.18


def test_a_bias_does_not_depend_on_strange_or_dead_ones(library: KernelPrior) -> None:
    good = KernelSampler(FAMILIES, shape=SHAPE, seed=79).kernel(0).values
    good = good / np.abs(good).max()
    strange = np.random.default_rng(5).normal(size=SHAPE)
    positions = Defects(np.random.default_rng(4).uniform(0, 95, (15, 2)))
    plane = observed(good, positions, 1.0, 96)
    noisy = observed(strange, positions, 100.0, 96)
    alone = bayes(plane, positions, library)
    for other in (noisy, np.zeros_like(plane), np.full_like(plane, 0.1)):
        together = bayes(np.stack([other, plane]), positions, library)
        assert "biases" not in together.provenance
        np.testing.assert_allclose(
            together.kernel.values[1], alone.kernel.values, atol=0.5 * float(alone.std.mean())
        )


def test_no_prior_is_least_squares_and_smooth_needs_no_network(library: KernelPrior) -> None:
    kernel = KernelSampler(FAMILIES, shape=SHAPE, seed=80).kernel(0).values
    positions = np.random.default_rng(4).uniform(0, 63, (12, 2))
    observation = observed(kernel, Defects(positions), snr=2.0)
    plain = extract(observation, positions, kernel_shape=SHAPE, method="least_squares")
    same = extract(observation, positions, kernel_shape=SHAPE, prior="none")
    np.testing.assert_array_equal(plain.kernel, same.kernel)
    smooth = extract(observation, positions, kernel_shape=SHAPE, prior="smooth")
    assert smooth.provenance["priors"][0]["prior"] == "smooth waves"


def test_refused(tmp_path: Path) -> None:
    image, positions = np.ones((32, 32)), [(10, 10)]
    with pytest.raises(ExtractionError, match="ridge is a field of least_squares, not of bayes"):
        extract(image, positions, kernel_shape=(9, 9), ridge=0.1)
    with pytest.raises(ExtractionError, match="napari-qpi library"):
        extract(image, positions, kernel_shape=(9, 9), library=str(tmp_path / "none.safetensors"))


@pytest.mark.parametrize("background", ["none", "offset", "rows"])
@pytest.mark.parametrize("symmetry", [None, "C4"])
def test_every_background_and_symmetry(
    library: KernelPrior, background: str, symmetry: str | None
) -> None:
    kernel = KernelSampler(["warped_four_fold"], shape=SHAPE, seed=80).kernel(0).values
    positions = Defects(np.random.default_rng(4).uniform(0, 63, (15, 2)))
    observation = observed(kernel / np.abs(kernel).max(), positions, snr=3.0)
    parameters = BayesParameters(kernel_shape=SHAPE, background=background, symmetry=symmetry)
    found = drive(BayesExtraction(Problem.check(observation, positions, None, parameters), library))
    assert np.corrcoef(found.kernel.values.ravel(), kernel.ravel())[0, 1] > 0.95
    # The kernel is of the prior's family, and the smooth residual beside it is left open.
    assert 0.6 < relative_error(found.kernel, found.std, kernel / np.abs(kernel).max()) < 1.4


def test_a_map_that_shows_nothing_is_called_so(library: KernelPrior) -> None:
    found = bayes(np.full((64, 64), 3.0), Defects(np.array([[20.0, 20.0], [40.0, 30.0]])), library)
    assert found.provenance["priors"][0]["prior"] == WHITE_PRIOR
    assert {"nothing_fixed", "no_variance"} <= codes(found)
    assert found.quality.trust == "undetermined"


def test_noise_that_is_not_white_is_not_trusted(library: KernelPrior) -> None:
    kernel = KernelSampler(FAMILIES, shape=SHAPE, seed=81).kernel(0).values
    positions = Defects(np.random.default_rng(4).uniform(0, 63, (15, 2)))
    rng = np.random.default_rng(0)
    lines = np.cumsum(rng.normal(size=(64, 64)), axis=1)
    observation = observed(kernel / np.abs(kernel).max(), positions, snr=50.0) + 0.1 * lines
    found = bayes(observation, positions, library)
    assert found.quality.trust != "good"
    assert "coloured_noise" in codes(found)


def test_a_little_more_than_noise_is_remarked_on(library: KernelPrior) -> None:
    truth = KernelSampler(FAMILIES, shape=SHAPE, seed=5).kernel(0).values
    positions = np.random.default_rng(1).uniform(0, 95, (20, 2))
    observation = observed(truth, Defects(positions), snr=1.0, size=96)
    off = positions + 0.5 * np.random.default_rng(2).normal(size=positions.shape)
    right, wrong = (bayes(observation, Defects(marks), library) for marks in (positions, off))
    assert not codes(right) & {"residual_excess", "residual_structure"}
    assert 1.08 < wrong.quality.reduced_chi2[0] < 1.3
    assert "residual_excess" in codes(wrong)
    assert wrong.quality.trust != "good"


def test_the_same_input_gives_the_same_bits(library: KernelPrior) -> None:
    kernel = KernelSampler(FAMILIES, shape=SHAPE, seed=82).kernel(0).values
    positions = Defects(np.random.default_rng(4).uniform(0, 63, (15, 2)))
    observation = observed(kernel, positions, snr=3.0)
    first, second = (bayes(observation, positions, library) for _ in range(2))
    np.testing.assert_array_equal(first.kernel, second.kernel)
    np.testing.assert_array_equal(first.std, second.std)
    tiny = bayes(-1e-12 * observation, positions, library)
    np.testing.assert_allclose(tiny.kernel, -1e-12 * first.kernel, rtol=1e-6, atol=1e-18)


def test_evidence_and_std_are_those_of_the_dense_solution(device: str) -> None:
    """At a signal so strong that the ridge is far below the mean eigenvalue."""
    rng = np.random.default_rng(7)
    shape, side = (10, 10), 40
    defects = Defects(rng.uniform(0, side - 1, (12, 2)))
    components = torch.from_numpy(rng.normal(size=(100, *shape)))
    components *= torch.logspace(0, -3, 100, dtype=torch.float64)[:, None, None]
    components = components.to(device)
    root = ComponentRoot(components)
    numbers = torch.from_numpy(rng.normal(size=(1, 100))).to(device)
    kernel = root.apply(numbers)[0].cpu().numpy()
    observation = observed(kernel, defects, snr=1e4, size=side)
    parameters = BayesParameters(kernel_shape=shape, background="none")
    problem = Problem.check(observation, defects, None, parameters)
    solver = PosteriorSolver(problem, root, NormalOperators(problem.normal, problem.normal))
    (found,) = finish(solver.solve(problem.planes(0, 1).values))
    (sample,) = finish(solver.sample([found]))
    std = sample.std
    columns = problem.model.apply(components[:, None]).flatten(1)
    normal = (columns @ columns.T).cpu().numpy()
    values = np.linalg.eigvalsh(normal)
    determined = (values / (values + found.ridge)).sum()
    assert found.determined == pytest.approx(determined, rel=0.1)
    covariance = np.linalg.inv(normal + found.ridge * np.eye(100)) * found.noise_variance
    flat = components.flatten(1).cpu().numpy()
    exact = np.sqrt(np.einsum("mp,mn,np->p", flat, covariance, flat)).mean()
    assert float(std.mean()) == pytest.approx(exact, rel=0.2)


def test_the_std_knows_of_waves_beyond_the_window():
    """They look like noise of their own spectrum, and are none."""
    found = plain_map(0, snr=100.0)
    result = extract(found.observation, found.marked, kernel_shape=found.kernel.shape)
    assert "coloured_noise" in codes(result)
    within = np.abs(result.kernel.values - found.kernel) < 1.96 * result.std.values
    assert within.mean() > 0.9
