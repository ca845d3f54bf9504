"""The Green's function of a clean band, on a box that its waves do not outlive."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from qpi_kernels.simulate.bands import Band
from qpi_kernels.simulate.bands.band import reciprocal

__all__ = ["Box", "SimulationError", "box_pixels", "greens_function", "local_greens_function"]

_LARGEST_BOX = 4096
_LARGEST_MESH = 1024
_ELEMENTS_AT_ONCE = 2**24


class SimulationError(ValueError):
    """A simulation can not be done as asked; the message says what to change."""


def _round_up(size: float) -> int:
    """Next size of the form (4, 5, 6 or 7) 2^n: quick to transform, and shared by many energies."""
    power = 2 ** (max(math.ceil(math.log2(size)), 4) - 3)
    return next(int(factor * power) for factor in (4, 5, 6, 7, 8) if factor * power >= size)


def box_pixels(band: Band, energy: float, broadening: float, pixel_nm: float, extent: int) -> int:
    """Side of the box in pixels.

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
        If the box would be too large.
    """
    damping = band.smallest_damping(energy, broadening, pixel_nm)
    reach = 1.0 / (damping * pixel_nm)
    size = _round_up(max(5.0 * reach, extent + 3.0 * reach))
    if size > _LARGEST_BOX:
        raise SimulationError(
            f"waves at {energy:g} V reach {5 / damping:.0f} nm, more than {_LARGEST_BOX} pixels: "
            "raise the broadening or the pixel size"
        )
    return size


@dataclass(frozen=True)
class Box:
    """A periodic pixel grid and its momenta.

    Parameters
    ----------
    size : int
        Side in pixels.
    pixel_nm : float
        Pixel pitch.
    dtype : torch.dtype
        float32 or float64.
    device : torch.device
        Where arrays live.
    """

    size: int
    pixel_nm: float
    dtype: torch.dtype
    device: torch.device

    def momenta(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Wave vectors (kx, ky) in rad/nm, each (size, size), rows along ky."""
        k = 2 * np.pi * torch.fft.fftfreq(self.size, self.pixel_nm, dtype=torch.float64)
        k = k.to(self.device, self.dtype)
        ky, kx = torch.meshgrid(k, k, indexing="ij")
        return kx, ky


def greens_function(
    hamiltonian: torch.Tensor, energies: torch.Tensor, broadening: float
) -> torch.Tensor:
    """``G(k) = (E + i broadening - H(k))^-1``.

    Parameters
    ----------
    hamiltonian : tensor, (m, m, ...)
        H in eV.
    energies : tensor, (energy,)
        In eV.
    broadening : float
        Half-width in eV.

    Returns
    -------
    tensor, complex, (energy, m, m, ...)
        In 1/eV.
    """
    size = len(hamiltonian)
    kind = torch.complex64 if energies.dtype == torch.float32 else torch.complex128
    at = torch.complex(energies, torch.full_like(energies, broadening))
    at = at.view(-1, *[1] * (hamiltonian.ndim - 2))
    if size == 1:
        return (at - hamiltonian[0, 0]).reciprocal()[:, None, None]
    if size == 2:
        # The adjugate: batched inversions of tiny matrices are slow.
        (a, b), (c, d) = hamiltonian
        first, second = at - a, at - d
        scale = (first * second - b * c).reciprocal()
        elements = [second, b.expand_as(second), c.expand_as(first), first]
        adjugate = torch.stack([element.to(kind) for element in elements], dim=1)
        green: torch.Tensor = adjugate * scale[:, None]
        return green.view(len(green), 2, 2, *green.shape[2:])
    matrices = hamiltonian.to(kind).movedim((0, 1), (-2, -1))
    one = torch.eye(size, dtype=kind, device=hamiltonian.device)
    inverse: torch.Tensor = torch.linalg.inv(at[..., None, None] * one - matrices)
    return inverse.movedim((-2, -1), (1, 2))


def local_greens_function(
    band: Band,
    energies: torch.Tensor,
    broadening: float,
    box: Box,
    centres: torch.Tensor,
    width_nm: float = 0.0,
) -> torch.Tensor:
    r"""Green's function from each scattering centre to each other.

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
        Of the form factor ``f = exp(-k^2 width^2 / 2)``, for a continuum only.

    Returns
    -------
    tensor, complex, (energy, S m, S m)
        In 1/(eV nm^2).
    """
    if band.lattice is None:
        kx, ky = (k.ravel() for k in box.momenta())
        measure = 1.0 / (box.size * box.pixel_nm) ** 2
    else:
        kx, ky = _zone_mesh(band, box)
        area = band.cell_area
        assert area is not None
        measure = 1.0 / (len(kx) * area)
    count = len(centres)
    size = count * band.orbitals
    total: torch.Tensor | None = None
    step = max(_ELEMENTS_AT_ONCE // (len(energies) * band.orbitals**2 + count), 1)
    for first in range(0, len(kx), step):
        x, y = kx[first : first + step], ky[first : first + step]
        green = greens_function(band.hamiltonian(x, y), energies, broadening)
        if width_nm and band.lattice is None:
            green = green * torch.exp(-(x**2 + y**2) * width_nm**2)
        if count == 1:
            part = green.sum(dim=-1)
        else:
            phase = torch.exp(1j * (centres[:, :1] * x + centres[:, 1:] * y)).to(green.dtype)
            part = torch.einsum("sk,eabk,tk->esatb", phase, green, phase.conj())
            part = part.reshape(-1, size, size)
        total = part if total is None else total + part
    assert total is not None
    return total * measure


def _zone_mesh(band: Band, box: Box) -> tuple[torch.Tensor, torch.Tensor]:
    """Momenta of the Brillouin zone for a crystal at least as wide as the box."""
    assert band.lattice is not None
    first, second = reciprocal(band.lattice)
    width = box.size * box.pixel_nm
    lengths = [float(np.hypot(*vector)) for vector in band.lattice]
    counts = [min(_round_up(width / length), _LARGEST_MESH) for length in lengths]
    steps = [torch.arange(n, dtype=torch.float64) / n for n in counts]
    a, b = (step.ravel() for step in torch.meshgrid(*steps, indexing="ij"))
    kx, ky = a * first[0] + b * second[0], a * first[1] + b * second[1]
    return kx.to(box.device, box.dtype), ky.to(box.device, box.dtype)
