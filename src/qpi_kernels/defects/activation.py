"""The activation map M: point defects at sub-pixel positions, written on the pixel grid."""

from __future__ import annotations

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray

from qpi_kernels.interpolation import kaiser_sinc_weights

__all__ = ["activation_map"]

_HALF_WIDTH = 32


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
    rows = _spread(points[:, 0], shape[0])
    columns = _spread(points[:, 1], shape[1])
    weighted = rows.multiply(np.asarray(strengths, np.float64)[None, :])
    return np.asarray((weighted @ columns.T).toarray())


def _spread(position: NDArray[np.float64], size: int) -> scipy.sparse.csr_array:
    """Weights along one axis, (size, N); sparse, for a defect touches few pixels."""
    nearest = np.rint(position).astype(np.int64)
    weights = kaiser_sinc_weights(position - nearest, _HALF_WIDTH)
    index = nearest[:, None] + np.arange(-_HALF_WIDTH, _HALF_WIDTH + 1)
    inside = (index >= 0) & (index < size)
    defect = np.broadcast_to(np.arange(len(position))[:, None], index.shape)
    return scipy.sparse.csr_array(
        (weights[inside], (index[inside], defect[inside])), shape=(size, len(position))
    )
