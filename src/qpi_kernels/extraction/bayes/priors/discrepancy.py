"""What a family of kernels lacks, learnt from a map: the waves of a prior, fitted by evidence."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.ndimage
import torch
from numpy.typing import NDArray

from qpi_kernels.extraction.bayes.posterior import Posterior, PosteriorSample
from qpi_kernels.extraction.bayes.priors.covariance_roots import (
    CovarianceRoot,
    KindRoot,
    SumRoot,
    WaveRoot,
)
from qpi_kernels.extraction.bayes.priors.near_symmetry import NearlySymmetricRoot

__all__ = ["Discrepancy", "fit_discrepancy", "has_waves"]

# Spectrum and envelope are averaged over so many wave vectors and pixels (standard deviation).
_SPECTRAL_WIDTH, _RADIAL_WIDTH = 1.25, 2.0
# So many numbers say beforehand that the prior is right, for each average.
_PRIOR_NUMBERS = 6.0
# The fixed-point iteration takes steps so much longer than its own, but none beyond this factor.
_STEP, _MAX_CHANGE = 1.7, 30.0


@dataclass(frozen=True, eq=False)
class Discrepancy:
    """A prior whose waves are those that a map asks for.

    Parameters
    ----------
    root : CovarianceRoot
        The prior.
    fitted : float
        How many of its numbers were fitted to the map, about.
    """

    root: CovarianceRoot
    fitted: float


def fit_discrepancy(
    root: CovarianceRoot, kinds: int, posterior: Posterior, sample: PosteriorSample
) -> Discrepancy:
    r"""Fit envelope and spectrum of the waves of a prior to the posterior under it.

    A family that nearly fits is not the truth: how much its kernels lack, how far from the defect
    and at which wave vectors, the map tells. For a group of unit numbers of which the data
    determine :math:`\gamma`, the variance of largest evidence is by
    :math:`\sum \hat x^2 / \gamma` that of the prior (MacKay 1992, a fixed-point iteration of which
    this is one step).

    Parameters
    ----------
    root : CovarianceRoot
        The prior, of one kind; it `has_waves`.
    kinds : int
        How many kinds there are.
    posterior : Posterior
        The posterior under it.
    sample : PosteriorSample
        Drawn from it.
    """
    assert posterior.numbers is not None
    assert sample.numbers is not None
    assert sample.prior is not None
    made, fitted = [], 0.0
    variance = posterior.noise_variance / posterior.ridge
    found = posterior.numbers.view(kinds, -1)
    drawn, had = (one.view(len(one), kinds, -1) for one in (sample.numbers, sample.prior))
    for index in range(kinds):
        own = root.kind(index) if isinstance(root, KindRoot) else root
        place = _place_of_waves(own)
        assert place is not None
        waves, start = place
        window = slice(start, start + waves.size)
        numbers = (
            _numpy(one[..., index, window]) / math.sqrt(variance) for one in (found, drawn, had)
        )
        changed, count = _fitted(waves, *numbers)
        made.append(_with_waves(own, waves, changed))
        fitted += count
    return Discrepancy(made[0] if kinds == 1 else KindRoot(made), fitted)


def has_waves(root: CovarianceRoot) -> bool:
    """Tell that a prior has waves that can be fitted."""
    return _place_of_waves(root.kind(0) if isinstance(root, KindRoot) else root) is not None


def _place_of_waves(root: CovarianceRoot) -> tuple[WaveRoot, int] | None:
    """Find the waves of a prior, and where their unit numbers begin."""
    if isinstance(root, NearlySymmetricRoot):
        return _place_of_waves(root.root)
    if isinstance(root, WaveRoot):
        return root, 0
    start = 0
    for _, part in root.parts if isinstance(root, SumRoot) else ():
        if isinstance(part, WaveRoot):
            return part, start
        start += part.size
    return None


def _with_waves(root: CovarianceRoot, waves: WaveRoot, changed: WaveRoot) -> CovarianceRoot:
    """Replace the waves of a prior."""
    if isinstance(root, NearlySymmetricRoot):
        return root.of(_with_waves(root.root, waves, changed))
    if not isinstance(root, SumRoot):
        return changed
    return SumRoot([(weight, changed if part is waves else part) for weight, part in root.parts])


def _fitted(
    waves: WaveRoot,
    numbers: NDArray[np.float64],
    drawn: NDArray[np.float64],
    had: NDArray[np.float64],
) -> tuple[WaveRoot, float]:
    """Fit waves to their unit numbers, over the prior's spread.

    Parameters
    ----------
    waves : WaveRoot
        The prior's.
    numbers : array, (n,)
        Of the posterior's mean.
    drawn, had : array, (draw, n)
        Drawn from the posterior, and from the prior.

    Returns
    -------
    WaveRoot
        With another envelope and spectrum.
    float
        How many numbers of these the data determine.
    """
    period, shape = waves.period(waves.shape), waves.shape
    image, after, before = (one.reshape(-1, *period) for one in (numbers, drawn, had))
    # Where the data tell little, draws are nearly those of the prior, and chance cancels.
    related = float((drawn * had).sum()) ** 2 / float((drawn**2).sum() * (had**2).sum())

    def determined(
        of_draws: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    ) -> NDArray[np.float64]:
        """Estimate how far the data determine each number, from powers of the draws."""
        change = of_draws(after) - related * (of_draws(before) - 1)
        return 1 - np.asarray(change)

    def mean_power(images: NDArray[np.float64]) -> NDArray[np.float64]:
        """Average the power of images at each wave vector."""
        return np.asarray((np.abs(np.fft.fft2(images)) ** 2).mean(axis=0) / numbers.size)

    def mean_square(images: NDArray[np.float64]) -> NDArray[np.float64]:
        """Average the squares of images at each pixel."""
        return np.asarray(np.square(images[:, : shape[0], : shape[1]]).mean(axis=0))

    def share(averaged: NDArray[np.float64]) -> NDArray[np.float64]:
        """Tell how far each average is known: 0 not at all, 1 fully."""
        return averaged / (averaged + _PRIOR_NUMBERS)

    area = 4 * math.pi * _SPECTRAL_WIDTH**2
    power, left = (
        scipy.ndimage.gaussian_filter(values, _SPECTRAL_WIDTH, mode="wrap") * area
        for values in (
            mean_power(image),
            determined(mean_power),
        )
    )
    left = np.maximum(left, 0.0)
    spectral = (power + _PRIOR_NUMBERS) / (left + _PRIOR_NUMBERS)
    known = float(share(left).sum()) / area
    # What the spectrum's factor already says on the whole is not said again by the envelope's.
    total = (power.sum() + _PRIOR_NUMBERS * area) / (left.sum() + _PRIOR_NUMBERS * area)
    rows, columns = (np.arange(side) - side // 2 for side in shape)
    radius = np.hypot(rows[:, None], columns[None, :])
    ring = np.rint(radius).astype(int)
    length = 2 * math.sqrt(math.pi) * _RADIAL_WIDTH
    amplitude, left = (
        scipy.ndimage.gaussian_filter1d(
            np.bincount(ring.ravel(), values.ravel()), _RADIAL_WIDTH, mode="nearest"
        )
        * length
        for values in (mean_square(image), determined(mean_square))
    )
    left = np.maximum(left, 0.0)
    radial = (amplitude + _PRIOR_NUMBERS) / (left * total + _PRIOR_NUMBERS)
    known += float(share(left).sum()) / length
    spectral, radial = (
        np.clip(values**_STEP, 1 / _MAX_CHANGE, _MAX_CHANGE) for values in (spectral, radial)
    )
    factor = np.sqrt(np.interp(radius, np.arange(len(radial)), radial))
    return waves.scaled(factor, spectral[:, : period[1] // 2 + 1]), known


def _numpy(values: torch.Tensor) -> NDArray[np.float64]:
    return values.cpu().double().numpy()
