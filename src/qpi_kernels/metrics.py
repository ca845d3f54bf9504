"""Errors of an extracted kernel: the published units, and scores that each see what others hide.

All functions take stacks: true and found kernels of shape (..., h, w), which are broadcast against
each other, and give an array (...) with one score per kernel. Pixels must be finite.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "PublishedErrors",
    "affine_invariant_nrmse",
    "core_excluded_correlation",
    "correlation",
    "fourier_correlation",
    "min_max",
    "published_errors",
]

Images = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PublishedErrors:
    """Errors in the units of arXiv 2506.05325, one per kernel.

    Parameters
    ----------
    mae, mse, rmse : array, (...)
        Twice the mean absolute error, four times the mean square error and twice its root, of
        kernels on a scale from 0 to 1: errors as on a scale from -1 to 1.
    """

    mae: Images
    mse: Images
    rmse: Images


def min_max(kernels: ArrayLike) -> Images:
    """Stretch each kernel to 0 ... 1, as arXiv 2506.05325 does; a constant one becomes 0.

    Parameters
    ----------
    kernels : array, (..., h, w)
        Kernels in any unit.

    Returns
    -------
    array, (..., h, w)
        Without unit.
    """
    images = _images(kernels)
    low, high = (find(images, axis=(-2, -1), keepdims=True) for find in (np.min, np.max))
    span = high - low
    return np.asarray((images - low) / np.where(span > 0, span, 1.0))


def published_errors(true: ArrayLike, found: ArrayLike, *, stretch: bool = True) -> PublishedErrors:
    """Measure MAE x 2, MSE x 4, RMSE x 2 of min-max kernels, the units of arXiv 2506.05325.

    Factors as in ``plotting/`` of ``QPI-Dataset/QPI-Dataset-100kernels``.

    Parameters
    ----------
    true, found : array, (..., h, w)
        Kernels in any unit.
    stretch : bool
        Stretch the found kernels to 0 ... 1, too, as `min_max` does with the true ones. Without,
        they count as they are: for the output of a network that was trained on such a scale.

    Returns
    -------
    PublishedErrors
        Arrays (...).
    """
    wrong = (min_max(found) if stretch else _images(found)) - min_max(true)
    square = np.mean(wrong**2, axis=(-2, -1))
    return PublishedErrors(
        mae=np.asarray(2 * np.mean(np.abs(wrong), axis=(-2, -1))),
        mse=np.asarray(4 * square),
        rmse=np.asarray(2 * np.sqrt(square)),
    )


def affine_invariant_nrmse(true: ArrayLike, found: ArrayLike) -> Images:
    r"""Measure the RMSE after the best scale and offset, over the true kernel's deviation.

    .. math:: \min_{a \ge 0,\, b} \frac{\lVert a \hat A + b - A \rVert}{\lVert A - \bar A \rVert}
              = \sqrt{1 - \max(\rho, 0)^2}

    with Pearson's correlation rho. A kernel of the wrong sign is wrong: the scale is not negative.

    Parameters
    ----------
    true, found : array, (..., h, w)
        Kernels, each in a unit and with an offset of its own.

    Returns
    -------
    array, (...)
        0 is perfect, 1 no better than a constant; NaN where the true kernel is constant.
    """
    # Not from rho: near 1, the difference of 1 and its square would keep half of the digits.
    first, second = _unit(_images(true)), _unit(_images(found))
    scale = np.maximum((first * second).sum(axis=(-2, -1), keepdims=True), 0.0)
    error = np.sqrt(((scale * second - first) ** 2).sum(axis=(-2, -1)))
    return _without_constants(error, true)


def correlation(true: ArrayLike, found: ArrayLike) -> Images:
    """Compute Pearson's correlation over all pixels; 0 where the found kernel is constant.

    Parameters
    ----------
    true, found : array, (..., h, w)
        Kernels.

    Returns
    -------
    array, (...)
        -1 to 1; NaN where the true kernel is constant.
    """
    together = (_unit(_images(true)) * _unit(_images(found))).sum(axis=(-2, -1))
    return _without_constants(together, true)


def core_excluded_correlation(
    true: ArrayLike, found: ArrayLike, *, core_radius: float = 3.0
) -> Images:
    """Correlate kernels outside of the core, which holds most of a kernel's energy.

    Parameters
    ----------
    true, found : array, (..., h, w)
        Kernels with their centre at ``(h//2, w//2)``.
    core_radius : float
        Pixels with r > core_radius count, in px.

    Returns
    -------
    array, (...)
        As `correlation`.

    Raises
    ------
    ValueError
        If fewer than two pixels are left.
    """
    first, second = _images(true), _images(found)
    rows, cols = (np.arange(size) - size // 2 for size in first.shape[-2:])
    outside = np.hypot(rows[:, None], cols[None, :]) > core_radius
    if outside.sum() < 2:
        raise ValueError(f"a core of {core_radius:g} px leaves no kernel: choose a smaller one")
    return correlation(first[..., outside][..., None, :], second[..., outside][..., None, :])


def fourier_correlation(true: ArrayLike, found: ArrayLike) -> Images:
    """Correlate the magnitudes of the Fourier transforms ("Q-space"), after Pearson.

    Insensitive to a kernel's position and sign, as the eye is in a QPI pattern. The mean of each
    kernel is subtracted first, for an offset is no scattering. No window. Arguments and result
    are those of `correlation`.
    """
    first, second = _magnitude(_images(true)), _magnitude(_images(found))
    return correlation(first, second)


def _images(kernels: ArrayLike) -> Images:
    images = np.asarray(kernels, np.float64)
    if images.ndim < 2:
        raise ValueError(f"kernels are (..., h, w), not of shape {images.shape}")
    return images


def _centred(images: Images) -> Images:
    centred = images - images.mean(axis=(-2, -1), keepdims=True)
    # What rounding leaves of a constant image is no signal.
    scale = np.abs(images).max(axis=(-2, -1), keepdims=True)
    return np.asarray(np.where(np.abs(centred) <= 1e-13 * scale, 0.0, centred))


def _unit(images: Images) -> Images:
    """Centre images and scale them to norm 1; a constant one becomes zero."""
    centred = _centred(images)
    norm = np.sqrt((centred**2).sum(axis=(-2, -1), keepdims=True))
    return np.asarray(centred / np.where(norm > 0, norm, 1.0))


def _without_constants(scores: Images, true: ArrayLike) -> Images:
    constant = ~_centred(_images(true)).any(axis=(-2, -1))
    return np.asarray(np.where(constant, np.nan, scores))


def _magnitude(images: Images) -> Images:
    return np.asarray(np.abs(np.fft.fft2(_centred(images))))
