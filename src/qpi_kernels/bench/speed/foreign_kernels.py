"""Kernels of families that the bundled library does not have, made without the simulator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import hankel1

__all__ = ["FOREIGN_FAMILIES", "foreign_kernel"]

Image = NDArray[np.float64]

_DECAY_PX = 18.0
_CORE_PX = 1.5
# Sites of a lattice this far from the defect count, in lattice constants.
_LATTICE_CELLS = 12


def foreign_kernel(family: str, side: int, seed: int) -> Image:
    """Make a kernel of a family that the library lacks.

    Lengths are drawn, and are in pixels of a window of 64; others hold the same kernel scaled.

    Parameters
    ----------
    family : str
        Of `FOREIGN_FAMILIES`.
    side : int
        Pixels of the square window, the defect at ``side // 2``.
    seed : int
        Another seed gives another kernel of the family.

    Returns
    -------
    array, (side, side)
        Its root mean square is 1.
    """
    rows, columns = (np.indices((side, side)) - side // 2) * (64 / side)
    kernel = FOREIGN_FAMILIES[family](rows, columns, np.random.default_rng(seed))
    return np.asarray(kernel / np.sqrt(np.square(kernel).mean()))


def _ring(distance: Image, momentum: float, phase: float) -> Image:
    """Return the wave that a point scatterer shows in a two-dimensional electron gas.

    Friedel oscillations as Im(exp(i phase) H0(k r)^2) [Crommie, Lutz, Eigler, Nature 363, 524].
    """
    wave = np.exp(1j * phase) * hankel1(0, momentum * np.maximum(distance, 0.7)) ** 2
    core = 1 - np.exp(-np.square(distance / _CORE_PX))
    return np.asarray(wave.imag * np.exp(-distance / _DECAY_PX) * core)


def _rashba_pair(rows: Image, columns: Image, random: np.random.Generator) -> Image:
    """Add the rings of two spin-split bands."""
    momentum, splitting = random.uniform(0.3, 0.5), random.uniform(0.05, 0.12)
    distance = np.hypot(rows, columns)
    return _ring(distance, momentum, 1.0) + _ring(distance, momentum + splitting, 2.0)


def _plane_waves(rows: Image, columns: Image, random: np.random.Generator) -> Image:
    """Add three to six plane waves of any direction, and let them fade."""
    kernel = np.zeros_like(rows)
    for _ in range(random.integers(3, 7)):
        momentum, angle = random.uniform(0.3, 1.6), random.uniform(0, np.pi)
        along = columns * np.cos(angle) + rows * np.sin(angle)
        wave = np.cos(momentum * along + random.uniform(0, 2 * np.pi))
        kernel += random.uniform(0.4, 1.0) * wave
    return np.asarray(kernel * np.exp(-np.hypot(rows, columns) / random.uniform(8, 16)))


def _two_centres(rows: Image, columns: Image, random: np.random.Generator) -> Image:
    """Add the rings of two scatterers that a defect consists of."""
    momentum, phase = random.uniform(0.3, 0.6), random.uniform(0, np.pi)
    apart, angle = random.uniform(3, 6), random.uniform(0, np.pi)
    down, right = apart * np.sin(angle), apart * np.cos(angle)
    first = _ring(np.hypot(rows - down, columns - right), momentum, phase)
    return first + 0.8 * _ring(np.hypot(rows + down, columns + right), momentum, phase)


def _triangular(rows: Image, columns: Image, random: np.random.Generator) -> Image:
    """Show waves at the sites of a triangular lattice."""
    return _lattice_waves(rows, columns, random, basis=((0.0, 0.0),), spot_px=1.2)


def _kagome(rows: Image, columns: Image, random: np.random.Generator) -> Image:
    """Show waves at the sites of a kagome lattice."""
    basis = ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5))
    return _lattice_waves(rows, columns, random, basis=basis, spot_px=0.9)


def _lattice_waves(
    rows: Image,
    columns: Image,
    random: np.random.Generator,
    *,
    basis: tuple[tuple[float, float], ...],
    spot_px: float,
) -> Image:
    """Add Gaussian spots at lattice sites, as high as a six-fold wave is there.

    Parameters
    ----------
    rows, columns : array
        Places in px, the defect at 0.
    random : Generator
        Draws lattice constant, direction and momentum.
    basis : tuple of (float, float)
        Sites of a cell, in lattice vectors.
    spot_px : float
        Standard deviation of a spot.
    """
    constant, turn, momentum = (
        random.uniform(4, 6.5),
        random.uniform(0, 0.5),
        random.uniform(0.3, 0.7),
    )
    cells: Image = np.arange(-_LATTICE_CELLS, _LATTICE_CELLS + 1.0)
    first, second = (grid.ravel() for grid in np.meshgrid(cells, cells, indexing="ij"))
    kernel = np.zeros_like(rows)
    for along, across in basis:
        place = constant * (first + along + (second + across) * np.exp(1j * np.pi / 3))
        for site in place * np.exp(1j * turn):
            distance, angle = abs(site), np.angle(site)
            wave = np.cos(2 * momentum * distance + 1 + 0.8 * np.cos(6 * angle))
            height = wave / np.sqrt(distance + 1) * np.exp(-distance / 14)
            from_site = np.square(columns - site.real) + np.square(rows - site.imag)
            kernel += height * np.exp(-from_site / (2 * spot_px**2))
    return kernel


def _no_physics(rows: Image, columns: Image, random: np.random.Generator) -> Image:
    """Draw smooth random numbers that fade."""
    side = len(rows)
    waves = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None, :]) * (side / 64)
    spectrum = np.fft.fft2(random.standard_normal((side, side)))
    smooth = np.fft.ifft2(spectrum * np.exp(-np.square(waves / 0.15))).real
    return np.asarray(smooth * np.exp(-np.hypot(rows, columns) / 10))


FOREIGN_FAMILIES: dict[str, Callable[[Image, Image, np.random.Generator], Image]] = {
    "Rashba pair": _rashba_pair,
    "plane waves": _plane_waves,
    "two centres": _two_centres,
    "triangular spots": _triangular,
    "kagome spots": _kagome,
    "no physics": _no_physics,
}
"""Families by name, as functions of rows, columns (px, the defect at 0) and random numbers."""
