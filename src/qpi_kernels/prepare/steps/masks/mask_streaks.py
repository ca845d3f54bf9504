"""`MaskStreaks`: parts of rows in which the tip was another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from qpi_kernels.prepare.levelling.medians import (
    filled,
    median_of_five,
    robust_std,
)
from qpi_kernels.prepare.levelling.row_offsets import find_row_offsets
from qpi_kernels.prepare.masking import (
    MaskedLimit,
    ProtectedRadius,
    mask_found,
    near_defects,
)
from qpi_kernels.prepare.prepared import Prepared
from qpi_kernels.prepare.reference_plane import reference_plane
from qpi_kernels.prepare.step import Step

__all__ = ["STEP", "MaskStreaks"]

# A streak takes its height within one row; a wave that runs along the slow axis does not: the
# next row adds at least half as much again for wavelengths above 5 px.
_SUDDEN = 0.7


class MaskStreaks(Step):
    """Mask runs of pixels that stand out from the rows above and below.

    A streak is a run along one row, or up to four, whose edges towards the rows before and after
    are sudden and of opposite sign. Steps, and waves that follow the rows, have no such two
    edges; offsets of whole rows are for `AlignRows`. A streak of a cube masks all its biases.
    """

    threshold: float = Field(
        default=5.0,
        gt=0.0,
        description="How high a streak must be, in robust standard deviations of the difference "
        "of two rows.",
    )
    length: int = Field(
        default=16, ge=2, description="Shortest run.", json_schema_extra={"unit": "px"}
    )
    rows: int = Field(
        default=4, ge=1, le=8, description="Thickest run.", json_schema_extra={"unit": "px"}
    )
    protect: ProtectedRadius = 3.0
    limit: MaskedLimit = 20.0

    def change(self, scan: Prepared) -> tuple[Prepared, Mapping[str, Any]]:
        """Take the runs out of the mask."""
        plane, counted = reference_plane(scan)
        plane = filled(plane)
        bad = np.zeros(counted.shape, bool)
        if min(plane.shape) > 4:
            bad = self._streaks(plane, counted)
        near = near_defects(scan, self.protect)
        changed, found = mask_found(scan, bad & ~near, self.limit, "mask streaks")
        return changed, {**found, "rows_px": int((bad & ~near & scan.mask).any(axis=1).sum())}

    def _streaks(self, plane: NDArray[np.float64], counted: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Find the runs, thin ones first."""
        from scipy import ndimage

        both = counted[1:] & counted[:-1]
        offsets = find_row_offsets(np.where(counted, plane, np.nan)).offsets
        edge = np.diff(plane - offsets[:, None], axis=0)
        edge = ndimage.uniform_filter1d(median_of_five(edge, 1), 5, axis=1)
        least = self.threshold * robust_std(edge[both])
        bad = np.zeros(plane.shape, bool)
        if not least > 0:
            return bad
        outer = np.zeros((1, plane.shape[1]))
        upper = np.abs(edge) > np.maximum(
            least, _SUDDEN * np.abs(edge + np.concatenate([outer, edge[:-1]]))
        )
        lower = np.abs(edge) > np.maximum(
            least, _SUDDEN * np.abs(edge + np.concatenate([edge[1:], outer]))
        )
        for thick in range(1, min(self.rows, len(edge) - 1) + 1):
            first, last = edge[:-thick], edge[thick:]
            pair = upper[:-thick] & lower[thick:] & (np.sign(first) == -np.sign(last))
            runs = _long_runs(pair, self.length)
            for row in range(1, thick + 1):
                bad[row : row + len(runs)] |= runs
        return bad


def _long_runs(marked: NDArray[np.bool_], length: int) -> NDArray[np.bool_]:
    """Keep runs along the rows of at least a length, once gaps of two pixels are closed."""
    from scipy import ndimage

    closed = ndimage.binary_closing(marked, np.ones((1, 3), bool)) | marked
    labels, count = ndimage.label(closed, np.array([[0, 0, 0], [1, 1, 1], [0, 0, 0]]))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    return np.asarray(sizes[labels] >= length)


STEP = MaskStreaks
