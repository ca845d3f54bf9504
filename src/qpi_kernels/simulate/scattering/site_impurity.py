"""`SiteImpurity`: changed energies and hoppings on a few sites of a crystal."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from qpi_kernels.simulate.bands.crystal import CrystalBand

__all__ = ["SiteImpurity"]


@dataclass(frozen=True)
class SiteImpurity:
    """A defect on a site, a bond, a plaquette, or several places of a `CrystalBand`.

    Its position, the centre of the kernel, is the mean of its sites.

    Parameters
    ----------
    sites : tuple of (i, j, a)
        Orbital a of the cell ``i a1 + j a2``, for each site.
    potential : tuple of tuple of float
        Symmetric matrix in eV: energies on the diagonal, changes of hoppings beside it.
    exchange : float
        Potentials of the two spins are ``(1 + exchange)`` and ``(1 - exchange)`` times that.
    """

    sites: tuple[tuple[int, int, int], ...]
    potential: tuple[tuple[float, ...], ...]
    exchange: float = 0.0

    def __post_init__(self) -> None:
        matrix = np.array(self.potential, float)
        if matrix.shape != (len(self.sites),) * 2 or not np.allclose(matrix, matrix.T):
            raise ValueError("potential must be a symmetric matrix, a row for each site")

    def scaled(self, factor: float) -> SiteImpurity:
        """Return the impurity with energies and hoppings multiplied."""
        rows = tuple(tuple(factor * value for value in row) for row in self.potential)
        return replace(self, potential=rows)

    def centre_nm(self, band: CrystalBand) -> NDArray[np.float64]:
        """Return the defect's position (x, y) from the origin of cell (0, 0)."""
        cells = np.array([site[:2] for site in self.sites], float)
        places = np.array([band.sites_nm[site[2]] for site in self.sites])
        return np.asarray((cells @ np.array(band.vectors_nm) + places).mean(axis=0))

    def potentials(self, band: CrystalBand) -> list[torch.Tensor]:
        """List the potential of each spin, complex128, by site; holes last.

        One where both spins feel the same. Holes feel the potential of the other spin with the
        opposite sign.
        """
        matrix = torch.tensor(self.potential, dtype=torch.complex128)
        found = []
        for spin in (1, -1) if self.exchange else (1,):
            electrons = (1 + spin * self.exchange) * matrix
            holes = -(1 - spin * self.exchange) * matrix
            nothing = torch.zeros_like(matrix)
            whole = torch.cat([torch.cat([electrons, nothing]), torch.cat([nothing, holes])], 1)
            found.append(whole if band.pairings else electrons)
        return found
