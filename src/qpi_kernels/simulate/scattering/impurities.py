"""Impurities: what scatters, and the T-matrix it makes of a band's local Green's function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import torch

from qpi_kernels.simulate.bands import Band

__all__ = [
    "ClusterImpurity",
    "GaussianImpurity",
    "Impurity",
    "MagneticImpurity",
    "PhaseShiftImpurity",
    "PointImpurity",
    "as_impurity",
]

Point = tuple[float, float]
Orbitals = int | tuple[int, ...] | None
_AT_ORIGIN: tuple[Point, ...] = ((0.0, 0.0),)


class Impurity(Protocol):
    """A few scattering centres and how they act together.

    The T-matrix has one row and column for every orbital of every centre, centres outermost, in
    eV nm^2; `local` is the Green's function between the same, in 1/(eV nm^2).
    """

    @property
    def centres_nm(self) -> tuple[Point, ...]:
        """Positions (x, y) of the centres from the defect's position; y counts down the image.

        On a lattice they are moved to the nearest lattice vector.
        """
        ...

    @property
    def width_nm(self) -> float:
        """Standard deviation of a centre's Gaussian form factor; 0 on a lattice."""
        ...

    def t_matrix(self, band: Band, local: torch.Tensor) -> torch.Tensor:
        """Compute T of shape (energy, S m, S m) from `local` of the same shape, complex128, CPU."""
        ...


def _from_potential(potential: torch.Tensor, local: torch.Tensor) -> torch.Tensor:
    """Solve ``T = (1 - V g)^-1 V``."""
    matrix = potential.to(local)
    if len(matrix) == 1:
        return matrix / (1 - matrix * local)
    one = torch.eye(len(matrix), dtype=local.dtype, device=local.device)
    solution: torch.Tensor = torch.linalg.solve(
        one - matrix @ local, matrix.expand(local.shape).contiguous()
    )
    return solution


def _on_site(band: Band, kind: str, orbital: Orbitals) -> torch.Tensor:
    """Restrict a local potential to some orbitals of one place."""
    matrix = band.potential(kind)
    kept = band.site(orbital)
    part = torch.zeros_like(matrix)
    for number in kept:
        part[number, kept] = matrix[number, kept]
    return part


@dataclass(frozen=True)
class PointImpurity:
    """A potential at one point.

    Parameters
    ----------
    strength : float
        V in eV nm^2, repulsive when positive. On a lattice the on-site shift is V over the area of
        the cell; in a continuum the pixel grid is the momentum cutoff that a point needs.
    orbital : int or tuple of int, optional
        The orbitals it acts on, all of one atom (graphene: 0 is sublattice A, 1 is B); all that
        the band has when left out, which must then share one place in the cell.
    """

    strength: float
    orbital: Orbitals = None
    centres_nm: tuple[Point, ...] = field(default=_AT_ORIGIN, init=False, repr=False)
    width_nm: float = field(default=0.0, init=False, repr=False)

    def t_matrix(self, band: Band, local: torch.Tensor) -> torch.Tensor:
        """Compute T of the potential."""
        potential = self.strength * _on_site(band, "scalar", self.orbital)
        return _from_potential(potential, local)


@dataclass(frozen=True)
class MagneticImpurity:
    """A classical moment along the surface normal, with an optional potential.

    Parameters
    ----------
    exchange : float
        J S in eV nm^2: added to one spin's energy, subtracted from the other's.
    strength : float
        Spin-independent potential in eV nm^2.
    """

    exchange: float
    strength: float = 0.0
    centres_nm: tuple[Point, ...] = field(default=_AT_ORIGIN, init=False, repr=False)
    width_nm: float = field(default=0.0, init=False, repr=False)

    def scaled(self, factor: float) -> MagneticImpurity:
        """Return the impurity with exchange and potential multiplied."""
        return MagneticImpurity(factor * self.exchange, factor * self.strength)

    def t_matrix(self, band: Band, local: torch.Tensor) -> torch.Tensor:
        """Compute T of exchange and potential."""
        exchange = self.exchange * _on_site(band, "magnetic", None)
        return _from_potential(exchange + self.strength * _on_site(band, "scalar", None), local)


@dataclass(frozen=True)
class PhaseShiftImpurity:
    r"""An s-wave scatterer given by its phase shift, which needs no momentum cutoff.

    .. math:: T = \frac{i}{2\pi\rho_0} (\alpha e^{2i\delta} - 1), \quad
              \rho_0 = -\mathrm{Im}\, g(0) / \pi

    ``alpha = 1`` scatters elastically, ``alpha = 0`` is Heller's black dot, which absorbs the
    s-wave (Crommie, Lutz and Eigler, Nature 363, 524, 1993; Heller et al., Nature 369, 464, 1994).
    With several orbitals the local density is a matrix, ``T = i/(2 pi) rho_0^(-1/2) (alpha
    exp(2 i delta S) - 1) rho_0^(-1/2)``, and S is a scalar potential of unit strength: holes of a
    superconductor get the opposite phase. Positive phases attract.

    Parameters
    ----------
    phase : float
        delta in radians.
    amplitude : float
        alpha, 0 to 1.
    orbital : int or tuple of int, optional
        As for `PointImpurity`.
    """

    phase: float
    amplitude: float = 1.0
    orbital: Orbitals = None
    centres_nm: tuple[Point, ...] = field(default=_AT_ORIGIN, init=False, repr=False)
    width_nm: float = field(default=0.0, init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.amplitude <= 1:
            raise ValueError("amplitude must be between 0 (absorbing) and 1 (elastic)")

    def t_matrix(self, band: Band, local: torch.Tensor) -> torch.Tensor:
        """Compute T of the phase shift."""
        kept = band.site(self.orbital)
        block = local[..., kept, :][..., :, kept]
        if len(kept) == 1 == band.orbitals:
            outgoing = self.amplitude * np.exp(2j * self.phase)
            single: torch.Tensor = (0.5j * (1 - outgoing)) / block.imag.to(block)
            return single
        densities, states = torch.linalg.eigh((block - block.mH) * (0.5j / np.pi))
        # What has no density does not scatter.
        empty = densities <= 1e-6 * densities[..., -1:]
        scale = torch.where(empty, torch.inf, densities).rsqrt().to(local)
        root = (states * scale[..., None, :]) @ states.mH
        sign = band.potential("scalar")[kept][:, kept].to(local)
        outgoing = self.amplitude * torch.linalg.matrix_exp(2j * self.phase * sign)
        part = root @ (outgoing - torch.eye(len(kept))) @ root * (0.5j / np.pi)
        t_matrix = torch.zeros_like(local)
        for row, number in enumerate(kept):
            t_matrix[..., number, kept] = part[..., row, :]
        return t_matrix


@dataclass(frozen=True)
class ClusterImpurity:
    """Several point potentials that scatter together, all orders included.

    Its shape decides the kernel's symmetry: an equilateral `trimer` gives three-fold kernels, an
    uneven cluster asymmetric ones.

    Parameters
    ----------
    centres_nm : sequence of (x, y)
        Positions from the defect's position.
    strengths : sequence of float
        V of each centre in eV nm^2.
    width_nm : float
        Standard deviation of each centre's Gaussian form factor, for continuum bands.
    orbital : int or tuple of int, optional
        What each centre acts on, as for `PointImpurity`.
    """

    centres_nm: tuple[Point, ...]
    strengths: tuple[float, ...]
    width_nm: float = 0.0
    orbital: Orbitals = None

    def __post_init__(self) -> None:
        centres = tuple((float(x), float(y)) for x, y in self.centres_nm)
        strengths = tuple(float(value) for value in self.strengths)
        if not centres or len(centres) != len(strengths) or self.width_nm < 0:
            raise ValueError("a cluster needs one strength per centre and a width that is not < 0")
        object.__setattr__(self, "centres_nm", centres)
        object.__setattr__(self, "strengths", strengths)

    @classmethod
    def polygon(
        cls,
        corners: int,
        radius_nm: float,
        strength: float | Sequence[float],
        angle_deg: float = 0.0,
        width_nm: float = 0.0,
    ) -> ClusterImpurity:
        """Place centres on the corners of a regular polygon; unequal strengths break its symmetry.

        Parameters
        ----------
        corners : int
            Number of centres.
        radius_nm : float
            Distance of each from the defect's position.
        strength : float or sequence of float
            V in eV nm^2, of all or of each.
        angle_deg : float
            Direction of the first, from x towards y.
        width_nm : float
            Standard deviation of each centre's Gaussian form factor.
        """
        angles = np.deg2rad(angle_deg) + 2 * np.pi * np.arange(corners) / corners
        centres = tuple(
            (float(radius_nm * np.cos(a)), float(radius_nm * np.sin(a))) for a in angles
        )
        values = np.broadcast_to(np.asarray(strength, float), corners)
        return cls(centres, tuple(values.tolist()), width_nm)

    @classmethod
    def trimer(
        cls, radius_nm: float, strength: float, angle_deg: float = 90.0, width_nm: float = 0.0
    ) -> ClusterImpurity:
        """Place equal centres on the corners of an equilateral triangle; see `polygon`."""
        return cls.polygon(3, radius_nm, strength, angle_deg, width_nm)

    def turned(self, angle_deg: float) -> ClusterImpurity:
        """Return the cluster turned about the defect's position, from x towards y."""
        cosine, sine = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
        centres = tuple((cosine * x - sine * y, sine * x + cosine * y) for x, y in self.centres_nm)
        return replace(self, centres_nm=centres)

    def scaled(self, factor: float) -> ClusterImpurity:
        """Return the cluster with all strengths multiplied."""
        return replace(self, strengths=tuple(factor * value for value in self.strengths))

    def t_matrix(self, band: Band, local: torch.Tensor) -> torch.Tensor:
        """Compute T of the whole cluster."""
        strengths = torch.tensor(self.strengths, dtype=torch.float64)
        potential = torch.kron(torch.diag(strengths), _on_site(band, "scalar", self.orbital))
        return _from_potential(potential, local)


@dataclass(frozen=True)
class GaussianImpurity:
    """A smooth scatterer in a continuum, the separable potential ``V |f><f|`` with a Gaussian f.

    Large momenta, and so large-angle scattering, are damped by ``exp(-k^2 width^2 / 2)`` on the way
    in and out; unlike a point it needs no momentum cutoff once the width exceeds a pixel.

    Parameters
    ----------
    strength : float
        V in eV nm^2.
    width_nm : float
        Standard deviation of f.
    """

    strength: float
    width_nm: float
    centres_nm: tuple[Point, ...] = field(default=_AT_ORIGIN, init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.width_nm >= 0:
            raise ValueError("width_nm must not be negative")

    def t_matrix(self, band: Band, local: torch.Tensor) -> torch.Tensor:
        """Compute T of the potential; `local` holds the form factors."""
        return _from_potential(self.strength * _on_site(band, "scalar", None), local)


def as_impurity(impurity: Impurity | float) -> Impurity:
    """Take a plain number as a scalar point potential in eV nm^2."""
    if isinstance(impurity, int | float | np.floating | np.integer):
        return PointImpurity(float(impurity))
    if not hasattr(impurity, "t_matrix"):
        raise TypeError(
            f"impurity must be a number in eV nm^2 or an impurity such as PointImpurity, not "
            f"{impurity!r}"
        )
    return impurity
