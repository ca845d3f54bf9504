"""Labels of pixels in a report, moved with the pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["SCAN_LINES", "TERRACES", "move_labels"]

SCAN_LINES = "scan_lines"
"""Key of `AlignRows`' report, once the image's rows are no scan lines: (y, x), from 0."""
TERRACES = "terraces"
"""Key of `MaskSteps`' report: (y, x), from 1, 0 where masked."""

Report = Mapping[str, Mapping[str, Any]]


def move_labels(report: Report, positions: NDArray[np.float64], shape: tuple[int, ...]) -> Report:
    """Move the labels of terraces, and of scan lines that were levelled, with the pixels.

    Parameters
    ----------
    report : mapping
        As in `Prepared.report`.
    positions : array, (2, rows, columns)
        Old positions of the new pixels, rows, then columns.
    shape : tuple of int
        (rows, columns) of the old image.

    Returns
    -------
    mapping
        The report for the new image. A label is that of the nearest old pixel; scan lines are
        left out as long as they are the rows.
    """
    limits = np.array(shape)[:, None, None] - 1
    rows, columns = np.clip(np.rint(positions), 0, limits).astype(np.int64)
    inside = ((positions > -0.5) & (positions < limits + 0.5)).all(axis=0)

    def moved(name: str, found: Mapping[str, Any]) -> Mapping[str, Any]:
        """Move the labels of one step."""
        if TERRACES in found:
            labels = np.asarray(found[TERRACES])[rows, columns]
            return {**found, TERRACES: np.where(inside, labels, 0)}
        if name.startswith("align_rows"):
            old = found.get(SCAN_LINES)
            lines = rows if old is None else old[rows, columns]
            straight = (lines == lines[:, :1]).all() and len(np.unique(lines[:, 0])) == len(lines)
            return found if old is None and straight else {**found, SCAN_LINES: lines}
        return found

    return {name: moved(name, found) for name, found in report.items()}
