"""Friedel rings from their closed form, and maps in which they are band-limited."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import hankel1

from qpi_kernels.defects import Defects
from qpi_kernels.forward import ForwardModel

__all__ = ["observe", "rings", "scattered"]

Array = NDArray[np.float64]


def rings(
    size: int | tuple[int, int],
    wave: float = 0.8,
    decay: float = 8.0,
    fold: int = 4,
    contrast: float = 0.3,
    lopsided: float = 0.0,
) -> Array:
    """Draw ``Re H0(k r / 2)^2`` under an exponential envelope, (h, w), with an n-fold contrast.

    The centre is at index ``(h // 2, w // 2)``; `lopsided` leaves the kernel no symmetry.
    """
    shape = (size, size) if isinstance(size, int) else size
    rows, cols = (np.indices(shape).T - np.array(shape) // 2).T
    radius, angle = np.hypot(rows, cols) + 0.6, np.arctan2(rows, cols)
    around = 1 + contrast * np.cos(fold * angle) + lopsided * np.sin(angle + 0.4 * radius)
    waves = (hankel1(0, wave * radius / 2) ** 2).real * np.exp(-radius / decay)
    return np.asarray(waves * around)


def scattered(
    count: int = 10, size: int = 72, seed: int = 0, apart: float = 4.0, **columns: ArrayLike
) -> Defects:
    """Place defects anywhere in a square map, none closer to another than `apart` pixels."""
    random, points = np.random.default_rng(seed), list[Array]()
    while len(points) < count:
        point = random.uniform(0, size - 1, 2)
        if all(np.hypot(*(point - other)) > apart for other in points):
            points.append(point)
    return Defects(points, **columns)


def observe(
    kernels: Array,
    defects: Defects,
    size: int | tuple[int, int],
    noise: float = 0.0,
    seed: int = 0,
) -> Array:
    """Sum kernels (h, w) or (kind, h, w) over their defects, with white noise of a deviation."""
    shape = (size, size) if isinstance(size, int) else size
    stack = torch.from_numpy(np.array(kernels, float).reshape(-1, *kernels.shape[-2:]))
    clean = ForwardModel(defects, shape, (stack.shape[-2], stack.shape[-1])).apply(stack).numpy()
    return np.asarray(clean + noise * np.random.default_rng(seed).standard_normal(shape))
