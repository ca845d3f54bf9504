"""`MaskPixels`: single bad pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from qpi_kernels.prepare.levelling.medians import (
    ROUNDING,
    filled,
    median_of_five,
    row_medians,
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

__all__ = ["STEP", "MaskPixels"]

# A Gaussian of sigma 1 px keeps 0.37 of its deviation in the four pixels beside its middle.
_SHARED = 0.3
_NOISY = 2.5
_SHARING_PIXELS = 2


class MaskPixels(Step):
    """Mask pixels that stand out alone from their neighbourhood.

    A pixel is bad if it is away from the median of 5 x 5 pixels, and at most two of the others
    are so by 30 % of it. What a tip can resolve is wider, so small defects, edges and the atoms
    of a lattice stay; marked defects are never touched. A glitch in a bias of a cube that shows in
    the mean masks all its biases.
    """

    threshold: float = Field(
        default=5.0,
        gt=0.0,
        description="How far a pixel must be away, in robust standard deviations.",
    )
    protect: ProtectedRadius = 3.0
    limit: MaskedLimit = 1.0

    def change(self, scan: Prepared) -> tuple[Prepared, Mapping[str, Any]]:
        """Take isolated pixels out of the mask."""
        plane, counted = reference_plane(scan)
        plane = filled(plane)
        offsets = find_row_offsets(np.where(counted, plane, np.nan)).offsets
        # Without the tilt, which medians at the border of the image would take for glitches.
        tilt = np.median(np.diff(plane, axis=1)) if plane.shape[1] > 1 else 0.0
        away = _away(plane - offsets[:, None] - tilt * np.arange(plane.shape[1]))
        size = np.abs(away)
        noise = _noise(plane, size, counted)
        bad = counted & (size > self.threshold * noise[:, None])
        bad &= _alone(size, bad, noise)
        near = near_defects(scan, self.protect)
        changed, found = mask_found(scan, bad & ~near, self.limit, "mask pixels")
        return changed, {**found, "protected_px": int((bad & near).sum())}


def _away(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Subtract the median of five columns of the medians of five pixels."""
    if min(plane.shape) < 5:
        return np.zeros_like(plane)
    return plane - median_of_five(median_of_five(plane, 1), 0)


def _noise(
    plane: NDArray[np.float64], size: NDArray[np.float64], counted: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Estimate the standard deviation in every row, at least that of the whole image.

    On a smooth slope a pixel often is the median of its neighbourhood, so the difference from the
    pixels beside it is asked, too; rows under an unquiet tip have more noise of their own.
    """
    padded = np.pad(plane, ((0, 0), (1, 1)), mode="reflect")
    bend = np.abs(plane - (padded[:, :-2] + padded[:, 2:]) / 2) / np.sqrt(1.5)
    measured = [np.where(counted, values, np.nan) for values in (size, bend)]
    rows = np.maximum(*(1.4826 * np.nan_to_num(row_medians(values)) for values in measured))
    whole = max(1.4826 * float(np.nanmedian(values)) for values in measured)
    whole = max(whole, ROUNDING * float(np.ptp(plane)))
    return np.maximum(rows, whole)


def _alone(
    size: NDArray[np.float64], candidates: NDArray[np.bool_], noise: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Test which candidates share their deviation with few of the 24 pixels around."""
    rows, columns = np.nonzero(candidates)
    padded = np.pad(size, 2)
    down, right = np.indices((5, 5)).reshape(2, 25, 1)
    around = padded[rows + down, columns + right]
    least = np.maximum(_SHARED * size[rows, columns], _NOISY * noise[rows])
    sharing = (around >= least).sum(axis=0) - 1
    alone = np.zeros(size.shape, bool)
    alone[rows, columns] = sharing <= _SHARING_PIXELS
    return alone


STEP = MaskPixels
