"""A prior of waves whose envelope and spectrum are those of the map's own kernels."""

from __future__ import annotations

import math

import numpy as np
import scipy.ndimage
import torch
from numpy.typing import NDArray

from qpi_kernels.extraction.bayes.posterior import Posterior, PosteriorSample
from qpi_kernels.extraction.bayes.priors.covariance_roots import KindRoot, WaveRoot
from qpi_kernels.extraction.bayes.priors.near_symmetry import (
    NearlySymmetricRoot,
    NearSymmetry,
    measure_near_symmetry,
)

__all__ = ["MAP_WAVES", "fitted_numbers", "map_waves"]

MAP_WAVES = "waves as in this map"
# Envelope and spectrum are averaged over so many pixels and wave vectors (standard deviation), and
# the spectrum of the noise, which is known from a few draws only.
_RADIAL_WIDTH, _SPECTRAL_WIDTH, _CHANCE_WIDTH = 2.0, 1.25, 3.0
# They fade no further than to these shares of their maxima, and the spectrum not below this share
# of the noise's: so much chance may hide.
_MIN_AMPLITUDE, _MIN_POWER, _HIDDEN_POWER = 0.03, 1e-5, 0.3
# Noise of the least-squares kernel, over its signal, below which interpolation's own errors matter.
_MIN_NOISE = 0.004
# Shares of four symmetries, and the direction of a mirror.
_SYMMETRY_NUMBERS = 5
# Pixels that fewer defects show than this share of the maximum say nothing of the envelope.
_MIN_COVERAGE = 0.02


def map_waves(white: Posterior, sample: PosteriorSample, coverage: torch.Tensor) -> KindRoot:
    r"""Root the prior of nearly symmetric waves under a round envelope, all estimated from a map.

    Empirical Bayes: variance at each distance and power at each wave vector are those of the least
    squares kernel less those of its noise, averaged over neighbours; how far
    rotations and reflections change it is measured likewise. Such a prior knows where a kernel has
    faded, its rings in momentum, its lattice directions and its symmetry, whatever the material.

    Parameters
    ----------
    white : Posterior
        The kernels under the white prior.
    sample : PosteriorSample
        Drawn from it: the noise of these kernels.
    coverage : tensor, (kind, h, w)
        Squared strengths of the defects that show each kernel pixel.
    """
    counted = coverage.clamp(min=_MIN_COVERAGE * float(coverage.max()))
    # Undo what the ridge took away, so that the least squares kernels are without bias.
    unshrunk = (counted + white.ridge) / counted
    kernels = _numpy(white.kernels * unshrunk)
    noise = _numpy(sample.deviations * unshrunk.sqrt())
    roots = []
    for index in range(len(kernels)):
        envelope, power = _estimate(kernels[index], noise[:, index])
        shares = measure_near_symmetry(kernels[index], noise[:, index], envelope, coverage)
        if np.square(noise[:, index]).mean() < _MIN_NOISE * np.square(kernels[index]).mean():
            # Averages that interpolate would be further from the kernel than least squares.
            shares = NearSymmetry(shares.two, four=shares.four)
        waves = WaveRoot(envelope, power, coverage)
        roots.append(NearlySymmetricRoot(waves, shares, envelope.shape, coverage))
    return KindRoot(roots)


def fitted_numbers(shape: tuple[int, int], kinds: int) -> float:
    """Count the numbers of such a prior that were fitted to the map, about."""
    height, width = shape
    spectral = height * width / (4 * math.pi * _SPECTRAL_WIDTH**2)
    radial = math.hypot(height, width) / 2 / (2 * math.pi**0.5 * _RADIAL_WIDTH)
    return float(kinds * (spectral + radial + _SYMMETRY_NUMBERS))


def _estimate(
    kernel: NDArray[np.float64], noise: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Estimate the envelope (h, w) of one kernel's waves, and their power as `WaveRoot` has it."""
    variance = np.square(noise).mean(axis=0)
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
    envelope = np.sqrt(np.interp(radius, np.arange(len(profile)), profile))
    # Pixels where noise prevails count less (Wiener's weights).
    weight = 1 / (1 + variance / envelope**2)
    period = WaveRoot.period(kernel.shape)
    measured, chance = (
        np.abs(np.fft.fft2(weight * values / envelope, s=period)) ** 2 for values in (kernel, noise)
    )
    expected = chance.mean(axis=0)
    power = scipy.ndimage.gaussian_filter(measured - expected, _SPECTRAL_WIDTH, mode="wrap")
    strongest = max(power.max(), expected.mean(), 1e-300)
    unseen = _HIDDEN_POWER * scipy.ndimage.gaussian_filter(expected, _CHANCE_WIDTH, mode="wrap")
    power = np.maximum(power, np.maximum(_MIN_POWER * strongest, unseen)) / np.square(weight).sum()
    return envelope, power[:, : period[1] // 2 + 1]


def _numpy(values: torch.Tensor) -> NDArray[np.float64]:
    return values.cpu().double().numpy()
