"""Parameters of the methods that ask trained networks."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from qpi_kernels.extraction.parameters import EstimatorParameters

__all__ = ["NetworkParameters", "OneStepParameters", "TwoStepParameters"]


class NetworkParameters(EstimatorParameters):
    """Parameters of `NetworkExtraction`."""

    method: Literal["two_step", "one_step"]
    model: str = Field(
        default="bundled",
        description=(
            "Trained networks: bundled, a model folder, or owner/name on the Hugging Face hub."
        ),
        json_schema_extra={"models": "method"},
    )
    samples: int = Field(
        default=16,
        ge=2,
        le=1000,
        description="Samples of a network's answer that its standard deviation is taken from.",
        json_schema_extra={"advanced": True},
    )


class TwoStepParameters(NetworkParameters):
    """Parameters of the method ``two_step``."""

    summary: ClassVar[str] = "asks networks trained on simulated kernels (arXiv 2506.05325)"

    method: Literal["two_step"] = "two_step"


class OneStepParameters(NetworkParameters):
    """Parameters of the method ``one_step``."""

    summary: ClassVar[str] = "asks a network trained without the step of kernels alone"

    method: Literal["one_step"] = "one_step"
