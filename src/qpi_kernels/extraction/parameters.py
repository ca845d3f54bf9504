"""`ExtractionParameters`: every choice of an extraction, written once for all faces."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from qpi_kernels.symmetry import Symmetry

__all__ = ["ExtractionError", "ExtractionParameters"]


class ExtractionError(ValueError):
    """An extraction can not be done as asked; the message says what to change."""


class ExtractionParameters(BaseModel):
    """Validated parameters of `extract`; saved with every result.

    Units stand in ``json_schema_extra["unit"]`` of each field, help in its description.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kernel_shape: tuple[Annotated[int, Field(ge=3)], Annotated[int, Field(ge=3)]] = Field(
        default=(64, 64),
        description="Height and width of the kernel window; its centre is at (h//2, w//2).",
        json_schema_extra={"unit": "px"},
    )
    method: Literal["bayes", "least_squares", "average", "two_step", "one_step", "blind"] = Field(
        default="bayes",
        description=(
            "bayes weighs the map against what simulated kernels look like, by the evidence; "
            "least_squares separates overlapping defects; average cuts out and averages; two_step "
            "asks networks trained on simulated kernels (arXiv 2506.05325), one_step is their "
            "baseline; blind finds the defects itself, where nobody can mark them."
        ),
    )
    prior: Literal["library", "learned", "smooth", "none"] = Field(
        default="library",
        description=(
            "What bayes knows beforehand: library, simulated kernels of many materials; learned, "
            "kernels that a network trained on such can make (some seconds for each bias); "
            "smooth, waves that fade with distance; none, nothing, which is least_squares."
        ),
    )
    library: str = Field(
        default="bundled",
        description=(
            "Simulated kernels of bayes: bundled, or a file that `napari-qpi library` wrote for "
            "the families in question. Of prior learned, its families and their smoothness."
        ),
    )
    refine: Literal["positions", "positions+strengths"] | None = Field(
        default=None,
        description=(
            "Move marked defects (by up to 4 px), and change their strengths, so that the map is "
            "explained best; for bayes and least_squares."
        ),
    )
    kinds: Annotated[int, Field(ge=1, le=6)] | Literal["auto"] = Field(
        default="auto",
        description=(
            "How many kinds of defects blind looks for; auto goes on as long as the map is clearly "
            "better explained, up to three. Defects of the other sign are another kind."
        ),
    )
    model: str = Field(
        default="bundled",
        description=(
            "Networks of two_step, one_step, and of bayes with prior learned: bundled, a model "
            "folder, or owner/name on the Hugging Face hub."
        ),
    )
    samples: int = Field(
        default=16,
        ge=2,
        le=1000,
        description="Samples of a network's answer that its standard deviation is taken from.",
    )
    symmetry: str | None = Field(
        default=None,
        description=(
            "Symmetry to impose: C2, C3, C4, C6 (rotations), C2v ... C6v (with mirrors), or Cs "
            "(one mirror); append @ and an angle in degrees to turn the mirror, as in C4v@15. "
            "Never assumed unless asked for."
        ),
    )
    background: Literal["none", "offset", "plane", "rows"] = Field(
        default="plane",
        description=(
            "Background fitted together with the kernel: none, one offset, a plane, or an "
            "offset for every scan line plus a slope along it."
        ),
    )
    ridge: float | Literal["auto"] = Field(
        default="auto",
        description=(
            "Strength of the pull of least_squares towards zero, as a number of extra defects that "
            "show nothing; auto takes the strength with the largest marginal likelihood, 0 none."
        ),
        json_schema_extra={"unit": "defects"},
    )
    tolerance: float = Field(
        default=1e-5, gt=0, lt=1, description="Relative residual at which the solver stops."
    )
    max_iterations: int = Field(
        default=300, ge=1, le=5000, description="Solver iterations before giving up."
    )
    device: str = Field(
        default="auto",
        description="cpu, cuda, cuda:0, mps, or auto: a GPU when there is one.",
    )
    dtype: Literal["auto", "float32", "float64"] = Field(
        default="auto", description="Precision; auto takes the observation's own."
    )
    seed: int = Field(default=0, ge=0, description="Seed of random probes and samples.")

    @field_validator("symmetry")
    @classmethod
    def _known_symmetry(cls, value: str | None) -> str | None:
        if value is None or value.strip().lower() in ("", "none"):
            return None
        return str(Symmetry.parse(value))

    @field_validator("ridge")
    @classmethod
    def _not_negative(cls, value: float | Literal["auto"]) -> float | Literal["auto"]:
        if value != "auto" and not 0 <= value < float("inf"):
            raise ValueError("ridge must be 0, a positive number of defects, or 'auto'")
        return value
