"""Judging what the defects that blind extraction found may be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.extraction.blind.evidence.posterior_points import SAME_PX
from qpi_kernels.extraction.blind.joined_points import common_separation
from qpi_kernels.quality import Quality, Reason, lowest_trust
from qpi_kernels.result import KernelResult

__all__ = ["faint_defects", "with_blind_reasons"]

_FAINT_STRENGTH = 0.5
_MAX_FAINT_SHARE = 0.2
# Share of the defects found that may have another one that is not told apart from it.
_MAX_CLOSE_SHARE = 0.1


def faint_defects(strengths: NDArray[np.floating]) -> int:
    """Count the defects fainter than half the typical one, 0 if these are few.

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
    faint = int((strengths < _FAINT_STRENGTH).sum())
    return faint if faint > _MAX_FAINT_SHARE * len(strengths) else 0


def with_blind_reasons(result: KernelResult) -> KernelResult:
    """Add what the kinds and faint, paired, dense defects mean to a blind extraction's quality.

    Parameters
    ----------
    result : KernelResult
        Its defects are the found ones.

    Returns
    -------
    KernelResult
        The same but for reasons and trust.
    """
    reasons = [
        *result.quality.reasons,
        *_kind_reasons(result),
        *_faint_reasons(result),
        *_pair_reasons(result),
        *_density_reasons(result),
    ]
    quality = Quality.model_validate(
        result.quality.model_dump() | {"reasons": reasons, "trust": lowest_trust(reasons)}
    )
    return replace(result, quality=quality)


def _kind_reasons(result: KernelResult) -> list[Reason]:
    """Compare the found kinds with those asked for."""
    counts = result.defects.counts()
    asked = result.provenance["parameters"]["kinds"]
    reasons = []
    if asked != "auto" and len(counts) < asked:
        reasons.append(Reason(code="kinds_missing", number=len(counts), threshold=asked))
    if len(counts) > 1:
        numbers = ", ".join(map(str, counts.values()))
        reasons.append(Reason(code="several_kinds", number=len(counts), place=numbers))
    return reasons


def _faint_reasons(result: KernelResult) -> list[Reason]:
    """Doubt faint defects where they are many."""
    faint = faint_defects(result.defects.strength)
    if not faint:
        return []
    limit = _MAX_FAINT_SHARE * len(result.defects)
    return [Reason(code="faint_defects", number=faint, threshold=limit, trust="uncertain")]


def _pair_reasons(result: KernelResult) -> list[Reason]:
    """Doubt defects most of which have a partner at one vector."""
    window = result.kernel.shape[-2], result.kernel.shape[-1]
    image_shape = result.residual.shape[-2], result.residual.shape[-1]
    reasons = []
    for kind in result.defects.kinds:
        positions = result.defects.of_kind(kind).positions
        separation = common_separation(positions, window, image_shape)
        if separation is not None:
            row, col = np.rint(separation).astype(int)
            reasons.append(
                Reason(
                    code="paired_defects",
                    number=float(np.hypot(*separation)),
                    place=f"({row}, {col})",
                    trust="uncertain",
                )
            )
    return reasons


def _density_reasons(result: KernelResult) -> list[Reason]:
    """Doubt the strength of kernels whose defects lie so densely that several count as one."""
    mask = result.mask
    pixels = float(np.prod(result.residual.shape[-2:]) if mask is None else mask.sum())
    reasons = []
    for count in result.defects.counts().values():
        # Of places at random one or more others are so close by Poisson's law.
        share = float(-np.expm1(-np.pi * SAME_PX**2 * count / pixels))
        if share > _MAX_CLOSE_SHARE:
            reasons.append(
                Reason(
                    code="dense_defects",
                    number=share * count,
                    threshold=_MAX_CLOSE_SHARE * count,
                    trust="uncertain",
                )
            )
    return reasons
