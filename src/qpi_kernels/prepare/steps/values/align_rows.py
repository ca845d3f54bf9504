"""`AlignRows`: rows brought to one level without moving a step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import Field

from qpi_kernels.prepare.geometry.resampling import map_planes
from qpi_kernels.prepare.levelling.steps_and_rows import (
    default_length_px,
    find_steps_and_rows,
)
from qpi_kernels.prepare.prepared import Prepared
from qpi_kernels.prepare.reference_plane import reference_plane
from qpi_kernels.prepare.report_keys import with_unit
from qpi_kernels.prepare.step import Step

__all__ = ["STEP", "AlignRows"]


class AlignRows(Step):
    """Subtract from every row the offset that the tip or the feedback gave it.

    Offsets come from differences between rows 1 to 34 apart, of pixels that lie on the same
    terrace in both; so a step that crosses the rows keeps its height, where row medians shear it.
    The tilt along the slow axis goes with the offsets. The image keeps its median level.

    A jump of the whole width that the rows before and after agree on is a step along the rows if
    it takes several rows, or has at least half of the image's relief; it stays. Otherwise the tip
    changed, and it goes. A row that jumps and comes back is an artefact.
    """

    keep_jumps: bool = Field(
        default=True,
        description="Keep lasting jumps of the whole width: steps along the rows. Without it, "
        "every row comes to one level.",
    )

    def change(self, scan: Prepared) -> tuple[Prepared, Mapping[str, Any]]:
        """Subtract one number from every row, the same at all biases."""
        plane, counted = reference_plane(scan)
        length = default_length_px(plane.shape)
        found, _ = find_steps_and_rows(plane, counted, length, self.keep_jumps)
        offsets = found.offsets
        image = map_planes(lambda plane: plane - offsets[:, None], scan.image)
        rows = np.arange(offsets.size)
        trend = np.polyval(np.polyfit(rows, offsets, 1), rows) if rows.size > 1 else 0.0
        return replace(scan, image=image), {
            with_unit("offsets", scan.image): offsets,
            with_unit("offset_rms", scan.image): float(np.std(offsets - trend)),
            "jump_rows_px": found.jump_rows,
            with_unit("jump_heights", scan.image): found.jump_heights,
        }


STEP = AlignRows
