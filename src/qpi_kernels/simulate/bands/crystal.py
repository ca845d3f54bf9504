"""`CrystalBand`: a tight-binding Hamiltonian given site by site, normal or superconducting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qpi_kernels.simulate.bands.band import Band

if TYPE_CHECKING:
    import torch

__all__ = ["Bond", "CrystalBand"]

Point = tuple[float, float]
Bond = tuple[int, int, int, int, complex]
"""``(i, j, a, b, t)``: from orbital a of a cell to b of the cell ``i a1 + j a2`` away, t in eV."""


@dataclass(frozen=True)
class CrystalBand(Band):
    r"""Tight-binding Hamiltonian of the orbitals of a cell, by its bonds.

    :math:`H_{ab}(k) = \epsilon_a \delta_{ab} + \sum_R t_{ab}(R)\, e^{i k (R + r_b - r_a)}`, the
    atomic gauge, with the reverse of each bond. Pairings make it a singlet superconductor in Nambu
    form, :math:`\begin{pmatrix} H & \Delta \\ \Delta^\dagger & -H^T(-k) \end{pmatrix}`, for
    electrons with spin up and holes with spin down.

    Parameters
    ----------
    vectors_nm : tuple
        Primitive vectors ((x, y), (x, y)).
    sites_nm : tuple
        Place (x, y) of each orbital in the cell; several may share one.
    onsite : tuple of float
        Energy of each orbital in eV.
    bonds : tuple of Bond
        One of each bond and its reverse.
    weights : tuple of float
        Density that the tip sees of each orbital, relative to the others.
    pairings : tuple of Bond
        Singlet pairing likewise, in eV; ``(0, 0, a, a, gap)`` pairs within an orbital.
    """

    vectors_nm: tuple[Point, Point]
    sites_nm: tuple[Point, ...]
    onsite: tuple[float, ...]
    bonds: tuple[Bond, ...]
    weights: tuple[float, ...]
    pairings: tuple[Bond, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.sites_nm)
        if not count or len(self.onsite) != count or len(self.weights) != count:
            raise ValueError("sites_nm, onsite and weights must be of one length, at least 1")
        if any(not 0 <= orbital < count for bond in self.bonds for orbital in bond[2:4]):
            raise ValueError(f"bonds must join orbitals 0 to {count - 1}")
        real = not any(complex(bond[4]).imag for bond in (*self.bonds, *self.pairings))
        object.__setattr__(self, "lattice", np.array(self.vectors_nm, float))
        object.__setattr__(self, "orbitals", count * (2 if self.pairings else 1))
        object.__setattr__(self, "reciprocity", real)

    @property
    def electrons(self) -> int:
        """Number of orbitals that the tip sees: without those of holes."""
        return len(self.sites_nm)

    @property
    def channels(self) -> torch.Tensor:
        """Orbitals are seen one by one, by the root of their weights; holes are not."""
        import torch

        seen = torch.tensor(self.weights, dtype=torch.float64).sqrt().diag()
        return torch.nn.functional.pad(seen, (0, self.orbitals - self.electrons))

    def bloch(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Compute H with the phases of cells, not of places within them.

        Parameters
        ----------
        first, second : tensor
            Phases ``k.a1`` and ``k.a2``, of one shape (...).

        Returns
        -------
        tensor, complex, (m, m, ...)
        """
        normal = self._sum(self.bonds, first, second)
        for orbital, energy in enumerate(self.onsite):
            normal[orbital, orbital] += energy
        if not self.pairings:
            return normal
        import torch

        paired = self._sum(self.pairings, first, second)
        holes = -self._sum(self.bonds, -first, -second).transpose(0, 1)
        for orbital, energy in enumerate(self.onsite):
            holes[orbital, orbital] -= energy
        adjoint = paired.transpose(0, 1).conj()
        return torch.cat([torch.cat([normal, paired], 1), torch.cat([adjoint, holes], 1)])

    def hamiltonian(self, kx: torch.Tensor, ky: torch.Tensor) -> torch.Tensor:
        """Compute H as a complex (m, m, ...) tensor."""
        import torch

        (first_x, first_y), (second_x, second_y) = self.vectors_nm
        total = self.bloch(first_x * kx + first_y * ky, second_x * kx + second_y * ky)
        sites = torch.tensor(self.sites_nm * (self.orbitals // self.electrons)).to(kx)
        x, y = (sites[:, axis].view(-1, *[1] * kx.ndim) for axis in (0, 1))
        phase = torch.exp(1j * (x * kx + y * ky))
        return total * phase.conj()[:, None] * phase[None]

    def _sum(
        self, bonds: tuple[Bond, ...], first: torch.Tensor, second: torch.Tensor
    ) -> torch.Tensor:
        """Sum bonds and their reverses, (orbital, orbital, ...)."""
        import torch

        count = self.electrons
        total = torch.zeros((count, count, *first.shape), dtype=first.dtype.to_complex())
        total = total.to(first.device)
        for i, j, a, b, hopping in bonds:
            wave = hopping * torch.exp(1j * (i * first + j * second))
            # A pairing within an orbital is its own reverse.
            total[a, b] += wave
            if (i, j, a) != (0, 0, b):
                total[b, a] += wave.conj()
        return total
