"""Bands from elsewhere: hopping matrices, and Wannier90's ``seed_hr.dat``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from qpi_kernels.simulate.bands.band import Band

__all__ = ["WannierBand", "WannierFormatError", "read_wannier_hr"]


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
    ValueError
        If shapes disagree or H is not Hermitian.
    """

    cells: NDArray[np.int64]
    hoppings: NDArray[np.complex128]
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
        probe = self.hamiltonian(*(torch.tensor([k]) for k in (0.37, 0.91)))[..., 0]
        if not torch.allclose(probe, probe.conj().T, atol=1e-4):
            raise ValueError("the hoppings do not make a Hermitian H: t(-R) must be t(R)^dagger")

    @property
    def channels(self) -> torch.Tensor:
        """As given, or the identity."""
        if self.tip_channels is None:
            return super().channels
        return torch.as_tensor(np.asarray(self.tip_channels), dtype=torch.float64)

    def hamiltonian(self, kx: torch.Tensor, ky: torch.Tensor) -> torch.Tensor:
        """H as a complex (m, m, ...) tensor."""
        size = self.orbitals
        kind = torch.complex64 if kx.dtype == torch.float32 else torch.complex128
        total = torch.zeros((size, size, *kx.shape), dtype=kind, device=kx.device)
        assert self.lattice is not None
        for vector, matrix in zip(self.cells @ self.lattice, self.hoppings, strict=True):
            phase = torch.exp(1j * (float(vector[0]) * kx + float(vector[1]) * ky)).to(kind)
            for a, b in zip(*np.nonzero(matrix), strict=True):
                total[a, b] += complex(matrix[a, b]) * phase
        if self.positions_nm is not None:
            at = np.asarray(self.positions_nm, float)
            moved = torch.stack(
                [torch.exp(1j * (float(x) * kx + float(y) * ky)).to(kind) for x, y in at]
            )
            total = moved.conj()[:, None] * total * moved[None]
        diagonal = torch.arange(size)
        total[diagonal, diagonal] -= self.fermi_level
        return total


def read_wannier_hr(
    path: str | Path,
    lattice_nm: ArrayLike,
    *,
    positions_nm: ArrayLike | None = None,
    tip_channels: ArrayLike | None = None,
    fermi_level: float = 0.0,
    kz: float = 0.0,
    smallest_hopping: float = 1e-5,
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
    smallest_hopping : float
        Smaller elements, in eV, are left out.

    Raises
    ------
    WannierFormatError
        If the file is not of this layout.
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
        # Without the limit a wrong count would make numpy reserve whatever the header claims.
        body = [line.split() for line in lines[row:] if line.strip()]
        if size < 1 or len(degeneracy) != count or len(body) != count * size**2:
            raise ValueError(f"{count} cells of {size} orbitals need {count * size**2} elements")
        table = np.array(body, float)
        if table.shape[1] != 7:
            raise ValueError("a line of elements must hold R1 R2 R3 a b Re Im")
    except (IndexError, ValueError) as error:
        raise WannierFormatError(f"{path.name}: not a Wannier90 _hr.dat ({error})") from error
    integers = np.rint(table[:, :5]).astype(np.int64)
    weights = np.repeat(degeneracy, size**2)
    values = (table[:, 5] + 1j * table[:, 6]) / weights * np.exp(1j * kz * integers[:, 2])
    kept = np.abs(values) >= smallest_hopping
    cells, index = np.unique(integers[kept, :2], axis=0, return_inverse=True)
    hoppings = np.zeros((len(cells), size, size), complex)
    a, b = integers[kept, 3:5].T - 1
    if kept.any() and (min(a.min(), b.min()) < 0 or max(a.max(), b.max()) >= size):
        raise WannierFormatError(f"{path.name}: an orbital index is not within 1 to {size}")
    np.add.at(hoppings, (index.ravel(), a, b), values[kept])
    return WannierBand(cells, hoppings, lattice_nm, positions_nm, tip_channels, fermi_level)
