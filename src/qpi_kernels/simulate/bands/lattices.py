"""Tight-binding bands on square, triangular and honeycomb lattices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qpi_kernels.simulate.bands.band import Band, SingleBand, complex_matrix
from qpi_kernels.simulate.bands.material import Material

if TYPE_CHECKING:
    import torch

__all__ = ["MATERIALS", "GrapheneBand", "SquareBand", "TriangularBand"]

_ROOT3 = float(np.sqrt(3.0))
# One vector (i, j) of each pair +-R of the shells, in units of a1, a2 at 60 degrees.
_TRIANGULAR_SHELLS: tuple[tuple[tuple[int, int], ...], ...] = (
    ((1, 0), (0, 1), (1, -1)),
    ((1, 1), (2, -1), (1, -2)),
    ((2, 0), (0, 2), (2, -2)),
    ((2, 1), (1, 2), (3, -1), (3, -2), (1, -3), (2, -3)),
    ((3, 0), (0, 3), (3, -3)),
)


@dataclass(frozen=True)
class SquareBand(SingleBand):
    """Square lattice, ``E = centre - 2 t (cos kx a + cos ky a) - 4 t' cos kx a cos ky a``.

    Parameters
    ----------
    hopping : float
        t to the nearest neighbours in eV.
    lattice_nm : float
        Lattice constant a.
    centre : float
        On-site energy in eV from the Fermi level.
    diagonal : float
        t' along the diagonal in eV; -0.3 t to 0 is usual.
    """

    hopping: float
    lattice_nm: float
    centre: float = 0.0
    diagonal: float = 0.0
    reciprocity = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "lattice", self.lattice_nm * np.eye(2))

    def energy(self, kx: torch.Tensor, ky: torch.Tensor) -> torch.Tensor:
        """Compute the energy in eV at wave vectors in rad/nm."""
        x, y = (self.lattice_nm * kx).cos(), (self.lattice_nm * ky).cos()
        return self.centre - 2 * self.hopping * (x + y) - 4 * self.diagonal * x * y


@dataclass(frozen=True)
class TriangularBand(SingleBand):
    """Triangular lattice with hopping to up to five shells of neighbours.

    ``E = centre - 2 sum_n t_n sum_R cos k.R`` over one R of each pair +-R of the n-th shell, whose
    distances are 1, sqrt 3, 2, sqrt 7 and 3 lattice constants; ``a1`` lies along x. The form of
    the fits to 2H transition-metal dichalcogenides (Inosov et al., New J. Phys. 10, 125027, 2008;
    Rahn et al., PRB 85, 224532, 2012).

    Parameters
    ----------
    hopping : float
        t_1 in eV.
    lattice_nm : float
        Lattice constant.
    centre : float
        On-site energy in eV from the Fermi level.
    further : tuple of float
        t_2, t_3, ... in eV, at most four.
    """

    hopping: float
    lattice_nm: float
    centre: float = 0.0
    further: tuple[float, ...] = ()
    reciprocity = True

    def __post_init__(self) -> None:
        if len(self.further) >= len(_TRIANGULAR_SHELLS):
            raise ValueError(f"further holds at most {len(_TRIANGULAR_SHELLS) - 1} hoppings")
        vectors = self.lattice_nm * np.array([[1.0, 0.0], [0.5, _ROOT3 / 2]])
        object.__setattr__(self, "lattice", vectors)

    @classmethod
    def niobium_diselenide(cls) -> TriangularBand:
        """Return a 2H-NbSe2-like barrel: a = 0.344 nm, dominated by the second neighbours.

        The hoppings have the size of the fits to photoemission (Rahn et al. 2012), rounded; they
        show the kind of contour, not the material's own numbers.
        """
        return cls(
            hopping=-0.04, lattice_nm=0.344, centre=0.01, further=(-0.07, -0.015, -0.002, -0.002)
        )

    def energy(self, kx: torch.Tensor, ky: torch.Tensor) -> torch.Tensor:
        """Compute the energy in eV at wave vectors in rad/nm; it has the lattice's periods."""
        first = self.lattice_nm * kx
        second = self.lattice_nm * (kx / 2 + ky * _ROOT3 / 2)
        total = kx.new_zeros(kx.shape)
        for hopping, shell in zip((self.hopping, *self.further), _TRIANGULAR_SHELLS, strict=False):
            total = total + hopping * sum((i * first + j * second).cos() for i, j in shell)
        return self.centre - 2 * total


@dataclass(frozen=True)
class GrapheneBand(Band):
    """Honeycomb lattice with nearest-neighbour hopping; sublattices A and B.

    ``H = [[centre + gap/2, -t f], [-t f*, centre - gap/2]]``, ``f = sum_j exp(i k.d_j)`` over the
    three vectors from an A site to its neighbours (Castro Neto et al., RMP 81, 109, 2009). One of
    them points down the image. An impurity sits on one sublattice: ``orbital=0`` for A, 1 for B.

    Parameters
    ----------
    hopping : float
        t in eV; 2.7 for graphene.
    lattice_nm : float
        Lattice constant; 0.246 for graphene. The bond is that over sqrt 3.
    centre : float
        Energy of the Dirac point in eV from the Fermi level.
    gap : float
        Difference of the sublattices' on-site energies in eV.
    """

    hopping: float = 2.7
    lattice_nm: float = 0.246
    centre: float = 0.0
    gap: float = 0.0
    orbitals = 2
    reciprocity = True

    def __post_init__(self) -> None:
        vectors = self.lattice_nm * np.array([[1.0, 0.0], [0.5, _ROOT3 / 2]])
        object.__setattr__(self, "lattice", vectors)

    @property
    def channels(self) -> torch.Tensor:
        """One: the tip sees both sublattices with one amplitude."""
        import torch

        return torch.ones((1, 2), dtype=torch.float64)

    def hamiltonian(self, kx: torch.Tensor, ky: torch.Tensor) -> torch.Tensor:
        """Compute H as a (2, 2, ...) tensor."""
        bond = self.lattice_nm / _ROOT3
        along = (1j * bond * ky).exp()
        across = 2 * (self.lattice_nm / 2 * kx).cos() * (-0.5j * bond * ky).exp()
        hop = -self.hopping * (along + across)
        half = kx.new_full(kx.shape, self.gap / 2)
        return complex_matrix([[self.centre + half, hop], [hop.conj(), self.centre - half]])


MATERIALS = [
    Material(
        "graphene", "graphene",
        "Scatterer on one sublattice: three-fold, within and between the valleys.", GrapheneBand,
        bias=0.4, bias_range=(-0.4, 0.4), broadening=0.06, pixel_nm=0.06, tip_nm=0.08, strength=1.0,
        density=20.0, cluster_nm=0.246, orbital=0,
    ),
    Material(
        "NbSe2", "2H-NbSe2-like", "Triangular lattice with far hopping, as in a dichalcogenide.",
        TriangularBand.niobium_diselenide, bias=0.0, bias_range=(-0.1, 0.1), broadening=0.015,
        pixel_nm=0.07, tip_nm=0.11, strength=0.1, density=18.0, cluster_nm=0.344,
    ),
    Material(
        "square", "square lattice", "Tight-binding band with atomic resolution, four-fold.",
        lambda: SquareBand(hopping=0.1, lattice_nm=0.4, diagonal=-0.02), bias=-0.2,
        bias_range=(-0.3, 0.3), broadening=0.01, pixel_nm=0.08, tip_nm=0.13, strength=-0.1,
        density=15.0, cluster_nm=0.4, impurities=("point", "phase_shift", "cluster"),
    ),
    Material(
        "triangular", "triangular lattice", "Tight-binding band with atomic resolution, six-fold.",
        lambda: TriangularBand(hopping=0.1, lattice_nm=0.4), bias=-0.3, bias_range=(-0.4, 0.2),
        broadening=0.01, pixel_nm=0.08, tip_nm=0.13, strength=0.1, density=15.0, cluster_nm=0.4,
    ),
]  # fmt: skip
