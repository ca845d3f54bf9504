"""Maps made by shifting a kernel to each defect and adding: an oracle for the forward model."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def shift_and_add(
    kernel: Array, positions: ArrayLike, shape: tuple[int, int], strengths: ArrayLike = 1.0
) -> Array:
    """Sum a kernel (h, w) over defects at sub-pixel positions (row, col), band-limited.

    The kernel's centre is at index ``(h // 2, w // 2)``. Each copy is moved by phases of a Fourier
    transform so large that nothing wraps around into the map.
    """
    height, width = kernel.shape
    positions = np.asarray(positions, float).reshape(-1, 2)
    weights = np.broadcast_to(np.asarray(strengths, float), len(positions))
    margin = 2 * max(height, width)
    padded = np.zeros((shape[0] + 2 * margin, shape[1] + 2 * margin))
    padded[:height, :width] = kernel
    spectrum = np.fft.rfft2(padded)
    rows = np.fft.fftfreq(padded.shape[0])[:, None]
    columns = np.fft.rfftfreq(padded.shape[1])[None, :]
    phases = np.zeros_like(spectrum)
    for weight, (row, col) in zip(weights, positions, strict=True):
        down, across = row + margin - height // 2, col + margin - width // 2
        phases += weight * np.exp(-2j * np.pi * (rows * down + columns * across))
    image = np.fft.irfft2(spectrum * phases, s=padded.shape)
    return np.asarray(image[margin:-margin, margin:-margin])
