"""`AccuracyParameters`: parameters of the accuracy benchmark, and the cells it makes."""

from __future__ import annotations

from itertools import product
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

from qpi_kernels.parameters import Count, Parameters

__all__ = ["METHODS", "AccuracyParameters", "Annotation", "Cell", "Kind", "MethodName"]

Annotation = Literal["exact", "jitter-0.5px", "jitter-1px", "missed-20%"]
Kind = Literal["known", "held-out", "left-out", "own"]
MethodName = Literal[
    "average",
    "least_squares",
    "tuned_ridge",
    "bayes_smooth",
    "bayes_learned",
    "bayes",
    "oracle",
    "two_step",
]
METHODS: tuple[MethodName, ...] = get_args(MethodName)
"""In the order of the tables; oracle is bayes given the true family of the kernel."""

_MIN_KERNEL = 16
# What the others are measured against, and what the aims are about.
_ALWAYS: tuple[MethodName, ...] = ("tuned_ridge", "bayes")


class Cell(BaseModel):
    """One kind of map: all its problems differ only in kernel, positions and noise."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind = Field(description="where the kernels come from")
    image_px: int = Field(description="side of the square map")
    kernel_px: int = Field(description="side of the square kernel window")
    defects: int = Field(description="number of defects in the map, all of strength 1")
    snr: float = Field(description="variance of the noiseless map over that of the noise")
    annotation: Annotation = Field(description="what is wrong with the marks")

    def __str__(self) -> str:
        return (
            f"{self.kind} {self.image_px}/{self.kernel_px} px, {self.defects} defects, "
            f"SNR {self.snr:g}, {self.annotation}"
        )


class AccuracyParameters(Parameters):
    """Parameters of the accuracy benchmark; defaults depend on ``quick``."""

    quick: bool = False
    """A few maps in two minutes: shows that it runs, not how well."""
    families: Literal["held-out", "known", "both", "each"] = "both"
    """known: kernels of all simulated families, whose like the bundled prior knows; held-out: of
    four families that the prior there has never seen; each: of every family in turn, taken out of
    the bundled prior for its own kernels."""
    geometry: tuple[str, ...] = Field(default=(), json_schema_extra={"unit": "px"})
    """Sides of map and kernel, as in 128/32; left out, 64/64,128/32,256/64."""
    defects: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Numbers of defects; left out, 5,20,60."""
    snr: tuple[Annotated[float, Field(gt=0, lt=float("inf"))], ...] = ()
    """Variances of the signal over the noise; left out, 1,10,100."""
    annotation: tuple[Annotation, ...] = ()
    """Mistakes of the marks: exact, jitter-0.5px, jitter-1px (normal, on each axis),
    missed-20%; left out, all of these."""
    methods: tuple[MethodName, ...] = Field(
        default=(),
        description=(
            f"What to compare, of {', '.join(METHODS)}; {' and '.join(_ALWAYS)} always; "
            "left out, all of these."
        ),
    )
    seeds: int | None = Field(default=None, ge=1, le=10_000)
    """Maps of each kind; 20, quick 2."""
    seed: Count = 0
    """The first of these seeds."""
    library_kernels: int | None = Field(default=None, ge=64)
    """Kernels that the prior without four families is made of; 49152, quick 3072."""

    @field_validator("geometry")
    @classmethod
    def _sides(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse sides of map and kernel that no map can have."""
        for text in value:
            parts = text.split("/")
            if len(parts) != 2 or not all(part.isdecimal() for part in parts):
                raise ValueError("a geometry is the side of the map and of the kernel, as 128/32")
            image, kernel = map(int, parts)
            if not _MIN_KERNEL <= kernel <= image:
                raise ValueError(
                    f"kernels have at least {_MIN_KERNEL} pixels a side, maps no fewer than kernels"
                )
        return value

    @property
    def numbers(self) -> range:
        """Seeds of the problems of each cell."""
        count = self.seeds or (2 if self.quick else 20)
        return range(self.seed, self.seed + count)

    @property
    def compared(self) -> tuple[MethodName, ...]:
        """Methods, in the order of the tables."""
        asked = (*_ALWAYS, *self.methods) if self.methods else METHODS
        return tuple(method for method in METHODS if method in asked)

    @property
    def prior_kernels(self) -> int:
        """Kernels of the prior without the families that are held out."""
        return self.library_kernels or (3_072 if self.quick else 49_152)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Kinds of simulated kernels."""
        if self.families == "both":
            return ("known", "held-out")
        return ("left-out",) if self.families == "each" else (self.families,)

    def cells(self, kinds: tuple[Kind, ...]) -> list[Cell]:
        """List all kinds of maps, in the order of the tables."""
        quick = self.quick
        geometry = self.geometry or ("64/64", "128/32", "256/64")[: 2 if quick else 3]
        defects = self.defects or ((20,) if quick else (5, 20, 60))
        snr = self.snr or ((1.0, 10.0) if quick else (1.0, 10.0, 100.0))
        annotation: tuple[Annotation, ...] = self.annotation or (
            ("exact",) if quick else ("exact", "jitter-0.5px", "jitter-1px", "missed-20%")
        )
        made = [
            Cell(
                kind=kind,
                image_px=int(sides.split("/")[0]),
                kernel_px=int(sides.split("/")[1]),
                defects=count,
                snr=ratio,
                annotation=marks,
            )
            for kind in kinds
            for sides, count, ratio, marks in product(geometry, defects, snr, annotation)
        ]
        return list(dict.fromkeys(made))
