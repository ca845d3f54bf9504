"""The centre of a kernel, which positions and kernel alone leave undetermined."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.extraction.refine.shifted_kernel import shift_matrix, slope_matrix
from qpi_kernels.symmetry import Symmetry, symmetrisation_matrix

__all__ = ["rotation_centre"]

_FOLDS = (2, 3)
_MIN_SYMMETRY = 0.9
_MAX_ERRORS = 4.0
_RIM_PX = 2
_CORRELATED_PIXELS = 8.0
_COHERENT = 5.0
_NEWTON_STEPS = 12
_MAX_STEP_PX = 0.5
_SETTLED_PX = 1e-3


def rotation_centre(
    kernels: NDArray[np.float64],
    weight: NDArray[np.float64],
    expected: NDArray[np.float64],
    expected_error_px: float,
) -> tuple[NDArray[np.float64], float] | None:
    """Locate a kernel's centre of two- or three-fold rotation, from the middle of its window.

    Parameters
    ----------
    kernels : array, (plane, h, w)
        Kernels of one kind.
    weight : array, (plane,)
        Weight of each plane.
    expected : array, (2,)
        Expected centre, (row, col) from index ``(h//2, w//2)``, in px.
    expected_error_px : float
        Standard deviation of that expectation.

    Returns
    -------
    (array, float), or None
        (row, col) and the standard deviation of either, in px, the larger the less symmetric the
        kernel is; None when the kernel has no such symmetry (correlation with its rotated
        copy below 0.9) or its centre is too far from the expected one.
    """
    if not kernels.any():
        return None
    scaled = kernels * np.sqrt(weight)[:, None, None]
    searches = [_Search(scaled, fold) for fold in _FOLDS]
    centres = [search.run(expected, expected_error_px) for search in searches]
    score, centre, error = max(centres, key=lambda scored: scored[0])
    distance = float(np.hypot(*(centre - expected)))
    if score < _MIN_SYMMETRY or distance > _MAX_ERRORS * expected_error_px:
        return None
    return centre, error


class _Search:
    """Gauss-Newton search for the shift that makes a kernel most symmetric about the middle."""

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
    ) -> tuple[float, NDArray[np.float64], float]:
        """Return the correlation with the rotated copy, the centre, and its error."""
        centre = np.array(expected)
        pull = 1.0 / expected_error_px**2
        for _ in range(_NEWTON_STEPS):
            asymmetry, slopes = self._asymmetry(centre)
            # Errors of neighbouring pixels are correlated.
            variance = _CORRELATED_PIXELS * max(float(np.square(asymmetry).mean()), 1e-300)
            normal = slopes @ slopes.T / variance + pull * np.eye(2)
            slope = -slopes @ asymmetry / variance - pull * (centre - expected)
            step = np.linalg.solve(normal, slope)
            length = float(np.hypot(*step))
            centre = centre + step * min(1.0, _MAX_STEP_PX / max(length, 1e-12))
            if length < _SETTLED_PX:
                break
        # What is not symmetric about the centre may be coherent over many pixels.
        data = (normal - pull * np.eye(2)) / _COHERENT
        error = float(np.trace(np.linalg.inv(data + pull * np.eye(2))) / 2) ** 0.5
        return self._score(centre), centre, error

    def _moved(self, centre: NDArray[np.float64]) -> NDArray[np.float64]:
        rows, cols = (
            shift_matrix(size, -at, 0) for size, at in zip(self._shape, centre, strict=True)
        )
        return np.asarray(rows @ self._kernels @ cols.T)

    def _asymmetry(
        self, centre: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Subtract the rotational average from the kernel about ``centre``; with derivatives."""
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
        asymmetry = float(np.square(self._asymmetry(centre)[0]).sum())
        # |A - mean over the rotations|^2 = (1 - 1/n)(1 - correlation) |A|^2.
        share = asymmetry / max(energy, 1e-300)
        return 1.0 - share * self._fold / (self._fold - 1)
