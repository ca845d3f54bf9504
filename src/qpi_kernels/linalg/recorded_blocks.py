"""Block Lanczos iterations with the same launches each time, for devices."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from qpi_kernels.linalg.block_lanczos import RitzPairs
from qpi_kernels.linalg.replay import Replay

__all__ = ["RecordedBlocks"]

# Length over that of what was subtracted, in units of the precision, below which a direction of a
# block counts as rounding; and below which one of nearly unit vectors depends on the others.
_ROUNDING, _MIN_LENGTH = 30.0, 1e-2
# Square of a direction over that of its vector, in units of the precision of their products, below
# which it is rounding of the products.
_PRODUCT_ROUNDING = 500.0
# Blocks for which there is room at first; it doubles.
_CAPACITY = 32


class RecordedBlocks:
    """Builds the Krylov space of `BlockLanczos` without waiting for the device.

    Blocks keep their size: a direction that ends leaves a row of zeros behind, which later
    iterations keep. So an iteration takes no decision, and is one graph on CUDA, see `Replay`. The
    host waits when the space is decomposed.

    Parameters
    ----------
    operator : callable
        ``G`` acting on ``(vector, n)``.
    start : tensor, (vector, n)
        The right-hand sides.

    Attributes
    ----------
    exhausted : bool
        True if the space did not grow any more when it was decomposed last.
    """

    def __init__(
        self, operator: Callable[[torch.Tensor], torch.Tensor], start: torch.Tensor
    ) -> None:
        self._operator = operator
        self._right = start
        width = len(start)
        self._basis = start.new_zeros((_CAPACITY + 1, *start.shape))
        self._basis[0] = _orthonormal_start(start)
        # Of each image with the block before its own, and with its own.
        self._overlaps = start.new_zeros((_CAPACITY, width, 2 * width))
        self._coupling = start.new_zeros((width, width))
        self._position = torch.zeros(1, dtype=torch.int64, device=start.device)
        self._replay = Replay(start.device)
        self.iterations = 0
        self.exhausted = False

    @property
    def basis(self) -> torch.Tensor:
        """Orthonormal rows, (b, n), some of them zero, of which `RitzPairs` are combinations."""
        return self._basis[: self.iterations].flatten(0, 1)

    @cached_property
    def start(self) -> NDArray[np.float64]:
        """Start vectors by the first rows of the basis, in columns, (vector, vector)."""
        return _numpy(_exact(self._basis[0]) @ _exact(self._right).T)

    def step(self) -> None:
        """Do one iteration: apply the operator once to each vector of the latest block."""
        if self.iterations == len(self._overlaps):
            self._basis = torch.cat([self._basis, torch.zeros_like(self._basis[1:])])
            self._overlaps = torch.cat([self._overlaps, torch.zeros_like(self._overlaps)])
            self._replay = Replay(self._basis.device)
        self._replay(self._advance)
        self.iterations += 1

    def _advance(self) -> None:
        """Extend the basis by a block."""
        # The block before the first is the one to come, which is zero.
        places = torch.cat([self._position - 1, self._position]) % len(self._basis)
        near = self._basis.index_select(0, places).flatten(0, 1)
        image = self._operator(near[len(self._right) :])
        reach = torch.linalg.vector_norm(image, dim=1).max()
        overlap = image @ near.T
        self._overlaps.index_copy_(0, self._position, overlap[None])
        image = image - overlap @ near
        unit = _orthonormal(image, _ROUNDING * torch.finfo(image.dtype).eps * reach)
        # What rounding left of all blocks, most of it in the smallest directions.
        # Those to come are zero.
        known = self._basis.flatten(0, 1)
        unit = unit - (unit @ known.T) @ known
        latest = _orthonormal(unit, _MIN_LENGTH)
        self._coupling.copy_(latest @ image.T)
        self._position += 1
        self._basis.index_copy_(0, self._position, latest[None])

    def ritz_pairs(self) -> RitzPairs:
        """Decompose the operator in the space built so far."""
        width, blocks = len(self._right), self.iterations
        there = self._basis[: blocks + 1].square().sum(dim=-1)
        parts = [there, self._overlaps[:blocks], self._coupling]
        # One copy: each waits for the device.
        numbers = _numpy(torch.cat([one.flatten() for one in parts]))
        squares, overlaps, coupling = np.split(
            numbers, np.cumsum([there.numel(), self._overlaps[:blocks].numel()])
        )
        projected = np.zeros((blocks + 1, width, blocks + 1, width))
        for index, overlap in enumerate(overlaps.reshape(blocks, width, 2, width)):
            for place, block in zip((index - 1, index), overlap.swapaxes(0, 1), strict=True):
                projected[index, :, place] = block
                projected[place, :, index] = block.T
        grown, latest = np.split(squares > 0.5, [blocks * width])
        self.exhausted = not latest.any()
        square = projected[:blocks, :, :blocks].reshape(len(grown), len(grown))
        kept = square[np.ix_(grown, grown)]
        values, found = np.linalg.eigh((kept + kept.T) / 2)
        vectors = np.zeros((len(grown), len(values)))
        vectors[grown] = found
        outside = coupling.reshape(width, width) @ vectors[len(grown) - width :]
        return RitzPairs(np.maximum(values, 0.0), vectors, outside)


def _orthonormal_start(rows: torch.Tensor) -> torch.Tensor:
    """Make start vectors orthonormal; on the host, where small steps are faster: it waits twice."""
    unit = _exact(rows)
    for least in (_ROUNDING * torch.finfo(rows.dtype).eps, _MIN_LENGTH):
        products = (unit @ unit.T).cpu()
        longest = products.diagonal().max().sqrt()
        unit = _combinations(products, least * longest).to(unit) @ unit
    return unit.to(rows)


def _orthonormal(rows: torch.Tensor, least: torch.Tensor | float) -> torch.Tensor:
    """Make rows orthonormal one after the other; zero where one adds less than some length.

    By the products of the rows, which lose half of the precision: rows that nearly depend on each
    other need it twice.
    """
    exact = _exact(rows)
    return (_combinations(exact @ exact.T, least) @ exact).to(rows)


def _combinations(products: torch.Tensor, least: torch.Tensor | float) -> torch.Tensor:
    """Return the sums of rows that are orthonormal, by their products (Gram and Schmidt)."""
    count = len(products)
    precision = _PRODUCT_ROUNDING * torch.finfo(products.dtype).eps
    floor = torch.square(least.to(products)) if isinstance(least, torch.Tensor) else least**2
    smallest = (products.diagonal() * precision).clamp(min=floor)
    # Elimination, and what it makes of the unit matrix.
    unit = torch.eye(count, dtype=products.dtype, device=products.device)
    table = torch.cat([products, unit], dim=1)
    for index in range(count - 1):
        pivot = table[index, index]
        divisor = pivot.masked_fill(pivot <= smallest[index], torch.inf)
        below = table[index + 1 :]
        below.addcmul_((below[:, index] / divisor)[:, None], table[index], value=-1.0)
    left = table.diagonal()
    scale = left.masked_fill(left <= smallest, torch.inf).rsqrt()
    return scale[:, None] * table[:, count:]


def _exact(rows: torch.Tensor) -> torch.Tensor:
    """Return rows in double precision, where the device has it."""
    return rows if rows.device.type == "mps" else rows.double()


def _numpy(values: torch.Tensor) -> NDArray[np.float64]:
    """Copy numbers from the device, which waits."""
    return values.cpu().double().numpy()
