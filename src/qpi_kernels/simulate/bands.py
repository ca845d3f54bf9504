"""Band models: the energy of a state with wave vector k."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["HBAR2_OVER_2M", "Band", "ParabolicBand", "TriangularBand"]

HBAR2_OVER_2M = 0.0380998
"""hbar^2 / (2 m_e) in eV nm^2 (CODATA 2018)."""


class Band(Protocol):
    """A single band."""

    def energy(self, kx: NDArray[np.float64], ky: NDArray[np.float64]) -> NDArray[np.float64]:
        """Energy in eV from the Fermi level at wave vectors in rad/nm."""
        ...

    def smallest_damping(self, energy: float, broadening: float) -> float:
        """Smallest Im k in 1/nm of the waves at an energy, given their broadening, both in eV."""
        ...


@dataclass(frozen=True)
class ParabolicBand:
    """Free-electron-like surface state, ``E = onset + hbar^2 k^2 / (2 mass m_e)``.

    Parameters
    ----------
    mass : float
        Effective mass in electron masses.
    onset : float
        Band bottom in eV from the Fermi level; Cu(111) is near mass 0.41, onset -0.44, Ag(111)
        near 0.40, -0.065.
    """

    mass: float
    onset: float

    def energy(self, kx: NDArray[np.float64], ky: NDArray[np.float64]) -> NDArray[np.float64]:
        """Energy in eV at wave vectors in rad/nm."""
        return np.asarray(self.onset + HBAR2_OVER_2M / self.mass * (kx**2 + ky**2))

    def wave_number(self, energy: float, broadening: float = 0.0) -> complex:
        """Complex wave number in 1/nm at an energy and half-width broadening in eV."""
        return complex(np.sqrt((energy - self.onset + 1j * broadening) * self.mass / HBAR2_OVER_2M))

    def smallest_damping(self, energy: float, broadening: float) -> float:
        """Im k in 1/nm."""
        return self.wave_number(energy, broadening).imag


@dataclass(frozen=True)
class TriangularBand:
    """Nearest-neighbour hopping on a triangular lattice.

    ``E = centre - 2 t (cos k.a1 + cos k.a2 + cos k.(a1 - a2))``, ``a1`` along x.

    Parameters
    ----------
    hopping : float
        t in eV.
    lattice : float
        Lattice constant in nm.
    centre : float
        On-site energy in eV from the Fermi level.
    """

    hopping: float
    lattice: float
    centre: float = 0.0

    def energy(self, kx: NDArray[np.float64], ky: NDArray[np.float64]) -> NDArray[np.float64]:
        """Energy in eV at wave vectors in rad/nm; periodic in the reciprocal lattice."""
        along = kx * self.lattice
        half, across = along / 2, ky * self.lattice * np.sqrt(3) / 2
        return np.asarray(
            self.centre - 2 * self.hopping * (np.cos(along) + 2 * np.cos(half) * np.cos(across))
        )

    def smallest_damping(self, energy: float, broadening: float) -> float:
        """Im k in 1/nm for the fastest group velocity, about 2 sqrt(3) t a."""
        return float(broadening / (2 * np.sqrt(3) * abs(self.hopping) * self.lattice))
