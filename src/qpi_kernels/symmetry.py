"""Point-group symmetry of a kernel about its centre, as a linear map on its pixels."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from qpi_kernels.interpolation import kaiser_sinc_weights

__all__ = [
    "Symmetry",
    "SymmetryError",
    "inscribed_disc",
    "operation_scores",
    "symmetrisation_matrix",
    "symmetry_scores",
]

_FOLDS = (1, 2, 3, 4, 6)
_INTERPOLATION_HALF_WIDTH = 3


class SymmetryError(ValueError):
    """A symmetry is not one of the planar point groups; the message lists them."""


@dataclass(frozen=True)
class Symmetry:
    """A planar point group about the kernel's centre.

    Parameters
    ----------
    fold : int
        1, 2, 3, 4 or 6; the kernel equals itself rotated by 360/fold degrees.
    mirror : bool
        Whether there is a mirror line too.
    mirror_angle_deg : float
        Direction of a mirror line, anticlockwise from the image's horizontal axis as seen on the
        screen. The other mirror lines follow from the rotations.
    """

    fold: int
    mirror: bool = False
    mirror_angle_deg: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Symmetry:
        """Read ``C1, C2, C3, C4, C6``, ``Cs``, ``C2v ... C6v``, the last two with ``@degrees``.

        Raises
        ------
        SymmetryError
            If the text names no such group.
        """
        match = re.fullmatch(
            r"\s*C(?:(?P<fold>[12346])(?P<v>v)?|(?P<s>s))(?:@(?P<angle>[-+0-9.]+))?\s*", text, re.I
        )
        try:
            if match is None or (match["angle"] and not (match["v"] or match["s"])):
                raise ValueError
            angle = float(match["angle"] or 0.0)
        except ValueError:
            raise SymmetryError(
                f"unknown symmetry {text!r}; use C2, C3, C4, C6, Cs, C2v, C3v, C4v or C6v, "
                "the ones with mirrors optionally followed by @ and the mirror's angle in degrees"
            ) from None
        return cls(int(match["fold"] or 1), bool(match["v"] or match["s"]), angle)

    def __str__(self) -> str:
        if not self.mirror:
            return f"C{self.fold}"
        name = "Cs" if self.fold == 1 else f"C{self.fold}v"
        return name if self.mirror_angle_deg == 0 else f"{name}@{self.mirror_angle_deg:g}"

    def operations(self) -> list[NDArray[np.float64]]:
        """List the matrices of the group, acting on ``(row, col)`` offsets from the centre."""
        rotations = []
        for step in range(self.fold):
            angle = 2 * np.pi * step / self.fold
            cosine, sine = np.cos(angle), np.sin(angle)
            rotations.append(np.array([[cosine, -sine], [sine, cosine]]))
        if not self.mirror:
            return rotations
        # In (row down, col right) a line at screen angle a has direction (-sin a, cos a).
        double = 2 * np.deg2rad(self.mirror_angle_deg)
        reflection = np.array(
            [[-np.cos(double), -np.sin(double)], [-np.sin(double), np.cos(double)]]
        )
        return rotations + [rotation @ reflection for rotation in rotations]


@lru_cache(maxsize=32)
def _operation_matrix(
    operation: tuple[tuple[float, ...], ...], shape: tuple[int, int]
) -> scipy.sparse.csr_array:
    """Build an operation on a flattened image about its centre."""
    return _transform_matrix(np.array(operation), shape)[0]


def _transform_matrix(
    operation: NDArray[np.float64], shape: tuple[int, int]
) -> tuple[scipy.sparse.csr_array, NDArray[np.bool_]]:
    """Build the sparse matrix that evaluates an image at transformed pixels; mark those inside."""
    rows, cols = np.indices(shape)
    centre = np.array([shape[0] // 2, shape[1] // 2], float)
    offsets = np.stack([rows.ravel() - centre[0], cols.ravel() - centre[1]])
    points = (operation @ offsets).T + centre
    nearest = np.rint(points)
    points = np.where(np.abs(points - nearest) < 1e-9, nearest, points)
    limits = np.array(shape) - 1
    inside = ((points >= 0) & (points <= limits)).all(axis=1)
    nearest = nearest.astype(np.int64)
    taps = np.arange(-_INTERPOLATION_HALF_WIDTH, _INTERPOLATION_HALF_WIDTH + 1)
    weights, indices = [], []
    for axis in range(2):
        weight = kaiser_sinc_weights(
            points[:, axis] - nearest[:, axis], _INTERPOLATION_HALF_WIDTH, kaiser_beta=6.0
        )
        index = nearest[:, axis, None] + taps
        weight = np.where((index >= 0) & (index <= limits[axis]), weight, 0.0)
        total = weight.sum(axis=1, keepdims=True)
        weights.append(weight / np.where(np.abs(total) > 0.3, total, 1.0))
        indices.append(np.clip(index, 0, limits[axis]))
    values = weights[0][:, :, None] * weights[1][:, None, :] * inside[:, None, None]
    columns = indices[0][:, :, None] * shape[1] + indices[1][:, None, :]
    lines = np.broadcast_to(np.arange(len(points))[:, None, None], columns.shape)
    size = shape[0] * shape[1]
    matrix = scipy.sparse.coo_array(
        (values.ravel(), (lines.ravel(), columns.ravel())), shape=(size, size)
    ).tocsr()
    matrix.data[np.abs(matrix.data) < 1e-12] = 0.0
    matrix.eliminate_zeros()
    return matrix, inside


def symmetrisation_matrix(symmetry: Symmetry, shape: tuple[int, int]) -> scipy.sparse.csr_array:
    """Average an image over a point group about its centre ``(h//2, w//2)``.

    Parameters
    ----------
    symmetry : Symmetry
        The group.
    shape : tuple of int
        Image size (h, w).

    Returns
    -------
    sparse array, (h w, h w)
        Acts on the flattened image. A pixel is averaged over those of its images that lie inside
        the window. For 2- and 4-fold rotations and axis-parallel mirrors of a square window the
        pixels map onto each other and the matrix is an exact orthogonal projection; other angles
        interpolate with a windowed sinc.
    """
    size = shape[0] * shape[1]
    total = scipy.sparse.csr_array((size, size))
    count = np.zeros(size)
    for operation in symmetry.operations():
        matrix, inside = _transform_matrix(operation, shape)
        total = total + matrix
        count += inside
    return scipy.sparse.csr_array(scipy.sparse.diags_array(1.0 / count) @ total)


def symmetry_scores(
    kernels: NDArray[np.floating], folds: tuple[int, ...] = (2, 3, 4, 6)
) -> dict[str, float]:
    """Correlate kernels with their own copies rotated by 360/fold degrees.

    Parameters
    ----------
    kernels : array, (h, w) or (bias, h, w)
        Kernels without NaN, centred at ``(h//2, w//2)``. Biases are weighted by their energy.
    folds : tuple of int
        Rotations to score.

    Returns
    -------
    dict
        ``"C2"`` and so on to a Pearson correlation over the inscribed disc: 1 is perfectly
        symmetric, 0 is unrelated. NaN for a constant kernel.
    """
    stack = np.asarray(kernels, np.float64).reshape(1, -1, *kernels.shape[-2:])
    return {
        f"C{fold}": float(operation_scores(stack, Symmetry(fold).operations()[1])[0])
        for fold in folds
    }


def inscribed_disc(shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Mark the largest disc about a kernel's centre ``(h//2, w//2)`` inside its frame, (h, w)."""
    rows, cols = np.indices(shape)
    radius = min((shape[0] - 1) // 2, (shape[1] - 1) // 2)
    return np.asarray(np.hypot(rows - shape[0] // 2, cols - shape[1] // 2) <= radius)


def operation_scores(
    kernels: NDArray[np.floating], operation: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Correlate kernels with their own copies under an operation.

    Parameters
    ----------
    kernels : array, (n, planes, h, w)
        Without NaN, centred at ``(h//2, w//2)``. The planes of a kernel are weighted by their
        energy.
    operation : array, (2, 2)
        Acts on ``(row, col)`` offsets from the centre, as `Symmetry.operations` lists them.

    Returns
    -------
    array, (n,)
        Pearson correlations over the inscribed disc; NaN for a constant kernel.
    """
    count, planes, height, width = kernels.shape
    disc = inscribed_disc((height, width)).ravel()
    flat = np.asarray(kernels, np.float64).reshape(count * planes, -1)
    matrix = _operation_matrix(tuple(map(tuple, operation.tolist())), (height, width))

    def centred(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        chosen = vectors[:, disc]
        return np.asarray(chosen - chosen.mean(axis=1, keepdims=True)).reshape(count, -1)

    original, moved = centred(flat), centred((matrix @ flat.T).T)
    norm = np.sqrt((original**2).sum(axis=1) * (moved**2).sum(axis=1))
    overlap = (original * moved).sum(axis=1)
    return np.where(norm > 0, overlap / np.where(norm > 0, norm, 1.0), np.nan)
