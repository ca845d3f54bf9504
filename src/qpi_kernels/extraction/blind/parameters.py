"""`BlindParameters`: the choices of sparse blind deconvolution."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from qpi_kernels.extraction.bayes.parameters import PriorParameters

__all__ = ["BlindParameters"]


class BlindParameters(PriorParameters):
    """Parameters of the method ``blind``; see `BlindExtraction`."""

    summary: ClassVar[str] = "finds the defects itself, where they can not be marked"
    finds_defects: ClassVar[bool] = True

    method: Literal["blind"] = "blind"
    kinds: Annotated[int, Field(ge=1, le=6)] | Literal["auto"] = Field(
        default="auto",
        description=(
            "How many kinds of defects to look for; auto goes on as long as the map is clearly "
            "better explained, up to three. Defects of the other sign are another kind."
        ),
        json_schema_extra={"advanced": True},
    )
