"""Bands with spin-orbit coupling: Rashba and warped Dirac surface states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qpi_kernels.simulate.bands.band import HBAR2_OVER_2M, Band, complex_matrix, pauli_z
from qpi_kernels.simulate.bands.material import ImpurityKind, Material

if TYPE_CHECKING:
    import torch

__all__ = ["MATERIALS", "BismuthTellurideIodide", "DiracBand", "RashbaBand", "SpinBand"]

_WITH_SPIN: tuple[ImpurityKind, ...] = ("point", "phase_shift", "magnetic", "trimer", "cluster")


class SpinBand(Band):
    """A spin-1/2 band, ``H = e(k) + b(k).sigma``; the tip sees both spins alike."""

    orbitals = 2

    def scalar(self, kx: torch.Tensor, ky: torch.Tensor) -> torch.Tensor:
        """Compute the spin-independent part e(k) in eV."""
        raise NotImplementedError

    def field(
        self, kx: torch.Tensor, ky: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Compute the spin-orbit field (b_x, b_y, b_z) in eV."""
        raise NotImplementedError

    def hamiltonian(self, kx: torch.Tensor, ky: torch.Tensor) -> torch.Tensor:
        """Compute H as a (2, 2, ...) tensor in the basis of spin up and down along the normal."""
        import torch

        scalar = self.scalar(kx, ky)
        x, y, z = self.field(kx, ky)
        off = torch.complex(x, -y)
        return complex_matrix([[scalar + z, off], [off.conj(), scalar - z]])

    def potential(self, kind: str) -> torch.Tensor:
        """Return the identity, or sigma_z of an impurity moment along the normal."""
        return pauli_z() if kind == "magnetic" else super().potential(kind)


@dataclass(frozen=True)
class RashbaBand(SpinBand):
    """Rashba-split parabola, ``H = onset + hbar^2 k^2/(2m) + alpha (kx sigma_y - ky sigma_x)``.

    Parameters
    ----------
    mass : float
        Effective mass in electron masses.
    onset : float
        Energy at k = 0 in eV from the Fermi level.
    splitting : float
        alpha in eV nm.
    """

    mass: float
    onset: float
    splitting: float

    @classmethod
    def gold(cls) -> RashbaBand:
        """Return Au(111): mass 0.255, onset -487 meV (Reinert 2001), alpha 0.033 eV nm."""
        return cls(mass=0.255, onset=-0.487, splitting=0.033)

    def scalar(self, kx: torch.Tensor, ky: torch.Tensor) -> torch.Tensor:
        """Compute the parabola in eV."""
        return self.onset + HBAR2_OVER_2M / self.mass * (kx**2 + ky**2)

    def field(
        self, kx: torch.Tensor, ky: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Compute the Rashba field in eV."""
        return -self.splitting * ky, self.splitting * kx, kx.new_zeros(kx.shape)


@dataclass(frozen=True)
class DiracBand(SpinBand):
    """Hexagonally warped Dirac cone of a topological insulator's surface (Fu, PRL 103, 266801).

    ``H = centre + v (kx sigma_y - ky sigma_x) + warping (kx^3 - 3 kx ky^2) sigma_z``. A point
    impurity, scalar or magnetic, gives six-fold kernels; a trigonal one three-fold ones.

    Parameters
    ----------
    velocity : float
        v in eV nm.
    warping : float
        lambda in eV nm^3.
    centre : float
        Energy of the Dirac point in eV from the Fermi level.
    """

    velocity: float
    warping: float
    centre: float = 0.0

    @classmethod
    def bismuth_telluride(cls) -> DiracBand:
        """Return Bi2Te3: v 0.255 eV nm, lambda 0.25 eV nm^3 (Fu 2009), Dirac point at -0.3 eV."""
        return cls(velocity=0.255, warping=0.25, centre=-0.3)

    @classmethod
    def bismuth_selenide(cls) -> DiracBand:
        """Return Bi2Se3: v 0.355 eV nm, lambda 0.128 eV nm^3 (Kuroda, PRL 105, 076802), -0.3 eV."""
        return cls(velocity=0.355, warping=0.128, centre=-0.3)

    def scalar(self, kx: torch.Tensor, ky: torch.Tensor) -> torch.Tensor:
        """Return the Dirac point's energy in eV."""
        return kx.new_full(kx.shape, self.centre)

    def field(
        self, kx: torch.Tensor, ky: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Compute the helical field and its warping in eV."""
        warped = self.warping * kx * (kx**2 - 3 * ky**2)
        return -self.velocity * ky, self.velocity * kx, warped


@dataclass(frozen=True)
class BismuthTellurideIodide(SpinBand):
    """BiTeI's giant Rashba band with its higher orders in k.

    ``H = onset + k^2/2m (1 + a4 k^2 + a6 k^4) + v (1 + b3 k^2 + b5 k^4)(kx sigma_y - ky sigma_x)
    + L (1 + g5 k^2)(3 kx^2 - ky^2) ky sigma_z`` with 1/2m = 0.2976 eV nm^2, a4 = -0.0203 nm^2,
    a6 = 0.00875 nm^4, v = 0.313 eV nm, b3 = -0.0201 nm^2, b5 = 0.0323 nm^4, L = -0.0417 eV nm^3 and
    g5 = 0.0243 nm^2, converted from the values in Angstrom in `BenGavan/MPhys-QPI-public`.

    Parameters
    ----------
    onset : float
        Energy at k = 0 in eV from the Fermi level.
    """

    onset: float = -0.352

    def scalar(self, kx: torch.Tensor, ky: torch.Tensor) -> torch.Tensor:
        """Compute the spin-independent part in eV."""
        square = kx**2 + ky**2
        return self.onset + 0.2976 * square * (1 - 0.0203 * square + 0.00875 * square**2)

    def field(
        self, kx: torch.Tensor, ky: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Compute the spin-orbit field in eV."""
        square = kx**2 + ky**2
        rashba = 0.313 * (1 - 0.0201 * square + 0.0323 * square**2)
        warped = -0.0417 * (1 + 0.0243 * square) * (3 * kx**2 - ky**2) * ky
        return -rashba * ky, rashba * kx, warped


MATERIALS = [
    Material(
        "Au111", "Au(111)", "Spin-split surface state of gold: one ring, for spins do not flip.",
        RashbaBand.gold, bias=0.05, bias_range=(-0.3, 0.3), broadening=0.03, pixel_nm=0.15,
        tip_nm=0.1, strength=-1.0, density=4.0, cluster_nm=0.5, impurities=_WITH_SPIN,
    ),
    Material(
        "Bi2Se3", "Bi2Se3",
        "Topological surface state, slightly warped: backscattering is missing.",
        DiracBand.bismuth_selenide, bias=0.1, bias_range=(-0.1, 0.2), broadening=0.01, pixel_nm=0.5,
        tip_nm=0.4, strength=0.2, density=0.4, cluster_nm=1.0, impurities=_WITH_SPIN,
    ),
    Material(
        "Bi2Te3", "Bi2Te3", "Topological surface state, strongly warped: a six-pointed star.",
        DiracBand.bismuth_telluride, bias=0.1, bias_range=(-0.1, 0.15), broadening=0.02,
        pixel_nm=0.45, tip_nm=0.4, strength=5.0, density=0.5, cluster_nm=1.0, impurities=_WITH_SPIN,
    ),
    Material(
        "BiTeI", "BiTeI", "Giant Rashba splitting, warped: scattering between two contours.",
        BismuthTellurideIodide, bias=-0.15, bias_range=(-0.25, 0.0), broadening=0.012, pixel_nm=0.4,
        tip_nm=0.4, strength=0.5, density=0.6, cluster_nm=1.0, impurities=_WITH_SPIN,
    ),
]  # fmt: skip
