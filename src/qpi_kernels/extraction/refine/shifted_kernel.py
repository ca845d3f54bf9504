"""The wave of one defect in an image, and its derivative as the defect moves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.interpolation import kaiser_sinc_weights

__all__ = ["ShiftedKernel", "shift_matrix", "slope_matrix"]

_HALF_WIDTH = 32
_DIFFERENCE_PX = 1e-3


def shift_matrix(size: int, shift: float, margin: int) -> NDArray[np.float64]:
    """Make the matrix that moves a signal to higher indices by a fraction of a sample.

    Parameters
    ----------
    size : int
        Samples of the signal; it is zero outside.
    shift : float
        In samples.
    margin : int
        Samples of the result before and after those of the signal.

    Returns
    -------
    array, (size + 2 margin, size)
        Weights of `kaiser_sinc_weights`, as the activation map of `ForwardModel` has them.
    """
    nearest = round(shift)
    weights = kaiser_sinc_weights(np.array([shift - nearest]), _HALF_WIDTH)[0]
    return _spread(weights, size, nearest, margin)


def _spread(
    weights: NDArray[np.float64], size: int, nearest: int, margin: int
) -> NDArray[np.float64]:
    """Make the matrix with weights along its diagonals, centred ``nearest`` below the main one."""
    padded = np.zeros(2 * (size + margin + _HALF_WIDTH + abs(nearest)) + 1)
    middle = len(padded) // 2
    padded[middle - _HALF_WIDTH : middle + _HALF_WIDTH + 1] = weights[::-1]
    # Row u, column v holds the weight of tap u - margin - v - nearest.
    first = middle + margin + nearest
    rows = np.lib.stride_tricks.sliding_window_view(padded, size)
    return rows[first - (size + 2 * margin) + 1 : first + 1][::-1]


def slope_matrix(size: int, shift: float, margin: int) -> NDArray[np.float64]:
    """Differentiate `shift_matrix` with respect to the shift, with the same arguments."""
    nearest = round(shift)
    offsets = shift - nearest + _DIFFERENCE_PX * np.array([1.0, -1.0])
    ahead, behind = kaiser_sinc_weights(offsets, _HALF_WIDTH)
    return _spread((ahead - behind) / (2 * _DIFFERENCE_PX), size, nearest, margin)


@dataclass(frozen=True, eq=False)
class ShiftedKernel:
    """Kernels of all planes around one defect, on a fixed window of the image.

    Parameters
    ----------
    kernels : array, (plane, h, w)
        Kernels of the defect's kind, centre at ``(h//2, w//2)``.
    anchor : tuple of int
        Pixel (row, col) near the defect about which the window lies.
    image_shape : tuple of int
        (rows, columns).
    margin : int
        Pixels of the window beyond the kernel on each side: more than the defect will move.
    """

    kernels: NDArray[np.float64]
    anchor: tuple[int, int]
    image_shape: tuple[int, int]
    margin: int

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the image in the window; empty slices when it lies outside."""
        rows, cols = (
            slice(max(start, 0), max(min(start + length, limit), max(start, 0)))
            for start, length, limit in self._extents()
        )
        return rows, cols

    def padded(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Surround values (..., rows, columns) of the window by zeros where the image ends."""
        around = [
            (inside.start - start, start + length - inside.stop)
            for inside, (start, length, _) in zip(self.window, self._extents(), strict=True)
        ]
        return np.pad(values, [(0, 0)] * (values.ndim - 2) + around)

    def _extents(self) -> list[tuple[int, int, int]]:
        """List first image pixel, length, and the image's size, along rows and columns."""
        return [
            (anchor - size // 2 - self.margin, size + 2 * self.margin, limit)
            for anchor, size, limit in zip(
                self.anchor, self.kernels.shape[-2:], self.image_shape, strict=True
            )
        ]

    def _matrices(
        self, position: NDArray[np.float64], derivative: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Make the matrices that shift a kernel into the window, along rows and columns."""
        make = slope_matrix if derivative else shift_matrix
        matrices = []
        for axis, (start, _, _) in enumerate(self._extents()):
            size = self.kernels.shape[axis + 1]
            matrix = make(size, float(position[axis]) - self.anchor[axis], self.margin)
            inside = self.window[axis]
            matrices.append(matrix[inside.start - start : inside.stop - start])
        return matrices[0], matrices[1]

    def at(self, position: NDArray[np.float64]) -> NDArray[np.float64]:
        """Predict the image of a defect of unit strength at a position, (plane, rows, columns)."""
        rows, cols = self._matrices(position, derivative=False)
        return np.asarray(rows @ self.kernels @ cols.T)

    def slopes(self, position: NDArray[np.float64]) -> NDArray[np.float64]:
        """Differentiate `at` with respect to row and column, (2, plane, rows, columns)."""
        rows, cols = self._matrices(position, derivative=False)
        row_slope, col_slope = self._matrices(position, derivative=True)
        return np.stack([row_slope @ self.kernels @ cols.T, rows @ self.kernels @ col_slope.T])
