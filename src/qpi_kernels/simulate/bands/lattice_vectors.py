"""A crystal lattice: its sites and its reciprocal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["nearest_lattice_vectors", "reciprocal"]


def nearest_lattice_vectors(
    points: NDArray[np.float64], lattice: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Find the lattice vectors nearest to points.

    Parameters
    ----------
    points : array, (..., 2)
        Positions (x, y) in nm.
    lattice : array, (2, 2)
        Primitive vectors (x, y) in nm as rows, at 60 to 120 degrees to each other.

    Returns
    -------
    array, (..., 2)
        In nm.
    """
    first = np.rint(points @ np.linalg.inv(lattice))
    around = np.array([(i, j) for i in (0, -1, 1) for j in (0, -1, 1)])
    candidates = (first[..., None, :] + around) @ lattice
    distance = np.linalg.norm(candidates - points[..., None, :], axis=-1).round(9)
    nearest = distance.argmin(axis=-1)[..., None, None]
    return np.asarray(np.take_along_axis(candidates, nearest, axis=-2)[..., 0, :])


def reciprocal(lattice: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute reciprocal vectors in rad/nm as rows, ``a_i . b_j = 2 pi delta_ij``."""
    return np.asarray(2 * np.pi * np.linalg.inv(lattice).T)
