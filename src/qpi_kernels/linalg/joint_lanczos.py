"""Solutions of many right-hand sides of one operator in the Krylov space that all span together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from qpi_kernels.linalg.block_lanczos import BlockLanczos

__all__ = ["JointLanczos", "RitzExpansion"]


@dataclass(frozen=True, eq=False)
class RitzExpansion:
    """Right-hand sides expanded in the eigenvectors of ``G`` in a Krylov space, as `Tridiagonal`.

    Parameters
    ----------
    values, amplitudes : array, (vector, m)
        Eigenvalues, and the part of each right-hand side along each eigenvector.
    norm : array, (vector,)
        Length of each right-hand side.
    coupling : array, (k, m)
        What ``G`` makes of each eigenvector outside the space.
    """

    values: NDArray[np.float64]
    amplitudes: NDArray[np.float64]
    norm: NDArray[np.float64]
    coupling: NDArray[np.float64]

    @property
    def weights(self) -> NDArray[np.float64]:
        """Share of each right-hand side's square along each eigenvector, (vector, m)."""
        return np.asarray(np.square(self.amplitudes / np.maximum(self.norm, 1e-300)[:, None]))

    def coordinates(self, shift: NDArray[np.float64]) -> NDArray[np.float64]:
        """Solve ``(G + shift) a = b`` in the Krylov space, see `Tridiagonal.coordinates`."""
        denominator = self.values + shift[:, None]
        inverse = np.divide(1.0, denominator, where=denominator > 0, out=np.zeros_like(denominator))
        return np.asarray(inverse * self.amplitudes)

    def residual(self, coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the length of ``b - (G + shift) a`` over that of ``b``, (vector,)."""
        outside = np.linalg.norm(coordinates @ self.coupling.T, axis=1)
        shown = self.norm > 0
        return np.asarray(np.divide(outside, self.norm, where=shown, out=np.zeros_like(outside)))


class JointLanczos:
    """Builds one Krylov space of ``G`` for several right-hand sides, to be used as `Lanczos`.

    What one of them learns of ``G`` serves all (O'Leary 1980): for the kernels of a stack it takes
    about half the iterations.

    Parameters
    ----------
    operator : callable
        ``G`` acting on ``(vector, n)``.
    start : tensor, (vector, n)
        The right-hand sides.
    """

    def __init__(
        self, operator: Callable[[torch.Tensor], torch.Tensor], start: torch.Tensor
    ) -> None:
        norm = torch.linalg.vector_norm(start, dim=1, keepdim=True)
        self._norm = norm[:, 0].cpu().double().numpy()
        # Of one length, so that none counts as rounding beside a stronger one.
        tiny = torch.finfo(start.dtype).tiny
        self._space = BlockLanczos(operator, start / norm.clamp(min=tiny))
        self._vectors = np.zeros((0, 0))
        self.iterations = 0

    def step(self) -> None:
        """Do one iteration: apply the operator once to a vector per right-hand side."""
        self._space.step()
        self.iterations += 1

    def tridiagonal(self) -> RitzExpansion:
        """Decompose the operator in the space built so far."""
        pairs, start = self._space.ritz_pairs(), self._space.start
        self._vectors = pairs.vectors
        amplitudes = self._norm[:, None] * (start.T @ pairs.vectors[: len(start)])
        values = np.broadcast_to(pairs.values, amplitudes.shape)
        return RitzExpansion(values, amplitudes, self._norm, pairs.coupling)

    def combine(self, coordinates: NDArray[np.float64]) -> torch.Tensor:
        """Sum the eigenvectors with coordinates of the latest expansion, (vector, n)."""
        basis = self._space.basis
        weights = np.ascontiguousarray(coordinates @ self._vectors.T)
        return torch.from_numpy(weights).to(basis) @ basis
