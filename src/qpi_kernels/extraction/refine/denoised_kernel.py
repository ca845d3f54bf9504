"""Kernels without the wave vectors at which nothing but noise shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from qpi_kernels.result import KernelResult

__all__ = ["denoised"]

# Bins of a kernel's spectrum over which its power is averaged.
_WIDTH = 1.0
# Noise is taken for this many times as strong, since its averages over few bins scatter.
_MARGIN = 1.5


def denoised(result: KernelResult) -> KernelResult:
    r"""Filter the noise out of a result's kernels, as their standard deviation tells it.

    A Wiener filter: a kernel's spectrum is multiplied by :math:`1 - 1.5\, n/P`, at least 0, with
    P its power averaged over neighbouring wave vectors and n that of white noise of the kernel's
    variance. Slopes of a noisy kernel are steeper than those of the true one, and positions that
    are fitted with them follow the noise of the map that the kernel came from.

    Parameters
    ----------
    result : KernelResult
        Of any estimator.

    Returns
    -------
    KernelResult
        The same with other kernels; residual and standard deviation stay.
    """
    kernel = result.kernel
    noise = np.square(result.std.values.astype(float)).sum(axis=(-2, -1), keepdims=True)
    filtered = _filtered(kernel.values.astype(float), noise)
    return replace(result, kernel=kernel.copy(data=filtered.astype(kernel.dtype)))


def _filtered(kernels: NDArray[np.float64], noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """Filter kernels (..., h, w) of which noise has a power (..., 1, 1) at each wave vector."""
    spectrum = np.fft.fft2(kernels)
    widths = (0.0,) * (kernels.ndim - 2) + (_WIDTH, _WIDTH)
    power = scipy.ndimage.gaussian_filter(np.square(np.abs(spectrum)), widths, mode="wrap")
    gain = np.clip(1.0 - _MARGIN * noise / np.maximum(power, 1e-300), 0.0, 1.0)
    return np.asarray(np.fft.ifft2(spectrum * gain).real)
