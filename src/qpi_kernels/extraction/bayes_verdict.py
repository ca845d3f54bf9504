"""Saying in plain words how far a posterior kernel can be trusted, and where it comes from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.extraction.library_factors import IGNORANT
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.extraction.verdict import close_pairs, relative_error, unseen_share

__all__ = ["BayesJudge"]


class BayesJudge:
    """Judges posterior kernels; called like `qpi_kernels.extraction.verdict.plain_words`."""

    def __init__(self) -> None:
        self._priors: list[str] = []
        self._fixed: list[float] = []

    def take(self, prior: str, fixed: float) -> None:
        """Note the prior of a plane and how many numbers of the kernel its data fix."""
        self._priors.append(prior)
        self._fixed.append(fixed)

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
        error = relative_error(kernel, std)
        trusted = error <= 0.5
        words = [self._head(problem, error, trusted), self._sources(kernel)]
        words += self._doubts(problem, error, reduced_chi2, r_squared)
        if not converged:
            words.append("The solver stopped before reaching its tolerance: raise max_iterations.")
        return trusted, words

    def _head(self, problem: Problem, error: float, trusted: bool) -> str:
        count = len(problem.defects)
        defects = f"{count} defect{'s' if count != 1 else ''}"
        if not error <= 1:
            return f"Not determined: {defects}, no signal above the expected error."
        head = "Determined" if trusted else "Poorly determined"
        return f"{head}: {defects}, expected error {error:.1%} of the kernel's rms."

    def _sources(self, kernel: NDArray[np.floating]) -> str:
        """Which part came from the data and which from the prior."""
        unknown = kernel[0].size
        fixed = f"The map fixes about {np.median(self._fixed):.0f} of {unknown} numbers"
        alone = sum(prior == IGNORANT for prior in self._priors)
        if alone == len(self._priors):
            return (
                f"{fixed}; no prior explains it better than pixels on their own, so the answer is "
                "that of least squares."
            )
        known = max({prior for prior in self._priors if prior != IGNORANT}, key=self._priors.count)
        some = f" At {alone} biases no prior helps and least squares stands." if alone else ""
        return (
            f"{fixed}; where it says nothing, the kernel follows the prior ({known}), and the "
            f"standard deviation says how loosely.{some}"
        )

    def _doubts(
        self,
        problem: Problem,
        error: float,
        reduced_chi2: list[float],
        r_squared: list[float],
    ) -> list[str]:
        words = []
        if error > 0.5:
            words.append(
                "Much of what is seen may be noise or the prior's guess: mark more defects, mask "
                "what is not described by them, or impose a symmetry that is known."
            )
        unseen = unseen_share(problem)
        if unseen > 0.01:
            words.append(
                f"{unseen:.0%} of the kernel window is not shown by any defect; what stands there "
                "is the prior's continuation of the rest."
            )
        finite = [value for value in reduced_chi2 if np.isfinite(value)]
        misfit = float(np.median(finite)) if finite else float("nan")
        if misfit > 1.3:
            explained = float(np.median(r_squared))
            words.append(
                f"The defects explain {explained:.0%} of the map, and what is left is not only "
                f"pixel noise (chi-squared {misfit:.2g}): unmarked defects, misplaced positions, "
                "steps, line noise or a kernel larger than its window. Look at the residual layer."
            )
        crowded = close_pairs(problem)
        if crowded:
            words.append(
                f"Pairs of defects within one pixel of each other: {crowded}, more than chance "
                "would have. They look like duplicates, which count twice and make the kernel "
                "weaker."
            )
        return words
