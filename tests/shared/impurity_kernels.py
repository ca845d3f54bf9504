"""Bands and a window for the kernels of any impurity."""

from __future__ import annotations

import numpy as np
import torch

from qpi_kernels import simulate
from qpi_kernels.simulate.scattering.greens_function import Box, local_greens_function

__all__ = ["DIRAC", "OPTIONS", "RASHBA", "SURFACE", "kernel", "local"]

SURFACE = simulate.ParabolicBand(0.4, -0.3)
RASHBA = simulate.RashbaBand(0.4, -0.3, 0.06)
DIRAC = simulate.DiracBand(0.3, 0.15)
OPTIONS = dict(bias=0.05, pixel_nm=0.3, shape=(25, 25), broadening=0.05, tip_nm=0.2)


def kernel(band, impurity, **changes) -> np.ndarray:
    """Simulate the kernel of an impurity in the window of `OPTIONS`."""
    return simulate.single_defect(band, impurity=impurity, **OPTIONS | changes).values


def local(band, energies, broadening, size, pixel_nm, impurity) -> torch.Tensor:
    """Compute the Green's function between the centres of an impurity in a periodic box."""
    box = Box(size, pixel_nm, torch.float64, torch.device("cpu"))
    at = torch.tensor(energies, dtype=torch.float64)
    centres = torch.tensor(impurity.centres_nm, dtype=torch.float64)
    return local_greens_function(band, at, broadening, box, centres, impurity.width_nm)
