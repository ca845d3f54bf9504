"""`Band`: Hamiltonian, lattice and tip of a material.

Files with bands import torch in functions: the materials they list are known without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.simulate.bands.lattice_vectors import reciprocal

if TYPE_CHECKING:
    import torch

    from qpi_kernels.simulate.bands.contour import Contour

__all__ = ["HBAR2_OVER_2M", "Band", "RotatedBand", "SimulationError", "SingleBand"]

HBAR2_OVER_2M = 0.0380998
"""hbar^2 / (2 m_e) in eV nm^2 (CODATA 2018)."""


class SimulationError(ValueError):
    """A simulation can not be done as asked; the message says what to change."""


class Band:
    """A Bloch Hamiltonian H(k) and how a tip sees its states.

    Wave vectors are in rad/nm, energies in eV from the Fermi level. ``kx`` points along the rows
    of an image (to larger columns) and ``ky`` down its columns (to larger rows). A lattice model
    is written in the atomic gauge, ``H_ab(k) = sum t exp(i k.(r_b - r_a))`` over all bonds from
    orbital a at r_a to b at r_b; then waves start from the orbital that scatters them, and no
    positions need to be known elsewhere.

    Attributes
    ----------
    orbitals : int
        Size m of H.
    lattice : array, (2, 2), or None
        Primitive vectors (x, y) in nm as rows; None for a continuum model, whose momentum cutoff
        is the pixel grid's.
    reciprocity : bool
        Whether ``H(-k)`` is the transpose of H(k), as time reversal makes it where there is no
        spin: waves return as they went out, which saves transforms.
    """

    orbitals: int = 1
    lattice: NDArray[np.float64] | None = None
    reciprocity: bool = False

    def hamiltonian(self, kx: torch.Tensor, ky: torch.Tensor) -> torch.Tensor:
        """Compute H in eV at wave vectors of shape (...): a tensor (m, m, ...), real or complex."""
        raise NotImplementedError

    @property
    def channels(self) -> torch.Tensor:
        """Amplitude of each orbital in each tunnelling channel, (channel, m).

        Amplitudes within a channel interfere, as those of two sublattices do; channels add as
        densities, as the two spins do.
        """
        return identity(self.orbitals)

    def potential(self, kind: str) -> torch.Tensor:
        """Return the matrix (m, m) of a local potential of unit strength.

        Parameters
        ----------
        kind : str
            ``"scalar"`` shifts all states alike; ``"magnetic"`` acts with opposite sign on the two
            spins.

        Raises
        ------
        SimulationError
            If the model has no spin to act on.
        """
        if kind == "scalar":
            return identity(self.orbitals)
        raise SimulationError(f"{type(self).__name__} has no spin: it knows no {kind} impurity")

    def site(self, orbital: int | Sequence[int] | None) -> list[int]:
        """List the orbitals that a local potential acts on.

        Parameters
        ----------
        orbital : int, sequence of int, or None
            One orbital, several of one atom, or all.

        Raises
        ------
        SimulationError
            If there is no such orbital, or they lie at different places of the unit cell: no
            potential is local there.
        """
        last = self.orbitals - 1
        chosen = range(self.orbitals) if orbital is None else np.atleast_1d(orbital).tolist()
        kept = [int(number) for number in chosen]
        if not kept or min(kept) < 0 or max(kept) > last or len(set(kept)) < len(kept):
            raise SimulationError(f"the band has orbitals 0 to {last}, each once, not {orbital}")
        if self.lattice is not None and len(kept) > 1:
            import torch

            # In the atomic gauge G_ab gets the phase exp(i K.(r_b - r_a)) from one zone to another.
            at = np.array([0.7, 0.4]) + np.vstack([np.zeros(2), reciprocal(self.lattice)])
            matrices = self.hamiltonian(*torch.from_numpy(at).T).movedim((0, 1), (-2, -1))
            green = torch.linalg.inv(1j * torch.eye(self.orbitals) - matrices)[:, kept][..., kept]
            if float((green - green[:1]).abs().max()) > 1e-6:
                raise SimulationError(
                    f"the orbitals {', '.join(map(str, kept))} of {type(self).__name__} lie at "
                    "different places of the cell: choose those of one place with orbital=..."
                )
        return kept

    @property
    def cell_area(self) -> float | None:
        """Area of the unit cell in nm^2, None for a continuum."""
        if self.lattice is None:
            return None
        return float(abs(np.linalg.det(self.lattice)))

    def largest_velocity(self, energy: float, broadening: float, pixel_nm: float) -> float:
        """Find the fastest group velocity dE/dk of states within half the broadening of an energy.

        In eV nm, sampled over the Brillouin zone or, for a continuum, over the pixel grid's
        momenta; where there is no state at the energy, the nearest ones count.
        """
        return self.contour(energy, broadening, pixel_nm).speed

    def smallest_damping(self, energy: float, broadening: float, pixel_nm: float) -> float:
        """Find the smallest Im k in 1/nm of waves at an energy, given their half-width in eV.

        Beyond the edge of a band it is the distance to the edge that damps them.

        Raises
        ------
        SimulationError
            If the whole contour of a continuum lies beyond the momenta of the pixel grid.
        """
        contour = self.contour(energy, broadening, pixel_nm)
        if not contour.inside and self.lattice is None:
            raise too_short(energy, pixel_nm)
        return max(broadening, contour.distance) / max(contour.speed, 1e-12)

    def contour(self, energy: float, broadening: float, pixel_nm: float) -> Contour:
        """Search the Brillouin zone, or the pixel grid's momenta, for an energy in eV."""
        search = _remembered_contour if _never_changes(self) else _search_contour
        return search(self, energy, broadening, pixel_nm)


class SingleBand(Band):
    """A band that is one energy E(k)."""

    def energy(self, kx: torch.Tensor, ky: torch.Tensor) -> torch.Tensor:
        """Compute the energy in eV at wave vectors in rad/nm, of the same shape."""
        raise NotImplementedError

    def hamiltonian(self, kx: torch.Tensor, ky: torch.Tensor) -> torch.Tensor:
        """Return H as a (1, 1, ...) tensor."""
        return self.energy(kx, ky)[None, None]


@dataclass(frozen=True)
class RotatedBand(Band):
    """Another band with its crystal turned in the plane.

    Parameters
    ----------
    band : Band
        The band to turn.
    angle_deg : float
        Angle, from x (columns) towards y (rows).
    """

    band: Band
    angle_deg: float

    def __post_init__(self) -> None:
        lattice = self.band.lattice
        if lattice is not None:
            lattice = lattice @ self._rotation.T
        object.__setattr__(self, "orbitals", self.band.orbitals)
        object.__setattr__(self, "reciprocity", self.band.reciprocity)
        object.__setattr__(self, "lattice", lattice)

    @property
    def _rotation(self) -> NDArray[np.float64]:
        cosine, sine = np.cos(np.deg2rad(self.angle_deg)), np.sin(np.deg2rad(self.angle_deg))
        return np.array([[cosine, -sine], [sine, cosine]])

    @property
    def channels(self) -> torch.Tensor:
        """Amplitudes of the unrotated band."""
        return self.band.channels

    def potential(self, kind: str) -> torch.Tensor:
        """Return the potential of the unrotated band."""
        return self.band.potential(kind)

    def hamiltonian(self, kx: torch.Tensor, ky: torch.Tensor) -> torch.Tensor:
        """Compute H of the band at the wave vectors turned back."""
        (cosine, minus_sine), (sine, _) = self._rotation.tolist()
        return self.band.hamiltonian(cosine * kx + sine * ky, minus_sine * kx + cosine * ky)

    def contour(self, energy: float, broadening: float, pixel_nm: float) -> Contour:
        """Return the band's contour: neither speeds nor lengths turn."""
        return self.band.contour(energy, broadening, pixel_nm)

    def smallest_damping(self, energy: float, broadening: float, pixel_nm: float) -> float:
        """Return the damping of the unrotated band."""
        return self.band.smallest_damping(energy, broadening, pixel_nm)


def too_short(energy: float, pixel_nm: float) -> SimulationError:
    """Make the error about waves that a pixel grid cannot show."""
    return SimulationError(
        f"all waves at {energy:g} V are too short for pixels of {pixel_nm:g} nm: choose smaller "
        "pixels"
    )


def _never_changes(band: Band) -> bool:
    """Tell whether a band is a frozen dataclass of hashable fields, as all of ours are."""
    parameters = getattr(type(band), "__dataclass_params__", None)
    if parameters is None or not parameters.frozen:
        return False
    try:
        hash(band)
    except TypeError:
        return False
    return True


def _search_contour(band: Band, energy: float, broadening: float, pixel_nm: float) -> Contour:
    """Search the Brillouin zone, or the pixel grid's momenta, for an energy's contour."""
    from qpi_kernels.simulate.bands.contour import find_contour

    width = 2 * np.pi / pixel_nm
    span = np.eye(2) * width if band.lattice is None else reciprocal(band.lattice)
    return find_contour(band.hamiltonian, span, energy, broadening)


# Several ask for the same contour: the box, and the checks before.
_remembered_contour = lru_cache(maxsize=64)(_search_contour)


def identity(size: int) -> torch.Tensor:
    """Return the identity matrix, float64."""
    import torch

    return torch.eye(size, dtype=torch.float64)


def pauli_z() -> torch.Tensor:
    """Return the Pauli matrix sigma_z, float64."""
    import torch

    return torch.tensor([[1.0, 0.0], [0.0, -1.0]], dtype=torch.float64)


def complex_matrix(rows: list[list[torch.Tensor]]) -> torch.Tensor:
    """Stack the elements of H, all of one shape, into (m, m, ...), complex where one of them is."""
    import torch

    elements = [element for row in rows for element in row]
    kind = elements[0].dtype
    for element in elements[1:]:
        kind = torch.promote_types(kind, element.dtype)
    stacked = torch.stack([element.to(kind) for element in elements])
    return stacked.view(len(rows), len(rows), *stacked.shape[1:])
