"""`site_density`: densities of a crystal's orbitals around a defect, as a tip blurs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.fft
import torch
from numpy.typing import NDArray

from qpi_kernels.simulate.bands.crystal import CrystalBand
from qpi_kernels.simulate.scattering.greens_function import (
    SimulationError,
    box_pixels,
    greens_function,
)
from qpi_kernels.simulate.scattering.site_impurity import SiteImpurity
from qpi_kernels.threads import one_thread

__all__ = ["site_density"]

# Standard deviations from which an orbital still shows, and the largest mesh of momenta.
_REACH, _MAX_CELLS = 4.0, 2**20


@one_thread()
def site_density(
    band: CrystalBand,
    energies: NDArray[np.float64],
    *,
    pixel_nm: float,
    shape: tuple[int, int],
    impurities: Sequence[SiteImpurity],
    broadening: float,
    tip_nm: float,
) -> NDArray[np.float64]:
    r"""Simulate the change of the LDOS about a defect of a crystal whose orbitals the tip resolves.

    .. math:: \delta\rho(r) = \sum_i w_i\, \delta\rho_i\, g(r - r_i), \quad
              \delta\rho_i = -\frac{1}{\pi} \mathrm{Im} \sum_{ss'} G_{is} T_{ss'} G_{s'i}, \quad
              T = (1 - V G)^{-1} V

    over orbitals i, each a Gaussian g of the tip's width. Unlike `single_defect`, where waves of
    neighbouring orbitals interfere under a broad tip, this holds for tips sharper than a bond, at
    any number of pixels per cell: nothing is band-limited.

    Parameters
    ----------
    band : CrystalBand
        The crystal.
    energies : array, (energy,)
        In eV.
    pixel_nm : float
        Pixel pitch.
    shape : tuple of int
        Kernel size (h, w); the defect sits at ``(h//2, w//2)``.
    impurities : sequence of SiteImpurity
        Alternatives on the same sites.
    broadening : float
        Half-width in eV.
    tip_nm : float
        Standard deviation of g.

    Returns
    -------
    array, (impurity, energy, h, w)
        In states/(eV nm^2).

    Raises
    ------
    SimulationError
        If the impurities differ in their sites, or waves reach too far.
    """
    if len({impurity.sites for impurity in impurities}) != 1:
        raise SimulationError("the impurities must have the same sites")
    if not tip_nm > 0:
        raise SimulationError(f"tip_nm must be positive, not {tip_nm}")
    sites = impurities[0].sites
    window = _Window.of(band, impurities[0].centre_nm(band), pixel_nm, shape, tip_nm)
    found = np.empty((len(impurities), len(energies), *shape))
    for number, energy in enumerate(energies.tolist()):
        size = box_pixels(band, energy, broadening, pixel_nm, max(shape)) * pixel_nm
        waves = _Waves.of(band, energy, broadening, size, sites)
        out, back = waves.at(window.cells, band.electrons)
        for row, impurity in enumerate(impurities):
            density = np.zeros(out.shape[1:])
            for potential in impurity.potentials(band):
                unit = torch.eye(len(potential), dtype=potential.dtype)
                t_matrix = torch.linalg.solve(unit - potential @ waves.local, potential).numpy()
                scattered = np.tensordot(t_matrix, back, axes=1)
                density -= np.einsum("scb,scb->cb", out, scattered).imag / np.pi
            found[row, number] = window.image(density)
    return found


@dataclass(frozen=True, eq=False)
class _Waves:
    """Green's functions between the sites of an impurity and all cells of a periodic crystal."""

    forth: NDArray[np.complex128]
    """``<R b| G |0 a>``, (b, a, cells, cells)."""
    back: NDArray[np.complex128]
    """``<0 a| G |R b>``, (a, b, cells, cells)."""
    sites: tuple[tuple[int, int, int], ...]
    """Of the impurity, holes last: (i, j, a)."""

    @classmethod
    def of(
        cls,
        band: CrystalBand,
        energy: float,
        broadening: float,
        size_nm: float,
        sites: tuple[tuple[int, int, int], ...],
    ) -> _Waves:
        """Compute them on a crystal at least so wide."""
        assert band.cell_area is not None
        lengths = [float(np.hypot(*vector)) for vector in band.vectors_nm]
        # Cells along a vector, whose rows lie closer together than its length where it is oblique.
        cells = [
            scipy.fft.next_fast_len(int(np.ceil(size_nm * other / band.cell_area)))
            for other in reversed(lengths)
        ]
        if cells[0] * cells[1] * band.orbitals**2 > 16 * _MAX_CELLS:
            raise SimulationError(
                f"waves at {energy:g} V reach over {max(cells)} cells: raise the broadening"
            )
        phases = [2 * np.pi * torch.arange(n, dtype=torch.float64) / n for n in cells]
        first, second = torch.meshgrid(*phases, indexing="ij")
        at = torch.tensor(energy, dtype=torch.float64)
        green = greens_function(band.bloch(first, second), at, broadening).numpy()
        forth = scipy.fft.ifft2(green)
        back = forth.swapaxes(0, 1)
        if not band.reciprocity:
            back = scipy.fft.fft2(green, norm="forward")
        if band.pairings:
            sites = (*sites, *((i, j, a + band.electrons) for i, j, a in sites))
        return cls(forth, back, sites)

    @property
    def local(self) -> torch.Tensor:
        """Between the impurity's sites, (site, site)."""
        rows, columns = self.forth.shape[-2:]
        values = [
            [self.forth[a, b, (i - k) % rows, (j - m) % columns] for k, m, b in self.sites]
            for i, j, a in self.sites
        ]
        return torch.from_numpy(np.array(values))

    def at(
        self, cells: NDArray[np.int64], orbitals: int
    ) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
        """Select waves from the sites to the orbitals of cells, and back: (site, cell, orbital)."""
        size = np.array(self.forth.shape[-2:])
        out, back = [], []
        for i, j, a in self.sites:
            rows, columns = ((cells - (i, j)) % size).T
            out.append(self.forth[:orbitals, a, rows, columns].T)
            back.append(self.back[a, :orbitals, rows, columns])
        return np.stack(out), np.stack(back)


@dataclass(frozen=True, eq=False)
class _Window:
    """The cells that a window shows, and the blurred images of their orbitals."""

    cells: NDArray[np.int64]
    across: NDArray[np.float64]
    down: NDArray[np.float64]
    weights: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        band: CrystalBand,
        centre_nm: NDArray[np.float64],
        pixel_nm: float,
        shape: tuple[int, int],
        tip_nm: float,
    ) -> _Window:
        """Find the cells about a centre that show on a window of pixels."""
        vectors, sites = np.array(band.vectors_nm), np.array(band.sites_nm)
        half = max(shape) / 2 * pixel_nm + _REACH * tip_nm
        away = float(np.hypot(*(sites - centre_nm).T).max()) + np.sqrt(2) * half
        counts = np.ceil(away * np.linalg.norm(np.linalg.inv(vectors), axis=0)).astype(int)
        cells = np.stack(
            np.meshgrid(*(np.arange(-n, n + 1) for n in counts), indexing="ij"), axis=-1
        ).reshape(-1, 2)
        places = (cells @ vectors)[:, None] + sites - centre_nm
        near = (np.abs(places) <= half).all(axis=-1).any(axis=1)
        x, y = places[near].reshape(-1, 2).T
        rows, columns = ((np.arange(n) - n // 2) * pixel_nm for n in shape)
        weights = np.array(band.weights) / (2 * np.pi * tip_nm**2)
        return cls(
            cells[near],
            np.exp(-((columns - x[:, None]) ** 2) / (2 * tip_nm**2)),
            np.exp(-((rows - y[:, None]) ** 2) / (2 * tip_nm**2)),
            weights,
        )

    def image(self, density: NDArray[np.float64]) -> NDArray[np.float64]:
        """Blur densities (cell, orbital) to an image (h, w)."""
        seen = (density * self.weights).ravel()
        return np.asarray((self.down * seen[:, None]).T @ self.across)
