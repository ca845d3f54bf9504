"""Saying in plain words how far a posterior kernel can be trusted, and where it comes from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.extraction.bayes.model_selection import SelectedPosterior
from qpi_kernels.extraction.bayes.priors import WHITE_PRIOR
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.extraction.quality_report import close_pairs, relative_error, unseen_share

__all__ = ["BayesAssessor"]

_MAX_ERROR = 0.5
_MAX_MISFIT = 1.3
_MIN_EXCESS = 0.03
_CHANCE = 8.0
"""Chi-squared of sound maps of N pixels scatters by 2 / sqrt(N): four times that is no chance."""


class BayesAssessor:
    """Judges posterior kernels; called like `describe_quality`."""

    def __init__(self) -> None:
        self._priors: list[str] = []
        self._fixed: list[float] = []
        self._free = 1
        self._coloured = False

    def take(self, chosen: SelectedPosterior, fixed: float) -> None:
        """Note the prior of a plane, and how many of the kernel's free numbers its data fix."""
        self._priors.append(chosen.prior)
        self._coloured |= chosen.noise is not None
        self._fixed.append(fixed)
        self._free = chosen.free

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
        kinds = problem.model.kinds
        errors = {
            kind: relative_error(kernel[:, index], std[:, index])
            for index, kind in enumerate(kinds)
        }
        finite = [value for value in reduced_chi2 if np.isfinite(value)]
        misfit = float(np.median(finite)) if finite else float("nan")
        white = not (misfit > _MAX_MISFIT or self._coloured)
        trusted = white and all(error <= _MAX_ERROR for error in errors.values())
        words = [self._head(problem, errors, white), self._sources()]
        words += self._weak_kinds(errors)
        words += _doubts(problem, misfit, float(np.median(r_squared)))
        if self._coloured:
            words.append(
                "The noise was taken to have the spectrum of the residual. The standard deviation "
                "includes how much white noise would change the kernel, and may still be too small."
            )
        words += _bad_planes(problem, reduced_chi2, misfit)
        if not converged:
            words.append("The solver stopped before reaching its tolerance: raise max_iterations.")
        return trusted, words

    def _head(self, problem: Problem, errors: dict[str, float], white: bool) -> str:
        count = len(problem.defects)
        defects = f"{count} defect{'s' if count != 1 else ''}"
        error = max(errors.values(), key=lambda value: value if value == value else np.inf)
        if not error <= 1 and len(errors) == 1:
            return f"Not determined: {defects}, no signal above the expected error."
        expected = f"expected error {error:.1%} of the kernel's rms"
        if len(errors) > 1:
            expected = f"expected error of the worst kind {error:.1%} of its kernel's rms"
        if not white:
            return f"Uncertain: {defects}, {expected} if what is left of the map is only noise."
        head = "Determined" if error <= _MAX_ERROR else "Poorly determined"
        return f"{head}: {defects}, {expected}."

    def _sources(self) -> str:
        """Which part came from the data and which from the prior."""
        fixed = float(np.median(self._fixed)) if self._fixed else 0.0
        if fixed < 1:
            return "The map says next to nothing about the kernel."
        words = f"The map fixes about {fixed:.0f} of {self._free} numbers"
        alone = sum(prior == WHITE_PRIOR for prior in self._priors)
        if alone == len(self._priors):
            return (
                f"{words}; no prior explains it better than pixels on their own, so the answer is "
                "that of least squares."
            )
        known = max(
            {prior for prior in self._priors if prior != WHITE_PRIOR}, key=self._priors.count
        )
        biases = f"{alone} bias{'es' if alone > 1 else ''}"
        some = f" At {biases} no prior helps and least squares stands." if alone else ""
        return (
            f"{words}; where it says nothing, the kernel follows the prior ({known}), and the "
            f"standard deviation says how loosely.{some}"
        )

    def _weak_kinds(self, errors: dict[str, float]) -> list[str]:
        weak = [kind for kind, error in errors.items() if not error <= _MAX_ERROR]
        if not weak:
            return []
        of = f" of {', '.join(weak)}" if len(errors) > 1 else ""
        return [
            f"Much of the kernel{of} may be noise or the prior's guess: mark more defects, mask "
            "what is not described by them, or impose a symmetry that is known."
        ]


def _bad_planes(problem: Problem, reduced_chi2: list[float], misfit: float) -> list[str]:
    """Planes that are much worse than the median, which hides them."""
    bad = [index for index, value in enumerate(reduced_chi2) if value > _MAX_MISFIT]
    if misfit > _MAX_MISFIT or not bad:
        return []
    named = ", ".join(str(index + 1) for index in bad[:6]) + (" ..." if len(bad) > 6 else "")
    return [f"More than noise is left at {problem.plane_dim} number {named}; look there."]


def _doubts(problem: Problem, misfit: float, explained: float) -> list[str]:
    words = []
    unseen = unseen_share(problem)
    if unseen > 0.01:
        words.append(
            f"{unseen:.0%} of the kernel window is not shown by any defect; what stands there is "
            "not measured."
        )
    symmetry = problem.parameters.symmetry
    if symmetry is not None and misfit > 1.1:
        words.append(
            f"The residual holds more than pixel noise (chi-squared {misfit:.2g}), and the "
            f"imposed symmetry {symmetry} may be why: extract without it and compare. The "
            "standard deviation does not know of a wrong symmetry."
        )
    elif misfit > _MAX_MISFIT:
        words.append(
            f"The defects explain {explained:.0%} of the map, and what is left is not only pixel "
            f"noise (chi-squared {misfit:.2g}): unmarked defects, misplaced positions, steps, "
            "line noise or a kernel larger than its window. The standard deviation allows for as "
            "much noise of that kind, not for a kernel that they blur or shift. Look at the "
            "residual layer; refine='positions' shows whether positions are to blame."
        )
    elif misfit > 1.0 + max(_CHANCE / np.sqrt(problem.mask.sum()), _MIN_EXCESS):
        words.append(
            f"A little more than pixel noise is left of the map (chi-squared {misfit:.3g}): "
            "misplaced positions, a second kind, waves that scatter from defect to defect or a "
            "kernel larger than its window. Noise may hide most of it; the standard deviation "
            "may be too small."
        )
    crowded = close_pairs(problem)
    if crowded:
        words.append(
            f"Pairs of defects within one pixel of each other: {crowded}, more than chance would "
            "have. They look like duplicates, which count twice and make the kernel weaker."
        )
    return words
