"""Block Lanczos iterations: one Krylov space for many right-hand sides of one operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["BlockLanczos", "RitzPairs"]

# Length over that of what was subtracted, in units of the precision, below which a direction of a
# block counts as rounding; and below which one of unit vectors depends on the others.
_ROUNDING, _MIN_LENGTH = 30.0, 1e-2
# Blocks for which there is room at first; it doubles.
_CAPACITY = 32


@dataclass(frozen=True, eq=False)
class RitzPairs:
    """Approximate eigenvectors of an operator in a Krylov space.

    Parameters
    ----------
    values : array, (m,)
        Approximate eigenvalues.
    vectors : array, (m, m)
        In columns, by their coordinates in the space's basis.
    coupling : array, (k, m)
        ``G v - value v`` of each unit vector v, by the rows that the basis takes next.
    """

    values: NDArray[np.float64]
    vectors: NDArray[np.float64]
    coupling: NDArray[np.float64]

    @cached_property
    def residuals(self) -> NDArray[np.float64]:
        """Length of ``G v - value v`` of each unit vector v, (m,)."""
        return np.asarray(np.linalg.norm(self.coupling, axis=0))


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

    Attributes
    ----------
    start : array, (k, vector)
        The start vectors by the first rows of the basis, in columns.
    """

    def __init__(
        self, operator: Callable[[torch.Tensor], torch.Tensor], start: torch.Tensor
    ) -> None:
        self._operator = operator
        length = torch.linalg.vector_norm(start, dim=1).max()
        self._latest = _orthonormalised(start, self._rounding(length))
        exact = [one if one.device.type == "mps" else one.double() for one in (self._latest, start)]
        self.start = _numpy(exact[0] @ exact[1].T)
        # Rows of the basis, with room for more, and how many there are without the latest block.
        self._store = start.new_empty((_CAPACITY * len(start), start.shape[1]))
        self._count = 0
        self._before = self._latest[:0]
        self._append()
        self._projected = np.zeros((0, 0))
        # Overlaps of images with the blocks before them, on the device until they are asked for.
        self._overlaps: list[torch.Tensor] = []
        self._coupling = start.new_zeros((0, 0))
        self.iterations = 0

    @property
    def basis(self) -> torch.Tensor:
        """Orthonormal rows, (m, n), of which `RitzPairs` are combinations."""
        return self._store[: self._count]

    @property
    def exhausted(self) -> bool:
        """True if the space does not grow any more."""
        return not len(self._latest)

    def step(self) -> None:
        """Do one iteration: apply the operator once to each vector of the latest block."""
        if self.exhausted:
            return
        before, size = self._count, self._count + len(self._latest)
        image = self._operator(self._latest)
        reach = torch.linalg.vector_norm(image, dim=1)
        # But for rounding, only the latest two blocks overlap with the image.
        near = self._store[max(0, before - len(self._before)) : size]
        overlap = image @ near.T
        image = image - overlap @ near
        self._overlaps.append(overlap)
        self._count = size
        unit = _orthonormalised(image, self._rounding(reach.max()))
        self._coupling = unit @ image.T
        # What rounding left of all blocks, most of it in the smallest directions.
        unit = unit - (unit @ self.basis.T) @ self.basis
        self._before = self._latest
        self._latest = _orthonormalised(unit, _MIN_LENGTH)
        self._append()
        self.iterations += 1

    @staticmethod
    def _rounding(length: torch.Tensor) -> torch.Tensor:
        """Return the length of what rounding makes of vectors of some length."""
        return _ROUNDING * torch.finfo(length.dtype).eps * length

    def _append(self) -> None:
        """Write the latest block after those before it."""
        size = self._count + len(self._latest)
        if size > len(self._store):
            self._store = torch.cat([self._store, torch.empty_like(self._store)])
        self._store[self._count : size] = self._latest

    def ritz_pairs(self) -> RitzPairs:
        """Decompose the operator in the space built so far."""
        self._project()
        symmetric = (self._projected + self._projected.T) / 2
        values, vectors = np.linalg.eigh(symmetric)
        width = self._coupling.shape[1]
        coupling = _numpy(self._coupling) @ vectors[len(vectors) - width :]
        return RitzPairs(np.maximum(values, 0.0), vectors, coupling)

    def _project(self) -> None:
        """Write the overlaps that came since the last time into the projected operator."""
        if not self._overlaps:
            return
        before = len(self._projected)
        projected = np.zeros((self._count, self._count))
        projected[:before, :before] = self._projected
        # One copy: each waits for the device.
        numbers = _numpy(torch.cat([one.flatten() for one in self._overlaps]))
        for width, near in (one.shape for one in self._overlaps):
            block, numbers = np.split(numbers, [width * near])
            here, size = slice(before, before + width), before + width
            projected[size - near : size, here] = block.reshape(width, near).T
            projected[here, size - near : size] = block.reshape(width, near)
            before = size
        self._projected, self._overlaps = projected, []


def _orthonormalised(rows: torch.Tensor, rounding: float | torch.Tensor) -> torch.Tensor:
    """Make rows orthonormal, without directions that are not longer than rounding, (k, n)."""
    unit = rows if rows.device.type == "mps" else rows.double()
    smallest = rounding
    for _ in range(2):
        products = unit @ unit.T
        if isinstance(smallest, torch.Tensor):
            # With the products, for each copy waits for the device.
            limit = smallest.to(products).expand(1, len(products))
            numbers = _numpy(torch.cat([products, limit]))
            products_here, least = numbers[:-1], float(numbers[-1].max(initial=0.0))
        else:
            products_here, least = _numpy(products), smallest
        values, vectors = np.linalg.eigh(products_here)
        # Squares in the precision of the products.
        known = values > max(least**2, 1e-14 * values.max(initial=0.0))
        mixing = vectors[:, known] / np.sqrt(values[known])
        unit = torch.from_numpy(mixing.T.copy()).to(unit) @ unit
        smallest = _MIN_LENGTH
    return unit.to(rows)


def _numpy(values: torch.Tensor) -> NDArray[np.float64]:
    return values.cpu().double().numpy()
