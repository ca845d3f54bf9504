"""Images whose transform, cut, profile, symmetry or lattice is known.

Lengths are in px, wave vectors (rows, columns) in rad/px. The generators use plain numpy and
scipy, nothing of `inspect`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import j0

from qpi_kernels.bench.peers import Array

__all__ = [
    "CorrelationMap",
    "CutMap",
    "LatticeMap",
    "NoisyMap",
    "RoundMap",
    "SymmetricMap",
    "Task",
    "Wave",
    "correlation_map",
    "cut_map",
    "lattice_map",
    "noise_map",
    "ring_map",
    "round_map",
    "symmetric_map",
    "wave_map",
]

Task = Literal[
    "amplitude", "wave", "noise", "cut", "round", "ring", "correlation", "symmetry", "lattice"
]
"""A way makes of the problem:

amplitude
    The amplitude that it reads, a number.
wave
    The wave number that it reads, in rad/px.
noise
    The power spectral density of white noise, its mean over all q, in value^2 px^2.
cut
    (row, column, value) of each point, (points, 3).
round, ring
    (r or q, value) of each ring, (rings, 2).
correlation
    The autocorrelation in the image's shape, zero shift at index ``n // 2``.
symmetry
    The image averaged over C4v.
lattice
    Bragg vectors in rad/px, (n, 2).
"""

_AMPLITUDE, _BACKGROUND = 1.3, 40.0


@dataclass(frozen=True)
class Wave:
    """A cosine on a background."""

    raw: Array
    amplitude: float
    number: float
    """In rad/px."""
    step: float
    """The resolution 2 pi / n in rad/px."""


@dataclass(frozen=True)
class NoisyMap:
    """White noise, or rings of defects with and without it."""

    raw: Array
    clean: Array
    sigma: float


@dataclass(frozen=True)
class CutMap:
    """A wave, and a line through it."""

    raw: Array
    start: tuple[float, float]
    stop: tuple[float, float]
    truth: Callable[[Array, Array], Array]


@dataclass(frozen=True)
class RoundMap:
    """A function of the distance from pixel ``n // 2``."""

    raw: Array
    truth: Callable[[Array], Array]


@dataclass(frozen=True)
class CorrelationMap:
    """A wave with noise; NaN where it was not measured."""

    raw: Array
    truth: Array
    """In the image's shape, zero shift at ``n // 2``."""


@dataclass(frozen=True)
class SymmetricMap:
    """An image that has the symmetry C4v about pixel ``n // 2`` already."""

    raw: Array


@dataclass(frozen=True)
class LatticeMap:
    """A square or hexagonal lattice with noise."""

    raw: Array
    waves: Array
    """Bragg vectors of first order, (4 or 6, 2)."""


def wave_map(shape: tuple[int, int], on_grid: bool, seed: int) -> Wave:
    """Simulate a cosine of any wave number, or on a point of the transform."""
    rng = np.random.default_rng([21, seed])
    periods = rng.uniform(0.1, 0.2, 2) * shape
    periods = np.round(periods) if on_grid else periods
    wave = 2 * np.pi * periods / shape
    y, x = np.indices(shape)
    phase = rng.uniform(0, 2 * np.pi)
    raw = _BACKGROUND + _AMPLITUDE * np.cos(wave[0] * y + wave[1] * x + phase)
    return Wave(raw, _AMPLITUDE, float(np.hypot(*wave)), 2 * np.pi / max(shape))


def noise_map(shape: tuple[int, int], seed: int) -> NoisyMap:
    """Simulate white noise on a background."""
    rng = np.random.default_rng([22, seed])
    raw = _BACKGROUND + 0.7 * rng.standard_normal(shape)
    return NoisyMap(raw, np.full(shape, _BACKGROUND), 0.7)


def ring_map(shape: tuple[int, int], seed: int) -> NoisyMap:
    """Simulate standing waves of many defects with noise as strong as they are."""
    rng = np.random.default_rng([23, seed])
    y, x = np.indices(shape)
    clean = np.zeros(shape)
    for row, column in rng.uniform(0, 1, (25, 2)) * shape:
        radius = np.hypot(y - row, x - column)
        clean += np.cos(0.9 * radius + 0.6) * np.exp(-radius / 25) / np.sqrt(1 + radius)
    sigma = float(clean.std())
    return NoisyMap(clean + sigma * rng.standard_normal(shape), clean, sigma)


def cut_map(shape: tuple[int, int], seed: int) -> CutMap:
    """Simulate a wave of 8 px, and a line across it between the pixels."""
    rng = np.random.default_rng([24, seed])
    turn = rng.uniform(0, 2 * np.pi)
    wave = 2 * np.pi / 8 * np.array([np.sin(turn), np.cos(turn)])
    y, x = np.indices(shape).astype(float)

    def truth(rows: Array, columns: Array) -> Array:
        return np.asarray(np.cos(wave[0] * rows + wave[1] * columns))

    size = np.array(shape)
    start, stop = (rng.uniform(low, high, 2) * size for low, high in ((0.1, 0.3), (0.7, 0.9)))
    return CutMap(truth(y, x), _pair(start), _pair(stop), truth)


def round_map(shape: tuple[int, int], seed: int) -> RoundMap:
    """Simulate the standing wave of one defect in the middle."""
    rng = np.random.default_rng([25, seed])
    wave = rng.uniform(0.5, 0.9)

    def truth(radius: Array) -> Array:
        return np.asarray(j0(wave * radius) * np.exp(-radius / 40))

    y, x = np.indices(shape)
    return RoundMap(truth(np.hypot(y - shape[0] // 2, x - shape[1] // 2)), truth)


def correlation_map(shape: tuple[int, int], holes: bool, seed: int) -> CorrelationMap:
    """Simulate a wave with noise, whole or with a tenth of the pixels missing."""
    rng = np.random.default_rng([26, seed])
    wave = 2 * np.pi / rng.uniform(7, 11, 2)
    y, x = np.indices(shape)
    raw = np.cos(wave[0] * y + wave[1] * x) + 0.3 * rng.standard_normal(shape)
    if holes:
        row, column = (rng.uniform(0.1, 0.5, 2) * shape).astype(int)
        raw[row : row + shape[0] // 3, column : column + shape[1] // 3] = np.nan
    away_y, away_x = y - shape[0] // 2, x - shape[1] // 2
    # The noise is correlated with nothing but itself.
    share = 0.5 / (0.5 + 0.3**2)
    truth = share * np.cos(wave[0] * away_y + wave[1] * away_x)
    truth[shape[0] // 2, shape[1] // 2] = 1.0
    return CorrelationMap(raw, truth)


def symmetric_map(shape: tuple[int, int], seed: int) -> SymmetricMap:
    """Simulate a ring with four spots, such as a Fourier transform shows them."""
    rng = np.random.default_rng([27, seed])
    y, x = (np.arange(n) - n // 2 for n in shape)
    radius = np.hypot(y[:, None], x)
    ring = rng.uniform(0.25, 0.35) * min(shape)
    raw = np.exp(-(((radius - ring) / 1.5) ** 2) / 2)
    raw += ((np.abs(y)[:, None] == 7) & (x == 0)) + ((y[:, None] == 0) & (np.abs(x) == 7))
    raw[shape[0] // 2, shape[1] // 2] = 1.0
    return SymmetricMap(raw)


def lattice_map(shape: tuple[int, int], hexagonal: bool, seed: int) -> LatticeMap:
    """Simulate an atomic lattice at a random angle with noise as strong as it is."""
    rng = np.random.default_rng([28, seed])
    directions = rng.uniform(0.1, 0.4) + np.deg2rad([0, 60, 120] if hexagonal else [0, 90])
    waves = 2 * np.pi / 6.3 * np.stack([np.sin(directions), np.cos(directions)], axis=1)
    y, x = np.indices(shape)
    clean = np.zeros(shape)
    for wave, phase in zip(waves, rng.uniform(0, 2 * np.pi, len(waves)), strict=True):
        clean += np.cos(wave[0] * y + wave[1] * x + phase)
    raw = clean + clean.std() * rng.standard_normal(shape)
    return LatticeMap(raw, np.vstack([waves, -waves]))


def _pair(point: Array) -> tuple[float, float]:
    return float(point[0]), float(point[1])
