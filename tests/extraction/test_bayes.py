"""Posterior kernels: better than least squares where the library helps, honest error bars."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from qpi_kernels.defects import Defects
from qpi_kernels.extraction import ExtractionError, ExtractionParameters, extract
from qpi_kernels.extraction.bayes import BayesExtraction
from qpi_kernels.extraction.library_factors import IGNORANT
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.forward import ForwardModel
from qpi_kernels.metrics import affine_invariant_nrmse
from qpi_kernels.models.library_prior import LibraryPrior
from qpi_kernels.progress import drive
from qpi_kernels.result import KernelResult
from qpi_kernels.simulate.library import KernelLibrary
from qpi_kernels.train.library_fit import LibraryFit

FAMILIES = ["free_electrons", "warped_two_fold", "warped_four_fold"]
SHAPE = (32, 32)
Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def library() -> LibraryPrior:
    fit = LibraryFit(KernelLibrary(FAMILIES, shape=SHAPE, seed=3), count=768, components=300)
    while not fit.done:
        fit.step()
    return fit.result


def observed(kernel: Array, defects: Defects, snr: float, size: int = 64) -> Array:
    model = ForwardModel(defects, (size, size), kernel.shape)
    clean = model.apply(torch.from_numpy(kernel).double()[None]).numpy()
    noise = np.random.default_rng(1).normal(size=clean.shape)
    return np.asarray(clean + clean.std() / snr**0.5 * noise)


def bayes(observation: Array, defects: Defects, library: LibraryPrior) -> KernelResult:
    parameters = ExtractionParameters(kernel_shape=SHAPE, method="bayes")
    return drive(BayesExtraction(Problem.check(observation, defects, None, parameters), library))


def test_known_families_at_low_signal(library: LibraryPrior) -> None:
    ratios, covered = [], []
    unseen = KernelLibrary(FAMILIES, shape=SHAPE, seed=77)
    for number in range(4):
        truth = unseen.kernel(number).values
        truth = truth / np.abs(truth).max()
        positions = np.random.default_rng(number).uniform(0, 63, (15, 2))
        observation = observed(truth, Defects(positions), snr=1.0)
        plain = extract(observation, positions, kernel_shape=SHAPE, method="least_squares")
        found = bayes(observation, Defects(positions), library)
        error = found.kernel.values - truth
        covered.append(np.mean(np.abs(error) < 1.96 * found.std.values))
        ratios.append(
            affine_invariant_nrmse(truth, found.kernel.values)
            / affine_invariant_nrmse(truth, plain.kernel.values)
        )
    assert np.median(ratios) < 0.6
    assert 0.9 < np.mean(covered) < 0.99


def test_a_kernel_that_no_prior_knows_is_left_to_least_squares(library: LibraryPrior) -> None:
    strange = np.random.default_rng(5).normal(size=SHAPE)
    positions = np.random.default_rng(6).uniform(0, 127, (30, 2))
    observation = observed(strange, Defects(positions), snr=30.0, size=128)
    plain = extract(observation, positions, kernel_shape=SHAPE, method="least_squares")
    found = bayes(observation, Defects(positions), library)
    assert found.provenance["priors"][0]["prior"] == IGNORANT
    assert any("least squares" in words for words in found.quality.verdict)
    np.testing.assert_allclose(
        affine_invariant_nrmse(strange, found.kernel.values),
        affine_invariant_nrmse(strange, plain.kernel.values),
        rtol=0.02,
    )


def test_each_kind_has_a_size_of_its_own(library: LibraryPrior) -> None:
    unseen = KernelLibrary(FAMILIES, shape=SHAPE, seed=78)
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
        kernel, std = (one.sel(kind=kind).values for one in (found.kernel, found.std))
        assert 0.85 < np.mean(np.abs(kernel - true) < 1.96 * std) < 1.0
        assert affine_invariant_nrmse(true, kernel) < 0.7 * affine_invariant_nrmse(
            true, plain.kernel.sel(kind=kind).values
        )


def test_several_biases_and_progress(library: LibraryPrior) -> None:
    unseen = KernelLibrary(FAMILIES, shape=SHAPE, seed=79)
    positions = Defects(np.random.default_rng(4).uniform(0, 63, (12, 2)))
    stack = np.stack([observed(unseen.kernel(n).values, positions, 5.0) for n in range(3)])
    parameters = ExtractionParameters(kernel_shape=SHAPE, method="bayes")
    run = BayesExtraction(Problem.check(stack, positions, None, parameters), library)
    events = []
    while not run.done:
        events.append(run.step())
    assert run.result.kernel.shape == (3, *SHAPE)
    fractions = [event.fraction or 0.0 for event in events]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    alone = bayes(stack[1], positions, library)
    np.testing.assert_allclose(
        run.result.kernel.values[1], alone.kernel.values, atol=0.02 * float(alone.std.mean())
    )


def test_no_prior_is_least_squares_and_smooth_needs_no_network(library: LibraryPrior) -> None:
    kernel = KernelLibrary(FAMILIES, shape=SHAPE, seed=80).kernel(0).values
    positions = np.random.default_rng(4).uniform(0, 63, (12, 2))
    observation = observed(kernel, Defects(positions), snr=2.0)
    plain = extract(observation, positions, kernel_shape=SHAPE, method="least_squares")
    same = extract(observation, positions, kernel_shape=SHAPE, prior="none")
    np.testing.assert_array_equal(plain.kernel, same.kernel)
    smooth = extract(observation, positions, kernel_shape=SHAPE, prior="smooth")
    assert smooth.provenance["priors"][0]["prior"] == "smooth waves"


def test_refused(tmp_path: Path) -> None:
    image, positions = np.ones((32, 32)), [(10, 10)]
    with pytest.raises(ExtractionError, match="leave ridge at 'auto'"):
        extract(image, positions, kernel_shape=(9, 9), ridge=0.1)
    with pytest.raises(ExtractionError, match="napari-qpi library"):
        extract(image, positions, kernel_shape=(9, 9), library=str(tmp_path / "none.safetensors"))
