"""The spectrum of correlated noise, and maps in which it is white."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

__all__ = ["NoiseColour"]

_MAX_LAG_PX = 8
# Power of the noise at least: share of its mean, and of the signal's own power, as no model is
# better than a few percent.
_MIN_SHARE, _MODEL_ERROR = 1e-3, 0.05
# Share of a pixel's filter that may lie on masked pixels, and beyond the edge.
_MAX_HIDDEN, _MAX_BEYOND = 0.1, 0.03


@dataclass(frozen=True, eq=False)
class NoiseColour:
    """The noise's power spectrum, smooth enough to be known from one map.

    Blind extraction takes noise for defects where it is correlated, and as well the waves that
    reach beyond the kernel's window. Both are known once the residual is: a map divided by the
    square root of the residual's spectrum has white noise, and the same defects.

    Parameters
    ----------
    covariance : array, (2 * lag + 1, 2 * lag + 1)
        Covariance at lags up to a few pixels, tapered; 0 is in the middle.
    """

    covariance: NDArray[np.float64]

    @classmethod
    def estimate(
        cls,
        residual: NDArray[np.floating],
        signal: NDArray[np.floating],
        mask: NDArray[np.bool_],
    ) -> NoiseColour:
        """Estimate the noise from a fit (Blackman and Tukey 1958).

        Parameters
        ----------
        residual, signal : array, (plane, rows, columns)
            What the fit leaves and explains, zero where a pixel does not count.
        mask : array of bool, (rows, columns)
            True where a pixel counts.
        """
        noise = _covariance(residual, mask)
        return cls(noise + _MODEL_ERROR**2 * _covariance(signal, mask))

    @property
    def strength(self) -> float:
        """Log of the power's mean over its geometric mean: 0 in white noise.

        It is what knowing the correlation gains for each pixel, in units of half a log-likelihood.
        """
        power = self._power((64, 64))
        return float(np.log(power.mean()) - np.log(power).mean())

    @property
    def white_variance(self) -> float:
        """Variance of the noise in whitened maps, the geometric mean of its power."""
        return float(np.exp(np.log(self._power((64, 64))).mean()))

    def whiten(
        self, maps: NDArray[np.floating], mask: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Filter maps so that the noise is white.

        The filter has no phase, and its gain the geometric mean 1: the noise keeps what no
        neighbour predicts of it (Kolmogorov), so fits under different filters compare.

        Parameters
        ----------
        maps : array, (plane, rows, columns)
            Without background, zero where a pixel does not count.
        mask : array of bool, (rows, columns)
            True where a pixel counts.

        Returns
        -------
        maps : array of float32, (plane, rows, columns)
        mask : array of bool, (rows, columns)
            Without the pixels whose values hang much on masked ones or on those beyond the edge.
        """
        pad = 2 * _MAX_LAG_PX
        widths = [
            (pad, scipy.fft.next_fast_len(size + 2 * pad) - size - pad) for size in mask.shape
        ]
        padded = np.pad(maps.astype(np.float64), [(0, 0), *widths], mode="reflect")
        power = self._power(padded.shape[-2:])
        gain = np.exp(0.5 * np.log(power).mean()) / np.sqrt(power)
        inside = tuple(
            slice(first, first + size) for (first, _), size in zip(widths, mask.shape, strict=True)
        )
        white = scipy.fft.irfft2(
            scipy.fft.rfft2(padded) * gain[:, : padded.shape[-1] // 2 + 1], padded.shape[-2:]
        )[(slice(None), *inside)]
        response = np.square(scipy.fft.ifft2(gain).real)
        transfer = scipy.fft.fft2(response / response.sum())
        beyond = np.pad(np.zeros(mask.shape), widths, constant_values=1.0)
        for hidden, limit in (
            (np.pad(1.0 - mask, widths, mode="reflect"), _MAX_HIDDEN),
            (beyond, _MAX_BEYOND),
        ):
            share = scipy.fft.ifft2(scipy.fft.fft2(hidden) * transfer).real
            mask = mask & (share[inside] < limit)
        return np.where(mask, white, 0.0).astype(np.float32), mask

    def _power(self, shape: tuple[int, int]) -> NDArray[np.float64]:
        """Transform the covariance to the power on a grid of frequencies, (rows, columns)."""
        grid = np.zeros(shape)
        lags = np.arange(len(self.covariance)) - len(self.covariance) // 2
        grid[np.ix_(lags, lags)] = self.covariance
        power = scipy.fft.fft2(grid).real
        floored: NDArray[np.float64] = np.maximum(power, _MIN_SHARE * float(power.mean()))
        return floored


def _covariance(images: NDArray[np.floating], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Average products of pixels at each small lag over pairs of counted ones, under a taper."""
    shape = [scipy.fft.next_fast_len(size + _MAX_LAG_PX, real=True) for size in mask.shape]
    lags = np.arange(-_MAX_LAG_PX, _MAX_LAG_PX + 1)
    spectra = scipy.fft.rfft2(images.astype(np.float64), shape)
    products = scipy.fft.irfft2(np.square(np.abs(spectra)).mean(axis=0), shape)
    pairs = scipy.fft.irfft2(np.square(np.abs(scipy.fft.rfft2(mask.astype(float), shape))), shape)
    small = products[np.ix_(lags, lags)] / np.maximum(pairs[np.ix_(lags, lags)], 1.0)
    taper = np.cos(np.pi * lags / (2 * (_MAX_LAG_PX + 1))) ** 2
    tapered: NDArray[np.float64] = small * np.outer(taper, taper)
    return tapered
