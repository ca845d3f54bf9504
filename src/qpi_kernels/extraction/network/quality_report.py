"""Judging a network's kernel by its fit to the map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qpi_kernels.extraction.problem import Problem
from qpi_kernels.extraction.quality_report import FitNumbers, explanation_reasons, finite_median
from qpi_kernels.quality import Reason

__all__ = ["NetworkAssessor"]

_MAX_MISFIT = 1.5
_MAX_NOISE_MISFIT = 1.1
_MOSTLY_EXPLAINED = 0.9
_MOSTLY_NOISE = 0.3


@dataclass(frozen=True)
class NetworkAssessor:
    """Judge a network's kernels; an `Assessor`.

    Parameters
    ----------
    grid : Reason
        The resampling between the map and the network's grid.
    negative : bool
        Whether a kernel fits the map best upside down.
    """

    grid: Reason
    negative: bool = False

    def __call__(self, problem: Problem, fit: FitNumbers) -> list[Reason]:
        """Return the findings; see `qpi_kernels.extraction.quality_report.assess_fit`."""
        explained = float(np.median(fit.r_squared))
        misfit = finite_median(fit.reduced_chi2)
        reasons = [*explanation_reasons(problem, fit), self.grid, Reason(code="network_shape")]
        if self.negative:
            return [*reasons, Reason(code="network_negative", trust="undetermined")]
        # Without noise to speak of, chi-squared counts what no network of this size can draw.
        if not (explained > _MOSTLY_EXPLAINED or misfit <= _MAX_MISFIT):
            misfits = Reason(
                code="network_misfit",
                number=explained if np.isfinite(explained) else 0.0,
                threshold=_MOSTLY_EXPLAINED,
                trust="uncertain",
            )
            return [*reasons, misfits]
        if explained < _MOSTLY_NOISE:
            noisy = Reason(code="network_mostly_noise", number=explained, threshold=_MOSTLY_NOISE)
            return [*reasons, noisy]
        if misfit > _MAX_NOISE_MISFIT:
            excess = Reason(code="residual_excess", number=misfit, threshold=_MAX_NOISE_MISFIT)
            return [*reasons, excess]
        return reasons
