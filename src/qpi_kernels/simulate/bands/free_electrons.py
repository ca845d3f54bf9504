"""Bands of nearly free electrons: round, elliptic and warped contours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qpi_kernels.simulate.bands.band import (
    HBAR2_OVER_2M,
    Band,
    SingleBand,
    complex_matrix,
    too_short,
)
from qpi_kernels.simulate.bands.material import Material

if TYPE_CHECKING:
    import torch

    from qpi_kernels.simulate.bands.contour import Contour

__all__ = [
    "MATERIALS",
    "EllipticBand",
    "NematicPockets",
    "ParabolaPair",
    "ParabolicBand",
    "WarpedBand",
]


@dataclass(frozen=True)
class ParabolicBand(SingleBand):
    """Free-electron-like surface state, ``E = onset + hbar^2 k^2 / (2 mass m_e)``.

    Parameters
    ----------
    mass : float
        Effective mass in electron masses; negative for holes.
    onset : float
        Band bottom in eV from the Fermi level, of holes the top.

    Raises
    ------
    ValueError
        If the mass is zero or a number is not finite.
    """

    mass: float
    onset: float
    reciprocity = True

    def __post_init__(self) -> None:
        if not (np.isfinite(self.mass) and np.isfinite(self.onset) and self.mass):
            raise ValueError("mass and onset must be finite numbers and the mass not zero")

    @classmethod
    def silver(cls) -> ParabolicBand:
        """Return Ag(111): mass 0.397, onset -63 meV (Reinert et al., PRB 63, 115415, 2001)."""
        return cls(mass=0.397, onset=-0.063)

    @classmethod
    def copper(cls) -> ParabolicBand:
        """Return Cu(111): mass 0.412, onset -435 meV (Reinert et al., PRB 63, 115415, 2001)."""
        return cls(mass=0.412, onset=-0.435)

    @classmethod
    def gold(cls) -> ParabolicBand:
        """Return Au(111) without spin splitting: mass 0.255, onset -487 meV (Reinert 2001)."""
        return cls(mass=0.255, onset=-0.487)

    def energy(self, kx: torch.Tensor, ky: torch.Tensor) -> torch.Tensor:
        """Compute the energy in eV at wave vectors in rad/nm."""
        return self.onset + HBAR2_OVER_2M / self.mass * (kx**2 + ky**2)

    def wave_number(self, energy: float, broadening: float = 0.0) -> complex:
        """Compute the complex wave number in 1/nm at an energy and half-width broadening in eV.

        The root whose waves decay outwards; the real part is negative for holes, whose energy runs
        against their momentum.
        """
        square = (energy - self.onset + 1j * broadening) * self.mass / HBAR2_OVER_2M
        root = complex(np.sqrt(square))
        return root if root.imag >= 0 else -root

    def smallest_damping(self, energy: float, broadening: float, pixel_nm: float) -> float:
        """Compute Im k in 1/nm."""
        wave_number = self.wave_number(energy, broadening)
        if abs(wave_number.real) > np.pi / pixel_nm:
            raise too_short(energy, pixel_nm)
        return wave_number.imag

    def contour(self, energy: float, broadening: float, pixel_nm: float) -> Contour:
        """Compute the circle, exactly."""
        from qpi_kernels.simulate.bands.contour import Contour

        curvature = HBAR2_OVER_2M / abs(self.mass)
        above = (energy - self.onset) * float(np.sign(self.mass))
        distance = max(-above, 0.0)
        momentum = float(np.sqrt(max(above, 0.0) / curvature))
        # As of any band, with the states that lie half a width inside.
        inside = max(above, 0.0) + max(broadening, distance) / 2
        return Contour(
            speed=float(2 * np.sqrt(curvature * inside)),
            distance=distance,
            inside=momentum < np.pi / pixel_nm,
            momentum=momentum,
        )


@dataclass(frozen=True)
class EllipticBand(SingleBand):
    """Anisotropic parabola, ``E = onset + hbar^2/(2 m_e) (kx^2/mass_x + ky^2/mass_y)``.

    Parameters
    ----------
    mass_x, mass_y : float
        Effective masses in electron masses; Be(10-10) has a ratio of a few (Hofmann et al., PRL
        79, 265, 1997).
    onset : float
        Band bottom in eV from the Fermi level.
    """

    mass_x: float
    mass_y: float
    onset: float
    reciprocity = True

    def energy(self, kx: torch.Tensor, ky: torch.Tensor) -> torch.Tensor:
        """Compute the energy in eV at wave vectors in rad/nm."""
        return self.onset + HBAR2_OVER_2M * (kx**2 / self.mass_x + ky**2 / self.mass_y)


@dataclass(frozen=True)
class WarpedBand(SingleBand):
    """Parabola with n-fold contours, ``E = onset + hbar^2 k^2/(2m) (1 + warping cos n phi)``.

    Parameters
    ----------
    mass : float
        Effective mass in electron masses.
    onset : float
        Band bottom in eV from the Fermi level.
    fold : int
        n, even. With an odd n time reversal is broken and a point scatterer's kernel still has 2n
        folds, for it holds both g(r) and g(-r).
    warping : float
        Strength, -1 to 1 exclusive; 0.1 to 0.4 gives visibly warped contours.
    """

    mass: float
    onset: float
    fold: int
    warping: float

    def __post_init__(self) -> None:
        if self.fold < 2 or not abs(self.warping) < 1:
            raise ValueError("fold must be at least 2 and warping between -1 and 1")
        object.__setattr__(self, "reciprocity", self.fold % 2 == 0)

    def energy(self, kx: torch.Tensor, ky: torch.Tensor) -> torch.Tensor:
        """Compute the energy in eV at wave vectors in rad/nm."""
        square = kx**2 + ky**2
        cosine = kx * square.clamp(min=1e-30).rsqrt()
        # cos(n phi) by Chebyshev's recurrence, cheaper than an arctangent.
        before, ripple = cosine.new_ones(cosine.shape), cosine
        for _ in range(self.fold - 1):
            before, ripple = ripple, 2 * cosine * ripple - before
        return self.onset + HBAR2_OVER_2M / self.mass * square * (1 + self.warping * ripple)


@dataclass(frozen=True)
class NematicPockets(Band):
    """A hole and an electron pocket, elongated across each other, as in nematic FeSe.

    Two independent ellipses at the zone centre (the electron pocket folded back): holes with band
    top ``hole_top``, electrons with bottom ``electron_bottom``. Which orbital a pocket has lets a
    scatterer act on one of them more, so that scattering looks one-dimensional (Rhodes et al.,
    arXiv 1906.02150; the default numbers follow the orders of magnitude given there).

    Parameters
    ----------
    hole_mass_x, hole_mass_y, electron_mass_x, electron_mass_y : float
        Effective masses in electron masses, all positive.
    hole_top, electron_bottom : float
        Band edges in eV from the Fermi level.
    """

    hole_mass_x: float = 1.0
    hole_mass_y: float = 4.0
    electron_mass_x: float = 3.0
    electron_mass_y: float = 0.8
    hole_top: float = 0.012
    electron_bottom: float = -0.02
    orbitals = 2
    reciprocity = True

    def hamiltonian(self, kx: torch.Tensor, ky: torch.Tensor) -> torch.Tensor:
        """Compute H as a diagonal (2, 2, ...) tensor: holes, electrons."""
        holes = self.hole_top - HBAR2_OVER_2M * (
            kx**2 / self.hole_mass_x + ky**2 / self.hole_mass_y
        )
        electrons = self.electron_bottom + HBAR2_OVER_2M * (
            kx**2 / self.electron_mass_x + ky**2 / self.electron_mass_y
        )
        nothing = kx.new_zeros(kx.shape)
        return complex_matrix([[holes, nothing], [nothing, electrons]])


@dataclass(frozen=True)
class ParabolaPair(Band):
    """Two surface states that do not mix, each a parabola ``E = hbar^2 k^2 / 2m`` from the onset.

    Parameters
    ----------
    first_mass, second_mass : float
        In electron masses.
    onset : float
        Of both, in eV from the Fermi level.
    ratio : float
        Potential, or phase shift, of the second state over that of the first at a scatterer.
    """

    first_mass: float
    second_mass: float
    onset: float = 0.0
    ratio: float = 1.0
    orbitals = 2
    reciprocity = True

    def potential(self, kind: str) -> torch.Tensor:
        """Return the potential of unit strength, unlike for the two states."""
        import torch

        return super().potential(kind) @ torch.diag(torch.tensor([1.0, self.ratio]).double())

    def hamiltonian(self, kx: torch.Tensor, ky: torch.Tensor) -> torch.Tensor:
        """Compute H as a diagonal (2, 2, ...) tensor."""
        square = HBAR2_OVER_2M * (kx**2 + ky**2)
        first, second = (self.onset + square / mass for mass in (self.first_mass, self.second_mass))
        nothing = kx.new_zeros(kx.shape)
        return complex_matrix([[first, nothing], [nothing, second]])


MATERIALS = [
    Material(
        "Ag111", "Ag(111)", "Surface state of silver: round rings, a parabola in energy.",
        ParabolicBand.silver, bias=0.05, bias_range=(-0.05, 0.15), broadening=0.006, pixel_nm=0.3,
        tip_nm=0.2, strength=-1.0, density=1.0, cluster_nm=1.0,
    ),
    Material(
        "Cu111", "Cu(111)", "Surface state of copper: as silver, with shorter waves.",
        ParabolicBand.copper, bias=0.05, bias_range=(-0.3, 0.3), broadening=0.03, pixel_nm=0.15,
        tip_nm=0.1, strength=-1.0, density=4.0, cluster_nm=0.5,
    ),
    Material(
        "Be", "Be-like anisotropic",
        "Anisotropic surface state, as on Be(10-10): two-fold, elliptic rings.",
        lambda: EllipticBand(mass_x=1.2, mass_y=0.4, onset=-0.35), bias=0.05,
        bias_range=(-0.25, 0.25), broadening=0.02, pixel_nm=0.15, tip_nm=0.1, strength=-1.0,
        density=4.0, cluster_nm=0.5,
    ),
    Material(
        "FeSe", "FeSe-like nematic",
        "Crossed hole and electron pockets of a nematic metal, two-fold.", NematicPockets, bias=0.0,
        bias_range=(-0.01, 0.01), broadening=0.0015, pixel_nm=0.4, tip_nm=0.3, strength=0.3,
        density=0.6, cluster_nm=1.0,
    ),
]  # fmt: skip
