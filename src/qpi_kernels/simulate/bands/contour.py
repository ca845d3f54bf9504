"""The contour of constant energy of a band: how fast its waves are, and how far off it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["Contour", "find_contour"]

_SAMPLES = 64

Hamiltonian = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Contour(NamedTuple):
    """Speed, distance and momentum that limit how far waves of an energy reach.

    Parameters
    ----------
    speed : float
        Fastest group velocity |dE/dk| in eV nm.
    distance : float
        From the energy to the nearest state in eV, 0 within a band; a lower bound.
    inside : bool
        Whether there, or nearest, is a state off the border of the momenta searched.
    momentum : float
        Largest |k| of the contour in rad/nm, to half a step of the search; 0 without one.
    """

    speed: float
    distance: float
    inside: bool
    momentum: float


def find_contour(
    hamiltonian: Hamiltonian, span: NDArray[np.float64], energy: float, broadening: float
) -> Contour:
    """Search a mesh of momenta for the states within half the broadening of an energy.

    Where there is no state, the nearest ones count.

    Parameters
    ----------
    hamiltonian : callable
        As `Band.hamiltonian`.
    span : array, (2, 2)
        Two vectors in rad/nm, as rows, that span the momenta to search, about zero.
    energy, broadening : float
        In eV.
    """
    coarse = _Mesh(hamiltonian, np.zeros(2), span)
    meshes, distance = [coarse], 0.0
    if not coarse.crosses(energy):
        # There is a gap, or a contour too small for the mesh.
        meshes.append(_Mesh(hamiltonian, coarse.closest(energy), span * 4 / _SAMPLES))
        if not meshes[-1].crosses(energy):
            distance = meshes[-1].distance(energy)
    # At the edge of a band states stand still, but waves are as fast as those half a width inside.
    margin = distance + max(broadening, distance) / 2
    margin = max(margin, float((meshes[-1].energies - energy).abs().min()))
    speed = max(mesh.speed(energy, margin) for mesh in meshes)
    inside = coarse.crosses(energy) or coarse.nearest_is_inside(energy)
    return Contour(speed, distance, inside, coarse.momentum(energy))


class _Mesh:
    """Energies (m, n, n) and speeds on a mesh of momenta about a centre."""

    def __init__(
        self, hamiltonian: Hamiltonian, centre: NDArray[np.float64], span: NDArray[np.float64]
    ) -> None:
        # Off the points of high symmetry by a trifle, for there cones have no slope.
        steps = (torch.arange(_SAMPLES, dtype=torch.float64) + 0.003) / _SAMPLES - 0.5
        a, b = torch.meshgrid(steps, steps, indexing="ij")
        (first_x, first_y), (second_x, second_y) = span.tolist()
        self.kx = float(centre[0]) + a * first_x + b * second_x
        self.ky = float(centre[1]) + a * first_y + b * second_y
        diagonals = np.linalg.norm([span[0] + span[1], span[0] - span[1]], axis=1)
        self._radius = float(diagonals.max()) / 2 / _SAMPLES
        # So small that bands which cross, and are sorted here, keep their own slopes.
        step = 1e-4 * self._radius
        self.energies, right, down = (
            _eigenvalues(hamiltonian(self.kx + dx, self.ky + dy))
            for dx, dy in ((0.0, 0.0), (step, 0.0), (0.0, step))
        )
        self._speeds = torch.hypot(right - self.energies, down - self.energies) / step
        self._highest = torch.nn.functional.max_pool2d(self.energies, 3, stride=1, padding=1)
        self._lowest = -torch.nn.functional.max_pool2d(-self.energies, 3, stride=1, padding=1)

    def crosses(self, energy: float) -> bool:
        """Tell whether some neighbours lie on both sides of the energy."""
        return bool(((self._lowest <= energy) & (energy <= self._highest)).any())

    def distance(self, energy: float) -> float:
        """Bound from below how far off the energy is, in eV, between the mesh's points too."""
        away = (self.energies - energy).abs() - self._speeds * self._radius
        return max(float(away.min()), 0.0)

    def closest(self, energy: float) -> NDArray[np.float64]:
        """Find the momentum of the state nearest to the energy."""
        cell = int((self.energies - energy).abs().amin(dim=0).argmin())
        return np.array([float(self.kx.flatten()[cell]), float(self.ky.flatten()[cell])])

    def nearest_is_inside(self, energy: float) -> bool:
        """Tell whether no state on the border is nearer to the energy than all others."""
        away = (self.energies - energy).abs()
        return float(away[:, 1:-1, 1:-1].min()) <= float(away.min())

    def momentum(self, energy: float) -> float:
        """Find the largest |k| of the points that lie within half a step of the contour."""
        away = (self.energies - energy).abs()
        crossed = (self._lowest <= energy) & (energy <= self._highest)
        near = (crossed & (away <= self._speeds * self._radius / 2)).any(dim=0)
        return float(torch.where(near, torch.hypot(self.kx, self.ky), 0.0).max())

    def speed(self, energy: float, margin: float) -> float:
        """Find the fastest speed of cells within a margin of the energy, 0 if there is none."""
        near = (self._lowest <= energy + margin) & (energy - margin <= self._highest)
        return float(torch.where(near, self._speeds, 0.0).max())


def _eigenvalues(hamiltonian: torch.Tensor) -> torch.Tensor:
    """Compute band energies (m, ...) of H (m, m, ...)."""
    if len(hamiltonian) == 1:
        return hamiltonian[0].real.double()
    if len(hamiltonian) == 2:
        centre = (hamiltonian[0, 0] + hamiltonian[1, 1]).real / 2
        half = (hamiltonian[0, 0] - hamiltonian[1, 1]).real / 2
        spread = (half.square() + (hamiltonian[0, 1] * hamiltonian[1, 0]).real).clamp(min=0).sqrt()
        return torch.stack([centre - spread, centre + spread]).double()
    values: torch.Tensor = torch.linalg.eigvalsh(hamiltonian.movedim((0, 1), (-2, -1)))
    return values.movedim(-1, 0).double()
