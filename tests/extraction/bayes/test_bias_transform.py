"""Combinations of biases: orthogonal, and taken apart again."""

from __future__ import annotations

import numpy as np
import scipy.fft
import torch

from qpi_kernels.defects import Defects
from qpi_kernels.extraction.bayes.bias_transform import BiasTransform, select_bias_transform
from qpi_kernels.extraction.bayes.parameters import BayesParameters
from qpi_kernels.extraction.bayes.selection.findings import StackFindings
from qpi_kernels.extraction.bayes.selection.prior_selection import PriorSelection
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.models.kernel_prior import bundled_prior
from qpi_kernels.progress import finish


def test_planes_come_back(device: str) -> None:
    rng = np.random.default_rng(0)
    matrix = scipy.fft.dct(np.eye(5), axis=0, norm="ortho")
    transform = BiasTransform("cosines", matrix, rng.uniform(0.5, 2.0, 5))
    planes = torch.from_numpy(rng.normal(size=(5, 4, 3))).to(device)
    torch.testing.assert_close(transform.inverse(transform.forward(planes)), planes)


def test_noise_of_combinations_is_one_and_its_variance_comes_back() -> None:
    rng = np.random.default_rng(1)
    noise = np.array([0.5, 1.0, 2.0])
    matrix = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    transform = BiasTransform("some", matrix, noise)
    planes = torch.from_numpy(noise[:, None] * rng.normal(size=(3, 20_000)))
    np.testing.assert_allclose(transform.forward(planes).std(dim=1), 1.0, rtol=0.05)
    variances = transform.inverse_variance(torch.ones(3, 1).double())
    np.testing.assert_allclose(variances[:, 0], noise**2)
    np.testing.assert_allclose(transform.inverse_mean(np.ones(3)), 1.0)


def test_families_fit_planes_of_their_own_as_they_fit_each_alone() -> None:
    rng = np.random.default_rng(2)
    rows, columns = np.indices((24, 24)) - 12
    radius = np.hypot(rows, columns)
    # Two rings that have nothing to do with each other, far above the noise.
    rings = [np.cos(q * radius) / (1 + radius) for q in (0.7, 1.9)]
    positions = Defects(rng.integers(14, 82, (9, 2)).astype(float))
    cube = np.zeros((2, 96, 96))
    for plane, ring in zip(cube, rings, strict=True):
        for row, column in positions.positions.astype(int):
            plane[row - 12 : row + 12, column - 12 : column + 12] += ring
    cube += 1e-2 * rng.normal(size=cube.shape)
    problem = Problem.check(cube, positions, None, BayesParameters(kernel_shape=(24, 24)))
    selection = PriorSelection(problem, bundled_prior())
    white = finish(selection.solve_white(range(2), problem.signal))
    families = finish(selection.prepare_families(None))
    stack = torch.stack([problem.signal(index) for index in range(2)])
    transform, costs = finish(select_bias_transform(stack, white, families))
    assert transform is None
    alone = finish(selection.compare_planes(range(2), problem.signal, white))
    together = StackFindings.of(range(2), white, costs)
    assert together.families == alone.families
    for index in range(2):
        np.testing.assert_allclose(together.fit[index], alone.fit[index], atol=0.01)
