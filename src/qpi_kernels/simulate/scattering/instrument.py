"""Effects of the microscope on a spectrum: energy resolution and the set-point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["EnergyNodes", "EnergyResolution", "SetPoint"]

_BOLTZMANN = 8.617333e-5
_FWHM_PER_SIGMA = 2 * float(np.sqrt(2 * np.log(2)))
_MAX_NODES = 401


class EnergyNodes(NamedTuple):
    """Energy offsets in eV, and weights that sum to 1."""

    offsets: NDArray[np.float64]
    weights: NDArray[np.float64]


@dataclass(frozen=True)
class EnergyResolution:
    """Thermal and lock-in broadening of dI/dV.

    A Gaussian in energy whose full width at half maximum is
    ``sqrt((3.5 k_B T)^2 + (2.5 e V_rms)^2)`` (Wolf, Principles of Electron Tunneling Spectroscopy,
    1985): 1.27 meV at 4.2 K without modulation.

    Parameters
    ----------
    temperature_K : float
        Temperature of tip and sample.
    modulation_V : float
        Lock-in modulation, rms.
    """

    temperature_K: float = 4.2  # noqa: N815 - the unit's own letter
    modulation_V: float = 0.0  # noqa: N815

    def __post_init__(self) -> None:
        if self.temperature_K < 0 or self.modulation_V < 0:
            raise ValueError("temperature and modulation must not be negative")

    @classmethod
    def none(cls) -> EnergyResolution:
        """Return perfect resolution."""
        return cls(temperature_K=0.0)

    @property
    def width_eV(self) -> float:  # noqa: N802
        """Full width at half maximum in eV."""
        return float(np.hypot(3.5 * _BOLTZMANN * self.temperature_K, 2.5 * self.modulation_V))

    def nodes(self, broadening: float) -> EnergyNodes:
        """List energies in eV to average over, no further apart than half the broadening."""
        sigma = self.width_eV / _FWHM_PER_SIGMA
        if sigma < 0.02 * broadening:
            return EnergyNodes(np.zeros(1), np.ones(1))
        count = min(2 * int(np.ceil(3 * sigma / (0.5 * broadening))) + 5, _MAX_NODES)
        offsets = np.linspace(-3 * sigma, 3 * sigma, count)
        weights = np.exp(-(offsets**2) / (2 * sigma**2))
        return EnergyNodes(offsets, weights / weights.sum())


@dataclass(frozen=True)
class SetPoint:
    r"""Constant-current set-point of a dI/dV map.

    The tip height follows ``I ~ int_0^V rho dE``, so the map shows ``rho(E) / int rho``, and in it
    what the current shows: at a set-point that stays, a feature that does not disperse; at one that
    follows the bias, one that does (Macdonald et al., Nanotechnology 27, 414004, 2016). Neither is
    a band of the sample. To first order in the defect's change, which keeps kernels additive,

    .. math:: \delta\rho(E) - \rho_0(E)\,
              \frac{\int_0^{V} \delta\rho\, dE'}{\int_0^{V} \rho_0\, dE'}

    where ``rho_0`` is the clean density averaged over the unit cell.

    Parameters
    ----------
    bias : float
        V of the set-point in V, not zero.
    """

    bias: float

    def __post_init__(self) -> None:
        if not self.bias:
            raise ValueError("the set-point bias must not be zero")

    def energies(self, broadening: float) -> NDArray[np.float64]:
        """List energies of the current's integral in eV, no further apart than the broadening."""
        count = min(max(int(np.ceil(abs(self.bias) / broadening)), 8) + 1, _MAX_NODES)
        return np.linspace(0.0, self.bias, count)

    def apply(
        self,
        change: torch.Tensor,
        clean: torch.Tensor,
        integrand: torch.Tensor,
        clean_integrand: torch.Tensor,
    ) -> torch.Tensor:
        """Subtract what the feedback follows.

        Parameters
        ----------
        change : tensor, (..., energy, h, w)
            LDOS change at the wanted energies.
        clean : tensor, (energy,)
            Clean LDOS there.
        integrand, clean_integrand : tensor, (..., n, h, w) and (n,)
            Both at `energies`.
        """
        followed = torch.trapezoid(integrand, dim=-3) / torch.trapezoid(clean_integrand)
        return change - clean[:, None, None] * followed[..., None, :, :]
