"""`AlignTraces`: the lag between trace and retrace, taken out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from qpi_kernels.prepare.geometry.frame import Frame
from qpi_kernels.prepare.geometry.resampling import resample
from qpi_kernels.prepare.geometry.trace_lag import trace_lag
from qpi_kernels.prepare.prepared import PreparationError, Prepared
from qpi_kernels.prepare.reference_plane import counted_plane
from qpi_kernels.prepare.step import Step

__all__ = ["STEP", "AlignTraces"]


class AlignTraces(Step):
    """Move every pixel by half of the lag between trace and retrace.

    Creep and the delay of feedback and filters shift the two directions against each other; what
    both show lies in between. The lag is a polynomial along the fast axis, the same for all rows
    and channels, and found from the topographs of both directions where they are given.
    """

    channels: ClassVar[tuple[str, ...]] = ("retrace",)

    max_lag_px: int = Field(
        default=32,
        ge=1,
        le=1024,
        description="Largest lag looked for; less than half a period of a periodic image.",
        json_schema_extra={"unit": "px"},
    )
    order: int = Field(
        default=1, ge=0, le=3, description="Order of the lag's polynomial along the fast axis."
    )

    def change(self, scan: Prepared) -> tuple[Prepared, Mapping[str, Any]]:
        """Find the lag and resample; the retrace moves the other way."""
        if "retrace" not in scan.channels:
            raise PreparationError(
                "align traces: this needs the retrace, the same channel of the way back; give "
                "channels={'retrace': ...}"
            )
        pair = [None, "retrace"]
        if {"topography", "topography_retrace"} <= set(scan.channels):
            pair = ["topography", "topography_retrace"]
        trace, retrace = (counted_plane(scan, name) for name in pair)
        found = trace_lag(trace, retrace, self.max_lag_px, self.order)
        half = np.zeros((2, *trace.shape))
        half[1] = found.lag_px / 2
        shape = (trace.shape[0], trace.shape[1])
        same = Frame(shape, np.eye(2), np.zeros(2))
        back = {name: scan.channels[name] for name in scan.channels if name.endswith("retrace")}
        ahead = {name: scan.channels[name] for name in scan.channels if name not in back}
        moved = resample(replace(scan, channels=ahead), same, half)
        returned = resample(replace(scan, channels=back, defects=None), same, -half)
        channels = {**moved.channels, **returned.channels}
        made = replace(moved, channels=channels, mask=moved.mask & returned.mask)
        return made, {
            "lag_px": found.lag_px.copy(),
            "mean_lag_px": float(found.lag_px.mean()),
            "correlation_before": found.correlation_before,
            "correlation_after": found.correlation_after,
        }


STEP = AlignTraces
