"""`MaskSteps`: the surroundings of atomic steps, and the terraces between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from qpi_kernels.prepare.geometry.frame import pitch
from qpi_kernels.prepare.levelling.steps_and_rows import (
    default_length_px,
    find_steps_and_rows,
)
from qpi_kernels.prepare.levelling.surface import fit_surface, label_terraces
from qpi_kernels.prepare.prepared import PreparationError, Prepared
from qpi_kernels.prepare.reference_plane import reference_plane
from qpi_kernels.prepare.report_keys import with_unit
from qpi_kernels.prepare.step import Step

__all__ = ["STEP", "MaskSteps"]

_MIN_MARGIN_PX = 3.0
_MARGIN_SHARE = 0.02


class MaskSteps(Step):
    """Mask what lies within a margin of a step edge, at any angle.

    Standing waves at steps are strong, no model of point defects describes them, and they leak
    into the kernel. Rows are aligned for the search only, and lasting jumps over the whole width
    are kept in it, so a step along the rows is found as any other. The report labels the
    terraces; `Level` takes them from the mask.
    """

    margin: float | None = Field(
        default=None,
        ge=0.0,
        description="Distance from the edge that is masked, about one wavelength of the standing "
        "waves; in px where the size of a pixel is unknown. If left out, 2 % of the frame and at "
        "least 3 px.",
        json_schema_extra={"unit": "nm"},
    )
    length: float | None = Field(
        default=None,
        gt=0.0,
        description="Shortest extent of an edge, beyond that of adsorbates; in px where the size "
        "of a pixel is unknown. If left out, 12 % of the frame.",
        json_schema_extra={"unit": "nm"},
    )

    def change(self, scan: Prepared) -> tuple[Prepared, Mapping[str, Any]]:
        """Find the edges, mask around them, and label what is between."""
        from scipy import ndimage

        plane, counted = reference_plane(scan)
        sides = np.array(pitch(scan.image)[:2])
        length: float | NDArray[np.float64] = default_length_px(plane.shape)
        if self.length is not None:
            length = self.length / sides
        margin, sampling = max(_MIN_MARGIN_PX, _MARGIN_SHARE * min(plane.shape)), np.ones(2)
        if self.margin is not None:
            # In units of the shorter side of a pixel.
            margin, sampling = float(self.margin / sides.min()), sides / sides.min()
        found, edges = find_steps_and_rows(plane, counted, length)
        near = edges
        if edges.any():
            near = ndimage.distance_transform_edt(~edges, sampling=sampling) <= margin
        mask = scan.mask & ~near
        if not (mask & counted).any():
            raise PreparationError(
                f"mask steps: with a margin of {margin:.0f} px no pixel is left; take a smaller one"
            )
        terraces = np.where(mask, label_terraces(~near & np.isfinite(plane), 0.0), 0)
        return replace(scan, mask=mask), {
            "terraces": terraces,
            "terrace_count": int(terraces.max()),
            with_unit("terrace_levels", scan.image): _levels(plane - found.offsets[:, None], mask),
            "margin_px": float(margin),
            "edge_px": int(edges.sum()),
            "masked_px": int(scan.mask.sum() - mask.sum()),
        }


def _levels(plane: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Fit the levels of the larger terraces with common slopes, less that of the largest."""
    terraces = label_terraces(mask & np.isfinite(plane))
    levels = fit_surface(np.where(mask, plane, np.nan), terraces, 1).levels
    return np.asarray(levels - levels[0])


STEP = MaskSteps
