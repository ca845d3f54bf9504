"""Independent streams of random numbers from one seed."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

__all__ = ["Seed", "stream"]

Seed = int | Sequence[int]
"""A non-negative integer, or several such as (seed of the data set, index of the sample)."""


def stream(seed: Seed, name: str) -> np.random.Generator:
    """Random numbers for one purpose.

    Each cause of randomness draws from a stream of its own, so that switching one on or off
    leaves all others as they are.

    Parameters
    ----------
    seed : int or sequence of int
        Entropy; non-negative.
    name : str
        The purpose. Different names give independent streams for the same seed.

    Returns
    -------
    numpy.random.Generator
        The same for the same seed and name, on every machine.
    """
    key = zlib.crc32(name.encode())
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(key,))))
