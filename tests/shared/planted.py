"""Maps with planted defects, made without the forward model that is under test.

A kernel is a function of the distance from its defect, so a sub-pixel position needs no
interpolation; kernels given on pixels are added at whole pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Kernel = Callable[[Array, Array], Array]


def friedel_rings(
    wave: float = 0.9, decay: float = 4.0, fold: int = 4, contrast: float = 0.3
) -> Kernel:
    """Return rings of wave number `wave` (rad/pixel) under a Gaussian envelope of width `decay`.

    The amplitude varies by `contrast` around the defect, `fold` times, and vanishes for more than
    five times `decay`: a window of that half-width holds the whole kernel.
    """

    def rings(rows: Array, cols: Array) -> Array:
        radius = np.hypot(rows, cols)
        angle = np.arctan2(rows, cols)
        # The modulation fades towards the centre, where the angle has no meaning.
        turning = 1 + contrast * np.tanh((radius / 2) ** fold) * np.cos(fold * angle)
        return np.asarray(np.cos(wave * radius) * turning * np.exp(-((radius / decay) ** 2) / 2))

    return rings


def on_window(kernel: Kernel, shape: tuple[int, int]) -> Array:
    """Sample a kernel on a window with its centre at index ``(h // 2, w // 2)``."""
    rows, cols = (np.arange(size) - size // 2.0 for size in shape)
    return kernel(rows[:, None], cols[None, :])


def planted_map(
    kernel: Kernel, positions: Array, shape: tuple[int, int], strengths: Array | None = None
) -> Array:
    """Sum a kernel over defects at any positions (row, col), which may lie outside the map."""
    rows, cols = (np.arange(float(size)) for size in shape)
    weights = np.ones(len(positions)) if strengths is None else strengths
    waves = [
        weight * kernel((rows - row)[:, None], (cols - col)[None, :])
        for weight, (row, col) in zip(weights, positions, strict=True)
    ]
    return np.sum(waves, axis=0)


def shift_and_add(kernel: Array, positions: NDArray[np.integer], shape: tuple[int, int]) -> Array:
    """Add a kernel (h, w) at whole pixels, cut off at the map's edges."""
    height, width = kernel.shape
    padded = np.zeros((shape[0] + 2 * height, shape[1] + 2 * width))
    for row, col in positions:
        top, left = row + height - height // 2, col + width - width // 2
        padded[top : top + height, left : left + width] += kernel
    return padded[height : height + shape[0], width : width + shape[1]]


def with_noise(clean: Array, snr: float, seed: int = 1) -> Array:
    """Add white noise; `snr` is the ratio of the variances of signal and noise."""
    noise = np.random.default_rng(seed).normal(size=clean.shape)
    return clean + clean.std() / np.sqrt(snr) * noise


def random_waves(shape: tuple[int, int], seed: int, count: int = 6) -> Array:
    """Sum plane waves of one length in random directions under an envelope; of rms 1."""
    rng = np.random.default_rng(seed)
    rows, cols = (np.arange(size) - size // 2.0 for size in shape)
    width, wave = rng.uniform(0.16, 0.3) * min(shape), rng.uniform(0.5, 1.4)
    kernel = np.zeros(shape)
    angles, phases = rng.uniform(0, 2 * np.pi, (2, count))
    for angle, phase, strength in zip(angles, phases, rng.normal(size=count), strict=True):
        along = rows[:, None] * np.sin(angle) + cols[None, :] * np.cos(angle)
        kernel += strength * np.cos(wave * along + phase)
    kernel *= np.exp(-(rows[:, None] ** 2 + cols[None, :] ** 2) / (2 * width**2))
    return kernel / np.sqrt(np.mean(kernel**2))
