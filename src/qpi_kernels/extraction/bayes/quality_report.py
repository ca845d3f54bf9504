"""Judging a posterior kernel: what the data fix, what the prior adds, what is in doubt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from qpi_kernels.extraction.bayes.priors.library_priors import WHITE_PRIOR
from qpi_kernels.extraction.bayes.selection.findings import SelectedPosterior
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.extraction.quality_report import (
    MAX_MISFIT,
    FitNumbers,
    duplicate_reasons,
    error_by_kind,
    error_reasons,
    explanation_reasons,
    finite_median,
    place_of_planes,
    resampling_reasons,
    symmetry_reasons,
    unseen_reasons,
    usual_misfit,
)
from qpi_kernels.extraction.sampling.sharpness import sampling_reasons
from qpi_kernels.quality import Reason

__all__ = ["BayesAssessor"]


@dataclass(frozen=True)
class BayesAssessor:
    """Judge posterior kernels; an `Assessor`.

    Parameters
    ----------
    selected : sequence of SelectedPosterior
        One for every plane, or combination of planes, that shows something.
    fixed : sequence of float
        The number of free kernel numbers that the data fix, of each.
    """

    selected: Sequence[SelectedPosterior]
    fixed: Sequence[float]

    def __call__(self, problem: Problem, fit: FitNumbers) -> list[Reason]:
        """Return the findings; see `qpi_kernels.extraction.quality_report.assess_fit`."""
        coloured = any(one.noise is not None and one.noise.coloured for one in self.selected)
        # Under coloured noise the kernel follows the quiet frequencies; the variance, which the
        # loud ones make, tells only of kernels that enlarge the misfit.
        tolerant = replace(fit, chance=[0.0] * len(fit.chance)) if coloured else fit
        reasons = [
            *error_reasons(error_by_kind(problem, fit)),
            *explanation_reasons(problem, tolerant),
            *unseen_reasons(problem, trust="good"),
            *_misfit_reasons(problem, fit),
            *duplicate_reasons(problem),
            *resampling_reasons(problem),
            *sampling_reasons(problem, fit.kernel, fit.std),
            *self._prior_reasons(),
        ]
        if coloured:
            reasons.append(Reason(code="coloured_noise", trust="uncertain"))
        if not fit.converged:
            reasons.append(Reason(code="not_converged"))
        return reasons

    def _prior_reasons(self) -> list[Reason]:
        """Say which part came from the data and which from the prior."""
        fixed = float(np.median(self.fixed)) if self.fixed else 0.0
        if fixed < 1:
            return [Reason(code="nothing_fixed", number=fixed, threshold=1.0)]
        free = float(self.selected[-1].free)
        informed = [one.prior for one in self.selected if one.prior != WHITE_PRIOR]
        if not informed:
            return [Reason(code="white_prior", number=fixed, threshold=free)]
        prior = max(sorted(set(informed)), key=informed.count)
        reasons = [Reason(code="prior", number=fixed, threshold=free, place=prior)]
        alone = len(self.selected) - len(informed)
        return reasons + [Reason(code="white_prior_biases", number=alone)] * (alone > 0)


def _misfit_reasons(problem: Problem, fit: FitNumbers) -> list[Reason]:
    """Say what the residual's variance over that of pixel noise means."""
    misfit = finite_median(fit.reduced_chi2)
    if misfit > MAX_MISFIT:
        structure = Reason(
            code="residual_structure", number=misfit, threshold=MAX_MISFIT, trust="uncertain"
        )
        return symmetry_reasons(problem, misfit) or [structure]
    reasons = symmetry_reasons(problem, misfit)
    usual = usual_misfit(problem)
    if not reasons and misfit > usual:
        reasons = [Reason(code="residual_excess", number=misfit, threshold=usual)]
    # The median hides planes that are much worse.
    bad = [index for index, value in enumerate(fit.reduced_chi2) if value > MAX_MISFIT]
    if bad:
        place = place_of_planes(problem, bad)
        reasons.append(Reason(code="planes_structure", threshold=MAX_MISFIT, place=place))
    return reasons
