"""Parts of a map that repeat in every unit cell: its waves, or the average of its cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.prepare.lattice.plane_waves import refined_waves
from qpi_kernels.prepare.lattice.spectrum import Spectrum, level

__all__ = ["lattice_basis", "ring_sentence", "star", "without_cell_average"]

_ORDERS = 4
_MAX_BINS = 32
_PIXELS_PER_BIN = 48
_AVERAGINGS = 3
# How much higher than beside it the spectrum must be at the Bragg peaks' wave number for a ring.
_RING_PROMINENCE = 1.6
_RING_WIDTH = 0.06
_BESIDE = (0.12, 0.3)
_BLANKED = 8
# Samples of a ring are this small a part of the lattice's amplitude where it is still of interest.
_MIN_RING = 1e-3


def lattice_basis(plane: NDArray[np.float64], waves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Refine two reciprocal basis vectors, (2, 2) in rad/px, by a fit of all Bragg waves.

    Parameters
    ----------
    plane : array, (y, x)
        NaN where nothing counts.
    waves : array, (2 or 3, 2)
        Bragg vectors (row, col) in rad/px.
    """
    refined = refined_waves(level(plane), np.isfinite(plane), waves)
    orders = np.round(np.linalg.lstsq(waves[:2].T, waves.T, rcond=None)[0].T)
    return np.asarray(np.linalg.lstsq(orders, refined, rcond=None)[0])


def star(basis: NDArray[np.float64], harmonics: int) -> NDArray[np.float64]:
    """List the waves of a lattice, one of each pair, up to so many times the shortest's length.

    Waves beyond the Nyquist frequency, which the map cannot tell from others, are left out.
    """
    orders = np.arange(-_ORDERS, _ORDERS + 1)
    pairs = np.stack(np.meshgrid(orders, orders, indexing="ij"), axis=-1).reshape(-1, 2)
    half = pairs[(pairs[:, 0] > 0) | ((pairs[:, 0] == 0) & (pairs[:, 1] > 0))]
    vectors = half @ basis
    lengths = np.linalg.norm(vectors, axis=1)
    # Drift makes the pairs of one star differ by some percent.
    kept = (lengths < 1.15 * harmonics * lengths.min()) & (np.abs(vectors) < np.pi).all(axis=1)
    return np.asarray(vectors[kept])


def without_cell_average(
    plane: NDArray[np.float64], counted: NDArray[np.bool_], basis: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Subtract the average unit cell, without its mean.

    Parameters
    ----------
    plane, counted
        As for `without_waves`.
    basis : array, (2, 2)
        Reciprocal basis vectors (row, col) in rad/px.
    """
    size = int(np.clip(np.sqrt(counted.sum() / _PIXELS_PER_BIN), 4, _MAX_BINS))
    rows, columns = (np.arange(n) - (n - 1) / 2 for n in plane.shape)
    corners, shares = [], []
    along = [
        (wave[0] * rows[:, None] + wave[1] * columns) / (2 * np.pi) % 1.0 * size for wave in basis
    ]
    lower = [np.floor(part).astype(np.int64) for part in along]
    for first in (0, 1):
        for second in (0, 1):
            corners.append((lower[0] + first) % size * size + (lower[1] + second) % size)
            shares.append(
                np.abs(1 - first - (along[0] - lower[0]))
                * np.abs(1 - second - (along[1] - lower[1]))
            )
    rest = np.where(counted, level(np.where(counted, plane, np.nan)), 0.0)
    weight = sum(
        np.bincount(at.ravel(), (share * counted).ravel(), size**2)
        for at, share in zip(corners, shares, strict=True)
    )
    total = np.zeros(plane.shape)
    # Interpolated bins average a wave; repeated on what is left they lose nothing.
    for _ in range(_AVERAGINGS):
        sums = sum(
            np.bincount(at.ravel(), (share * rest).ravel(), size**2)
            for at, share in zip(corners, shares, strict=True)
        )
        cell = np.asarray(sums / np.maximum(weight, 1e-300))
        cell -= np.average(cell, weights=weight)
        repeated = sum(share * cell[at] for at, share in zip(corners, shares, strict=True))
        total += repeated
        rest = np.where(counted, rest - repeated, 0.0)
    return np.asarray(plane - total)


def ring_sentence(spectrum: Spectrum, waves: NDArray[np.float64], amplitude: float) -> str | None:
    """Warn where a ring of standing waves has the wave number of Bragg peaks.

    Parameters
    ----------
    spectrum : Spectrum
        Of the map without its lattice.
    waves : array, (N, 2)
        Bragg vectors (row, col) in rad/px.
    amplitude : float
        Of the lattice's first waves.
    """
    height, width = spectrum.plane.shape
    rows, columns = (2 * np.pi * (np.arange(n) - n // 2) / n for n in (height, width))
    wave = np.hypot(rows[:, None], columns)
    # What a lattice that is not quite regular leaves about its peaks is no ring.
    away = _BLANKED * 2 * np.pi / np.array([height, width])
    for peak in np.concatenate([waves, -waves]):
        beside = (np.abs(rows - peak[0]) < away[0])[:, None] & (np.abs(columns - peak[1]) < away[1])
        wave[beside] = np.nan
    for length in np.linalg.norm(waves, axis=1):
        ratio = wave / length
        medians = [
            float(np.median(spectrum.amplitude[(ratio > low) & (ratio < high)]))
            for low, high in (
                (1 - _BESIDE[1], 1 - _BESIDE[0]),
                (1 - _RING_WIDTH, 1 + _RING_WIDTH),
                (1 + _BESIDE[0], 1 + _BESIDE[1]),
            )
        ]
        beside_it = max(np.sqrt(medians[0] * medians[2]), _MIN_RING * amplitude)
        if medians[1] > _RING_PROMINENCE * beside_it:
            return (
                "a ring of standing waves has the wave number of the Bragg peaks: a part of it is "
                "subtracted with the lattice, so compare the kernel with and without this step"
            )
    return None
