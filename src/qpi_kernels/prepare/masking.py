"""Fields and rules that the steps which mask single pixels and streaks share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from qpi_kernels.prepare.prepared import PreparationError, Prepared

__all__ = ["MaskedLimit", "ProtectedRadius", "mask_found", "near_defects"]

ProtectedRadius = Annotated[
    float,
    Field(
        ge=0.0,
        description="Radius around marked defects in which nothing is masked.",
        json_schema_extra={"unit": "px"},
    ),
]
MaskedLimit = Annotated[
    float,
    Field(
        gt=0.0,
        le=100.0,
        description="Stop with an error if more pixels would be masked.",
        json_schema_extra={"unit": "%"},
    ),
]


def near_defects(scan: Prepared, radius: float) -> NDArray[np.bool_]:
    """Mark the pixels within a radius (px) of the marked defects, (y, x)."""
    near = np.zeros(scan.mask.shape, bool)
    if scan.defects is None:
        return near
    for row, column in scan.defects.positions.tolist():
        reach = int(np.ceil(radius)) + 1
        height, width = scan.mask.shape
        rows = np.arange(max(round(row) - reach, 0), min(round(row) + reach + 1, height))
        columns = np.arange(max(round(column) - reach, 0), min(round(column) + reach + 1, width))
        if not rows.size or not columns.size:
            continue
        away = np.hypot(rows[:, None] - row, columns - column)
        near[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] |= away <= radius
    return near


def mask_found(
    scan: Prepared, bad: NDArray[np.bool_], limit_percent: float, what: str
) -> tuple[Prepared, Mapping[str, Any]]:
    """Take pixels out of the mask.

    Raises
    ------
    PreparationError
        If they are more than the limit.
    """
    bad = bad & scan.mask
    masked = int(bad.sum())
    share = 100.0 * masked / max(int(scan.mask.sum()), 1)
    if share > limit_percent:
        raise PreparationError(
            f"{what} would mask {share:.1f} % of the pixels, more than the limit of "
            f"{limit_percent:g} %; raise the threshold, or the limit if the image is that bad"
        )
    return replace(scan, mask=scan.mask & ~bad), {"masked_px": masked, "masked_percent": share}
