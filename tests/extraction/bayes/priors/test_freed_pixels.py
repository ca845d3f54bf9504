"""Pixels that the map determines are freed from a prior that contradicts them, and no others."""

from __future__ import annotations

import numpy as np
import torch

from qpi_kernels.extraction.bayes.posterior import Posterior
from qpi_kernels.extraction.bayes.priors.covariance_roots import KindRoot, SumRoot, WhiteRoot
from qpi_kernels.extraction.bayes.priors.discrepancy import Discrepancy
from qpi_kernels.extraction.bayes.priors.free_kernels import FreeKernels
from qpi_kernels.extraction.bayes.priors.freed_pixels import free_pixels

SHAPE = (20, 24)
LIKE = torch.zeros(1, dtype=torch.float64)


def planes(seed: int, count: int, spots: float) -> tuple[list[Posterior], list[FreeKernels]]:
    """Draw kernels of a prior that lacks three spots of the second kind, for noise of 0.1."""
    rng = np.random.default_rng(seed)
    posteriors, free = [], []
    for _ in range(count):
        found = rng.normal(size=(2, *SHAPE))
        missing = np.zeros((2, *SHAPE))
        missing[1, [0, 6, 15], [0, 17, 3]] = spots
        noise = 0.1 * rng.normal(size=(9, 2, *SHAPE))
        kernels = torch.from_numpy(found)
        posteriors.append(Posterior(kernels, 0.0, 1.0, 0.04, 0.01, 1.0, 1, 1.0, 1, True))
        free.append(FreeKernels(found + missing + noise[0], noise[1:]))
    return posteriors, free


def test_chance_frees_nothing() -> None:
    for seed in range(40):
        prior = Discrepancy(WhiteRoot(SHAPE), 3.0)
        posteriors, free = planes(seed, 1 + seed % 3, 0.0)
        assert free_pixels(prior, posteriors, free, None, LIKE) is prior


def test_spots_that_a_prior_lacks_are_freed_with_their_variance() -> None:
    sizes = torch.tensor([1.0, 0.5])
    for count in (1, 3):
        posteriors, free = planes(count, count, 1.5)
        changed = free_pixels(Discrepancy(WhiteRoot(SHAPE), 3.0), posteriors, free, sizes, LIKE)
        assert isinstance(changed.root, KindRoot)
        variance = changed.root.variance
        assert variance is not None
        first, second = variance.numpy() - 1
        assert not first.any()
        freed = np.argwhere(second > 0).tolist()
        assert {(0, 0), (6, 17), (15, 3)} <= {(row, column) for row, column in freed}
        assert changed.fitted - 3.0 == len(freed) < 12
        # Over the prior's variance of 0.01 / 0.04, of a kind of half the size.
        np.testing.assert_allclose(second[6, 17], 1.5**2 / 0.25 / 0.25, rtol=0.3)


def test_one_kind_keeps_one_root() -> None:
    posteriors, free = planes(0, 1, 1.5)
    one = [Posterior(p.kernels[1:], 0.0, 1.0, 0.04, 0.01, 1.0, 1, 1.0, 1, True) for p in posteriors]
    alone = [FreeKernels(f.kernels[1:], f.noise[:, 1:]) for f in free]
    changed = free_pixels(Discrepancy(WhiteRoot(SHAPE), 3.0), one, alone, None, LIKE)
    assert isinstance(changed.root, SumRoot)
    assert changed.root.size == 2 * SHAPE[0] * SHAPE[1]
