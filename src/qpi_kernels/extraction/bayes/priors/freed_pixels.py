"""Pixels of a kernel that the map determines, and that a prior draws away from there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.special
import torch
from numpy.typing import NDArray

from qpi_kernels.extraction.bayes.posterior import Posterior
from qpi_kernels.extraction.bayes.priors.covariance_roots import (
    CovarianceRoot,
    KindRoot,
    PixelRoot,
    SumRoot,
)
from qpi_kernels.extraction.bayes.priors.discrepancy import Discrepancy
from qpi_kernels.extraction.bayes.priors.free_kernels import FreeKernels

__all__ = ["free_pixels"]

# Squares of differences are averaged over so many pixels (standard deviation of the weights).
_WIDTH = 1.0
# Probability that chance makes such an average, below which it is none, and the square of a pixel's
# own difference over that of noise from which it is freed.
_CHANCE, _MIN_RATIO = 1e-6, 4.0


def free_pixels(
    fitted: Discrepancy,
    posteriors: Sequence[Posterior],
    free: Sequence[FreeKernels],
    sizes: torch.Tensor | None,
    like: torch.Tensor,
) -> Discrepancy:
    r"""Add variance to a prior where kernels under it contradict those of least squares.

    Where the prior is right, its kernels differ from those of least squares by no more than the
    noise of the latter. A Gaussian of one spectrum or one symmetry can be right for the core of a
    kernel, which holds most of its power, and far too narrow for what is around.

    Parameters
    ----------
    fitted : Discrepancy
        The prior, of one kind, or of all of several.
    posteriors : sequence of Posterior
        Of planes under the prior that it was fitted from.
    free : sequence of FreeKernels
        Of the same planes.
    sizes : tensor, (kind,), optional
        Relative size of the kernels of each kind; all alike when left out.
    like : tensor
        Precision and device.
    """
    kinds = len(free[0].kernels)
    scale = np.ones(kinds) if sizes is None else sizes.cpu().double().numpy()
    variances = [_missing(posteriors, free, index) / scale[index] ** 2 for index in range(kinds)]
    count = sum(int(np.count_nonzero(one)) for one in variances)
    if not count:
        return fitted
    root = fitted.root
    made: list[CovarianceRoot] = []
    for index, one in enumerate(variances):
        own = root.kind(index) if isinstance(root, KindRoot) else root
        made.append(SumRoot([(1.0, own), (1.0, PixelRoot(np.sqrt(one), like))]))
    return Discrepancy(made[0] if kinds == 1 else KindRoot(made), fitted.fitted + count)


def _missing(
    posteriors: Sequence[Posterior], free: Sequence[FreeKernels], index: int
) -> NDArray[np.float64]:
    """Estimate the variance of one kind that a prior lacks at each pixel, over its spread."""
    ratios, found = [], []
    own = np.zeros(free[0].kernels.shape[1:], bool)
    for posterior, one in zip(posteriors, free, strict=True):
        difference = one.kernels[index] - posterior.kernels[index].cpu().double().numpy()
        noise = np.maximum(one.smooth_variance[index], 1e-300)
        ratio, pixels = one.local_ratio(index, difference, _WIDTH)
        ratios.append(ratio)
        found.append((difference**2 - noise) * posterior.ridge / posterior.noise_variance)
        own |= difference**2 > _MIN_RATIO * noise
    freedom = pixels * len(ratios)
    clear = np.sum(ratios, axis=0) * pixels > scipy.special.chdtri(freedom, _CHANCE)
    return np.where(clear & own, np.maximum(np.mean(found, axis=0), 0.0), 0.0)
