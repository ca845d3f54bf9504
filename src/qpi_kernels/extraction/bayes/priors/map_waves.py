"""Priors of waves whose envelope and spectrum are those of the map's own kernels."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import scipy.ndimage
import torch
from numpy.typing import NDArray

from qpi_kernels.extraction.bayes.posterior import Posterior, PosteriorSample
from qpi_kernels.extraction.bayes.priors.covariance_roots import KindRoot, WaveRoot
from qpi_kernels.extraction.bayes.priors.free_kernels import FreeKernels
from qpi_kernels.extraction.bayes.priors.near_symmetry import (
    NearlySymmetricRoot,
    NearSymmetry,
    measure_near_symmetry,
)

__all__ = [
    "LOCAL_WAVES",
    "MAP_PRIORS",
    "MAP_WAVES",
    "MapWaves",
    "fitted_numbers",
    "map_waves",
]

MAP_WAVES = "waves as in this map"
LOCAL_WAVES = "waves where this map has them"
MAP_PRIORS = frozenset({MAP_WAVES, LOCAL_WAVES})
# Envelope and spectrum are averaged over so many pixels and wave vectors (standard deviation), and
# the spectrum of the noise, which is known from a few draws only.
_RADIAL_WIDTH, _SPECTRAL_WIDTH, _CHANCE_WIDTH = 2.0, 1.25, 3.0
# They fade no further than to these shares of their maxima, and the spectrum not below this share
# of the noise's: so much chance may hide.
_MIN_AMPLITUDE, _MIN_POWER, _HIDDEN_POWER = 0.03, 1e-5, 0.3
# The same of an envelope that is averaged over neighbouring pixels only; so many numbers say
# beforehand that it is round.
_LOCAL_WIDTH, _MIN_LOCAL, _HIDDEN_SHARE, _ROUND_NUMBERS = 1.0, 1e-3, 0.3, 2.0
# Gain of such an envelope, as -2 log likelihood of a pixel on its own, from which it is tried. In
# 12 kernels of atoms at four SNRs it gained .45 or more where it was the better prior, with few
# exceptions at SNR 1; smooth waves gain up to .4, for their envelope follows the waves.
_MIN_LOCAL_GAIN = 0.45
# Noise of the least-squares kernel, over its signal, below which interpolation's own errors matter.
_MIN_NOISE = 0.004
# Shares of four symmetries, and the direction of a mirror.
_SYMMETRY_NUMBERS = 5


@dataclass(frozen=True, eq=False)
class MapWaves:
    """A prior of waves estimated from a map.

    Parameters
    ----------
    root : KindRoot
        The prior.
    fitted : float
        How many of its numbers were fitted to the map, about.
    """

    root: KindRoot
    fitted: float


def map_waves(
    white: Posterior,
    sample: PosteriorSample,
    coverage: torch.Tensor,
    names: Collection[str] = MAP_PRIORS,
) -> dict[str, MapWaves]:
    r"""Root priors of nearly symmetric waves under an envelope, all estimated from a map.

    Empirical Bayes: variance at each distance and power at each wave vector are those of the least
    squares kernel less those of its noise, averaged over neighbours; how far
    rotations and reflections change it is measured likewise. Such a prior knows where a kernel has
    faded, its rings in momentum, its lattice directions and its symmetry, whatever the material.
    Of the kernels of a crystal, which are spots at its atoms, a second one also has the variance
    at each place.

    Parameters
    ----------
    white : Posterior
        The kernels under the white prior.
    sample : PosteriorSample
        Drawn from it: the noise of these kernels.
    coverage : tensor, (kind, h, w)
        Squared strengths of the defects that show each kernel pixel.
    names : collection of str
        Which of them to make.

    Returns
    -------
    dict of str to MapWaves
        By their names; the second, `LOCAL_WAVES`, only where it has a prospect.
    """
    free = FreeKernels.of(white, sample, coverage)
    kinds, height, width = free.kernels.shape
    fitted = fitted_numbers((height, width), kinds)
    around = [_round_envelope(*one) for one in zip(free.kernels, free.variance, strict=True)]
    found = {}
    if MAP_WAVES in names:
        roots = [_nearly_symmetric(free, index, one, coverage) for index, one in enumerate(around)]
        found[MAP_WAVES] = MapWaves(KindRoot(roots), fitted)
    local = [_local_envelope(free, index, one) for index, one in enumerate(around)]
    gain = sum(
        _misfit(free, index, one) - _misfit(free, index, other)
        for index, (one, other) in enumerate(zip(around, local, strict=True))
    )
    if LOCAL_WAVES in names and gain > _MIN_LOCAL_GAIN * free.kernels.size:
        roots = [
            _nearly_symmetric(free, index, one, coverage, other)
            for index, (one, other) in enumerate(zip(around, local, strict=True))
        ]
        more = free.kernels.size / (4 * math.pi * _LOCAL_WIDTH**2)
        found[LOCAL_WAVES] = MapWaves(KindRoot(roots), fitted + more)
    return found


def _nearly_symmetric(
    free: FreeKernels,
    index: int,
    around: NDArray[np.float64],
    like: torch.Tensor,
    local: NDArray[np.float64] | None = None,
) -> NearlySymmetricRoot:
    """Root waves of one kind under its round envelope, or a local one, with its symmetry."""
    kernel, noise = free.kernels[index], free.noise[:, index]
    shares = measure_near_symmetry(kernel, noise, around, like, at_all_distances=local is not None)
    if np.square(noise).mean() < _MIN_NOISE * np.square(kernel).mean():
        # Averages that interpolate would be further from the kernel than least squares.
        shares = NearSymmetry(shares.two, four=shares.four)
    envelope = around if local is None else local
    waves = WaveRoot(envelope, _power(kernel, noise, envelope), like)
    return NearlySymmetricRoot(waves, shares, envelope.shape, like)


def fitted_numbers(shape: tuple[int, int], kinds: int) -> float:
    """Count the numbers of such a prior that were fitted to the map, about."""
    height, width = shape
    spectral = height * width / (4 * math.pi * _SPECTRAL_WIDTH**2)
    radial = math.hypot(height, width) / 2 / (2 * math.pi**0.5 * _RADIAL_WIDTH)
    return float(kinds * (spectral + radial + _SYMMETRY_NUMBERS))


def _round_envelope(
    kernel: NDArray[np.float64], variance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Estimate the envelope (h, w) of one kernel's waves from their variance at each distance."""
    rows, columns = (np.arange(side) - side // 2 for side in kernel.shape)
    radius = np.hypot(rows[:, None], columns[None, :])
    ring = np.rint(radius).astype(int)
    count = np.bincount(ring.ravel())
    excess, spread = (
        np.bincount(ring.ravel(), values.ravel()) for values in (kernel**2 - variance, variance)
    )
    # Weights of the average over neighbouring rings: well-known ones count more.
    weight = count / np.maximum(spread / count, 1e-300)
    smooth, total = (
        scipy.ndimage.gaussian_filter1d(values, _RADIAL_WIDTH, mode="nearest")
        for values in (weight * excess / count, weight)
    )
    profile = smooth / np.maximum(total, 1e-300)
    # What chance may hide: a kind that hardly shows is not known to be weaker.
    hidden = max(float(variance.mean()) * math.sqrt(2 / variance.size), 1e-300)
    profile = np.maximum(profile, max(_MIN_AMPLITUDE**2 * profile.max(), hidden))
    return np.asarray(np.sqrt(np.interp(radius, np.arange(len(profile)), profile)))


def _local_envelope(
    free: FreeKernels, index: int, around: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Estimate the envelope (h, w) of one kernel's waves from their variance at each place."""
    noise = free.smooth_variance[index]
    ratio, pixels = free.local_ratio(index, free.kernels[index], _LOCAL_WIDTH)
    power = (pixels * (ratio - 1) * noise + _ROUND_NUMBERS * around**2) / (pixels + _ROUND_NUMBERS)
    chance = np.sqrt(2 / (pixels + _ROUND_NUMBERS)) * noise
    least = np.maximum(_HIDDEN_SHARE * chance, max(_MIN_LOCAL**2 * float(power.max()), 1e-300))
    return np.asarray(np.sqrt(np.maximum(power, least)))


def _misfit(free: FreeKernels, index: int, envelope: NDArray[np.float64]) -> float:
    """Evaluate -2 log likelihood of one kernel under an envelope, each pixel on its own."""
    total = envelope**2 + free.smooth_variance[index]
    return float((np.log(total) + free.kernels[index] ** 2 / total).sum())


def _power(
    kernel: NDArray[np.float64], noise: NDArray[np.float64], envelope: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Estimate the power of one kernel's waves under an envelope, as `WaveRoot` has it."""
    # Pixels where noise prevails count less (Wiener's weights).
    weight = 1 / (1 + np.square(noise).mean(axis=0) / envelope**2)
    period = WaveRoot.period(kernel.shape)
    measured, chance = (
        np.abs(np.fft.fft2(weight * values / envelope, s=period)) ** 2 for values in (kernel, noise)
    )
    expected = chance.mean(axis=0)
    power = scipy.ndimage.gaussian_filter(measured - expected, _SPECTRAL_WIDTH, mode="wrap")
    strongest = max(power.max(), expected.mean(), 1e-300)
    unseen = _HIDDEN_POWER * scipy.ndimage.gaussian_filter(expected, _CHANCE_WIDTH, mode="wrap")
    power = np.maximum(power, np.maximum(_MIN_POWER * strongest, unseen)) / np.square(weight).sum()
    return np.asarray(power[:, : period[1] // 2 + 1])
