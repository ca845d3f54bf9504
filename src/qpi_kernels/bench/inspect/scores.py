"""Errors of transforms, cuts, profiles and symmetrised images, the same for every program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from qpi_kernels.bench.inspect.problems import (
    CorrelationMap,
    CutMap,
    LatticeMap,
    NoisyMap,
    RoundMap,
    SymmetricMap,
    Task,
    Wave,
)
from qpi_kernels.bench.peers import Array, Way

__all__ = ["ERRORS", "measured_error"]

ERRORS: dict[Task, str] = {
    "amplitude": "error of a wave's amplitude, %",
    "wave": "error of its wave number, % of the resolution",
    "noise": "error of the noise's power density, %",
    "cut": "error along a cut, % of the wave's rms",
    "round": "error of a radial profile, % of its maximum",
    "ring": "change of a transform's profile by noise, % of the ring",
    "correlation": "error of the autocorrelation, % of 1",
    "symmetry": "change of a symmetric image, % of its rms",
    "lattice": "error of Bragg vectors, % of the resolution",
}
_RING = (0.5, 1.4)
_ROUNDING = 1e-9


def measured_error(way: Way, problem: Any) -> float:
    """Measure the error of a way on a problem; NaN where it fails or gives something else."""
    try:
        error = _SCORES[way.task](way, problem)
        return 0.0 if error < _ROUNDING else error
    except Exception:  # a program that stops has failed on this image, and the others go on
        return float("nan")


def _amplitude(way: Way, problem: Wave) -> float:
    return 100 * abs(float(way.apply(problem)) / problem.amplitude - 1)


def _wave(way: Way, problem: Wave) -> float:
    return 100 * abs(float(way.apply(problem)) - problem.number) / problem.step


def _noise(way: Way, problem: NoisyMap) -> float:
    return 100 * abs(float(way.apply(problem)) / problem.sigma**2 - 1)


def _cut(way: Way, problem: CutMap) -> float:
    rows, columns, values = way.apply(problem).T
    truth = problem.truth(rows, columns)
    return float(100 * _rms(values - truth) / _rms(truth))


def _round(way: Way, problem: RoundMap) -> float:
    radius, values = way.apply(problem).T
    inside = radius < 0.45 * min(problem.raw.shape)
    return float(100 * _rms((values - problem.truth(radius))[inside]))


def _ring(way: Way, problem: NoisyMap) -> float:
    """Compare the profiles of the noisy and of the clean map, by the same way."""
    q, noisy = way.apply(problem).T
    _, clean = way.apply(NoisyMap(problem.clean, problem.clean, 0.0)).T
    shown = (q > _RING[0]) & (q < _RING[1])
    return float(100 * _rms((noisy - clean)[shown]) / clean[shown].max())


def _correlation(way: Way, problem: CorrelationMap) -> float:
    """Compare shifts of up to 0.4 of the frame, without those within a px of zero."""
    away = way.apply(problem) - problem.truth
    rows, columns = (np.abs(np.arange(n) - n // 2) for n in problem.raw.shape)
    shown = (rows[:, None] < 0.4 * rows.size) & (columns < 0.4 * columns.size)
    shown &= (rows[:, None] > 1) | (columns > 1)
    return float(100 * _rms(away[shown]))


def _symmetry(way: Way, problem: SymmetricMap) -> float:
    return float(100 * _rms(way.apply(problem) - problem.raw) / _rms(problem.raw))


def _lattice(way: Way, problem: LatticeMap) -> float:
    """Measure the farthest Bragg vector from the nearest one found."""
    found = way.apply(problem)
    apart = np.linalg.norm(problem.waves[:, None] - found, axis=-1).min(axis=1)
    return float(100 * apart.max() / (2 * np.pi / max(problem.raw.shape)))


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


_SCORES: dict[str, Callable[[Way, Any], float]] = {
    "amplitude": _amplitude,
    "wave": _wave,
    "noise": _noise,
    "cut": _cut,
    "round": _round,
    "ring": _ring,
    "correlation": _correlation,
    "symmetry": _symmetry,
    "lattice": _lattice,
}
