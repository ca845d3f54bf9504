"""Saying in plain words how far a network's kernel can be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.extraction.problem import Problem

__all__ = ["NetworkAssessor"]

_MAX_MISFIT = 1.5
_MOSTLY_EXPLAINED = 0.9
_MOSTLY_NOISE = 0.3


@dataclass
class NetworkAssessor:
    """Judges a network's answers; called like `describe_quality`.

    Parameters
    ----------
    resampling : str
        A sentence on how the map came onto the network's grid.
    negative : bool
        Whether a kernel fits the map best upside down.
    """

    resampling: str
    negative: bool = False

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
        explained = float(np.median(r_squared))
        finite = [value for value in reduced_chi2 if np.isfinite(value)]
        misfit = float(np.median(finite)) if finite else float("nan")
        shown = np.isfinite(explained)
        # Without noise to speak of, chi-squared counts what no network of this size can draw.
        fits = (
            shown and not self.negative and (explained > _MOSTLY_EXPLAINED or misfit <= _MAX_MISFIT)
        )
        words = [self._head(problem, explained, fits), *self._doubts(explained, misfit, fits)]
        words += [
            "The shape comes from simulated kernels, from the map only its scale: features that "
            "training never showed can be missing or invented. The standard deviation knows "
            "nothing of that.",
            self.resampling,
        ]
        return fits, words

    def _head(self, problem: Problem, explained: float, fits: bool) -> str:
        if not np.isfinite(explained):
            return "The map shows nothing that a kernel could explain."
        defects = f"{len(problem.defects)} defect{'s' if len(problem.defects) != 1 else ''}"
        head = "The network's kernel fits the map" if fits else "The kernel does not fit the map"
        return f"{head}: with {defects} it explains {explained:.0%} of the variance."

    def _doubts(self, explained: float, misfit: float, fits: bool) -> list[str]:
        if self.negative:
            return [
                "The network's kernel fits the map best upside down: it does not know this kernel."
            ]
        if not fits:
            return [
                "Either the network does not know such a kernel, or positions, kinds or the "
                "background are wrong: compare with least_squares and look at the residual layer."
            ]
        if explained < _MOSTLY_NOISE:
            return ["The map is mostly noise: a wrong kernel would hardly fit it worse."]
        if misfit > 1.1:
            return [
                f"The residual holds more than pixel noise (chi-squared {misfit:.2g}): look at the "
                "residual layer."
            ]
        return []
