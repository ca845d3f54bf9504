"""The centre of a kernel that blind extraction found up to a shift."""

from __future__ import annotations

import numpy as np
import scipy.signal
from numpy.typing import NDArray

__all__ = ["centre_offset", "shifted"]

_MIN_SYMMETRY = 0.8


def centre_offset(kernels: NDArray[np.floating]) -> tuple[float, float]:
    """Measure the offset of the kernels' centre from the middle ``(h//2, w//2)`` of their window.

    A kernel that equals itself when turned by 180 degrees, as most do, has its centre where its
    convolution with itself is largest. Others are centred by their energy, which is right for
    every rotational symmetry.

    Parameters
    ----------
    kernels : array, (plane, h, w)
        Kernels with a common centre.

    Returns
    -------
    tuple of float
        (rows, columns), in px, at most a quarter of the window.
    """
    height, width = kernels.shape[-2:]
    energy = float(np.square(kernels).sum())
    if not energy > 0:
        return 0.0, 0.0
    similarity = sum(scipy.signal.fftconvolve(kernel, kernel) for kernel in kernels) / energy
    # Twice the middle; a step of the self-convolution is half a pixel of the centre.
    middle, reach = (2 * (height // 2), 2 * (width // 2)), (height // 2, width // 2)
    around = similarity[
        max(middle[0] - reach[0], 1) : middle[0] + reach[0] + 1,
        max(middle[1] - reach[1], 1) : middle[1] + reach[1] + 1,
    ]
    best = np.unravel_index(around.argmax(), around.shape)
    if around[best] < _MIN_SYMMETRY:
        return _core_centroid(kernels)
    row = int(best[0]) + max(middle[0] - reach[0], 1)
    col = int(best[1]) + max(middle[1] - reach[1], 1)
    top = (
        row + _vertex(similarity[row - 1 : row + 2, col]),
        col + _vertex(similarity[row, col - 1 : col + 2]),
    )
    return (top[0] - middle[0]) / 2, (top[1] - middle[1]) / 2


def _core_centroid(kernels: NDArray[np.floating]) -> tuple[float, float]:
    """Compute the centroid of the squared energy, which noise in the tails hardly moves."""
    weight = np.square(kernels / np.abs(kernels).max()).sum(axis=0) ** 2
    offsets = []
    for axis in range(2):
        along = weight.sum(axis=1 - axis)
        size = len(along)
        offset = float((along * (np.arange(size) - size // 2)).sum() / along.sum())
        offsets.append(float(np.clip(offset, -size / 4, size / 4)))
    return offsets[0], offsets[1]


def _vertex(values: NDArray[np.floating]) -> float:
    """Locate the vertex of the parabola through three neighbours, the middle one largest."""
    if len(values) < 3:
        return 0.0
    bend = values[0] - 2 * values[1] + values[2]
    return float(np.clip((values[0] - values[2]) / (2 * bend), -0.5, 0.5)) if bend < 0 else 0.0


def shifted(kernels: NDArray[np.floating], rows: int, cols: int) -> NDArray[np.floating]:
    """Shift kernels by whole pixels within their window and fill in zeros."""
    moved = np.zeros_like(kernels)
    height, width = kernels.shape[-2:]
    to_row, to_col = max(rows, 0), max(cols, 0)
    from_row, from_col = max(-rows, 0), max(-cols, 0)
    inside = kernels[..., from_row : height - to_row, from_col : width - to_col]
    moved[..., to_row : height - from_row, to_col : width - from_col] = inside
    return moved
