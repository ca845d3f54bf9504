"""Saying in plain words how far a network's kernel can be trusted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.extraction.problem import Problem
from qpi_kernels.extraction.verdict import Judge

__all__ = ["network_words"]


def network_words(resampling: str) -> Judge:
    """Make the judge of a network's answers.

    Parameters
    ----------
    resampling : str
        A sentence on how the map came onto the network's grid.

    Returns
    -------
    callable
        Takes and gives what `qpi_kernels.extraction.verdict.plain_words` does.
    """

    def judge(
        problem: Problem,
        *,
        kernel: NDArray[np.floating],
        std: NDArray[np.floating],
        determined: list[float],
        reduced_chi2: list[float],
        r_squared: list[float],
        converged: bool,
    ) -> tuple[bool, list[str]]:
        explained = float(np.median(r_squared))
        finite = [value for value in reduced_chi2 if np.isfinite(value)]
        misfit = float(np.median(finite)) if finite else float("nan")
        fits = explained > 0.3 and not misfit > 1.5
        defects = f"{len(problem.defects)} defect{'s' if len(problem.defects) != 1 else ''}"
        head = "The network's kernel fits the map" if fits else "The kernel does not fit the map"
        words = [f"{head}: with {defects} it explains {explained:.0%} of the variance."]
        if not fits:
            words.append(
                "Either the network does not know such a kernel, or positions, kinds or the "
                "background are wrong: compare with least_squares and look at the residual layer."
            )
        elif misfit > 1.1:
            words.append(
                f"The residual holds more than pixel noise (chi-squared {misfit:.2g}): look at "
                "the residual layer."
            )
        words += [
            "The shape comes from simulated kernels, from the map only its scale: features that "
            "training never showed can be missing or invented. The standard deviation knows "
            "nothing of that.",
            resampling,
        ]
        return fits, words

    return judge
