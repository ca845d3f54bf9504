"""The LDOS change around one point scatterer, from Green's function and T-matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.fft
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.simulate.bands import Band

__all__ = ["SimulationError", "single_defect"]

_LARGEST_BOX = 4096


class SimulationError(ValueError):
    """A simulation can not be done as asked; the message says what to change."""


def single_defect(
    band: Band,
    *,
    bias: float | Sequence[float] | NDArray[np.float64],
    pixel_nm: float,
    shape: tuple[int, int],
    impurity: float,
    broadening: float,
    tip_nm: float = 0.0,
) -> xr.DataArray:
    r"""Simulate the kernel: how one point defect changes the local density of states.

    .. math:: \delta\rho(r, E) = -\frac{1}{\pi} \mathrm{Im}\, g(r)\, T\, g(-r), \quad
              T = V / (1 - V g(0)), \quad
              g(r) = \int \frac{d^2k}{(2\pi)^2} \frac{\varphi(k) e^{ikr}}{E + i\eta - E_k}

    (T-matrix of a point potential, for example Balatsky, Vekhter and Zhu, RMP 78, 373, 2006). The
    transform runs over a box of at least 5/Im k, so that no wave returns through its edge, and is
    cropped; the grid's Nyquist momentum is the cutoff.

    Parameters
    ----------
    band : Band
        Dispersion.
    bias : float or sequence of float
        Sample bias in V, the energy in eV above the Fermi level; a sequence gives a stack.
    pixel_nm : float
        Pixel pitch.
    shape : tuple of int
        Kernel size (h, w); the defect sits at ``(h//2, w//2)``.
    impurity : float
        Strength V of the point potential in eV nm^2; repulsive when positive.
    broadening : float
        Half-width eta of the states in eV.
    tip_nm : float
        Width sigma of the tip's form factor ``exp(-k^2 sigma^2 / 2)`` for each Green's function.

    Returns
    -------
    xarray.DataArray
        ``(y, x)`` or ``(bias, y, x)`` in states/(eV nm^2) per spin; ``y`` and ``x`` in nm from the
        defect, ``bias`` in V.

    Raises
    ------
    SimulationError
        If sizes or energies are not positive, or the waves reach too far for the box limit.
    """
    if pixel_nm <= 0 or broadening <= 0 or min(shape) < 1:
        raise SimulationError("pixel_nm, broadening and the shape must be positive")
    energies = np.atleast_1d(np.asarray(bias, float))
    planes = [
        _ldos_change(band, energy, pixel_nm, shape, impurity, broadening, tip_nm)
        for energy in energies
    ]
    coords = {
        "bias": ("bias", energies, {"units": "V"}),
        "y": ("y", (np.arange(shape[0]) - shape[0] // 2) * pixel_nm, {"units": "nm"}),
        "x": ("x", (np.arange(shape[1]) - shape[1] // 2) * pixel_nm, {"units": "nm"}),
    }
    stack = xr.DataArray(
        np.stack(planes),
        dims=("bias", "y", "x"),
        coords=coords,
        name="kernel",
        attrs={"units": "1/(eV nm^2)", "long_name": "LDOS change", "quantity": "didv"},
    )
    return stack if np.ndim(bias) else stack.squeeze("bias")


def _ldos_change(
    band: Band,
    energy: float,
    pixel_nm: float,
    shape: tuple[int, int],
    impurity: float,
    broadening: float,
    tip_nm: float,
) -> NDArray[np.float64]:
    reach_nm = max(max(shape) * pixel_nm, 5.0 / band.smallest_damping(energy, broadening))
    size = scipy.fft.next_fast_len(int(np.ceil(reach_nm / pixel_nm)))
    if size > _LARGEST_BOX:
        raise SimulationError(
            f"waves at {energy:g} V reach {reach_nm:.0f} nm, more than {_LARGEST_BOX} pixels: "
            "raise the broadening or the pixel size"
        )
    k = 2 * np.pi * scipy.fft.fftfreq(size, pixel_nm)
    ky, kx = np.meshgrid(k, k, indexing="ij")
    green = 1.0 / (energy + 1j * broadening - band.energy(kx, ky))
    local = green.mean() / pixel_nm**2
    t_matrix = impurity / (1.0 - impurity * local)
    green *= np.exp(-(kx**2 + ky**2) * tip_nm**2 / 2)
    wave = scipy.fft.ifft2(green, overwrite_x=True) / pixel_nm**2
    rows, cols = ((np.arange(n) - n // 2) % size for n in shape)
    # g(-r) at pixel -r: equal to g(r) for a band with inversion symmetry, kept general.
    out, back = wave[np.ix_(rows, cols)], wave[np.ix_(-rows % size, -cols % size)]
    return np.asarray(-(out * t_matrix * back).imag / np.pi)
