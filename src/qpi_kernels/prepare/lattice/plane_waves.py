"""Plane waves fitted to maps: their wave vectors, amplitudes and phases."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.prepare.lattice.spectrum import hann

__all__ = ["fitted_waves", "refined_waves", "without_waves"]

_REFINEMENTS = 2
_ROWS_AT_ONCE = 16


def refined_waves(
    plane: NDArray[np.float64], counted: NDArray[np.bool_], waves: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Refine wave vectors (row, col) in rad/px by Gauss-Newton steps, each with the others off."""
    if not len(waves):
        return waves
    weight = hann(plane.shape) * counted
    rows, columns = (np.arange(n) - (n - 1) / 2 for n in plane.shape)
    away = [rows[:, None], columns[None, :]]
    waves = waves.copy()
    for _ in range(_REFINEMENTS):
        values = fitted_waves(plane, counted, waves)
        rest = plane - _wave_sum(plane.shape, waves, values)
        for number in range(len(waves)):
            wave = _wave(plane.shape, waves[number])
            own = (values[number] * wave).real
            turned = (1j * values[number] * wave).real
            terms = [wave.real, -wave.imag, away[0] * turned, away[1] * turned]
            change = _least_squares(terms, rest + own, weight)
            # A step of more than half a sample would be another peak.
            limit = np.pi / np.array(plane.shape)
            waves[number] += np.clip(change[2:], -limit, limit)
    return waves


def without_waves(
    plane: NDArray[np.float64], counted: NDArray[np.bool_], waves: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Fit the amplitudes and phases of plane waves, Hann-weighted, and subtract them.

    Parameters
    ----------
    plane : array, (y, x)
        Finite where it counts.
    counted : array of bool, (y, x)
        True where a pixel counts; the waves are subtracted everywhere.
    waves : array, (N, 2)
        Wave vectors (row, col) in rad/px.
    """
    if not len(waves):
        return plane
    return plane - _wave_sum(plane.shape, waves, fitted_waves(plane, counted, waves))


def _wave(shape: tuple[int, ...], wave: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Return ``exp(i q r)``, of phase zero at the frame's middle."""
    rows, columns = (
        np.exp(1j * component * (np.arange(n) - (n - 1) / 2))
        for component, n in zip(wave, shape, strict=True)
    )
    return np.asarray(np.outer(rows, columns))


def _wave_sum(
    shape: tuple[int, ...], waves: NDArray[np.float64], values: NDArray[np.complex128]
) -> NDArray[np.float64]:
    total = np.zeros(shape)
    for wave, value in zip(waves, values, strict=True):
        total += (value * _wave(shape, wave)).real
    return total


def fitted_waves(
    plane: NDArray[np.float64], counted: NDArray[np.bool_], waves: NDArray[np.float64]
) -> NDArray[np.complex128]:
    """Fit all waves together, with a sloping background; return their complex amplitudes."""
    rows, columns = (np.linspace(-1, 1, n) for n in plane.shape)
    terms = [np.ones(plane.shape), rows[:, None], columns[None, :]]
    for wave in waves:
        values = _wave(plane.shape, wave)
        terms += [values.real, -values.imag]
    fit = _least_squares(terms, plane, hann(plane.shape) * counted)[3:]
    return np.asarray(fit[::2] + 1j * fit[1::2])


def _least_squares(
    terms: Sequence[NDArray[np.float64]],
    values: NDArray[np.float64],
    weight: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Solve a weighted linear fit by its normal equations, in terms of like size."""
    whole = [np.broadcast_to(term, values.shape) for term in terms]
    normal, right = np.zeros((len(terms), len(terms))), np.zeros(len(terms))
    # Few rows at a time stay in the processor's cache.
    for first in range(0, len(values), _ROWS_AT_ONCE):
        rows = slice(first, first + _ROWS_AT_ONCE)
        design = np.stack([term[rows].ravel() for term in whole])
        weighted = design * weight[rows].ravel()
        normal += weighted @ design.T
        right += weighted @ values[rows].ravel()
    size = np.sqrt(np.maximum(normal.diagonal(), 1e-300))
    fit = np.linalg.lstsq(normal / np.outer(size, size), right / size, rcond=None)[0]
    return np.asarray(fit / size)
