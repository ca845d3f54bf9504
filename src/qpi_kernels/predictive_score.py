"""`PredictiveScore`: how well kernels predict pixels of a map that they were not extracted from."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["LeftOut", "PredictiveScore"]

LeftOut = Literal["blocks", "defects"]


class PredictiveScore(BaseModel):
    """The prediction of left-out pixels within the kernel windows; errors are standard errors.

    `qpi_kernels.extraction.cross_validate` makes it; a stack's planes count together.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")

    r_squared: float = Field(
        description=(
            "share of the variance about the background that is predicted, noise included; 0 for "
            "no kernel, negative for one that is worse than none"
        )
    )
    r_squared_error: float = Field(description="standard error over the blocks")
    log_likelihood: float = Field(
        description=(
            "mean logarithm of the predictive density of a pixel in units of the noise of plain "
            "least squares"
        )
    )
    log_likelihood_error: float = Field(description="standard error over the blocks")
    within_1_sigma: float = Field(description="share of pixels within one predictive sigma")
    within_2_sigma: float = Field(description="share of pixels within two predictive sigmas")
    left_out: LeftOut = Field(description="blocks of pixels, or surroundings of defects")
    blocks: int = Field(description="number of blocks or defects that were left out")
    block_px: int = Field(description="side of a block, or of a defect's surroundings, in pixels")
    folds: int = Field(description="number of extractions, each without its share of the blocks")
    pixels: int = Field(description="number of pixels that were predicted")
