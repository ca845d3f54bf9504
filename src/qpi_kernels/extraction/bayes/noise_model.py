"""`NoiseModel`: the power spectrum of a map's residual, and whitening by it."""

from __future__ import annotations

import numpy as np
import scipy.ndimage
import torch
from numpy.typing import NDArray

__all__ = ["NoiseModel"]

# Power is averaged over neighbouring wave vectors: this many standard deviations per period of the
# kernel's window, and at least so many periods of the map.
_WIDTH, _MIN_WIDTH = 0.5, 2.0
# Power below this share of its geometric mean is taken for a fluctuation.
_MIN_POWER = 0.05
# How many times what chance makes of white noise a gain in -2 log-likelihood must be.
_MIN_SIGNIFICANCE = 2.0


class NoiseModel:
    r"""Stationary noise of a map, periodic in it: its covariance is diagonal in Fourier space.

    The power is that of Whittle's likelihood, :math:`-2 \log p = \sum_q \log S_q + |r_q|^2 / S_q`,
    averaged over neighbouring wave vectors and normalised to a geometric mean of 1, so that
    `whiten` does not change volumes.

    Parameters
    ----------
    power : array, (rows, columns)
        Mean squared amplitude at each wave vector of `numpy.fft.fft2`.
    window : tuple of int
        Size of the kernels: what they cannot resolve in a spectrum is noise's own fluctuation.
    known : array, (rows, columns), optional
        Power that is expected, up to a factor: only the ratio to it is averaged. Constant when
        left out.
    mask : array of bool, (rows, columns), optional
        True where pixels count, if not everywhere: the fewer and the closer together they are,
        the more do neighbouring wave vectors fluctuate alike.

    Attributes
    ----------
    gain, chance : float
        Gain in log-likelihood over noise of the expected spectrum, and what chance makes of it.
    """

    def __init__(
        self,
        power: NDArray[np.float64],
        window: tuple[int, int],
        known: NDArray[np.float64] | None = None,
        mask: NDArray[np.bool_] | None = None,
    ) -> None:
        if known is not None:
            known = known / known.mean()
            shown = known > _MIN_POWER
            known = np.maximum(known, _MIN_POWER)
            # Where nothing is expected the residual is rounding and leakage.
            power = np.where(shown, power / known, (power / known)[shown].mean())
        widths = [
            max(_MIN_WIDTH, _WIDTH * size / side)
            for size, side in zip(power.shape, window, strict=True)
        ]
        smooth = scipy.ndimage.gaussian_filter(power, widths, mode="wrap")
        mean = _geometric_mean(smooth)
        self.gain = float(power.size * (np.log(smooth.mean()) - np.log(mean)))
        self.chance = power.size * _variance_of_averages(power.shape, widths, mask)
        if known is not None:
            smooth = smooth * known
            mean = _geometric_mean(smooth)
        self.power: NDArray[np.float64] = np.maximum(smooth / mean, _MIN_POWER)
        self.power /= _geometric_mean(self.power)
        self._roots: dict[tuple[torch.dtype, torch.device], torch.Tensor] = {}

    @property
    def coloured(self) -> bool:
        """True where it is further from the expected spectrum than chance would have it."""
        return self.gain > _MIN_SIGNIFICANCE * self.chance

    @property
    def range(self) -> float:
        """Strongest power over the faintest."""
        return float(self.power.max() / self.power.min())

    def difference(self, other: NoiseModel) -> float:
        """Compare two spectra by the root mean square difference of their power's logarithms."""
        return float(np.sqrt(np.square(np.log(self.power / other.power)).mean()))

    def whiten(self, images: torch.Tensor) -> torch.Tensor:
        """Divide images (..., rows, columns) by the square root of the power; symmetric."""
        return _filtered(images, self._inverse_root(images))

    def weigh(self, images: torch.Tensor) -> torch.Tensor:
        """Divide images (..., rows, columns) by the power."""
        return _filtered(images, self._inverse_root(images).square())

    def _inverse_root(self, images: torch.Tensor) -> torch.Tensor:
        """Return the inverse root of the power in the precision and on the device of images."""
        key = images.dtype, images.device
        if key not in self._roots:
            half = self.power[:, : self.power.shape[1] // 2 + 1]
            self._roots[key] = torch.from_numpy(half**-0.5).to(images)
        return self._roots[key]

    def inverse_on(self, extent: tuple[int, int]) -> torch.Tensor:
        """Evaluate the inverse power at the wave vectors of `torch.fft.rfft2` of a larger map."""
        lags = np.fft.fftshift(np.fft.ifft2(1 / self.power).real)
        larger = np.zeros(extent)
        rows, columns = lags.shape
        top, left = extent[0] // 2 - rows // 2, extent[1] // 2 - columns // 2
        larger[top : top + rows, left : left + columns] = lags
        inverse = np.fft.rfft2(np.fft.ifftshift(larger)).real
        return torch.from_numpy(np.maximum(inverse, 1e-3 / self.power.max()))


def _filtered(images: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Multiply the spectra of images (..., rows, columns)."""
    spectrum = torch.fft.rfft2(images) * factors
    filtered: torch.Tensor = torch.fft.irfft2(spectrum, s=images.shape[-2:])
    return filtered


def _variance_of_averages(
    shape: tuple[int, ...], widths: list[float], mask: NDArray[np.bool_] | None
) -> float:
    """Work out the relative variance of white noise's averaged power.

    Powers of masked white noise correlate by the square of the mask's transform over that at 0.
    """
    # Two conjugate wave vectors are one number of two parts.
    if mask is None or bool(mask.all()):
        return float(1 / (4 * np.pi * np.prod(widths)))
    correlation = np.abs(np.fft.fft2(mask)) ** 2
    correlation /= correlation[0, 0]
    doubled = [np.sqrt(2) * width for width in widths]
    return float(scipy.ndimage.gaussian_filter(correlation, doubled, mode="wrap")[0, 0])


def _geometric_mean(power: NDArray[np.float64]) -> float:
    """Average the logarithm of a power."""
    return float(np.exp(np.log(np.maximum(power, 1e-300)).mean()))
