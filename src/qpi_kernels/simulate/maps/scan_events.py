"""Events of tip and sample during a scan: streaks, tip changes and step edges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["step_edges", "streaks", "tip_changes"]


def streaks(
    rng: np.random.Generator, shape: tuple[int, int], count: int, length_px: float
) -> NDArray[np.float64]:
    """Draw parts of rows with normal offsets; lengths are exponentially distributed.

    A streak starts at a random pixel and ends in its row at the latest.
    """
    plane = np.zeros(shape)
    rows = rng.integers(shape[0], size=count)
    starts = rng.integers(shape[1], size=count)
    lengths = np.ceil(rng.exponential(length_px, count)).astype(int)
    offsets = rng.standard_normal(count)
    for row, start, length, offset in zip(rows, starts, lengths, offsets, strict=True):
        plane[row, start : start + length] += offset
    return plane


def tip_changes(
    rng: np.random.Generator, shape: tuple[int, int], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw planes of gain and offset: sums of one normal number per lasting tip change so far.

    The changes happen at random pixels, the same in both planes.
    """
    pixels = rng.integers(1, shape[0] * shape[1], size=count)
    jumps = np.zeros((2, shape[0] * shape[1]))
    for pixel, jump in zip(pixels, rng.standard_normal((count, 2)), strict=True):
        jumps[:, pixel] += jump
    gain, offset = jumps.cumsum(axis=1).reshape(2, *shape)
    return gain, offset


def step_edges(
    rng: np.random.Generator, shape: tuple[int, int], count: int, width_px: float
) -> NDArray[np.float64]:
    """Draw straight edges, each from -1/2 to +1/2 across a random point at a random angle.

    The profile is ``tanh(2 distance / width) / 2``: 12 to 88 % of the height over the width.
    """
    plane = np.zeros(shape)
    row, column = np.ogrid[: shape[0], : shape[1]]
    for _ in range(count):
        middle = rng.uniform(-0.5, np.array(shape) - 0.5)
        angle = 2 * np.pi * rng.random()
        distance = np.sin(angle) * (row - middle[0]) + np.cos(angle) * (column - middle[1])
        plane += np.tanh(2 * distance / width_px) / 2
    return plane
