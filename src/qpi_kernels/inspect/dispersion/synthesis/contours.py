"""Wave numbers of a band's contours, direction by direction."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from qpi_kernels.simulate.bands.band import Band

__all__ = ["ANGLES_DEG", "contour_wave_numbers", "mean_wave_number"]

Array = NDArray[np.float64]

ANGLES_DEG = np.arange(0.0, 360.0, 5.0)
_RADII = 512


def contour_wave_numbers(band: Band, energies: Array, largest: float) -> Array:
    """Find the outermost state of each energy along directions, (energy, angle).

    Parameters
    ----------
    band : Band
        The band.
    energies : array
        In eV.
    largest : float
        Largest wave number to look at in rad/nm.

    Returns
    -------
    array, (energy, angle)
        In rad/nm along `ANGLES_DEG`, anticlockwise as seen; NaN where there is none.
    """
    radii = np.linspace(1e-6, largest, _RADII)
    angles = np.deg2rad(ANGLES_DEG)[:, None]
    # y counts down the screen.
    kx, ky = (torch.from_numpy(radii * part) for part in (np.cos(angles), -np.sin(angles)))
    matrices = band.hamiltonian(kx, ky).movedim((0, 1), (-2, -1))
    states = np.moveaxis(torch.linalg.eigvalsh(matrices).numpy(), -1, 0)
    found = np.full((len(energies), len(ANGLES_DEG)), np.nan)
    for number, energy in enumerate(energies.tolist()):
        away = states - energy
        crossed = (away[..., 1:] > 0) != (away[..., :-1] > 0)
        share = away[..., :-1] / np.where(crossed, away[..., :-1] - away[..., 1:], 1.0)
        at = np.where(crossed, radii[:-1] + share * (radii[1] - radii[0]), -np.inf)
        outermost = at.max(axis=(0, -1))
        found[number] = np.where(np.isfinite(outermost), outermost, np.nan)
    return found


def mean_wave_number(contours: Array) -> Array:
    """Return the radius of the circle that holds as many states, (energy,)."""
    return np.asarray(np.sqrt(np.square(contours).mean(axis=-1)))
