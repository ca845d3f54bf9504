"""Random choices of crystals: lattices, bonds, and impurities on their sites."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.simulate.bands.crystal import Bond
from qpi_kernels.simulate.scattering.site_impurity import SiteImpurity

__all__ = [
    "Basis",
    "as_points",
    "as_rows",
    "as_vectors",
    "centred",
    "draw_bonds",
    "draw_potential",
    "draw_strength",
    "hexagonal",
    "nearest_sites",
    "oblique",
    "rectangular",
    "square",
]

Vectors = NDArray[np.float64]
Lattice = Callable[[np.random.Generator], Vectors]
Point = tuple[float, float]
Rows = tuple[tuple[float, ...], ...]

# Bonds reach so many times the shortest, and amplitudes are of this size, in eV.
_REACH, HOPPING = 2.1, 0.3
_CLOSE = 1e-6


@dataclass(frozen=True)
class Basis:
    """The sites of a cell, and where its defects sit.

    Parameters
    ----------
    places : tuple of (float, float)
        In units of the primitive vectors.
    classes : tuple of int
        Sites of one class are alike.
    centres : tuple of (float, float)
        Of the defects, which take the nearest sites: a site, the middle of a bond or a plaquette.
    """

    places: tuple[tuple[float, float], ...]
    classes: tuple[int, ...]
    centres: tuple[tuple[float, float], ...]


def oblique(rng: np.random.Generator) -> Vectors:
    """Draw primitive vectors, the first of length 1, of an oblique lattice."""
    angle, ratio = np.deg2rad(rng.uniform(62, 86)), rng.uniform(1.05, 1.6)
    return np.array([[1.0, 0.0], [ratio * np.cos(angle), ratio * np.sin(angle)]])


def rectangular(rng: np.random.Generator) -> Vectors:
    """Draw those of a primitive rectangular lattice."""
    return np.diag([1.0, rng.uniform(1.15, 2.0)])


def centred(rng: np.random.Generator) -> Vectors:
    """Draw those of a centred rectangular lattice, far from square and hexagonal."""
    half = np.deg2rad(rng.choice([rng.uniform(33, 41), rng.uniform(49, 56)]))
    return np.array([[np.cos(half), -np.sin(half)], [np.cos(half), np.sin(half)]])


def square(rng: np.random.Generator) -> Vectors:
    """Return those of the square lattice."""
    return np.eye(2)


def hexagonal(rng: np.random.Generator) -> Vectors:
    """Return those of the hexagonal lattice, at 60 degrees."""
    return np.array([[1.0, 0.0], [0.5, np.sqrt(0.75)]])


def draw_bonds(
    rng: np.random.Generator,
    vectors: Vectors,
    sites: NDArray[np.float64],
    classes: Sequence[int],
    *,
    symmetric: bool,
    phases: bool = False,
) -> tuple[Bond, ...]:
    """Draw hoppings to several shells of neighbours.

    Parameters
    ----------
    vectors, sites : array, (2, 2) and (m, 2)
        Primitive vectors and places of orbitals.
    classes : sequence of int
        Of the orbitals.
    symmetric : bool
        Whether bonds of one length between orbitals of the same classes are equal, which keeps
        all symmetries of the lattice.
    phases : bool
        Whether hoppings are complex, as with a flux or spin-orbit coupling.
    """
    cells = [(i, j) for i in range(-3, 4) for j in range(-3, 4)]
    found: list[tuple[float, tuple[int, int, int, int]]] = []
    for i, j in cells:
        for a in range(len(sites)):
            for b in range(len(sites)):
                # One of each bond and its reverse.
                if (i, j, a, b) > (-i, -j, b, a):
                    away = np.hypot(*(np.array([i, j]) @ vectors + sites[b] - sites[a]))
                    found.append((float(away), (i, j, a, b)))
    shortest = min(away for away, _ in found if away > _CLOSE)
    decay = rng.uniform(1.0, 2.5)
    amplitudes: dict[object, complex] = {}
    bonds = []
    for away, (i, j, a, b) in sorted(found):
        shell = away / shortest
        if shell > _REACH:
            continue
        key: object = (i, j, a, b)
        if symmetric:
            key = (*sorted((classes[a], classes[b])), round(shell, 3))
        if key not in amplitudes:
            amplitudes[key] = _amplitude(rng, shell, decay, phases)
        bonds.append((i, j, a, b, amplitudes[key]))
    return tuple(bonds)


def _amplitude(rng: np.random.Generator, shell: float, decay: float, phases: bool) -> complex:
    """Draw a hopping over a distance in units of the shortest bond; 0 mixes orbitals of a site."""
    nearest = shell < 1 + _CLOSE
    size = rng.uniform(0.4, 1.0) * rng.choice([-1, 1]) if nearest else rng.uniform(-0.8, 0.8)
    value = HOPPING * float(size) * float(np.exp(-decay * max(shell - 1, 0.0)))
    return value * np.exp(1j * float(rng.uniform(-0.8, 0.8))) if phases else value


def nearest_sites(
    vectors: Vectors, sites: NDArray[np.float64], centre: NDArray[np.float64]
) -> tuple[tuple[int, int, int], ...]:
    """List the sites (i, j, a) nearest to a point, all at one distance; of a place, one orbital."""
    candidates: dict[bytes, tuple[float, tuple[int, int, int]]] = {}
    for i in range(-3, 4):
        for j in range(-3, 4):
            for a, site in enumerate(sites):
                place = np.array([i, j]) @ vectors + site
                away = float(np.hypot(*(place - centre)))
                candidates.setdefault((place + 100).round(6).tobytes(), (away, (i, j, a)))
    nearest = min(away for away, _ in candidates.values())
    return tuple(
        sorted(site for away, site in candidates.values() if away < nearest * (1 + 1e-5) + _CLOSE)
    )


def draw_potential(
    rng: np.random.Generator, vectors: Vectors, sites: NDArray[np.float64], chosen: SiteImpurity
) -> SiteImpurity:
    """Draw energies on the sites of an impurity, equal, and changed hoppings between neighbours.

    From weak to unitary, of both signs; three in ten are magnetic.
    """
    count = len(chosen.sites)
    places = np.array([(i, j) @ vectors + sites[a] for i, j, a in chosen.sites])
    between = np.linalg.norm(places[:, None] - places, axis=-1)
    matrix = draw_strength(rng) * np.eye(count)
    if count > 1 and rng.random() < 0.5:
        near = (between > _CLOSE) & (between < between[between > _CLOSE].min() * (1 + 1e-5))
        matrix = matrix * float(rng.random() < 0.5) + rng.uniform(-1, 1) * HOPPING * near
    exchange = float(rng.uniform(0.5, 2.0)) if rng.random() < 0.3 else 0.0
    return SiteImpurity(chosen.sites, as_rows(matrix), exchange)


def draw_strength(rng: np.random.Generator) -> float:
    """Draw a potential in eV, a third of a hopping to thirty."""
    size = np.exp(rng.uniform(np.log(0.3), np.log(30.0)))
    return float(HOPPING * size * rng.choice([-1, 1]))


def as_vectors(vectors: Vectors) -> tuple[Point, Point]:
    """Turn primitive vectors into tuples."""
    first, second = as_points(vectors)
    return first, second


def as_points(places: NDArray[np.float64]) -> tuple[Point, ...]:
    """Turn places into tuples."""
    return tuple((float(x), float(y)) for x, y in places)


def as_rows(matrix: NDArray[np.float64]) -> Rows:
    """Turn a matrix into tuples, which recipes compare and hash."""
    return tuple(tuple(float(value) for value in row) for row in matrix)
