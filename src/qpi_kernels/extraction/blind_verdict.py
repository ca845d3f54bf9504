"""Saying in plain words when blind extraction found what one kernel of its size can not show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.result import KernelResult

__all__ = ["faint_defects", "with_remark"]

_FAINT = 0.5
_FEW = 0.2


def faint_defects(strengths: NDArray[np.floating]) -> int:
    """How many defects are fainter than half the typical one, 0 if these are few.

    A kernel that reaches beyond its window, a second kind and the other sign all leave a pattern
    that is pieced together from many faint copies of the kernel. In simulated maps of equal
    defects, up to a fifth of those found were faint where kernel and window were right, and a
    quarter to nine tenths where such copies stood.

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


def with_remark(result: KernelResult) -> KernelResult:
    """A blind extraction's result with a remark on faint defects in its verdict, if they are many.

    Parameters
    ----------
    result : KernelResult
        Its defects are the found ones.

    Returns
    -------
    KernelResult
        The same but for the verdict.
    """
    faint = faint_defects(result.defects.strength)
    if not faint:
        return result
    head, *others = result.quality.verdict
    remark = (
        f"{faint} of the {len(result.defects)} defects found are fainter than half the typical "
        "one. If the map has no such defects, they are pieces of what one kernel of this size can "
        "not show: a kernel larger than its window, a second kind, or defects of the other sign. "
        "Try a larger kernel_shape, and mark the defects by hand if that does not help."
    )
    quality = result.quality.model_copy(update={"verdict": [head, remark, *others]})
    return replace(result, quality=quality)
