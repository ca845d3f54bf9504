"""Effects of the microscope on a spectrum: energy resolution and the set-point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.special
import torch
from numpy.typing import NDArray

__all__ = ["EnergyNodes", "EnergyResolution", "SetPoint"]

_BOLTZMANN = 8.617333e-5
# Beyond so many kT the thermal spread leaves less than 0.2 %.
_THERMAL_REACH = 7.0
_MAX_NODES, _LOCK_IN_NODES = 401, 801


class EnergyNodes(NamedTuple):
    """Energy offsets in eV, and weights that sum to 1."""

    offsets: NDArray[np.float64]
    weights: NDArray[np.float64]


@dataclass(frozen=True)
class EnergyResolution:
    r"""Thermal and lock-in broadening of dI/dV.

    The average over energies with :math:`-f'`, the derivative of the Fermi function, whose standard
    deviation is :math:`\pi k_B T / \sqrt 3`, and with the semicircle of a sinusoidal modulation
    (first harmonic), whose radius is the amplitude :math:`\sqrt 2\, V_{rms}` and whose standard
    deviation is :math:`V_{rms} / \sqrt 2` (Klein et al., Phys. Rev. B 7, 2336 (1973)). The energy
    resolution that is usually quoted, :math:`\sqrt{(3.5 k_B T)^2 + (2.5 e V_{rms})^2}`, is a full
    width at half maximum.

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
    def sigma_eV(self) -> float:  # noqa: N802
        """Standard deviation of the average's energies in eV."""
        thermal = np.pi * _BOLTZMANN * self.temperature_K / np.sqrt(3)
        return float(np.hypot(thermal, self.modulation_V / np.sqrt(2)))

    def nodes(self, broadening: float) -> EnergyNodes:
        """List energies in eV to average over, no further apart than half the broadening."""
        if self.sigma_eV < 0.02 * broadening:
            return EnergyNodes(np.zeros(1), np.ones(1))
        count = 2 * int(np.ceil(self._reach(_THERMAL_REACH) / (0.5 * broadening))) + 5
        return self.spread(min(count, _MAX_NODES))

    def spread(self, count: int, thermal_reach: float = _THERMAL_REACH) -> EnergyNodes:
        """List so many even energies in eV with the average's weights and its variance.

        Parameters
        ----------
        count : int
            At least 3.
        thermal_reach : float
            Where the tails of the Fermi function's derivative are cut, in kT.
        """
        reach = self._reach(thermal_reach)
        edges = np.linspace(-reach, reach, count + 1)
        # The semicircle is the weight of Chebyshev polynomials of the second kind.
        angle = np.arange(1, _LOCK_IN_NODES + 1) * np.pi / (_LOCK_IN_NODES + 1)
        swing = np.sqrt(2) * self.modulation_V * np.cos(angle)
        thermal = max(_BOLTZMANN * self.temperature_K, 1e-6 * self.sigma_eV)
        below = scipy.special.expit((edges[:, None] - swing) / thermal) @ np.sin(angle) ** 2
        weights = np.diff(below) / (below[-1] - below[0])
        offsets = (edges[1:] + edges[:-1]) / 2
        # Cells and cut tails change the variance, on which the damping of waves depends.
        return EnergyNodes(offsets * self.sigma_eV / np.sqrt(weights @ offsets**2), weights)

    def _reach(self, thermal_reach: float) -> float:
        """Compute the largest offset in eV."""
        thermal = thermal_reach * _BOLTZMANN * self.temperature_K
        return float(thermal + np.sqrt(2) * self.modulation_V)


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
