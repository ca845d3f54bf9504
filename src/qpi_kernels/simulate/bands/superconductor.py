"""Superconductors in Nambu form: a cuprate with a d-wave gap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qpi_kernels.simulate.bands.band import Band, complex_matrix, identity, pauli_z
from qpi_kernels.simulate.bands.material import Material

if TYPE_CHECKING:
    import torch

__all__ = ["MATERIALS", "CuprateSuperconductor"]


@dataclass(frozen=True)
class CuprateSuperconductor(Band):
    """Bi2Sr2CaCu2O8-like band with ``Delta(k) = gap (cos kx a - cos ky a) / 2``.

    The six-term band is that of Norman et al., PRB 52, 615 (1995). ``H = [[e, D], [D, -e]]`` acts
    on an electron with spin up and a hole with spin down, and the tip sees the electron. At a
    non-magnetic impurity the other spin contributes the same; at a magnetic one what is shown is
    spin up alone, and spin down is the kernel of the opposite exchange.

    Parameters
    ----------
    gap : float
        Largest gap in eV; 0 gives the normal state.
    lattice_nm : float
        Lattice constant.
    shift : float
        Added to the band's energy in eV, to change the doping.
    """

    gap: float = 0.04
    lattice_nm: float = 0.383
    shift: float = 0.0
    orbitals = 2
    reciprocity = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "lattice", self.lattice_nm * np.eye(2))

    @property
    def channels(self) -> torch.Tensor:
        """One: the electron."""
        import torch

        return torch.tensor([[1.0, 0.0]], dtype=torch.float64)

    def potential(self, kind: str) -> torch.Tensor:
        """Return tau_z for a potential, the identity for a classical spin along the normal."""
        return identity(2) if kind == "magnetic" else pauli_z()

    def energy(self, kx: torch.Tensor, ky: torch.Tensor) -> torch.Tensor:
        """Compute the normal-state energy in eV at wave vectors in rad/nm."""
        x, y = self.lattice_nm * kx, self.lattice_nm * ky
        cx, cy, c2x, c2y = x.cos(), y.cos(), (2 * x).cos(), (2 * y).cos()
        return (
            0.1305
            + self.shift
            - 0.5951 * (cx + cy) / 2
            + 0.1636 * cx * cy
            - 0.0519 * (c2x + c2y) / 2
            - 0.1117 * (c2x * cy + cx * c2y) / 2
            + 0.0510 * c2x * c2y
        )

    def hamiltonian(self, kx: torch.Tensor, ky: torch.Tensor) -> torch.Tensor:
        """Compute H as a (2, 2, ...) tensor."""
        energy = self.energy(kx, ky)
        pairing = self.gap * ((self.lattice_nm * kx).cos() - (self.lattice_nm * ky).cos()) / 2
        return complex_matrix([[energy, pairing], [pairing, -energy]])


MATERIALS = [
    Material(
        "Bi2212", "Bi2212-like", "d-wave superconductor: the octet of a cuprate's banana contours.",
        CuprateSuperconductor, bias=-0.02, bias_range=(-0.04, 0.04), broadening=0.006,
        pixel_nm=0.09, tip_nm=0.12, strength=0.05, density=10.0, cluster_nm=0.383,
        impurities=("point", "phase_shift", "magnetic", "cluster"),
    ),
]  # fmt: skip
