"""Ridge and noise level of a linear model from its marginal likelihood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.linalg.joint_lanczos import RitzExpansion
from qpi_kernels.linalg.lanczos import Tridiagonal

__all__ = ["Evidence", "Expansion", "OperatorSpectrum", "Quadrature"]


@dataclass(frozen=True)
class Quadrature:
    """Right-hand sides by the operator's eigenvectors: of them all, unlike `Tridiagonal`.

    Parameters
    ----------
    values, weights : array, (observation, n)
        Eigenvalues, and the share of each right-hand side's square along each eigenvector.
    norm : array, (observation,)
        Length of each right-hand side.
    """

    values: NDArray[np.float64]
    weights: NDArray[np.float64]
    norm: NDArray[np.float64]


Expansion: TypeAlias = Tridiagonal | RitzExpansion | Quadrature
"""Right-hand sides by eigenvectors of the operator, or of its part in a Krylov space."""


@dataclass(frozen=True)
class OperatorSpectrum:
    """Density of the normal operator's eigenvalues, from random probes (stochastic quadrature).

    Parameters
    ----------
    values : array, (n,)
        Eigenvalue nodes.
    counts : array, (n,)
        How many eigenvalues each node stands for; they sum to the number of unknowns.
    """

    values: NDArray[np.float64]
    counts: NDArray[np.float64]

    @classmethod
    def from_probes(cls, probes: Tridiagonal) -> OperatorSpectrum:
        """Average the probes' quadratures; the mean squared probe length is the dimension."""
        counts = probes.weights * probes.norm[:, None] ** 2 / len(probes.norm)
        return cls(probes.values.ravel(), counts.ravel())

    @property
    def size(self) -> float:
        """Number of eigenvalues: the number of unknowns."""
        return float(self.counts.sum())

    @property
    def maximum(self) -> float:
        """Largest eigenvalue."""
        return float(self.values.max(initial=0.0))

    @property
    def mean(self) -> float:
        """Mean eigenvalue."""
        return float((self.counts * self.values).sum() / max(self.size, 1e-300))

    def determined(self, ridge: NDArray[np.float64]) -> NDArray[np.float64]:
        """Count the unknowns that the data determine at each ridge, their effective number."""
        ratio = self.values / np.maximum(self.values + ridge[..., None], np.finfo(float).tiny)
        return np.asarray((self.counts * ratio).sum(axis=-1))

    def log_determinant(self, ridge: NDArray[np.float64]) -> NDArray[np.float64]:
        """Evaluate ``log det(1 + G/ridge)``."""
        return np.asarray((self.counts * np.log1p(self.values / ridge[..., None])).sum(axis=-1))

    def inverse_trace(self, ridge: NDArray[np.float64]) -> NDArray[np.float64]:
        """Evaluate the trace of ``(G + ridge)^-1``, without a ridge that of its pseudo-inverse."""
        floor = 1e-12 * self.values.max(initial=1e-300)
        shifted = self.values + ridge[..., None]
        known = shifted > floor
        return np.asarray((self.counts * known / np.where(known, shifted, 1.0)).sum(axis=-1))


class Evidence:
    r"""Marginal likelihood of the ridge for each observation of one linear model.

    With prior ``x ~ N(0, (sigma^2/ridge) 1)`` and white noise of variance ``sigma^2`` the
    evidence, maximised over ``sigma``, is (MacKay 1992; the linear-Gaussian textbook case)

    .. math:: -2 \log p = n \log S(\lambda) + \log\det(1 + G/\lambda), \quad
              S = |y|^2 - b^T (G + \lambda)^{-1} b, \quad \sigma^2 = S / n .

    Where the prior's variance :math:`\sigma^2/\lambda` may not fall below some t, the largest
    evidence is at :math:`\sigma^2 = \max(S/n, t \lambda)`.

    Parameters
    ----------
    energy : array, (observation,)
        ``|y|^2`` of each observation.
    samples : int
        Number of independent samples of an observation.
    spectrum : OperatorSpectrum
        Eigenvalues of the normal operator.
    min_variance : float
        t; 0 for any.
    """

    _GRID = np.logspace(-10, 4, 57)

    def __init__(
        self,
        energy: NDArray[np.float64],
        samples: int,
        spectrum: OperatorSpectrum,
        min_variance: float = 0.0,
    ) -> None:
        self._energy = energy
        self._samples = max(samples, 1)
        self._spectrum = spectrum
        self._min_variance = min_variance

    def misfit(self, ridge: NDArray[np.float64], data: Expansion) -> NDArray[np.float64]:
        """Evaluate ``S``, (observation, candidate), at ridges of that shape."""
        explained = data.weights[:, None, :] / np.maximum(
            data.values[:, None, :] + ridge[..., None], np.finfo(float).tiny
        )
        misfit = self._energy[:, None] - data.norm[:, None] ** 2 * explained.sum(axis=-1)
        return self.at_least_rounding(misfit.T).T

    def at_least_rounding(self, misfit: NDArray[np.float64]) -> NDArray[np.float64]:
        """Raise values of ``S``, (..., observation), to what rounding leaves of the energy."""
        return np.asarray(np.maximum(misfit, 1e-13 * self._energy + 1e-300))

    def cost(self, ridge: NDArray[np.float64], data: Expansion) -> NDArray[np.float64]:
        """Evaluate ``-2 log p`` up to a constant, (observation, candidate)."""
        return self.cost_of(self.misfit(ridge, data), ridge)

    def cost_of(
        self, misfit: NDArray[np.float64], ridge: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Evaluate ``-2 log p`` at values of ``S``, of the shape of ``ridge``."""
        noise = np.maximum(misfit, self._samples * self._min_variance * ridge)
        fit = self._samples * (np.log(noise) + misfit / noise - 1)
        return np.asarray(fit + self._spectrum.log_determinant(ridge))

    def best_ridge(self, data: Expansion) -> NDArray[np.float64]:
        """Find the ridge of the largest evidence, (observation,)."""
        # Only zeros: nothing in the observations depends on the unknowns.
        top = self._spectrum.values.max(initial=0.0) or 1.0
        grid = np.broadcast_to(self._GRID * top, (len(self._energy), self._GRID.size))
        ratio = self._GRID[1] / self._GRID[0]
        for _ in range(2):
            best = grid[np.arange(len(grid)), self.cost(grid, data).argmin(axis=1)]
            grid = best[:, None] * ratio ** np.linspace(-1, 1, 21)
            ratio = ratio**0.1
        return _minimum(grid, self.cost(grid, data))

    def noise_variance(self, ridge: NDArray[np.float64], data: Expansion) -> NDArray[np.float64]:
        """Estimate the noise variance at given ridges, (observation,); without bias at ridge 0."""
        return self.noise_of(self.misfit(ridge[:, None], data)[:, 0], ridge)

    def noise_of(
        self, misfit: NDArray[np.float64], ridge: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Estimate the noise variance from ``S`` at given ridges, (observation,)."""
        freedom = np.where(ridge > 0, 0.0, self._spectrum.determined(ridge))
        noise = misfit / np.maximum(self._samples - freedom, 1.0)
        return np.asarray(np.maximum(noise, self._min_variance * ridge))


def _minimum(grid: NDArray[np.float64], cost: NDArray[np.float64]) -> NDArray[np.float64]:
    """Find where the parabola through the three lowest costs is least, (observation,).

    The nearest point of the grid would be a choice between neighbours that rounding may make.

    Parameters
    ----------
    grid, cost : array, (observation, candidate)
        Ridges at equal ratios, and their costs.
    """
    rows, lowest = np.arange(len(grid)), cost.argmin(axis=1)
    middle = np.clip(lowest, 1, grid.shape[1] - 2)
    before, here, after = (cost[rows, middle + step] for step in (-1, 0, 1))
    curvature = before - 2 * here + after
    known = (middle == lowest) & (curvature > 0)
    shift = np.where(known, (before - after) / 2 / np.where(known, curvature, 1.0), 0.0)
    ratio = grid[:, 1] / grid[:, 0]
    return np.asarray(grid[rows, lowest] * ratio**shift)
