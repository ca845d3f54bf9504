"""Errors of a fit to images whose pixels do not err independently."""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

__all__ = ["correlated_covariance"]

Array = NDArray[np.float64]


def correlated_covariance(slopes: Array, residual: Array, pixels: NDArray[np.bool_]) -> Array:
    r"""Compute the covariance of least squares with the spectrum that the residual has.

    .. math:: C = (J^T J)^{-1}\, J^T R J\, (J^T J)^{-1}

    where R, the correlation of the residual, is taken as the same everywhere and in all
    directions: its spectrum is the radial mean of the residual's. Kernels err most at the wave
    vectors of their own waves, where neighbouring defects and the prior leave traces.

    Parameters
    ----------
    slopes : array, (bias, pixel, parameter)
        Derivatives of the residual over its errors.
    residual : array, (bias, pixel)
        Over its errors.
    pixels : array of bool, (y, x)
        Which pixels they are.

    Returns
    -------
    array, (parameter, parameter)
        Variances are not smaller than those of independent pixels.
    """
    rows, columns = (scipy.fft.fftfreq(size) * size for size in pixels.shape)
    ring = np.rint(np.hypot(rows[:, None], columns)).astype(np.int64) // 2
    count = slopes.shape[-1]
    middle = np.zeros((count, count))
    for one, part in zip(residual, slopes, strict=True):
        power = np.square(np.abs(_transform(one[None], pixels)[0]))
        spectrum = np.bincount(ring.ravel(), weights=power.ravel()) / np.bincount(ring.ravel())
        weight = (spectrum / power.mean())[ring]
        waves = _transform(part.T, pixels)
        middle += np.einsum("pyx,yx,qyx->pq", waves.conj(), weight, waves).real / pixels.size
    normal = np.einsum("bip,biq->pq", slopes, slopes)
    scale = np.sqrt(np.diag(normal)) + 1e-300
    plain = np.linalg.pinv(normal / np.outer(scale, scale)) / np.outer(scale, scale)
    wider = np.sqrt(np.diag(plain @ middle @ plain) / np.maximum(np.diag(plain), 1e-300))
    return np.asarray(plain * np.outer(np.maximum(wider, 1.0), np.maximum(wider, 1.0)))


def _transform(values: Array, pixels: NDArray[np.bool_]) -> NDArray[np.complex128]:
    """Transform values of the pixels compared, (n, pixel), with zeros elsewhere."""
    images = np.zeros((len(values), *pixels.shape))
    images[:, pixels] = values
    return np.asarray(scipy.fft.fft2(images))
