"""Saying in plain words how far an extracted kernel can be trusted."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from qpi_kernels.extraction.problem import Problem

__all__ = ["QualityAssessor", "close_pairs", "describe_quality", "relative_error", "unseen_share"]


class QualityAssessor(Protocol):
    """Something that judges an extraction; see `describe_quality`."""

    def __call__(
        self,
        problem: Problem,
        *,
        kernel: NDArray[np.floating],
        std: NDArray[np.floating],
        determined: list[float],
        reduced_chi2: list[float],
        r_squared: list[float],
        converged: bool,
    ) -> tuple[bool, list[str]]:
        """Whether the answer can be trusted, and why."""
        ...


def describe_quality(
    problem: Problem,
    *,
    kernel: NDArray[np.floating],
    std: NDArray[np.floating],
    determined: list[float],
    reduced_chi2: list[float],
    r_squared: list[float],
    converged: bool,
) -> tuple[bool, list[str]]:
    """QualityAssessor an extraction.

    Parameters
    ----------
    problem : Problem
        What was asked.
    kernel, std : array, (bias, kind, h, w)
        The answer.
    determined : list of float
        Share of the kernel's free numbers that the data fix, per bias.
    reduced_chi2 : list of float
        Residual variance over pixel-noise variance, per bias.
    r_squared : list of float
        Share of the map's variance that is explained, per bias.
    converged : bool
        Whether the solver reached its tolerance.

    Returns
    -------
    well_posed : bool
        Whether the data alone determine the kernel.
    words : list of str
        Sentences, the most important first.
    """
    height, width = problem.parameters.kernel_shape
    counted = int(problem.mask.sum())
    fill = len(problem.model.kinds) * height * width / counted
    share = float(np.median(determined))
    separates = problem.parameters.separates_defects
    problems: list[str] = []
    if fill >= 1:
        problems.append(
            f"The kernel window has more unknowns than the image has counted pixels "
            f"({fill:.0%}): the data alone cannot determine it. Use a smaller window."
        )
    elif fill > 0.5:
        problems.append(
            f"The kernel window is large for this image ({fill:.0%} of the counted pixels): "
            "noise is amplified. A smaller window or a larger map would help."
        )
    if separates and share < 0.5:
        problems.append(
            f"Only {share:.0%} of the kernel is fixed by the data, the rest is pulled towards "
            "zero: mark more defects, use a smaller window, or impose a symmetry that is known."
        )
    unseen = unseen_share(problem)
    if unseen > 0.01:
        problems.append(
            f"{unseen:.0%} of the kernel window is not shown by any defect: they are too near the "
            "edge or the mask. Use a smaller window."
        )
    relative = relative_error(kernel, std)
    if relative > 0.5:
        size = f"is {relative:.0%} of the kernel's rms"
        if relative > 1:
            size = "exceeds the kernel itself"
        problems.append(
            f"The expected error {size}: most of what is seen far from the centre is noise. Mark "
            "more defects, mask what is not described by them, or impose a symmetry that is known."
        )
    finite = [value for value in reduced_chi2 if np.isfinite(value)]
    # A kernel with that many free numbers follows the noise and colours what is left of it.
    misfit = float(np.median(finite)) if finite and fill <= 0.5 else float("nan")
    explained = float(np.median(r_squared))
    if misfit > 1.3 and explained < 0.3:
        problems.append(
            f"The marked defects explain only {explained:.0%} of the map, and what is left is not "
            "noise: check positions and kinds, mask what they do not describe, or fit a "
            "background of rows."
        )
    well_posed = not problems
    words = [_summary(problem, relative, fill, well_posed), *problems]
    crowded = close_pairs(problem)
    if separates and crowded:
        words.append(
            f"Pairs of defects within one pixel of each other: {crowded}, more than chance would "
            "have. They look like duplicates, which count twice and make the kernel weaker."
        )
    if separates and 0.5 <= share < 0.9 and 0.2 < relative <= 0.5:
        words.append(
            f"Only {share:.0%} of the kernel is fixed by the data, the rest is pulled towards "
            "zero: the signal is weak, or the defects are clustered or ordered, which leaves "
            "ghosts of the kernel at their distances."
        )
    symmetry = problem.parameters.symmetry
    if symmetry is not None and misfit > 1.1:
        words.append(
            f"The residual holds more than pixel noise (chi-squared {misfit:.2g}), and the "
            f"imposed symmetry {symmetry} may be why: extract without it and compare. The "
            "standard deviation does not know of a wrong symmetry."
        )
    elif misfit > 1.3:
        words.append(
            f"The residual holds more than pixel noise (chi-squared {misfit:.2g}): unmarked "
            "defects, misplaced positions, steps, line noise or a kernel larger than its window. "
            "Look at the residual layer."
        )
    if not separates:
        words.append(
            "An average keeps the overlapping waves of neighbours; least squares separates them."
        )
    if not converged:
        words.append(
            "The solver stopped before reaching its tolerance: raise max_iterations or the ridge."
        )
    return well_posed, words


def relative_error(kernel: NDArray[np.floating], std: NDArray[np.floating]) -> float:
    """Expected rms error over the kernel's rms; NaN when there is no signal."""
    size = float(np.sqrt(np.mean(np.square(kernel, dtype=np.float64))))
    error = float(np.sqrt(np.mean(np.square(std, dtype=np.float64))))
    return error / size if size > 0 else float("nan")


def _summary(problem: Problem, relative: float, fill: float, well_posed: bool) -> str:
    counts = problem.defects.counts()
    total = len(problem.defects)
    defects = f"{total} defect{'s' if total != 1 else ''}"
    if len(counts) > 1:
        defects += f" ({', '.join(f'{count} {kind}' for kind, count in counts.items())})"
    error = "no signal above the expected error"
    if relative <= 1:
        error = f"expected error {relative:.1%} of the kernel's rms"
    posed = "Well posed" if well_posed else "Not well posed"
    return f"{posed}: {defects}, window {fill:.1%} of the image, {error}."


def unseen_share(problem: Problem) -> float:
    """Share of kernel pixels that no defect of their kind shows on a counted pixel."""
    kinds = problem.model.kinds
    strongest = [np.square(problem.defects.of_kind(kind).strength).max() for kind in kinds]
    least = 0.1 * torch.tensor(strongest).to(problem.coverage).view(-1, 1, 1)
    return float((problem.coverage < least).float().mean())


def close_pairs(problem: Problem) -> int:
    """Pairs of defects of one kind less than a pixel apart, 0 if random positions have as many."""
    from scipy.spatial import cKDTree

    pairs, by_chance = 0, 0.0
    for kind in problem.defects.kinds:
        positions = problem.defects.of_kind(kind).positions
        pairs += len(cKDTree(positions).query_pairs(1.0))
        area = max(float(np.prod(np.ptp(positions, axis=0))), 1.0)
        by_chance += 0.5 * np.pi * len(positions) * (len(positions) - 1) / area
    return pairs if pairs > by_chance + 3 * np.sqrt(by_chance) else 0
