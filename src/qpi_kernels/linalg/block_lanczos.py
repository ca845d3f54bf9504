"""Block Lanczos iterations: one Krylov space for many right-hand sides of one operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["BlockLanczos", "RitzPairs"]

# Relative length below which a direction of a block counts as rounding.
_MIN_LENGTH = 1e-4


@dataclass(frozen=True, eq=False)
class RitzPairs:
    """Approximate eigenvectors of an operator in a Krylov space.

    Parameters
    ----------
    values : array, (m,)
        Approximate eigenvalues.
    vectors : array, (m, m)
        In columns, by their coordinates in the space's basis.
    residuals : array, (m,)
        Length of ``G v - value v`` of each unit vector v.
    """

    values: NDArray[np.float64]
    vectors: NDArray[np.float64]
    residuals: NDArray[np.float64]


class BlockLanczos:
    """Builds an orthonormal basis of the Krylov space that all start vectors span together.

    Golub and Underwood 1977. Beside one space for each (`Lanczos`) it needs fewer applications of
    the operator, for what one vector learns of the largest eigenvalues serves all. Blocks are
    re-orthogonalised against all earlier ones.

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
        self._operator = operator
        self._latest, _ = _orthonormalised(start)
        self._basis = self._latest
        self._projected = np.zeros((0, 0))
        self._coupling = np.zeros((0, 0))
        self.iterations = 0

    @property
    def basis(self) -> torch.Tensor:
        """Orthonormal rows, (m, n), of which `RitzPairs` are combinations."""
        return self._basis[: len(self._projected)]

    @property
    def exhausted(self) -> bool:
        """True if the space does not grow any more."""
        return not len(self._latest)

    def step(self) -> None:
        """Do one iteration: apply the operator once to each vector of the latest block."""
        image = self._operator(self._latest)
        overlap = image @ self._basis.T
        reach = torch.linalg.vector_norm(image, dim=1)
        image = image - overlap @ self._basis
        # Twice is enough (Parlett); once is not in single precision.
        again = image @ self._basis.T
        image = image - again @ self._basis
        before, size = len(self._projected), len(self._basis)
        columns = _numpy(overlap + again).T
        projected = np.zeros((size, size))
        projected[:before, :before] = self._projected
        projected[:, before:] = columns
        projected[before:, :before] = columns[:before].T
        self._projected = projected
        image = torch.where(
            torch.linalg.vector_norm(image, dim=1, keepdim=True)
            > 30 * torch.finfo(image.dtype).eps * reach[:, None],
            image,
            0.0,
        )
        self._latest, self._coupling = _orthonormalised(image)
        # What rounding left of earlier blocks in the smallest directions.
        self._latest = self._latest - (self._latest @ self._basis.T) @ self._basis
        self._latest, _ = _orthonormalised(self._latest)
        self._basis = torch.cat([self._basis, self._latest])
        self.iterations += 1

    def ritz_pairs(self) -> RitzPairs:
        """Decompose the operator in the space built so far."""
        symmetric = (self._projected + self._projected.T) / 2
        values, vectors = np.linalg.eigh(symmetric)
        width = self._coupling.shape[1]
        residuals = np.linalg.norm(self._coupling @ vectors[len(vectors) - width :], axis=0)
        return RitzPairs(np.maximum(values, 0.0), vectors, residuals)


def _orthonormalised(rows: torch.Tensor) -> tuple[torch.Tensor, NDArray[np.float64]]:
    """Make rows orthonormal, without those that depend on the others.

    Returns
    -------
    tensor, (k, n)
        Orthonormal rows.
    array, (k, vector)
        The rows that came, by these, in columns.
    """
    length = torch.linalg.vector_norm(rows, dim=1)
    largest = float(length.max()) if len(rows) else 0.0
    if not largest > 0:
        return rows[:0], np.zeros((0, len(rows)))
    unit = rows
    for _ in range(2):
        values, vectors = np.linalg.eigh(_numpy(unit @ unit.T))
        known = values > _MIN_LENGTH**2 * values.max()
        mixing = vectors[:, known] / np.sqrt(values[known])
        unit = torch.from_numpy(mixing.T.copy()).to(rows) @ unit
    return unit, _numpy(unit @ rows.T)


def _numpy(values: torch.Tensor) -> NDArray[np.float64]:
    return values.cpu().double().numpy()
