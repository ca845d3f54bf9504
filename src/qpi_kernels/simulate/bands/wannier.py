"""Bands from elsewhere: hopping matrices, and Wannier90's ``seed_hr.dat``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from qpi_kernels.simulate.bands.band import Band
from qpi_kernels.simulate.bands.custom import HamiltonianError, check_hamiltonian, checked_channels

__all__ = ["WannierBand", "WannierFormatError", "read_wannier_hr"]

_PHASES_AT_ONCE = 2**21


class WannierFormatError(ValueError):
    """A file is no usable ``_hr.dat``; the message says where and why."""


@dataclass(frozen=True, eq=False)
class WannierBand(Band):
    """A tight-binding Hamiltonian given by its hopping matrices.

    ``H_ab(k) = sum_R t_ab(R) exp(i k.(R + r_b - r_a)) - fermi_level``, the atomic gauge, where
    ``t_ab(R) = <0 a| H |R b>``.

    Parameters
    ----------
    cells : array of int, (n, 2)
        Lattice translations R in units of the primitive vectors.
    hoppings : array, (n, m, m)
        ``t(R)`` in eV.
    lattice_nm : array, (2, 2)
        Primitive vectors (x, y) as rows.
    positions_nm : array, (m, 2), optional
        Centres of the orbitals in the cell; all at the origin when left out.
    tip_channels : array, (channel, m), optional
        See `Band.channels`; every orbital is a channel of its own when left out.
    fermi_level : float
        Energy in eV that becomes zero.

    Raises
    ------
    HamiltonianError
        If H is not Hermitian: ``t(-R)`` must be ``t(R)^dagger``.
    ValueError
        If shapes disagree.
    """

    cells: NDArray[np.int64] = field(repr=False)
    hoppings: NDArray[np.complex128] = field(repr=False)
    lattice_nm: ArrayLike
    positions_nm: ArrayLike | None = None
    tip_channels: ArrayLike | None = None
    fermi_level: float = 0.0

    def __post_init__(self) -> None:
        lattice = np.asarray(self.lattice_nm, float)
        count, size = len(self.cells), self.hoppings.shape[-1]
        if lattice.shape != (2, 2) or self.cells.shape != (count, 2):
            raise ValueError("lattice_nm must be (2, 2) and cells (n, 2)")
        if self.hoppings.shape != (count, size, size):
            raise ValueError(f"hoppings must be ({count}, m, m), not {self.hoppings.shape}")
        object.__setattr__(self, "lattice", lattice)
        object.__setattr__(self, "orbitals", size)
        object.__setattr__(self, "reciprocity", not np.imag(self.hoppings).any())
        if self.positions_nm is not None and np.shape(self.positions_nm) != (size, 2):
            raise ValueError(f"positions_nm must be ({size}, 2): x and y of every orbital")
        check_hamiltonian(self, tolerance=1e-4)  # files round to 1e-6

    @property
    def channels(self) -> torch.Tensor:
        """As given, or the identity."""
        if self.tip_channels is None:
            return super().channels
        return checked_channels(self.tip_channels, self.orbitals)

    def hamiltonian(self, kx: torch.Tensor, ky: torch.Tensor) -> torch.Tensor:
        """Compute H as a complex (m, m, ...) tensor."""
        size = self.orbitals
        kind = kx.dtype.to_complex()
        assert self.lattice is not None
        vectors = torch.from_numpy(self.cells @ self.lattice).to(kx)
        matrices = torch.from_numpy(self.hoppings.reshape(len(vectors), -1).T).to(kx.device, kind)
        x, y = kx.reshape(-1), ky.reshape(-1)
        total = torch.empty((size**2, len(x)), dtype=kind, device=kx.device)
        at_once = max(_PHASES_AT_ONCE // max(len(vectors), 1), 1)
        for first in range(0, len(x), at_once):
            part = slice(first, first + at_once)
            angle = torch.outer(vectors[:, 0], x[part]) + torch.outer(vectors[:, 1], y[part])
            total[:, part] = matrices @ torch.exp(1j * angle)
        total = total.view(size, size, -1)
        if self.positions_nm is not None:
            at = torch.from_numpy(np.asarray(self.positions_nm, float)).to(kx)
            moved = torch.exp(1j * (torch.outer(at[:, 0], x) + torch.outer(at[:, 1], y)))
            total *= moved.conj()[:, None] * moved[None]
        diagonal = torch.arange(size)
        total[diagonal, diagonal] -= self.fermi_level
        return total.view(size, size, *kx.shape)


def read_wannier_hr(
    path: str | Path,
    lattice_nm: ArrayLike,
    *,
    positions_nm: ArrayLike | None = None,
    tip_channels: ArrayLike | None = None,
    fermi_level: float = 0.0,
    kz: float = 0.0,
) -> WannierBand:
    """Read the hoppings of a material computed elsewhere.

    The layout is that of Wannier90's user guide, ``seedname_hr.dat``: a comment, the number of
    orbitals, the number of cells R, the degeneracies of these cells (15 on a line), then a line
    ``R1 R2 R3 a b Re Im`` per element in eV.

    Parameters
    ----------
    path : path-like
        The file.
    lattice_nm : array, (2, 2)
        In-plane primitive vectors (x, y) as rows, in nm (Wannier90 writes Angstrom elsewhere).
    positions_nm : array, (m, 2), optional
        Centres of the Wannier functions in the cell.
    tip_channels : array, (channel, m), optional
        What the tip sees; see `Band.channels`.
    fermi_level : float
        Fermi level in eV on the file's own scale.
    kz : float
        Momentum out of plane, in units of 1/a3: hoppings along R3 get the phase ``exp(i kz R3)``.

    Raises
    ------
    WannierFormatError
        If the file is not of this layout, or its H is not Hermitian.
    ValueError
        If lattice, positions or channels do not fit the file.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        size, count = int(lines[1]), int(lines[2])
        degeneracy: list[int] = []
        row = 3
        while len(degeneracy) < count:
            degeneracy += [int(word) for word in lines[row].split()]
            row += 1
        if min(degeneracy, default=0) < 1:
            raise ValueError("there are no cells, or a degeneracy is not positive")
        # Without the limit a wrong count would make numpy reserve whatever the header claims.
        body = [line.split() for line in lines[row:] if line.strip()]
        if size < 1 or len(degeneracy) != count or len(body) != count * size**2:
            raise ValueError(f"{count} cells of {size} orbitals need {count * size**2} elements")
        table = np.array(body, float)
        if table.shape[1] != 7 or not np.isfinite(table).all():
            raise ValueError("a line of elements must hold R1 R2 R3 a b Re Im")
        integers = np.rint(table[:, :5]).astype(np.int64)
        blocks = integers[:, :3].reshape(count, size**2, 3)
        if (blocks != blocks[:, :1]).any():
            raise ValueError("the elements of a cell must follow each other")
        orbitals = integers[:, 3:]
        if orbitals.min() < 1 or orbitals.max() > size:
            raise ValueError(f"an orbital index is not within 1 to {size}")
    except (IndexError, ValueError) as error:
        raise WannierFormatError(f"{path.name}: not a Wannier90 _hr.dat ({error})") from error
    weights = np.repeat(degeneracy, size**2)
    values = (table[:, 5] + 1j * table[:, 6]) / weights * np.exp(1j * kz * integers[:, 2])
    cells, index = np.unique(integers[:, :2], axis=0, return_inverse=True)
    hoppings = np.zeros((len(cells), size, size), complex)
    a, b = integers[:, 3:].T - 1
    np.add.at(hoppings, (index.ravel(), a, b), values)
    try:
        return WannierBand(cells, hoppings, lattice_nm, positions_nm, tip_channels, fermi_level)
    except HamiltonianError as error:
        raise WannierFormatError(f"{path.name}: {error}") from error
