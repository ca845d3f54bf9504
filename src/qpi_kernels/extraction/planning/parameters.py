"""`MapProposalParameters`: what a map is to reach, and what is known of it before."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from qpi_kernels.parameters import Parameters, PositiveCount

__all__ = ["MapProposalParameters"]


class MapProposalParameters(Parameters):
    """Parameters of a proposal: wanted error, time, pixels, and what the map is to show."""

    wanted_error: Annotated[float, Field(ge=1e-4, le=1)] = 0.05
    """Wanted error of the kernel, as a fraction of its rms."""
    time_per_pixel_s: Annotated[float, Field(ge=1e-6, json_schema_extra={"unit": "s"})] = 1.0
    """Integration time of a pixel and bias at which the noise is what it is; noise falls as one
    over the root of the time."""
    share: Annotated[float, Field(ge=1e-3, le=1)] = 1.0
    """Share of the pixels to measure; below 1 those that tell most of the kernel."""
    whole: bool = False
    """Scan the whole frame, not a rectangle of it."""
    biases: PositiveCount = 1
    """Biases measured at each pixel, with that time each."""
    noise: Annotated[float, Field(gt=0)] | None = None
    """Standard deviation of a pixel's noise at that time, in the map's units; that of the
    topograph when left out."""
    prior: str | None = None
    """Expected kernel: a result's file (.nc), a family of simulated kernels, or library; the
    topograph's own when left out."""
    signal: Annotated[float, Field(gt=0)] | None = None
    """Rms of an expected simulated kernel over its window, in the map's units; that of the
    topograph's kernel when left out."""
    pixel_nm: Annotated[float, Field(gt=0, json_schema_extra={"unit": "nm"})] | None = None
    """Pixel pitch of the topograph, if its file has none."""
