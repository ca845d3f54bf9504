"""`EstimatorParameters`: the parameters that all estimators share, and what their class tells."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from qpi_kernels.symmetry import Symmetry

__all__ = ["BackgroundChoice", "EstimatorParameters", "ExtractionError", "SolverParameters"]

BackgroundChoice: TypeAlias = Literal[
    "auto", "none", "offset", "plane", "quadratic", "rows", "rows+quadratic"
]


# As it is given in Python, and as the command line divides it.
_AUTO = ("auto", ("auto", "auto"), ["auto", "auto"])


class ExtractionError(ValueError):
    """An extraction can not be done as asked; the message says what to change."""


class EstimatorParameters(BaseModel):
    """Parameters that every estimator takes; subclasses add their own.

    A subclass narrows `method` to a `Literal` with its name as the default, and is made known with
    `qpi_kernels.extraction.register`. Its module imports neither torch nor other slow libraries:
    forms and ``--help`` are made of the class long before a run.

    Of each field the description is the help text; ``json_schema_extra`` may hold ``unit``,
    ``advanced`` (True for what is rarely changed), ``labels`` (words for the values),
    ``suggestions`` (values to offer where others are possible), ``files`` (which files a dialogue
    offers), ``models`` (the method whose trained models are offered; ``method`` for the class's
    own) and ``used_if`` (values of another field without which this one is not used).

    Attributes
    ----------
    summary : str
        The estimator in a few words, after its name in ``--help`` and forms.
    finds_defects : bool
        The estimator needs no marked defects.
    needs_double : bool
        The estimator computes in double precision unless asked otherwise.
    separates_defects : bool
        Overlapping kernels of neighbouring defects are separated.
    checks_residual : bool
        The residual is that of a fit, and is tested for what a sum of kernels leaves out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    summary: ClassVar[str] = ""
    finds_defects: ClassVar[bool] = False
    needs_double: ClassVar[bool] = False
    separates_defects: ClassVar[bool] = True
    checks_residual: ClassVar[bool] = False

    kernel_shape: tuple[Annotated[int, Field(ge=3)], Annotated[int, Field(ge=3)]] = Field(
        default=(64, 64),
        description="Height and width of the kernel window; its centre is at (h//2, w//2).",
        json_schema_extra={"unit": "px"},
    )
    method: str = Field(description="The estimator.")
    symmetry: str | None = Field(
        default=None,
        description=(
            "Symmetry to impose: C2, C3, C4, C6 (rotations), C2v ... C6v (with mirrors), or Cs "
            "(one mirror); append @ and an angle in degrees to turn the mirror, as in C4v@15. "
            "Never assumed unless asked for."
        ),
        json_schema_extra={
            "suggestions": [None, "C2", "C3", "C4", "C6", "Cs", "C2v", "C3v", "C4v", "C6v"],
        },
    )
    background: BackgroundChoice = Field(
        default="auto",
        description=(
            "Background fitted together with the kernel: none, one offset, a plane, a quadratic "
            "polynomial, rows (an offset for every scan line plus a slope along it), or both; "
            "auto takes what the preparation levelled, at least a plane. Terraces between masked "
            "steps get an offset each."
        ),
    )
    choose_window: bool = Field(
        default=False,
        description=(
            "Choose the smallest window that predicts left-out parts of the map best, instead of "
            "the given one; kernel_shape 'auto' stands for this. About twenty times as long."
        ),
        json_schema_extra={"advanced": True},
    )
    validation_folds: int = Field(
        default=0,
        ge=0,
        le=20,
        description=(
            "Predict each of so many parts of the map from the rest, and keep the score in the "
            "quality; 0 for none. So many times as long."
        ),
        json_schema_extra={"advanced": True},
    )
    device: str = Field(
        default="auto",
        description="cpu, cuda, cuda:0, mps, or auto: a GPU when there is one.",
        json_schema_extra={"advanced": True},
    )
    dtype: Literal["auto", "float32", "float64"] = Field(
        default="auto",
        description="Precision; auto takes the observation's own, or what the method needs.",
        json_schema_extra={"advanced": True},
    )
    seed: int = Field(
        default=0,
        ge=0,
        description="Seed of random probes and samples.",
        json_schema_extra={"advanced": True},
    )

    def check_window(self, image_shape: tuple[int, int]) -> None:
        """Refuse a kernel window that is larger than the image.

        Few defects show a pixel of the window half an image away from its centre; none shows one
        beyond that, whatever the map.

        Parameters
        ----------
        image_shape : tuple of int
            (rows, columns) of the observation.

        Raises
        ------
        ExtractionError
            If height or width is larger than the image's.
        """
        if self.choose_window:
            return
        height, width = self.kernel_shape
        rows, columns = image_shape
        if height > rows or width > columns:
            raise ExtractionError(
                f"kernel_shape ({height}, {width}) is larger than the image ({rows}, {columns}), "
                f"which can not determine such a kernel; take at most ({rows}, {columns})"
            )

    def check_single(self, purpose: str) -> None:
        """Refuse choices that are made by several extractions of one map.

        Parameters
        ----------
        purpose : str
            What takes one extraction in a given window, for the message.

        Raises
        ------
        ExtractionError
            If the window is to be chosen or the extraction to be validated.
        """
        if self.choose_window:
            raise ExtractionError(
                f"{purpose} takes a given window: leave out choose_window, and give kernel_shape "
                "as (height, width), such as the one that extract chooses"
            )
        if self.validation_folds:
            raise ExtractionError(
                f"{purpose} takes no validation_folds: leave it out, it is for extract alone"
            )

    @model_validator(mode="before")
    @classmethod
    def _read_auto(cls, values: Any) -> Any:
        """Take the word auto for a window that is to be chosen."""
        if isinstance(values, dict) and values.get("kernel_shape") in _AUTO:
            values = {name: one for name, one in values.items() if name != "kernel_shape"}
            values["choose_window"] = True
        return values

    @field_validator("validation_folds")
    @classmethod
    def _not_one(cls, value: int) -> int:
        """Refuse a single fold, which would leave out all of the map."""
        if value == 1:
            raise ValueError("validation_folds must be 0, or 2 and more")
        return value

    @field_validator("symmetry")
    @classmethod
    def _known_symmetry(cls, value: str | None) -> str | None:
        """Spell a symmetry as `Symmetry` does."""
        if value is None or value.strip().lower() in ("", "none"):
            return None
        return str(Symmetry.parse(value))


class SolverParameters(EstimatorParameters):
    """Parameters of estimators that solve by Krylov iterations."""

    tolerance: float = Field(
        default=1e-5,
        gt=0,
        lt=1,
        description="Relative residual at which the solver stops.",
        json_schema_extra={"advanced": True},
    )
    max_iterations: int = Field(
        default=300,
        ge=1,
        le=5000,
        description="Solver iterations before giving up.",
        json_schema_extra={"advanced": True},
    )
