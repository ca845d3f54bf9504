"""The prior of a kernel library: principal components of many and of few kernels."""

from __future__ import annotations

import numpy as np
import pytest

from qpi_kernels.progress import drive
from qpi_kernels.simulate.kernel_sampler import KernelSampler
from qpi_kernels.train.prior_fit import PriorFit

SIDE, COMPONENTS = 8, 12


@pytest.mark.parametrize("hosts", [8, 32], ids=["fewer than pixels", "more than pixels"])
def test_components_are_those_of_the_simulated_kernels(hosts, monkeypatch):
    monkeypatch.setattr("qpi_kernels.train.prior_fit._KERNELS_PER_STEP", 4 * hosts)
    library = KernelSampler(["free_electrons"], shape=(SIDE, SIDE), seed=3)
    prior = drive(PriorFit(library, count=4 * hosts, components=COMPONENTS))
    kernels = np.stack(
        [one for host in range(hosts) for one in library.values(library.variants(host, 4))]
    ).reshape(4 * hosts, -1)
    kernels /= np.linalg.norm(kernels, axis=1, keepdims=True)
    variances, vectors = np.linalg.eigh(kernels.T @ kernels / len(kernels))
    order = np.argsort(variances)[::-1][:COMPONENTS]
    np.testing.assert_allclose(prior.spread**2, variances[order], rtol=0.01, atol=1e-6)
    basis = prior.basis.reshape(COMPONENTS, -1)
    np.testing.assert_allclose(basis @ basis.T, np.eye(COMPONENTS), atol=1e-5)
    large = variances[order] > 1e-4
    along = np.abs(np.sum(basis * vectors[:, order].T, axis=1))
    np.testing.assert_allclose(along[large], 1, atol=0.01)
    assert large.sum() >= 4
