"""`ProbeSpace`: determinants, draws and eigenvectors of an operator from a few random vectors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from qpi_kernels.linalg.block_lanczos import BlockLanczos, RitzPairs
from qpi_kernels.linalg.evidence import OperatorSpectrum
from qpi_kernels.linalg.recorded_blocks import RecordedBlocks

__all__ = ["ProbeSpace"]

# Residual of an eigenvector over its eigenvalue at which it counts as found.
_MAX_RESIDUAL = 0.02
# One that stands for more than so many, as the probes tell, is that of an eigenvalue of many.
_MAX_COUNT = 4.0


class ProbeSpace:
    r"""Estimates functions of ``G`` in the block Krylov space of unit normal vectors.

    One space serves for the determinant of ``G + ridge``, the eigenvectors of the largest
    eigenvalues, and draws of covariance :math:`(G + \mathrm{ridge})^{-1}`, at any ridge
    (stochastic quadrature; Chow and Saad 2014 for draws). Eigenvalues that are found count
    exactly, and the probes stand for the others only (Meyer et al. 2021).

    Parameters
    ----------
    operator : callable
        ``G`` acting on ``(vector, n)``.
    probes : tensor, (probe, n)
        Unit normal numbers.
    """

    def __init__(
        self, operator: Callable[[torch.Tensor], torch.Tensor], probes: torch.Tensor
    ) -> None:
        self.probes = probes
        # Blocks that shrink need decisions, for which the host would wait for the device.
        kind = BlockLanczos if probes.device.type == "cpu" else RecordedBlocks
        self._space: BlockLanczos | RecordedBlocks = kind(operator, probes)
        # Of the present space, and of that at the check before.
        self._pairs: RitzPairs | None = None
        self._before: RitzPairs | None = None

    @property
    def iterations(self) -> int:
        """Blocks so far."""
        return self._space.iterations

    @property
    def exhausted(self) -> bool:
        """True if the space does not grow any more."""
        return self._space.exhausted

    def step(self) -> None:
        """Do one iteration: apply the operator once to a vector per probe."""
        self._space.step()
        if self._pairs is not None:
            self._before, self._pairs = self._pairs, None

    def spectrum(self) -> OperatorSpectrum:
        """Estimate the density of the operator's eigenvalues."""
        pairs = self._ritz_pairs()
        counts = self._weights(pairs)
        found = (pairs.residuals < _MAX_RESIDUAL * pairs.values) & (counts < _MAX_COUNT)
        others = self.probes.shape[1] - int(found.sum())
        counts *= others / max(float(counts[~found].sum()), 1e-300)
        counts[found] = 1.0
        return OperatorSpectrum(pairs.values, counts)

    def changes(self, ridge: float) -> tuple[float, float]:
        """Compare the space at a ridge with that of the check before.

        Returns
        -------
        float, float
            Relative change of the logarithm of the determinant, and of the squares of `draws`.
        """
        now = self._ritz_pairs()
        if self._before is None:
            return np.inf, np.inf
        sums = []
        for pairs in (self._before, now):
            weights = self._weights(pairs)
            functions = np.log1p(pairs.values / ridge), 1 / (pairs.values + ridge)
            sums.append([float((weights * values).sum()) for values in functions])
        (volume, width), (volume_now, width_now) = sums
        return abs(1 - volume / max(volume_now, 1e-300)), abs(1 - width / width_now)

    def draws(self, ridge: float) -> torch.Tensor:
        """Apply ``(G + ridge)^(-1/2)`` to the probes, (probe, n)."""
        pairs = self._ritz_pairs()
        scaled = self._amplitudes(pairs) / np.sqrt(pairs.values + ridge)
        return self._tensor(scaled @ pairs.vectors.T) @ self._space.basis

    def eigenvectors(self, smallest: float) -> tuple[NDArray[np.float64], torch.Tensor]:
        """Return the eigenvalues above some value that are found, with vectors (m, n)."""
        pairs = self._ritz_pairs()
        known = (pairs.residuals < _MAX_RESIDUAL * pairs.values) & (pairs.values > smallest)
        return pairs.values[known], self._tensor(pairs.vectors[:, known].T) @ self._space.basis

    def found(self, ridge: float) -> float:
        """Count the unknowns at a ridge that eigenvectors found so far determine."""
        pairs = self._ritz_pairs()
        known = pairs.residuals < _MAX_RESIDUAL * pairs.values
        return float((pairs.values / (pairs.values + ridge))[known].sum())

    def _amplitudes(self, pairs: RitzPairs) -> NDArray[np.float64]:
        """Expand the probes in approximate eigenvectors, (probe, m)."""
        start = self._space.start
        return np.asarray(start.T @ pairs.vectors[: len(start)])

    def _weights(self, pairs: RitzPairs) -> NDArray[np.float64]:
        """Estimate for how many eigenvectors each approximate one stands, (m,)."""
        return np.asarray(np.square(self._amplitudes(pairs)).mean(axis=0))

    def _ritz_pairs(self) -> RitzPairs:
        """Decompose the operator in the present space, once."""
        if self._pairs is None:
            self._pairs = self._space.ritz_pairs()
        return self._pairs

    def _tensor(self, values: NDArray[np.float64]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.probes)
