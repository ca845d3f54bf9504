"""Saying in plain words what the defects that blind extraction found may be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.result import KernelResult

__all__ = ["faint_defects", "with_remarks"]

_FAINT = 0.5
_FEW = 0.2


def faint_defects(strengths: NDArray[np.floating]) -> int:
    """How many defects are fainter than half the typical one, 0 if these are few.

    A kernel that reaches beyond its window, and a kind too many, leave a pattern that is pieced
    together from many faint copies of other kernels. In simulated maps of equal defects, up to a
    fifth of those found were faint where kernels and window were right, and a quarter to nine
    tenths where such copies stood.

    Parameters
    ----------
    strengths : array, (N,)
        Strengths of the found defects, the typical one 1.

    Returns
    -------
    int
        Their number, if it is more than a fifth of all.
    """
    faint = int((strengths < _FAINT).sum())
    return faint if faint > _FEW * len(strengths) else 0


def with_remarks(result: KernelResult) -> KernelResult:
    """A blind extraction's result with what its kinds and faint defects mean, in its verdict.

    Parameters
    ----------
    result : KernelResult
        Its defects are the found ones.

    Returns
    -------
    KernelResult
        The same but for the verdict.
    """
    head, *others = result.quality.verdict
    remarks = [*_about_kinds(result), *_about_faint(result)]
    quality = result.quality.model_copy(update={"verdict": [head, *remarks, *others]})
    return replace(result, quality=quality)


def _about_kinds(result: KernelResult) -> list[str]:
    counts, remarks = result.defects.counts(), []
    asked = result.provenance["parameters"]["kinds"]
    if asked != "auto" and len(counts) < asked:
        remarks.append(f"Only {len(counts)} of the {asked} kinds asked for were found.")
    if len(counts) > 1:
        numbers = ", ".join(map(str, counts.values()))
        remarks.append(
            f"{len(counts)} kinds of defects were told apart, of which there are {numbers}. A kind "
            "may also be the same defect on another site of the lattice."
        )
    return remarks


def _about_faint(result: KernelResult) -> list[str]:
    faint = faint_defects(result.defects.strength)
    if not faint:
        return []
    return [
        f"{faint} of the {len(result.defects)} defects found are fainter than half the typical "
        "one. If the map has no such defects, they are pieces of what kernels of this size can "
        "not show: kernels larger than their window, another kind of defects, or noise that is not "
        "white. Try a larger kernel_shape, then more kinds, and mark the defects by hand if that "
        "does not help."
    ]
