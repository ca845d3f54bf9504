"""Stepped surfaces with the disturbances of a scan, and the truth of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

__all__ = ["Surface", "stepped"]


@dataclass(frozen=True)
class Surface:
    """A simulated scan and its parts: distances (px) are from the step, rows and columns in px."""

    image: NDArray[np.float64]
    distance: NDArray[np.float64]
    offsets: NDArray[np.float64]
    adsorbates: NDArray[np.float64]

    def height(self, levelled: NDArray[np.float64], away: float = 12.0) -> float:
        """Take the difference of the two sides' means, beyond a distance from the step."""
        upper, lower = self.distance > away, self.distance < -away
        return float(np.nanmean(levelled[upper]) - np.nanmean(levelled[lower]))


def stepped(
    angle: float = 45.0,
    *,
    shape: tuple[int, int] = (160, 160),
    height: float = 0.25,
    width: float = 1.0,
    noise: float = 0.01,
    offsets: float = 0.0,
    tilt: tuple[float, float] = (0.0, 0.0),
    adsorbates: int = 0,
    rings: int = 0,
    atoms: float = 0.0,
    seed: int = 0,
) -> Surface:
    """Simulate one step at an angle (degrees) to the fast axis; lengths in px, heights in nm."""
    random = np.random.default_rng(seed)
    rows, columns = np.indices(shape, dtype=float)
    turn = np.deg2rad(angle)
    centre = (np.array(shape) - 1) / 2
    distance = (rows - centre[0]) * np.cos(turn) - (columns - centre[1]) * np.sin(turn) + 0.2
    image = height * (1 + erf(distance / (np.sqrt(2) * width))) / 2
    places = random.uniform(0.1, 0.9, (adsorbates + rings, 2)) * shape
    for number, (row, column) in enumerate(places):
        away = np.hypot(rows - row, columns - column)
        if number < adsorbates:
            image += random.choice([0.15, -0.1]) * np.exp(-((away / random.uniform(2, 5)) ** 2))
        else:
            image += 0.02 * np.cos(2 * np.pi * away / 11) / np.sqrt(1 + away / 5)
            image -= 0.05 * np.exp(-((away / 2.5) ** 2))
    image += atoms * np.cos(2 * np.pi * (0.14 * columns + 0.02 * rows))
    image += atoms * np.cos(2 * np.pi * (0.13 * rows - 0.05 * columns))
    rough = random.normal(0, offsets, shape[0]) if offsets else np.zeros(shape[0])
    image += rough[:, None] + tilt[0] * rows + tilt[1] * columns
    return Surface(image + random.normal(0, noise, shape), distance, rough, places)
