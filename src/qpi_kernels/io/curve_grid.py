"""Sort point spectra that were taken on a grid into a map."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from qpi_kernels.io.physical_units import credible_pitch

__all__ = ["CurveGrid", "grid_of_positions"]


@dataclass
class CurveGrid:
    """Pixel of each of a series of curves in a map: row 0 is the top, y grows upwards."""

    rows: np.ndarray
    columns: np.ndarray
    size: tuple[int, int]
    repeats: int
    pixel_nm: tuple[float, float] | None
    centre_nm: tuple[float, float]

    def cube(self, curves: np.ndarray) -> np.ndarray:
        """Sort ``(curve, bias)`` into ``(bias, y, x)``, averaging over repeated sweeps."""
        pixel = np.ravel_multi_index((self.rows, self.columns), self.size)
        order = np.argsort(pixel, kind="stable")
        sweeps = curves[order].reshape(*self.size, self.repeats, curves.shape[1])
        mean = sweeps[:, :, 0] if self.repeats == 1 else sweeps.mean(axis=2)
        return np.ascontiguousarray(np.moveaxis(mean, -1, 0))


def grid_of_positions(positions: np.ndarray) -> CurveGrid | None:
    """Recognise positions that fill a rectangular grid parallel to the axes, in any order.

    Parameters
    ----------
    positions : array
        ``(curve, 2)``, x and y in nm, y upwards.

    Returns
    -------
    CurveGrid or None
        None when the positions form no grid of at least 2 x 2 with equally many curves each.
    """
    indices, axes = [], []
    for values in positions.T:
        extent = float(np.ptp(values))
        if extent == 0:
            return None
        ordered = np.sort(values)
        # Neighbouring grid lines are far apart compared with the noise of the positions.
        gaps = np.diff(ordered) > extent / (2 * len(ordered))
        lines = np.concatenate([[0], np.cumsum(gaps)])
        centres = np.bincount(lines, ordered) / np.bincount(lines)
        indices.append(np.searchsorted((centres[1:] + centres[:-1]) / 2, values))
        axes.append(centres)
    (columns, rows), (x, y) = indices, axes
    cells = Counter(zip(rows.tolist(), columns.tolist(), strict=True))
    repeats = len(positions) // (len(x) * len(y)) if min(len(x), len(y)) > 1 else 0
    if repeats == 0 or set(cells.values()) != {repeats} or len(cells) != len(x) * len(y):
        return None
    return CurveGrid(
        rows=len(y) - 1 - rows,  # y grows upwards, row 0 is the top
        columns=columns,
        size=(len(y), len(x)),
        repeats=repeats,
        pixel_nm=credible_pitch(np.ptp(y) / (len(y) - 1), np.ptp(x) / (len(x) - 1)),
        centre_nm=(float(x.mean()), float(y.mean())),
    )
