"""The spread of a posterior: exact where the data speak loudest, drawn for the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.ndimage
import torch
from numpy.typing import NDArray

from qpi_kernels.extraction.bayes.priors.covariance_roots import KernelRoot
from qpi_kernels.linalg.probe_space import ProbeSpace

__all__ = ["Spread", "spread_at"]

# Eigenvalue over ridge below which it tells nothing.
_MIN_VALUE = 0.005
# Width of the averages of what is drawn, in pixels, and from ring to ring about the centre.
_WIDTH, _RING_WIDTH = 1.5, 1.0
# Draws that the prior's variance is taken from where it has no closed form; they cost no
# convolution.
_PRIOR_DRAWS = 128
# Share of the prior's variance, over the precision, below which a difference to it is rounding.
_ROUNDING = 30.0


@dataclass(frozen=True, eq=False)
class Spread:
    """Draws from a posterior less its mean, and their variance, for noise of variance 1.

    Parameters
    ----------
    kernels : tensor, (draw, kind, h, w)
        The draws.
    variance : tensor, (kind, h, w)
        Of the kernels: far more accurate than the draws' own.
    """

    kernels: torch.Tensor
    variance: torch.Tensor


def spread_at(root: KernelRoot, space: ProbeSpace, ridge: float) -> Spread:
    r"""Draw from the posterior :math:`(G + \lambda)^{-1}` of unit numbers, and take its variance.

    Of the directions that the data determine best the covariance is known without drawing. Only
    the variance in all other directions is that of the draws, less their prior's as far as the two
    go together (control variate), averaged over neighbouring pixels as a share of the prior's; of
    which only what draws can tell from chance depends on more than the distance from the centre.

    Parameters
    ----------
    root : KernelRoot
        From unit numbers to kernels.
    space : ProbeSpace
        Of G on unit numbers.
    ridge : float
        The ridge.
    """
    numbers = space.draws(ridge)
    values, vectors = space.eigenvectors(_MIN_VALUE * ridge)

    def rest(drawn: torch.Tensor) -> NDArray[np.float64]:
        """Square what draws (draw, n) have beside these vectors, as kernels."""
        remainder = drawn - (drawn @ vectors.T) @ vectors
        return np.asarray(root.apply(remainder).cpu().double().square().numpy())

    kernels = root.apply(numbers)
    shapes = root.apply(vectors).cpu().double().square().flatten(1).numpy()
    exact = ((1 / (values + ridge)) @ shapes).reshape(kernels.shape[1:])
    whole, left, had = root.variance, rest(numbers), rest(ridge**-0.5 * space.probes)
    if whole is None:
        generator = torch.Generator().manual_seed(0)
        drawn = torch.randn(_PRIOR_DRAWS, root.size, generator=generator).to(numbers)
        expected = _averaged(rest(drawn).mean(axis=0), _WIDTH) / ridge
        others = expected * _share(left, had, expected)
    else:
        prior = whole.cpu().double().numpy()
        beyond = prior - shapes.sum(axis=0).reshape(exact.shape)
        known = beyond > _ROUNDING * torch.finfo(numbers.dtype).eps * prior
        expected = np.where(known, beyond, 0.0) / ridge
        share = _share(left, had, expected)
        others = np.where(known, expected * share, _averaged(left.mean(axis=0), _WIDTH))
    variance = torch.from_numpy(exact + others).to(numbers)
    return Spread(kernels, variance)


def _share(
    drawn: NDArray[np.float64], prior: NDArray[np.float64], expected: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Estimate the share of the prior's variance that is left, (kind, h, w).

    Parameters
    ----------
    drawn, prior : array, (draw, kind, h, w)
        Squares of draws, and of those of the prior that they were made from.
    expected : array, (kind, h, w)
        Variance of the latter.
    """
    scale = np.maximum(_averaged(expected, _WIDTH), 1e-300)
    drawn, prior = (np.where(expected > 0, squares, 0.0) for squares in (drawn, prior))
    left, had = (_averaged(squares, _WIDTH) / scale for squares in (drawn, prior))
    change = had - had.mean(axis=0)
    explained = float(np.square(change).sum())
    slope = float(((left - left.mean(axis=0)) * change).sum()) / max(explained, 1e-300)
    share = _without_chance(left - np.clip(slope, 0.0, 1.0) * (had - 1))
    return np.asarray(np.maximum(share, 0.05 * left.mean(axis=0)))


def _without_chance(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average shares (draw, kind, h, w) over draws, and over rings where chance rules.

    What differs from the mean at a pixel's distance from the centre is kept as far as it is more
    than the draws' scatter explains (James and Stein 1961).
    """
    mean = shares.mean(axis=0)
    chance = (shares.var(axis=0, ddof=1) / len(shares)).mean(axis=(1, 2), keepdims=True)
    rings = np.stack([_ring_means(one) for one in mean])
    change = mean - rings
    found = np.maximum(np.square(change).mean(axis=(1, 2), keepdims=True), 1e-300)
    return np.asarray(rings + np.maximum(1 - chance / found, 0.0) * change)


def _ring_means(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace the pixels of an image (h, w) by means over rings about its centre."""
    rows, columns = (np.arange(side) - side // 2 for side in image.shape)
    radius = np.hypot(rows[:, None], columns[None, :])
    ring = np.rint(radius).astype(int).ravel()
    sums, counts = (
        scipy.ndimage.gaussian_filter1d(
            np.bincount(ring, weights, int(ring.max()) + 1), _RING_WIDTH, mode="nearest"
        )
        for weights in (image.ravel(), np.ones(image.size))
    )
    return np.asarray(np.interp(radius, np.arange(len(sums)), sums / counts))


def _averaged(images: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Average images (..., h, w) over neighbouring pixels."""
    widths = (0.0,) * (images.ndim - 2) + (width, width)
    return np.asarray(scipy.ndimage.gaussian_filter(images, widths, mode="nearest"))
