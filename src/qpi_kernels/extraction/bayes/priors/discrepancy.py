"""The waves of a prior fitted to a map by evidence: kernels that a family lacks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.ndimage
import torch
from numpy.typing import NDArray

from qpi_kernels.extraction.bayes.posterior import Posterior, PosteriorSample
from qpi_kernels.extraction.bayes.priors.covariance_roots import (
    ComponentRoot,
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
# Fewer components than this are no family's.
_MIN_COMPONENTS = 8


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
    root: CovarianceRoot,
    kinds: int,
    posteriors: Sequence[Posterior],
    samples: Sequence[PosteriorSample],
) -> Discrepancy:
    r"""Fit envelope and spectrum of the waves of a prior to posteriors under it.

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
    posteriors : sequence of Posterior
        The posteriors of one or several planes under it.
    samples : sequence of PosteriorSample
        Drawn from each.
    """
    made, fitted = [], 0.0
    sizes = [(one.noise_variance / one.ridge) ** 0.5 for one in posteriors]
    numbers = np.concatenate(
        [_units(one.numbers, kinds, size) for one, size in zip(posteriors, sizes, strict=True)]
    )
    drawn, had = (
        np.concatenate([_units(one, kinds, size) for one, size in zip(ones, sizes, strict=True)])
        for ones in ([one.numbers for one in samples], [one.prior for one in samples])
    )
    for index in range(kinds):
        own = root.kind(index) if isinstance(root, KindRoot) else root
        changed, count = _fitted(own, numbers[:, index], drawn[:, index], had[:, index])
        made.append(changed)
        fitted += count
    return Discrepancy(made[0] if kinds == 1 else KindRoot(made), fitted)


def has_waves(root: CovarianceRoot) -> bool:
    """Tell that a prior has waves that can be fitted."""
    if isinstance(root, KindRoot):
        return has_waves(root.kind(0))
    if isinstance(root, NearlySymmetricRoot):
        return has_waves(root.root)
    if isinstance(root, SumRoot):
        return any(has_waves(part) for _, part in root.parts)
    return isinstance(root, WaveRoot)


def _fitted(
    root: CovarianceRoot,
    numbers: NDArray[np.float64],
    drawn: NDArray[np.float64],
    had: NDArray[np.float64],
) -> tuple[CovarianceRoot, float]:
    """Fit a prior to unit numbers, and count the numbers of it that the data determine.

    Parameters
    ----------
    root : CovarianceRoot
        The prior.
    numbers : array, (plane, n)
        Of the posteriors' means, over the prior's spread.
    drawn, had : array, (draw, n)
        Drawn from the posteriors, and from the prior, over the latter's spread.
    """
    if isinstance(root, NearlySymmetricRoot):
        inner, fitted = _fitted(root.root, numbers, drawn, had)
        return root.of(inner), fitted
    if isinstance(root, WaveRoot):
        return _fitted_waves(root, numbers, drawn, had)
    if isinstance(root, ComponentRoot) and root.size >= _MIN_COMPONENTS:
        return _fitted_components(root, numbers, drawn, had)
    if not isinstance(root, SumRoot):
        return root, 0.0
    parts, total, start = [], 0.0, 0
    for weight, part in root.parts:
        window = slice(start, start + part.size)
        own, count = _fitted(part, numbers[:, window], drawn[:, window], had[:, window])
        parts.append((weight, own))
        total += count
        start += part.size
    return SumRoot(parts), total


def _fitted_components(
    root: ComponentRoot,
    numbers: NDArray[np.float64],
    drawn: NDArray[np.float64],
    had: NDArray[np.float64],
) -> tuple[ComponentRoot, float]:
    """Fit how fast a family's components fade: kernels of another have more of its weak ones.

    Components form groups, each of twice as many as the one before.
    """
    group = np.floor(np.log2(np.arange(root.size) + 1)).astype(int)
    related = _related(drawn, had)
    left = 1 - np.square(drawn).mean(axis=0) + related * (np.square(had).mean(axis=0) - 1)
    known = np.maximum(np.bincount(group, len(numbers) * left), 0.0)
    squares = np.bincount(group, np.square(numbers).sum(axis=0))
    ratio = (squares + _PRIOR_NUMBERS) / (known + _PRIOR_NUMBERS)
    ratio = np.clip(ratio**_STEP, 1 / _MAX_CHANGE, _MAX_CHANGE)
    place = np.log2(np.arange(root.size) + 1) - 0.5
    factor = np.exp(np.interp(place, np.arange(len(ratio)), np.log(ratio)) / 2)
    return root.scaled(factor), float((known / (known + _PRIOR_NUMBERS)).sum())


def _related(drawn: NDArray[np.float64], had: NDArray[np.float64]) -> float:
    """Tell by how much squares of draws grow with those of the prior that they were made from.

    What chance does to the latter is then taken off the former.
    """
    return float((drawn * had).sum() / np.square(had).sum()) ** 2


def _fitted_waves(
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
    numbers : array, (plane, n)
        Of the posteriors' means.
    drawn, had : array, (draw, n)
        Drawn from the posteriors, and from the prior.

    Returns
    -------
    WaveRoot
        With another envelope and spectrum.
    float
        How many numbers of these the data determine.
    """
    period, shape = waves.period(waves.shape), waves.shape
    image, after, before = (one.reshape(-1, *period) for one in (numbers, drawn, had))
    related = _related(drawn, had)

    def determined(
        of_draws: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    ) -> NDArray[np.float64]:
        """Estimate how far the data determine each number, from powers of the draws."""
        change = of_draws(after) - related * (of_draws(before) - 1)
        return 1 - np.asarray(change)

    def mean_power(images: NDArray[np.float64]) -> NDArray[np.float64]:
        """Average the power of images at each wave vector."""
        return np.asarray((np.abs(np.fft.fft2(images)) ** 2).mean(axis=0) / numbers.shape[1])

    def mean_square(images: NDArray[np.float64]) -> NDArray[np.float64]:
        """Average the squares of images at each pixel."""
        return np.asarray(np.square(images[:, : shape[0], : shape[1]]).mean(axis=0))

    def share(averaged: NDArray[np.float64]) -> NDArray[np.float64]:
        """Tell how far each average is known: 0 not at all, 1 fully."""
        return averaged / (averaged + _PRIOR_NUMBERS)

    planes = len(numbers)
    area = planes * 4 * math.pi * _SPECTRAL_WIDTH**2
    power, left = (
        scipy.ndimage.gaussian_filter(values, _SPECTRAL_WIDTH, mode="wrap") * area
        for values in (
            mean_power(image),
            determined(mean_power),
        )
    )
    left = np.maximum(left, 0.0)
    spectral = (power + _PRIOR_NUMBERS) / (left + _PRIOR_NUMBERS)
    known = float(share(left).sum()) * planes / area
    # What the spectrum's factor already says on the whole is not said again by the envelope's.
    total = (power.sum() + _PRIOR_NUMBERS * area) / (left.sum() + _PRIOR_NUMBERS * area)
    rows, columns = (np.arange(side) - side // 2 for side in shape)
    radius = np.hypot(rows[:, None], columns[None, :])
    ring = np.rint(radius).astype(int)
    length = planes * 2 * math.sqrt(math.pi) * _RADIAL_WIDTH
    amplitude, left = (
        scipy.ndimage.gaussian_filter1d(
            np.bincount(ring.ravel(), values.ravel()), _RADIAL_WIDTH, mode="nearest"
        )
        * length
        for values in (mean_square(image), determined(mean_square))
    )
    left = np.maximum(left, 0.0)
    radial = (amplitude + _PRIOR_NUMBERS) / (left * total + _PRIOR_NUMBERS)
    known += float(share(left).sum()) * planes / length
    spectral, radial = (
        np.clip(values**_STEP, 1 / _MAX_CHANGE, _MAX_CHANGE) for values in (spectral, radial)
    )
    factor = np.sqrt(np.interp(radius, np.arange(len(radial)), radial))
    return waves.scaled(factor, spectral[:, : period[1] // 2 + 1]), known


def _units(numbers: torch.Tensor | None, kinds: int, size: float) -> NDArray[np.float64]:
    """Divide unit numbers by the prior's spread, (vector, kind, n)."""
    assert numbers is not None
    vectors = len(numbers) if numbers.ndim == 2 else 1
    return numbers.cpu().double().numpy().reshape(vectors, kinds, -1) / size
