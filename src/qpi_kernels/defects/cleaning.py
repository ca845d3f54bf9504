"""Selections from a table: duplicates, exclusion masks, one table per kind."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from qpi_kernels.defects.table import DefectFormatError, Defects

__all__ = ["by_kind", "inside_mask", "without_duplicates"]


def without_duplicates(
    defects: Defects, distance_px: float, *, score: ArrayLike | None = None
) -> Defects:
    """Keep one of each group of defects that are duplicates of each other.

    Parameters
    ----------
    defects : Defects
        The table; defects of different kinds can be duplicates, too.
    distance_px : float
        Defects closer than this are duplicates.
    score : array, (N,), optional
        The defect with the higher score stays; the one that comes first when left out.

    Returns
    -------
    Defects
        The others, in their order.

    Raises
    ------
    DefectFormatError
        If ``score`` has another length than the table.
    """
    rank = np.zeros(len(defects)) if score is None else np.asarray(score, np.float64)
    if rank.shape != (len(defects),):
        raise DefectFormatError(f"score must have one entry per defect ({len(defects)})")
    kept: list[int] = []
    for index in np.argsort(-rank, kind="stable"):
        away = np.hypot(*(defects.positions[kept] - defects.positions[index]).T)
        if not (away < distance_px).any():
            kept.append(int(index))
    return defects[np.array(sorted(kept), dtype=np.intp)]


def inside_mask(
    defects: Defects, mask: ArrayLike | xr.DataArray, *, keep_outside_image: bool = False
) -> Defects:
    """Keep the defects that lie where a mask is true.

    Parameters
    ----------
    defects : Defects
        The table, in pixels of the mask.
    mask : array of bool, (y, x)
        True where a pixel counts; invert an exclusion mask with ``~mask``.
    keep_outside_image : bool
        Whether defects beyond the mask's edges stay; their waves still reach in.

    Returns
    -------
    Defects
        The defects whose nearest pixel is true, in their order.

    Raises
    ------
    DefectFormatError
        If the mask is not 2-D.
    """
    counted = np.asarray(mask, dtype=bool)
    if counted.ndim != 2:
        raise DefectFormatError(f"a mask must be 2-D (y, x), not of shape {counted.shape}")
    nearest = np.rint(defects.positions).astype(np.intp)
    within = ((nearest >= 0) & (nearest < np.array(counted.shape))).all(axis=1)
    keep = np.full(len(defects), keep_outside_image)
    keep[within] = counted[tuple(nearest[within].T)]
    return defects[keep]


def by_kind(defects: Defects) -> dict[str, Defects]:
    """Split a table into one per kind, in order of first appearance."""
    return {kind: defects.of_kind(kind) for kind in defects.kinds}
