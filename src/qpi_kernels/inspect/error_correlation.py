"""Errors of a kernel that go together from pixel to pixel, as under a smooth prior."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.fft
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.inspect.axes import InspectionError

__all__ = ["ErrorCorrelation", "error_correlation"]

Array = NDArray[np.float64]

# Few draws do not tell the correlation of pixels far apart: it fades with this share of the window.
_REACH = 0.2


class ErrorCorrelation(NamedTuple):
    """Correlation of errors over their standard deviation, the same all over the window.

    Parameters
    ----------
    lags : array, (..., 2h, 2w)
        Correlation of pixels at a distance, that of 0 first, periodic.
    power : array, (..., 2h, 2w)
        Its transform, nowhere negative, with mean 1: power over that of independent pixels.
    even : array, (...)
        Correlation of pixels opposite to each other about the defect, -1 to 1.
    """

    lags: Array
    power: Array
    even: Array

    def variance(self, weights: Array) -> Array:
        """Compute the variance of sums of errors with weights (..., h, w)."""
        waves = np.abs(scipy.fft.fft2(weights, s=self.power.shape[-2:])) ** 2
        return np.asarray((waves * self.power).mean(axis=(-2, -1)))


def error_correlation(draws: xr.DataArray, std: xr.DataArray) -> ErrorCorrelation:
    r"""Estimate the correlation of a kernel's errors from draws of its posterior.

    .. math:: \rho(d) = \langle z(r) z(r + d) \rangle / \langle z(r)^2 \rangle

    of draws z over their standard deviation, averaged over pixels, draws and biases; kinds have
    their own. It fades at a fifth of the window.

    Parameters
    ----------
    draws : DataArray, (draw, ..., y, x)
        See `KernelResult.draws`.
    std : DataArray, (..., y, x)
        Of the kernel, y = x = 0 at the defect.

    Raises
    ------
    InspectionError
        If the draws have another shape.
    """
    if draws.dims[1:] != std.dims or draws.shape[1:] != std.shape:
        raise InspectionError(
            f"draws have the dims {dict(draws.sizes)}, the kernel {dict(std.sizes)}: they must be "
            "alike after the first"
        )
    deviation = np.asarray(std.values, float)
    z = np.where(deviation > 0, draws.values / np.where(deviation > 0, deviation, 1.0), 0.0)
    mean = np.square(z).mean(axis=(0, -2, -1), keepdims=True)
    z = z / np.sqrt(np.where(mean > 0, mean, 1.0))
    pooled = (0, *(1 + index for index, dim in enumerate(std.dims[:-2]) if dim != "kind"))
    height, width = std.shape[-2:]
    size = (2 * height, 2 * width)
    pairs = np.square(np.abs(scipy.fft.fft2(z, s=size))).mean(axis=pooled, keepdims=True)[0]
    pixels = np.square(np.abs(scipy.fft.fft2(np.ones((height, width)), s=size)))
    rows, columns = (np.fft.fftfreq(2 * n) * 2 / _REACH for n in (height, width))
    fading = np.exp(-0.5 * (rows[:, None] ** 2 + columns**2))
    counts = np.maximum(scipy.fft.ifft2(pixels).real, 1.0)
    lags = fading * scipy.fft.ifft2(pairs).real / counts
    lags = lags / np.where(lags[..., :1, :1] > 0, lags[..., :1, :1], 1.0)
    power = np.maximum(scipy.fft.fft2(lags).real, 0.0)
    power = power / np.maximum(power.mean(axis=(-2, -1), keepdims=True), 1e-300)
    opposite = _about_the_defect(z, std)
    even = (opposite * opposite[..., ::-1, ::-1]).mean(axis=(-2, -1))
    even = even / np.maximum(np.square(opposite).mean(axis=(-2, -1)), 1e-300)
    return ErrorCorrelation(
        scipy.fft.ifft2(power).real, power, even.mean(axis=pooled, keepdims=True)[0]
    )


def _about_the_defect(values: Array, std: xr.DataArray) -> Array:
    """Cut the largest window in which every pixel has one opposite to it about the defect."""
    for axis, name in ((-2, "y"), (-1, "x")):
        centre = int(np.abs(std[name].values).argmin())
        reach = min(centre, std.sizes[name] - 1 - centre)
        values = np.take(values, np.arange(centre - reach, centre + reach + 1), axis=axis)
    return values
