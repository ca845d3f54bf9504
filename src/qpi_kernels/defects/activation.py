"""The activation map M: point defects at sub-pixel positions, written on the pixel grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray

from qpi_kernels.interpolation import kaiser_sinc_weights

__all__ = ["activation_map"]

_HALF_WIDTH = 32
_DENSE_ELEMENTS = 20_000


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
        `kaiser_sinc_weights`. Weights outside the map are dropped.
    """
    points = np.asarray(positions, np.float64).reshape(-1, 2) - np.asarray(origin, np.float64)
    weight = np.asarray(strengths, np.float64)
    rows, columns = (_Spread.along(points[:, axis], shape[axis]) for axis in range(2))
    if len(points) * sum(shape) <= _DENSE_ELEMENTS:
        # For the small map of a training sample a sparse matrix costs more than it saves.
        return np.asarray(np.einsum("yd,xd->yx", rows.dense() * weight, columns.dense()))
    return np.asarray((rows.sparse().multiply(weight[None, :]) @ columns.sparse().T).toarray())


@dataclass(frozen=True, eq=False)
class _Spread:
    """Weights of defects on the pixels along one axis, a matrix (pixel, defect) by its entries."""

    weight: NDArray[np.float64]
    pixel: NDArray[np.int64]
    defect: NDArray[np.int64]
    shape: tuple[int, int]

    @classmethod
    def along(cls, position: NDArray[np.float64], size: int) -> _Spread:
        """Spread positions on the pixels of one axis."""
        nearest = np.rint(position).astype(np.int64)
        weights = kaiser_sinc_weights(position - nearest, _HALF_WIDTH)
        index = nearest[:, None] + np.arange(-_HALF_WIDTH, _HALF_WIDTH + 1)
        inside = (index >= 0) & (index < size)
        defect = np.broadcast_to(np.arange(len(position))[:, None], index.shape)
        return cls(weights[inside], index[inside], defect[inside], (size, len(position)))

    def dense(self) -> NDArray[np.float64]:
        matrix = np.zeros(self.shape)
        matrix[self.pixel, self.defect] = self.weight
        return matrix

    def sparse(self) -> scipy.sparse.csr_array:
        return scipy.sparse.csr_array((self.weight, (self.pixel, self.defect)), shape=self.shape)
