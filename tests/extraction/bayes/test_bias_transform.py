"""Combinations of biases: orthogonal, and taken apart again."""

from __future__ import annotations

import numpy as np
import scipy.fft
import torch

from qpi_kernels.extraction.bayes.bias_transform import BiasTransform


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
