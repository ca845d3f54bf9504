"""The activation map M: point defects at sub-pixel positions, written on the pixel grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qpi_kernels.interpolation import kaiser_sinc_weights

__all__ = ["activation_map"]

_HALF_WIDTH = 6


def activation_map(
    positions: ArrayLike,
    strengths: ArrayLike,
    shape: tuple[int, int],
    origin: tuple[float, float] = (0.0, 0.0),
) -> NDArray[np.float64]:
    """Write point defects on a pixel grid.

    Parameters
    ----------
    positions : array, (N, 2)
        Pixel coordinates (row, col); 0 is the centre of the first pixel. They may lie outside.
    strengths : array, (N,)
        Weight of each defect.
    shape : tuple of int
        Size of the map, (rows, columns).
    origin : tuple of float
        Pixel coordinates of the map's first pixel; negative to include a margin around the image.

    Returns
    -------
    array, `shape`
        The map; defects at whole pixels are single pixels, others are spread by
        `kaiser_sinc_weights`. What falls outside is dropped.
    """
    points = np.asarray(positions, np.float64).reshape(-1, 2) - np.asarray(origin, np.float64)
    result = np.zeros(shape)
    if not len(points):
        return result
    nearest = np.rint(points).astype(np.int64)
    offset = points - nearest
    taps = np.arange(-_HALF_WIDTH, _HALF_WIDTH + 1)
    rows, cols = nearest[:, :1] + taps, nearest[:, 1:] + taps
    row_weights = (
        kaiser_sinc_weights(offset[:, 0], _HALF_WIDTH) * np.asarray(strengths, np.float64)[:, None]
    )
    col_weights = kaiser_sinc_weights(offset[:, 1], _HALF_WIDTH)
    row_weights[(rows < 0) | (rows >= shape[0])] = 0.0
    col_weights[(cols < 0) | (cols >= shape[1])] = 0.0
    np.add.at(
        result,
        (np.clip(rows, 0, shape[0] - 1)[:, :, None], np.clip(cols, 0, shape[1] - 1)[:, None, :]),
        row_weights[:, :, None] * col_weights[:, None, :],
    )
    return result
