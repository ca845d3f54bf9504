"""The Green's function of a clean band, on a box that its waves do not outlive."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from qpi_kernels.simulate.bands import Band, SimulationError
from qpi_kernels.simulate.bands.lattice_vectors import reciprocal

__all__ = [
    "MOST_ELEMENTS",
    "Box",
    "SimulationError",
    "box_pixels",
    "greens_function",
    "local_greens_function",
]

_MAX_BOX = 4096
_MAX_MESH = 4096
MOST_ELEMENTS = 2**26
"""Size of the largest array: 1 GB in double precision, and a few are needed."""
_ELEMENTS_AT_ONCE = 2**20


def _round_up(size: float) -> int:
    """Round up to (4, 5, 6 or 7) 2^n: quick to transform, and shared by many energies."""
    least = max(math.ceil(size - 1e-6), 8)
    power = 2 ** ((least - 1).bit_length() - 3)
    return int(next(factor * power for factor in (4, 5, 6, 7, 8) if factor * power >= least))


def box_pixels(band: Band, energy: float, broadening: float, pixel_nm: float, extent: int) -> int:
    """Choose the side of the box in pixels.

    A transform makes the crystal periodic: waves leave the box and return on the other side. The
    box is so large that they have decayed by ``exp(-5)`` from one copy of the defect to the next,
    and by ``exp(-3)`` from the next copy to the edge of what is kept.

    Parameters
    ----------
    band : Band
        The band.
    energy, broadening : float
        In eV.
    pixel_nm : float
        Pixel pitch.
    extent : int
        Longest side in pixels of what is kept.

    Raises
    ------
    SimulationError
        If the box would be too large, or the waves are too short for the pixels.
    """
    damping = band.smallest_damping(energy, broadening, pixel_nm)
    if not damping > 0:
        raise SimulationError(f"{type(band).__name__} gives no damping at {energy:g} V")
    reach = 1.0 / (damping * pixel_nm)
    needed = max(5.0 * reach, extent + 3.0 * reach)
    largest = min(_MAX_BOX, int((MOST_ELEMENTS / band.orbitals**2) ** 0.5))
    if needed > largest or (size := _round_up(needed)) > largest:
        raise SimulationError(
            f"waves at {energy:g} V reach {1 / damping:.3g} nm; with the window of {extent} pixels "
            f"they need a box of {needed:.0f} pixels, more than {largest}: raise the broadening or "
            "the pixel size, or choose a smaller window"
        )
    return size


@dataclass(frozen=True)
class Box:
    """A periodic pixel grid and its momenta."""

    size: int
    """Side in pixels."""
    pixel_nm: float
    """Pixel pitch."""
    dtype: torch.dtype
    """float32 or float64."""
    device: torch.device
    """Device of the arrays."""

    def momenta(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute wave vectors (kx, ky) in rad/nm, each (size, size), rows along ky."""
        k = 2 * np.pi * torch.fft.fftfreq(self.size, self.pixel_nm, dtype=torch.float64)
        k = k.to(self.device, self.dtype)
        ky, kx = torch.meshgrid(k, k, indexing="ij")
        return kx, ky

    def paired(self) -> torch.Tensor:
        """Mark with 1 where -k is on the grid too, with 0 elsewhere, (size, size).

        Half of the momenta at the grid's end are missing; with the other half, kernels would not
        have their crystal's symmetry.
        """
        found = torch.ones((self.size, self.size), dtype=self.dtype, device=self.device)
        if self.size % 2 == 0:
            found[self.size // 2] = found[:, self.size // 2] = 0.0
        return found


def greens_function(
    hamiltonian: torch.Tensor, energy: torch.Tensor, broadening: float
) -> torch.Tensor:
    """Compute ``G(k) = (E + i broadening - H(k))^-1``.

    Parameters
    ----------
    hamiltonian : tensor, (m, m, ...)
        H in eV.
    energy : tensor, ()
        In eV, in the precision that is wanted.
    broadening : float
        Half-width in eV.

    Returns
    -------
    tensor, complex, (m, m, ...)
        In 1/eV.
    """
    size = len(hamiltonian)
    kind = energy.dtype.to_complex()
    at = torch.complex(energy, torch.full_like(energy, broadening))
    if size == 1:
        return (at - hamiltonian).to(kind).reciprocal()
    if size == 2:
        # The adjugate: batched inversions of tiny matrices are slow.
        (a, b), (c, d) = hamiltonian
        first, second = at - a, at - d
        scale = (first * second - b * c).reciprocal()
        elements = [second, b, c, first]
        adjugate = torch.stack([element.to(kind) for element in elements])
        green: torch.Tensor = adjugate * scale
        return green.view(hamiltonian.shape)
    matrices = hamiltonian.to(kind).movedim((0, 1), (-2, -1))
    one = torch.eye(size, dtype=kind, device=hamiltonian.device)
    inverse: torch.Tensor = torch.linalg.inv(at * one - matrices)
    return inverse.movedim((-2, -1), (0, 1))


def local_greens_function(
    band: Band,
    energies: torch.Tensor,
    broadening: float,
    box: Box,
    centres: torch.Tensor,
    width_nm: float = 0.0,
    hamiltonian: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Compute the Green's function from each scattering centre to each other.

    .. math:: g_{ss'} = \int \frac{d^2k}{(2\pi)^2} f(k)^2\, G(k)\, e^{i k (d_s - d_{s'})}

    over the Brillouin zone of a lattice, where it does not depend on the pixels, or over the pixel
    grid's momenta of a continuum, whose Nyquist momentum is the cutoff.

    Parameters
    ----------
    band : Band
        The band.
    energies : tensor, (energy,)
        In eV.
    broadening : float
        Half-width in eV.
    box : Box
        The pixel grid; its side also says how many cells a lattice gets.
    centres : tensor, (S, 2)
        Positions (x, y) in nm.
    width_nm : float
        Of the form factor ``f = exp(-k^2 width^2 / 2)``.
    hamiltonian : tensor, (m, m, size, size), optional
        H of a continuum on the box's momenta, where it is known already.

    Returns
    -------
    tensor, complex, (energy, S m, S m)
        In 1/(eV nm^2).
    """
    if band.lattice is None:
        paired = box.paired() > 0
        kx, ky = (k[paired] for k in box.momenta())
        known = None if hamiltonian is None else hamiltonian[..., paired]
        measure = 1.0 / (box.size * box.pixel_nm) ** 2
    else:
        kx, ky = _zone_mesh(band, box)
        known = None
        area = band.cell_area
        assert area is not None
        measure = 1.0 / (len(kx) * area)
    size = len(centres) * band.orbitals
    kind = box.dtype.to_complex()
    total = torch.zeros((len(energies), size, size), dtype=kind, device=box.device)
    # Sums in steps that depend on the box alone give the same bits for one energy and for many.
    step = max(_ELEMENTS_AT_ONCE // (band.orbitals**2 + len(centres)), 1)
    for first in range(0, len(kx), step):
        x, y = kx[first : first + step], ky[first : first + step]
        part = band.hamiltonian(x, y) if known is None else known[..., first : first + step]
        form_factor = torch.exp(-(x**2 + y**2) * width_nm**2) if width_nm else None
        phase = None
        if len(centres) > 1:
            angle = centres[:, :1] * x + centres[:, 1:] * y
            phase = torch.polar(torch.ones_like(angle), angle)
        for number, energy in enumerate(energies):
            green = greens_function(part, energy, broadening)
            if form_factor is not None:
                green = green * form_factor
            if phase is None:
                total[number] += green.sum(dim=-1)
            else:
                between = torch.einsum("sk,abk,tk->satb", phase, green, phase.conj())
                total[number] += between.reshape(size, size)
    return total * measure


def _zone_mesh(band: Band, box: Box) -> tuple[torch.Tensor, torch.Tensor]:
    """Sample the Brillouin zone as of a crystal at least as wide as the box."""
    assert band.lattice is not None
    width = box.size * box.pixel_nm
    cells = [width / float(np.hypot(*vector)) for vector in band.lattice]
    if max(cells) > _MAX_MESH:
        raise SimulationError(
            f"the box of {width:.0f} nm holds {max(cells):.0f} unit cells in a row, more than "
            f"{_MAX_MESH}: raise the broadening, or choose a smaller window or pixel size"
        )
    steps = [torch.arange(n, dtype=torch.float64) / n for n in map(_round_up, cells)]
    a, b = (step.ravel() for step in torch.meshgrid(*steps, indexing="ij"))
    (first_x, first_y), (second_x, second_y) = reciprocal(band.lattice).tolist()
    kx, ky = a * first_x + b * second_x, a * first_y + b * second_y
    return kx.to(box.device, box.dtype), ky.to(box.device, box.dtype)
