"""Pickup of mains that the scan is not locked to: every row has its own phase."""

from __future__ import annotations

import numpy as np
import scipy.fft
import scipy.ndimage
from numpy.typing import NDArray

from qpi_kernels.prepare.lattice.spectrum import level

__all__ = ["row_tones_of", "without_row_tones"]

_REACH_PX = 12
_CORE_PX = 3
# A tone falls by so much within the core, the edge of a ring or of a terrace does not.
_DROP = 1.8
_REACH_OF_OTHERS = 2.5
_MIN_PERIODS = 8
_PADDING = 8
_MIN_ROW_PIXELS = 16
# Rows over which a wandering phase is averaged; the best predicts a row from the others.
_WIDTHS = (0.7, 1.0, 1.5, 2.5, 4.0, 8.0, 16.0, 32.0)
_PREDICTED_SHARE = 0.7


def row_tones_of(
    plane: NDArray[np.float64],
    prominence: float,
    max_tones: int,
    others: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find wave numbers along the rows at which the rows' spectra have one sharp maximum.

    Parameters
    ----------
    plane : array, (y, x)
        NaN where nothing counts.
    prominence : float
        Least root mean square amplitude over its neighbours'.
    max_tones : int
        Largest number of tones.
    others : array, optional
        Wave numbers along the rows in rad/px that are no pickup, such as those of Bragg peaks.

    Returns
    -------
    array, (N,)
        In rad/px, the most prominent first.
    array, (N,)
        Root mean square amplitudes.
    """
    counted = np.isfinite(plane)
    values = level(plane)
    width = plane.shape[1]
    weight = (0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(width) + 0.5) / width)) * counted
    total = weight.sum(axis=1)
    full = counted.sum(axis=1) > width / 2
    if full.sum() < 4:
        return np.empty(0), np.empty(0)
    total, weight = total[full], weight[full]
    mean = (weight * values[full]).sum(axis=1) / total
    padded = scipy.fft.rfft(weight * (values[full] - mean[:, None]), _PADDING * width, axis=1)
    amplitude = 2 * np.sqrt(np.mean(np.abs(padded / total[:, None]) ** 2, axis=0))
    found = [
        (ratio, 2 * np.pi * place / width, height)
        for ratio, place, height in _sharp_maxima(amplitude)
        if ratio > prominence
    ]
    if others is not None:
        step = 2 * np.pi / width
        apart = np.abs((np.abs(others) + np.pi) % (2 * np.pi) - np.pi)
        found = [
            each for each in found if not (np.abs(apart - each[1]) < _REACH_OF_OTHERS * step).any()
        ]
    found = sorted(found, reverse=True)[:max_tones]
    return np.array([each[1] for each in found]), np.array([each[2] for each in found])


def _sharp_maxima(amplitude: NDArray[np.float64]) -> list[tuple[float, float, float]]:
    """List the prominence, place in periods a row and height of single maxima of a spectrum."""
    coarse = amplitude[::_PADDING]
    steps = np.arange(_CORE_PX, _REACH_PX + 1)
    found = []
    for at in range(_MIN_PERIODS, len(coarse) - 1):
        sides = [coarse[np.clip(at + sign * steps, 0, len(coarse) - 1)] for sign in (-1, 1)]
        beside = max(float(side[0]) for side in sides)
        if coarse[at] < coarse[at - 1 : at + 2].max() or coarse[at] < _DROP * beside:
            continue
        # Of a spectrum that falls, the higher side is the background.
        background = max(float(np.median(side)) for side in sides)
        first = (at - 1) * _PADDING
        best = first + int(amplitude[first : (at + 1) * _PADDING + 1].argmax())
        place = (best + _vertex(amplitude, best)) / _PADDING
        height = float(amplitude[best])
        found.append((height / max(background, 1e-300), place, height))
    return found


def without_row_tones(
    plane: NDArray[np.float64], counted: NDArray[np.bool_], waves: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Fit every row's own amplitudes and phases, Hann-weighted, and subtract them.

    Where the phases of neighbouring rows follow from one another, they are averaged over as many
    rows as predict best, so that less of the sample's own waves is subtracted.

    Parameters
    ----------
    plane, counted
        As for `without_waves`.
    waves : array, (N,)
        Wave numbers along the rows in rad/px.
    """
    if not len(waves):
        return plane
    width = plane.shape[1]
    columns = np.arange(width) - (width - 1) / 2
    phases = np.outer(waves, columns)
    terms = np.concatenate([np.ones((1, width)), np.cos(phases), -np.sin(phases)])
    weight = (0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(width) + 0.5) / width)) * counted
    enough = counted.sum(axis=1) >= max(_MIN_ROW_PIXELS, 4 * len(waves))
    normal = np.einsum("ax,yx,bx->yab", terms, weight, terms)
    normal[~enough] = np.eye(len(terms))
    right = np.einsum("ax,yx->ya", terms, weight * np.where(counted, plane, 0.0))
    fit = np.linalg.solve(normal + 1e-12 * np.eye(len(terms)) * width, right[..., None])[..., 0]
    number = len(waves)
    values = np.where(enough[:, None], fit[:, 1 : 1 + number] + 1j * fit[:, 1 + number :], 0.0)
    smooth = np.stack([_averaged(values[:, at], enough) for at in range(number)], axis=1)
    return np.asarray(plane - (smooth @ np.exp(1j * phases)).real)


def _averaged(values: NDArray[np.complex128], enough: NDArray[np.bool_]) -> NDArray[np.complex128]:
    """Average complex amplitudes over neighbouring rows as far as that predicts them."""
    turned = scipy.fft.fft(values, 4 * len(values))
    per_row = 2 * np.pi * int(np.abs(turned).argmax()) / len(turned)
    spin = np.exp(-1j * per_row * np.arange(len(values)))
    still, weight = values * spin, enough.astype(float)
    power = float((np.abs(still) ** 2).sum())
    best, least = None, _PREDICTED_SHARE * power
    for width in _WIDTHS:
        total, share = _smooth(still * weight, width), _smooth(weight, width)
        own = _smooth(np.eye(1, 129, 64)[0], width).real[64]
        others = share.real - own * weight
        predicted = (total - own * still * weight) / np.maximum(others, 1e-300)
        error = float((np.abs(still - predicted)[enough] ** 2).sum())
        if error < least:
            best, least = total / np.maximum(share, 1e-300), error
    return values if best is None else np.asarray(best / spin)


def _smooth(values: NDArray[np.generic], width: float) -> NDArray[np.complex128]:
    """Convolve with a Gaussian, zero outside."""
    complex_values = np.asarray(values, np.complex128)
    return np.asarray(
        scipy.ndimage.gaussian_filter1d(complex_values.real, width, mode="constant")
        + 1j * scipy.ndimage.gaussian_filter1d(complex_values.imag, width, mode="constant")
    )


def _vertex(amplitude: NDArray[np.float64], at: int) -> float:
    """Return how far the maximum of a parabola lies from a sample."""
    if not 0 < at < len(amplitude) - 1:
        return 0.0
    low, top, high = amplitude[at - 1 : at + 2]
    curvature = low - 2 * top + high
    return float(np.clip(0.5 * (low - high) / curvature, -0.5, 0.5)) if curvature < 0 else 0.0
