"""`CustomBand`: a Hamiltonian given as a function, and the checks on what users give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from qpi_kernels.simulate.bands.band import Band
from qpi_kernels.simulate.bands.lattice_vectors import reciprocal

__all__ = ["CustomBand", "HamiltonianError", "check_hamiltonian", "checked_channels"]


class HamiltonianError(ValueError):
    """A function is no Bloch Hamiltonian; the message says why."""


@dataclass(frozen=True, eq=False)
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
    HamiltonianError
        If H is not Hermitian, or its energies do not repeat with the lattice.
    ValueError
        If a shape is wrong.
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
        check_hamiltonian(self)
        if self.magnetic_potential is not None:
            magnetic = np.asarray(self.magnetic_potential)
            if magnetic.shape != (self.orbitals, self.orbitals):
                raise ValueError(f"magnetic_potential must be {self.orbitals} x {self.orbitals}")

    @property
    def channels(self) -> torch.Tensor:
        """As given, or the identity."""
        if self.tip_channels is None:
            return super().channels
        return checked_channels(self.tip_channels, self.orbitals)

    def potential(self, kind: str) -> torch.Tensor:
        """Return the identity, or the magnetic matrix as given."""
        if kind == "magnetic" and self.magnetic_potential is not None:
            return torch.as_tensor(np.asarray(self.magnetic_potential))
        return super().potential(kind)

    def hamiltonian(self, kx: torch.Tensor, ky: torch.Tensor) -> torch.Tensor:
        """Evaluate the function on the CPU in double precision."""
        x, y = (k.detach().cpu().double().numpy() for k in (kx, ky))
        value = torch.as_tensor(np.asarray(self.function(x, y)))
        kind = kx.dtype.to_complex() if value.is_complex() else kx.dtype
        value = value.to(kind).to(kx.device)
        if self.orbitals == 1 and value.ndim == kx.ndim:
            return value[None, None]
        return value.movedim((-2, -1), (0, 1))


def checked_channels(channels: ArrayLike, orbitals: int) -> torch.Tensor:
    """Check tip channels given by a user, and return them as (channel, m)."""
    found = torch.as_tensor(np.asarray(channels, float))
    if found.ndim != 2 or found.shape[1] != orbitals:
        raise ValueError(f"tip_channels must be (channel, {orbitals}), not {tuple(found.shape)}")
    return found


def check_hamiltonian(band: Band, tolerance: float = 1e-6) -> None:
    """Raise HamiltonianError unless H is Hermitian and repeats in the reciprocal lattice."""
    shifts = np.zeros((1, 2))
    if band.lattice is not None:
        shifts = np.vstack([shifts, reciprocal(band.lattice)])
    at = torch.from_numpy(np.array([0.37, 0.91]) + shifts)
    matrices = band.hamiltonian(*at.T).movedim((0, 1), (-2, -1))
    if not bool(matrices.isfinite().all()):
        raise HamiltonianError("H is not finite")
    close = tolerance * (1.0 + float(matrices.abs().max()))
    if not torch.allclose(matrices, matrices.mH, rtol=0.0, atol=close):
        raise HamiltonianError("H is not Hermitian")
    energies = torch.linalg.eigvalsh(matrices)
    if not torch.allclose(energies, energies[:1], rtol=0.0, atol=100 * close):
        raise HamiltonianError(
            "the energies do not repeat with the reciprocal lattice: are lattice_nm in nm and the "
            "wave vectors in rad/nm?"
        )
