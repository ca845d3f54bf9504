"""Judging a network's kernel by its fit to the map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qpi_kernels.extraction.problem import Problem
from qpi_kernels.extraction.quality_report import (
    MAX_MISFIT,
    FitNumbers,
    error_by_kind,
    error_reasons,
    explanation_reasons,
    finite_median,
    unseen_reasons,
    usual_misfit,
)
from qpi_kernels.quality import Reason

__all__ = ["NetworkAssessor"]

_MOSTLY_EXPLAINED = 0.9
_ALL_EXPLAINED = 0.99
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
        """Return the findings; see `qpi_kernels.extraction.quality_report.assess_fit`.

        Expected error, predicted share and chi-squared count as for the other methods. A map that
        is mostly noise can not confirm a shape that comes from training.
        """
        errors = error_by_kind(problem, fit)
        reasons = [
            *error_reasons(errors),
            *explanation_reasons(problem, fit),
            *unseen_reasons(problem, trust="good"),
            self.grid,
            Reason(code="network_shape"),
        ]
        if self.negative:
            return [*reasons, Reason(code="network_negative", trust="undetermined")]
        explained = float(np.median(fit.r_squared))
        misfit = finite_median(fit.reduced_chi2)
        if explained < _MOSTLY_NOISE:
            reasons.append(
                Reason(
                    code="network_mostly_noise",
                    number=explained,
                    threshold=_MOSTLY_NOISE,
                    trust="uncertain",
                )
            )
        # Without noise to speak of, chi-squared counts what no network of this size can draw.
        if not explained > _ALL_EXPLAINED:
            reasons += _misfit_reasons(
                explained, misfit, usual_misfit(problem), max(errors.values())
            )
        return reasons


def _misfit_reasons(
    explained: float, misfit: float, usual: float, expected_error: float
) -> list[Reason]:
    """Say what the residual's variance over that of pixel noise means."""
    if misfit > MAX_MISFIT and explained > _MOSTLY_EXPLAINED:
        code, number, threshold = "residual_structure", misfit, MAX_MISFIT
    elif not misfit <= MAX_MISFIT:
        code, threshold = "network_misfit", _MOSTLY_EXPLAINED
        number = explained if np.isfinite(explained) else 0.0
    elif misfit <= usual:
        return []
    else:
        # The residual beyond noise is the kernel's error, spread over the map as the kernel is.
        excess, signal = (1 - 1 / misfit) * (1 - explained), max(explained, _MOSTLY_NOISE)
        code, number, threshold = "network_error", float(np.sqrt(excess / signal)), expected_error
        if number <= expected_error:
            return [Reason(code="residual_excess", number=misfit, threshold=usual)]
    return [Reason(code=code, number=number, threshold=threshold, trust="uncertain")]
