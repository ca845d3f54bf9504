"""Posterior kernels: better than least squares where the library helps, honest error bars."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from qpi_kernels.defects import Defects
from qpi_kernels.extraction import ExtractionParameters, extract
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
