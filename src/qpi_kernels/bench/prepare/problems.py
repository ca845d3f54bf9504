"""Raw maps whose truth is known: drift, row offsets, steps and a tone.

Lengths along the map are in px, heights in nm. The generators use plain numpy, nothing of
`prepare`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["DriftMap", "Lattice", "StepMap", "Task", "ToneMap", "drift_map", "step_map", "tone_map"]

Lattice = Literal["square", "hexagonal"]
Task = Literal["drift", "rows", "step", "tone"]
"""A way makes the prepared map of a raw one; of drift, the displacement u (2, y, x) in px with
which the program resamples: its result at r shows the raw map at r + u."""
Array = NDArray[np.float64]

_SPACING_PX = 8.0
_DRIFT_PX = 1.5
_STEP_NM, _NOISE_NM = 0.25, 0.01
_ADSORBATE_NM, _ADSORBATE_PX, _ADSORBATES = 0.12, 3.0, 12
_TONE_SHARE = 0.5


@dataclass(frozen=True)
class DriftMap:
    """A lattice seen through drift: ``raw`` at s shows the ideal lattice at s - drift(s)."""

    raw: Array
    drift: Callable[[Array], Array]
    """Drift in px of points (2, ...) in px, rows then columns."""


@dataclass(frozen=True)
class StepMap:
    """A tilted map with row offsets, with or without a step."""

    raw: Array
    without_rows: Array
    """The same map before the row offsets came, noise included."""
    distance_px: Array
    """Signed distance from the step edge."""
    flat: NDArray[np.bool_]
    """Pixels without an adsorbate."""
    height_nm: float
    rows_nm: float
    """Rms of the row offsets."""


@dataclass(frozen=True)
class ToneMap:
    """Rings of defects with a tone of pickup on them."""

    raw: Array
    clean: Array
    tone: Array
    wave: tuple[float, float]
    """Wave vector of the tone in rad/px, rows then columns."""


def drift_map(lattice: Lattice, shape: tuple[int, int], snr: float, seed: int) -> DriftMap:
    """Simulate an atomic lattice with drift as slow as the frame.

    Parameters
    ----------
    lattice : {"square", "hexagonal"}
        Its rows are 8 px apart, at a random angle.
    shape : tuple of int
        Rows and columns.
    snr : float
        Variance of the lattice over that of the noise.
    seed : int
        Of angle, drift and noise.
    """
    rng = np.random.default_rng([11, seed])
    angle = rng.uniform(0.1, 0.4)
    directions = angle + (np.array([0, 90]) if lattice == "square" else np.array([0, 60, 120])) * (
        np.pi / 180
    )
    waves = 2 * np.pi / _SPACING_PX * np.stack([np.sin(directions), np.cos(directions)], axis=1)
    phases = rng.uniform(0, 2 * np.pi, len(waves))
    swing = rng.uniform(0, 2 * np.pi, (2, 2))
    creep = rng.uniform(-1, 1, 2)

    def drift(points: Array) -> Array:
        """Make a swing with the period of the frame along both axes, and creep down the rows."""
        y, x = points[0] / shape[0], points[1] / shape[1]
        return np.stack(
            [
                _DRIFT_PX
                * (
                    np.cos(2 * np.pi * y + swing[axis, 0])
                    + 0.5 * np.cos(2 * np.pi * x + swing[axis, 1])
                )
                + creep[axis] * np.log1p(20 * np.clip(y, 0, None))
                for axis in range(2)
            ]
        )

    points = np.mgrid[: shape[0], : shape[1]].astype(float)
    ideal = points - drift(points)
    clean = sum(
        np.cos(np.tensordot(wave, ideal, 1) + phase)
        for wave, phase in zip(waves, phases, strict=True)
    )
    assert isinstance(clean, np.ndarray)
    noise = clean.std() / np.sqrt(snr) * rng.standard_normal(shape)
    return DriftMap(clean + noise, drift)


def step_map(angle: float | None, rows_nm: float, shape: tuple[int, int], seed: int) -> StepMap:
    """Simulate a tilted topograph with adsorbates, noise and row offsets.

    Parameters
    ----------
    angle : float or None
        Degrees between the step and the rows; None for a map without a step.
    rows_nm : float
        Rms of the row offsets.
    shape : tuple of int
        Rows and columns.
    seed : int
        Of everything that is random.
    """
    rng = np.random.default_rng([12, seed])
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    theta = np.deg2rad(0.0 if angle is None else angle)
    middle = np.array(shape) * (0.5 + rng.uniform(-0.1, 0.1, 2))
    distance = (y - middle[0]) * np.cos(theta) - (x - middle[1]) * np.sin(theta)
    height = 0.0 if angle is None else _STEP_NM
    slope = rng.uniform(-1, 1, 2) * _STEP_NM / max(shape)
    surface = slope[0] * y + slope[1] * x - height / 2 * np.tanh(distance)
    flat = np.ones(shape, bool)
    for row, column in rng.uniform(0, 1, (_ADSORBATES, 2)) * shape:
        radius = np.hypot(y - row, x - column)
        surface += _ADSORBATE_NM * np.exp(-((radius / _ADSORBATE_PX) ** 2) / 2)
        flat &= radius > 4 * _ADSORBATE_PX
    surface += _NOISE_NM * rng.standard_normal(shape)
    offsets = rows_nm * rng.standard_normal(shape[0])
    rows = np.arange(shape[0])
    offsets -= np.polyval(np.polyfit(rows, offsets, 1), rows)
    return StepMap(
        surface + offsets[:, None], surface, distance, flat, height, float(offsets.std())
    )


def tone_map(shape: tuple[int, int], seed: int) -> ToneMap:
    """Simulate rings of defects with noise, and a tone between the points of the FFT.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    seed : int
        Of defects, noise and the tone.
    """
    rng = np.random.default_rng([13, seed])
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    clean = np.zeros(shape)
    for row, column in rng.uniform(0, 1, (15, 2)) * shape:
        radius = np.hypot(y - row, x - column)
        clean += np.cos(0.7 * radius) * np.exp(-radius / 20) / np.sqrt(1 + radius)
    clean += 0.3 * clean.std() * rng.standard_normal(shape)
    # Half a point off the grid, the worst case of a notch.
    points = np.floor([rng.uniform(0.05, 0.2) * shape[0], 0.28 * shape[1]]) + 0.5
    wave = 2 * np.pi * points / shape
    amplitude = _TONE_SHARE * np.sqrt(2) * clean.std()
    tone = amplitude * np.cos(wave[0] * y + wave[1] * x + rng.uniform(0, 2 * np.pi))
    return ToneMap(clean + tone, clean, tone, (float(wave[0]), float(wave[1])))
