"""`BayesParameters`, and those of every estimator that ends in a posterior kernel."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from qpi_kernels.extraction.parameters import SolverParameters
from qpi_kernels.extraction.refine.parameters import RefinableParameters

__all__ = ["BayesParameters", "PriorParameters"]


class PriorParameters(SolverParameters):
    """Parameters of `BayesExtraction`: which kernels are likely before the map is known."""

    needs_double: ClassVar[bool] = True  # evidence is a small difference of large numbers

    prior: Literal["library", "learned", "smooth", "none"] = Field(
        default="library",
        description=(
            "Kernels expected beforehand: library, simulated kernels of many materials, or waves "
            "as the map itself shows them; learned, "
            "kernels that a network trained on such can make (some seconds for each bias); "
            "smooth, waves that fade with distance; none, every pixel on its own, which is "
            "least_squares."
        ),
        json_schema_extra={
            "labels": {
                "library": "simulated kernels (library)",
                "learned": "what a network can make (learned)",
                "smooth": "waves that fade (smooth)",
                "none": "nothing (none)",
            }
        },
    )
    library: str = Field(
        default="bundled",
        description=(
            "Simulated kernels: bundled, or a file that `napari-qpi library` wrote for "
            "the families in question. Of prior learned, its families and their smoothness."
        ),
        json_schema_extra={"advanced": True, "files": "Libraries of kernels (*.safetensors)"},
    )
    noise: Literal["auto", "white", "coloured"] = Field(
        default="auto",
        description=(
            "Noise expected in the map: auto, with the residual's spectrum where that is not "
            "white; white; coloured, always with the residual's spectrum."
        ),
        json_schema_extra={"advanced": True},
    )
    model: str = Field(
        default="bundled",
        description=(
            "Network of prior learned: bundled, a two_step model folder, or owner/name on the "
            "Hugging Face hub."
        ),
        json_schema_extra={"used_if": {"prior": ["learned"]}, "models": "two_step"},
    )


class BayesParameters(PriorParameters, RefinableParameters):
    """Parameters of the method ``bayes``; see `BayesExtraction`."""

    summary: ClassVar[str] = (
        "weighs the map against what simulated kernels look like, by the evidence"
    )

    method: Literal["bayes"] = "bayes"
