"""Where a kernel's centre is: what positions and kernel alone can not tell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.extraction.refine.shifted_kernel import shift_matrix, slope_matrix
from qpi_kernels.symmetry import Symmetry, symmetrisation_matrix

__all__ = ["rotation_centre"]

_FOLDS = (2, 3)
_MIN_SYMMETRY = 0.7
_FARTHEST = 4.0
_RIM_PX = 2
_CORRELATED_PIXELS = 8.0
_NEWTON_STEPS = 12
_LONGEST_STEP_PX = 0.5
_SETTLED_PX = 1e-3


def rotation_centre(
    kernels: NDArray[np.float64],
    weight: NDArray[np.float64],
    expected: NDArray[np.float64],
    expected_error_px: float,
) -> NDArray[np.float64] | None:
    """Offset of a kernel's centre of two- or three-fold rotation from the middle of its window.

    Parameters
    ----------
    kernels : array, (plane, h, w)
        Kernels of one kind.
    weight : array, (plane,)
        How much each plane counts.
    expected : array, (2,)
        Where the centre is expected, (row, col) from index ``(h//2, w//2)``, in px.
    expected_error_px : float
        Standard deviation of that expectation.

    Returns
    -------
    array, (2,), or None
        (row, col) in px; None when the kernel has no such symmetry (correlation with its rotated
        copy below 0.7) or its centre is not where it could be.
    """
    if not kernels.any():
        return None
    scaled = kernels * np.sqrt(weight)[:, None, None]
    searches = [_Search(scaled, fold) for fold in _FOLDS]
    found = [each.run(expected, expected_error_px) for each in searches]
    score, centre = max(found, key=lambda each: each[0])
    away = float(np.hypot(*(centre - expected)))
    if score < _MIN_SYMMETRY or away > _FARTHEST * expected_error_px:
        return None
    return centre


class _Search:
    """Gauss-Newton for the shift that makes a kernel most symmetric about its window's middle."""

    def __init__(self, kernels: NDArray[np.float64], fold: int) -> None:
        self._kernels = kernels
        self._shape = (kernels.shape[1], kernels.shape[2])
        self._average = symmetrisation_matrix(Symmetry(fold), self._shape)
        self._fold = fold
        rows, cols = (np.arange(size) - size // 2 for size in self._shape)
        radius = max((min(self._shape) - 1) // 2 - _RIM_PX, 1)
        self._disc = (np.hypot(rows[:, None], cols[None, :]) <= radius).ravel()

    def run(
        self, expected: NDArray[np.float64], expected_error_px: float
    ) -> tuple[float, NDArray[np.float64]]:
        """Correlation with the rotated copy, and the centre."""
        centre = np.array(expected)
        pull = 1.0 / expected_error_px**2
        for _ in range(_NEWTON_STEPS):
            uneven, slopes = self._uneven(centre)
            # Neighbouring pixels err together, so they count for fewer than they are.
            variance = _CORRELATED_PIXELS * max(float(np.square(uneven).mean()), 1e-300)
            normal = slopes @ slopes.T / variance + pull * np.eye(2)
            slope = -slopes @ uneven / variance - pull * (centre - expected)
            step = np.linalg.solve(normal, slope)
            length = float(np.hypot(*step))
            centre = centre + step * min(1.0, _LONGEST_STEP_PX / max(length, 1e-12))
            if length < _SETTLED_PX:
                break
        return self._score(centre), centre

    def _moved(self, centre: NDArray[np.float64]) -> NDArray[np.float64]:
        rows, cols = (
            shift_matrix(size, -at, 0) for size, at in zip(self._shape, centre, strict=True)
        )
        return np.asarray(rows @ self._kernels @ cols.T)

    def _uneven(
        self, centre: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What the kernel about ``centre`` differs from its average, and its derivatives."""
        rows, cols = (
            shift_matrix(size, -at, 0) for size, at in zip(self._shape, centre, strict=True)
        )
        row_slope, col_slope = (
            -slope_matrix(size, -at, 0) for size, at in zip(self._shape, centre, strict=True)
        )
        slopes = [
            self._difference(row_slope @ self._kernels @ cols.T),
            self._difference(rows @ self._kernels @ col_slope.T),
        ]
        return self._difference(rows @ self._kernels @ cols.T), np.stack(slopes)

    def _difference(self, kernels: NDArray[np.float64]) -> NDArray[np.float64]:
        flat = kernels.reshape(len(kernels), -1)
        return np.asarray((flat - (self._average @ flat.T).T)[:, self._disc].ravel())

    def _score(self, centre: NDArray[np.float64]) -> float:
        flat = self._moved(centre).reshape(len(self._kernels), -1)[:, self._disc]
        energy = float(np.square(flat - flat.mean(axis=1, keepdims=True)).sum())
        uneven = float(np.square(self._uneven(centre)[0]).sum())
        # |A - mean over the rotations|^2 = (1 - 1/n)(1 - correlation) |A|^2.
        share = uneven / max(energy, 1e-300)
        return 1.0 - share * self._fold / (self._fold - 1)
