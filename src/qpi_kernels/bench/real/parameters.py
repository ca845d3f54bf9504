"""`RealBenchParameters`: what is compared on a real map, and how the map is divided."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from qpi_kernels.extraction.parameters import BackgroundChoice
from qpi_kernels.parameters import Count, Parameters
from qpi_kernels.predictive_score import LeftOut

__all__ = ["RealBenchParameters"]

_USUAL = ("average", "least_squares", "two_step", "bayes:prior=smooth", "bayes")
_Side = Annotated[int, Field(ge=3)]


class RealBenchParameters(Parameters):
    """Parameters of `napari-qpi bench real`."""

    methods: tuple[str, ...] = ()
    """Methods to compare, each with fields after colons, such as least_squares:symmetry=C6v or
    bayes:refine=positions; average, least_squares, two_step, bayes:prior=smooth and bayes when
    left out."""
    kernel_shape: tuple[_Side, _Side] = Field(
        default=(64, 64),
        description="Height and width of the kernel window.",
        json_schema_extra={"unit": "px"},
    )
    background: BackgroundChoice = "auto"
    """Background fitted together with the kernel."""
    folds: int = Field(
        default=5,
        ge=2,
        description="Number of extractions with each method, each without its share of the blocks.",
    )
    block_px: int | None = Field(
        default=None,
        ge=1,
        description=(
            "Side of a block; when left out twice the correlation length of the residual, at least "
            "4 and at most 32 or an eighth of the map's shorter side."
        ),
        json_schema_extra={"unit": "px"},
    )
    leave_out: LeftOut = "blocks"
    """Pixels left out: blocks of them, or the surroundings of defects."""
    device: str = "auto"
    """cpu, cuda, cuda:0, mps, or auto: a GPU when there is one."""
    seed: Count = 0
    """Seed of the division and of the methods."""

    @property
    def compared(self) -> tuple[str, ...]:
        """The methods that were named, or the usual ones."""
        return self.methods or _USUAL
