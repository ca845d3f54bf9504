"""Maps of overlapping Friedel rings for the tests of detection and snapping."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.special import hankel1


def ring_pattern(radius, wavelength=8.0, phase=0.7, core=1.5):
    """Re[exp(i phase) H0(k r)^2], whose rings are ``wavelength`` apart, plus a Gaussian core."""
    wave = hankel1(0, np.pi / wavelength * np.hypot(radius, 1.0)) ** 2
    return (np.exp(1j * phase) * wave).real + core * np.exp(-(radius**2) / 8.0)


@dataclass(frozen=True)
class RingMap:
    image: np.ndarray
    positions: np.ndarray


@pytest.fixture
def ring_map():
    """Give the function that draws a map; see `_ring_map`."""
    return _ring_map


def _ring_map(seed, snr, count=30, side=256, apart=9.0, border=0.0, **pattern):
    """Draw defects at least ``apart`` px apart; ``snr`` is signal over noise variance."""
    random = np.random.default_rng(seed)
    positions = np.empty((0, 2))
    while len(positions) < count:
        new = random.uniform(border, side - 1 - border, 2)
        if (np.hypot(*(positions - new).T) >= apart).all():
            positions = np.vstack([positions, new])
    rows, cols = np.mgrid[:side, :side]
    image = np.zeros((side, side))
    for strength, (row, col) in zip(random.normal(1, 0.15, count), positions, strict=True):
        image += strength * ring_pattern(np.hypot(rows - row, cols - col), **pattern)
    return RingMap(image + random.normal(0, image.std() / np.sqrt(snr), image.shape), positions)
