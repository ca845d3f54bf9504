"""Steps and row offsets found together, for each hides the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.prepare.levelling.medians import ROUNDING
from qpi_kernels.prepare.levelling.row_offsets import RowOffsets, find_row_offsets
from qpi_kernels.prepare.levelling.step_edges import find_step_edges
from qpi_kernels.prepare.levelling.surface import label_terraces, slopes

__all__ = ["default_length_px", "find_steps_and_rows"]

_LENGTH_SHARE = 0.12
# Pixels this close to an edge lie on neither terrace.
_EDGE_PX, _EDGE_SHARE = 4, 0.015


def default_length_px(shape: tuple[int, ...]) -> float:
    """Return the shortest extent of a step edge where none is given: 12 % of the frame."""
    return _LENGTH_SHARE * min(shape)


def find_steps_and_rows(
    plane: NDArray[np.float64],
    counted: NDArray[np.bool_],
    length: float | NDArray[np.float64],
    keep_jumps: bool = True,
) -> tuple[RowOffsets, NDArray[np.bool_]]:
    """Find row offsets, with them the edges of steps, and with these better offsets.

    Parameters
    ----------
    plane : array, (rows, columns)
        NaN where not measured.
    counted : array of bool, (rows, columns)
        Pixels that may tell offsets.
    length : float or array
        Shortest extent of an edge in px, or of one along rows' and columns' axes, (2,).
    keep_jumps : bool
        As for `find_row_offsets`.

    Returns
    -------
    RowOffsets
        From differences within terraces.
    array of bool, (rows, columns)
        The edges.
    """
    from scipy import ndimage

    valid = np.where(counted, plane, np.nan)
    first = find_row_offsets(valid)
    aligned = plane - first.offsets[:, None]
    down, right = slopes(np.where(counted, aligned, np.nan))
    rows, columns = (np.arange(side) for side in plane.shape)
    level = aligned - down * rows[:, None] - right * columns
    least = ROUNDING * float(np.ptp(plane[counted])) if counted.any() else 0.0
    edges = find_step_edges(np.where(counted, level, np.nan), length, least)
    reach = max(_EDGE_PX, round(_EDGE_SHARE * min(plane.shape)))
    near = ndimage.maximum_filter(edges, 2 * reach + 1) if edges.any() else edges
    terraces = label_terraces(~near & np.isfinite(plane))
    return find_row_offsets(valid, keep_jumps, terraces, first), edges
