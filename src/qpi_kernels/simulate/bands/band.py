"""`Band`: what the simulator needs to know of a material."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

__all__ = ["HBAR2_OVER_2M", "Band", "CustomBand", "RotatedBand", "SingleBand"]

HBAR2_OVER_2M = 0.0380998
"""hbar^2 / (2 m_e) in eV nm^2 (CODATA 2018)."""

_SAMPLES = 64
_PAULI_Z = torch.tensor([[1.0, 0.0], [0.0, -1.0]])


class Band:
    """A Bloch Hamiltonian H(k) and how a tip sees its states.

    Wave vectors are in rad/nm, energies in eV from the Fermi level. ``kx`` points along the rows
    of an image (to larger columns) and ``ky`` down its columns (to larger rows). A lattice model
    is written in the atomic gauge, hopping phases ``exp(i k.(r_b - r_a))``, so that the positions
    of its orbitals need not be known elsewhere.

    Attributes
    ----------
    orbitals : int
        Size m of H.
    lattice : array, (2, 2), or None
        Primitive vectors (x, y) in nm as rows; None for a continuum model, whose momentum cutoff
        is the pixel grid's.
    inversion : bool
        Whether ``H(-k) = H(k)`` and H is symmetric, so that waves return as they went out; this
        saves transforms.
    """

    orbitals: int = 1
    lattice: NDArray[np.float64] | None = None
    inversion: bool = False

    def hamiltonian(self, kx: torch.Tensor, ky: torch.Tensor) -> torch.Tensor:
        """H in eV at wave vectors of any shape (...): a tensor (m, m, ...), real or complex."""
        raise NotImplementedError

    @property
    def channels(self) -> torch.Tensor:
        """Amplitude of each orbital in each tunnelling channel, (channel, m).

        Amplitudes within a channel interfere, as those of two sublattices do; channels add as
        densities, as the two spins do.
        """
        return torch.eye(self.orbitals, dtype=torch.float64)

    def potential(self, kind: str) -> torch.Tensor:
        """Matrix (m, m) of a local potential of unit strength.

        Parameters
        ----------
        kind : str
            ``"scalar"`` shifts all states alike; ``"magnetic"`` acts with opposite sign on the two
            spins.

        Raises
        ------
        ValueError
            If the model has no spin to act on.
        """
        if kind == "scalar":
            return torch.eye(self.orbitals, dtype=torch.float64)
        raise ValueError(f"{type(self).__name__} has no spin: it knows no {kind} impurity")

    @property
    def cell_area(self) -> float | None:
        """Area of the unit cell in nm^2, None for a continuum."""
        if self.lattice is None:
            return None
        return float(abs(np.linalg.det(self.lattice)))

    def largest_velocity(self, energy: float, broadening: float, pixel_nm: float) -> float:
        """Fastest group velocity dE/dk of the states at an energy, in eV nm.

        Sampled on a grid over the Brillouin zone or, for a continuum, over the pixel grid's
        momenta; where there is no state at the energy, the nearest one counts.
        """
        first, second = _mesh_axes(self, pixel_nm)
        steps = torch.linspace(-0.5, 0.5, _SAMPLES + 1, dtype=torch.float64)[:-1]
        a, b = torch.meshgrid(steps, steps, indexing="ij")
        bands = _eigenvalues(
            self.hamiltonian(a * first[0] + b * second[0], a * first[1] + b * second[1])
        )
        # dE/da and dE/db with E periodic in neither: one-sided at the border.
        along = torch.stack(torch.gradient(bands, spacing=1.0 / _SAMPLES, dim=(-2, -1)))
        basis = torch.tensor(np.stack([first, second]), dtype=torch.float64)
        gradient = torch.einsum("ij,j...->i...", torch.linalg.inv(basis), along)
        velocity = gradient.square().sum(dim=0).sqrt()
        # A cell is crossed by the contour when its neighbours lie on both sides of the energy.
        highest = torch.nn.functional.max_pool2d(bands, 3, stride=1, padding=1)
        lowest = -torch.nn.functional.max_pool2d(-bands, 3, stride=1, padding=1)
        near = (lowest <= energy) & (energy <= highest)
        if not bool(near.any()):
            away = (bands - energy).abs()
            near = away <= away.min() + broadening
        return float(velocity[near].max())

    def smallest_damping(self, energy: float, broadening: float, pixel_nm: float) -> float:
        """Smallest Im k in 1/nm of the waves at an energy, given their half-width in eV."""
        velocity = self.largest_velocity(energy, broadening, pixel_nm)
        return broadening / max(velocity, 1e-12)


class SingleBand(Band):
    """A band that is one energy E(k)."""

    def energy(self, kx: torch.Tensor, ky: torch.Tensor) -> torch.Tensor:
        """Energy in eV at wave vectors in rad/nm, of the same shape."""
        raise NotImplementedError

    def hamiltonian(self, kx: torch.Tensor, ky: torch.Tensor) -> torch.Tensor:
        """H as a (1, 1, ...) tensor."""
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
        object.__setattr__(self, "inversion", self.band.inversion)
        object.__setattr__(self, "lattice", lattice)

    @property
    def _rotation(self) -> NDArray[np.float64]:
        cosine, sine = np.cos(np.deg2rad(self.angle_deg)), np.sin(np.deg2rad(self.angle_deg))
        return np.array([[cosine, -sine], [sine, cosine]])

    @property
    def channels(self) -> torch.Tensor:
        """Those of the band."""
        return self.band.channels

    def potential(self, kind: str) -> torch.Tensor:
        """That of the band."""
        return self.band.potential(kind)

    def hamiltonian(self, kx: torch.Tensor, ky: torch.Tensor) -> torch.Tensor:
        """H of the band at the wave vectors turned back."""
        (cosine, minus_sine), (sine, _) = self._rotation.tolist()
        return self.band.hamiltonian(cosine * kx + sine * ky, minus_sine * kx + cosine * ky)

    def largest_velocity(self, energy: float, broadening: float, pixel_nm: float) -> float:
        """That of the band: speeds do not turn."""
        return self.band.largest_velocity(energy, broadening, pixel_nm)


@dataclass(frozen=True)
class CustomBand(Band):
    """Any Hamiltonian, given as a function.

    Parameters
    ----------
    function : callable
        ``function(kx, ky)`` with numpy arrays of wave vectors in rad/nm, of one shape, returns H
        in eV: an array of that shape for a single band, or of that shape followed by (m, m).
        Lattice models use the atomic gauge; see `Band`.
    lattice_nm : array, (2, 2), optional
        Primitive vectors as rows; left out for a continuum model.
    tip_channels : array, (channel, m), optional
        See `Band.channels`; every orbital is a channel of its own when left out.
    magnetic_potential : array, (m, m), optional
        Matrix of a magnetic impurity, such as sigma_z, where the model has spin.

    Raises
    ------
    ValueError
        If the function returns another shape.
    """

    function: Callable[[NDArray[np.float64], NDArray[np.float64]], ArrayLike]
    lattice_nm: ArrayLike | None = None
    tip_channels: ArrayLike | None = None
    magnetic_potential: ArrayLike | None = None

    def __post_init__(self) -> None:
        vectors = None if self.lattice_nm is None else np.asarray(self.lattice_nm, float)
        if vectors is not None and (vectors.shape != (2, 2) or not np.linalg.det(vectors)):
            raise ValueError("lattice_nm must hold two independent vectors (x, y) as rows")
        object.__setattr__(self, "lattice", vectors)
        probe = np.asarray(self.function(np.array([0.1]), np.array([0.2])))
        if probe.shape not in ((1,), (1, *probe.shape[1:2] * 2)):
            raise ValueError(
                "the function must return an array of the shape of kx, for one band, or of that "
                f"shape followed by (m, m); for kx of shape (1,) it gave {probe.shape}"
            )
        object.__setattr__(self, "orbitals", probe.shape[1] if probe.ndim > 1 else 1)

    @property
    def channels(self) -> torch.Tensor:
        """As given, or the identity."""
        if self.tip_channels is None:
            return super().channels
        return torch.as_tensor(np.asarray(self.tip_channels), dtype=torch.float64)

    def potential(self, kind: str) -> torch.Tensor:
        """Identity, or the magnetic matrix as given."""
        if kind == "magnetic" and self.magnetic_potential is not None:
            return torch.as_tensor(np.asarray(self.magnetic_potential))
        return super().potential(kind)

    def hamiltonian(self, kx: torch.Tensor, ky: torch.Tensor) -> torch.Tensor:
        """H of the function, evaluated on the CPU."""
        x, y = (k.detach().cpu().double().numpy() for k in (kx, ky))
        value = torch.as_tensor(np.asarray(self.function(x, y))).to(kx.device)
        if self.orbitals == 1 and value.ndim == kx.ndim:
            return value[None, None]
        return value.movedim((-2, -1), (0, 1))


def reciprocal(lattice: NDArray[np.float64]) -> NDArray[np.float64]:
    """Reciprocal vectors as rows, ``a_i . b_j = 2 pi delta_ij``."""
    return np.asarray(2 * np.pi * np.linalg.inv(lattice).T)


def pauli_z() -> torch.Tensor:
    """sigma_z, float64."""
    return _PAULI_Z.double()


def _mesh_axes(band: Band, pixel_nm: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two vectors that span the momenta to sample: the Brillouin zone, or the pixel grid's."""
    if band.lattice is not None:
        first, second = reciprocal(band.lattice)
        return first, second
    width = 2 * np.pi / pixel_nm
    return np.array([width, 0.0]), np.array([0.0, width])


def _eigenvalues(hamiltonian: torch.Tensor) -> torch.Tensor:
    """Band energies (m, ...) of H (m, m, ...)."""
    if len(hamiltonian) == 1:
        return hamiltonian[0].real.double()
    if len(hamiltonian) == 2:
        centre = (hamiltonian[0, 0] + hamiltonian[1, 1]).real / 2
        half = (hamiltonian[0, 0] - hamiltonian[1, 1]).real / 2
        spread = (half.square() + (hamiltonian[0, 1] * hamiltonian[1, 0]).real).clamp(min=0).sqrt()
        return torch.stack([centre - spread, centre + spread]).double()
    values: torch.Tensor = torch.linalg.eigvalsh(hamiltonian.movedim((0, 1), (-2, -1)))
    return values.movedim(-1, 0).double()


def complex_matrix(rows: list[list[torch.Tensor]]) -> torch.Tensor:
    """Stack the elements of H, all of one shape, into (m, m, ...), complex where one of them is."""
    elements = [element for row in rows for element in row]
    kind = elements[0].dtype
    for element in elements[1:]:
        kind = torch.promote_types(kind, element.dtype)
    stacked = torch.stack([element.to(kind) for element in elements])
    return stacked.view(len(rows), len(rows), *stacked.shape[1:])
