"""Judging an extracted kernel: the reasons for and against trusting it, as data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from qpi_kernels.extraction.problem import Problem
from qpi_kernels.extraction.sampling.sharpness import sampling_reasons
from qpi_kernels.quality import Reason, Trust

__all__ = [
    "ERROR_CODES",
    "MAX_ERROR",
    "MAX_MISFIT",
    "Assessor",
    "FitNumbers",
    "assess_fit",
    "duplicate_reasons",
    "error_by_kind",
    "error_reasons",
    "explanation_reasons",
    "finite_median",
    "place_of_planes",
    "relative_error",
    "resampling_reasons",
    "symmetry_reasons",
    "unseen_reasons",
    "usual_misfit",
]

ERROR_CODES = ("error_exceeds_kernel", "large_error")
"""Codes of `error_reasons`."""
MAX_ERROR = 0.5
MAX_MISFIT = 1.3
_MAX_SYMMETRY_MISFIT = 1.1
_MIN_DETERMINED, _ORDERED_DETERMINED = 0.5, 0.9
_ORDERED_ERROR = 0.2
_MAX_UNSEEN = 0.01
_MAX_FILL = 0.5
_MIN_EXPLAINED = 0.3
_NAMED_PLANES = 6
_MIN_EXCESS = 0.03
_CHANCE_SCATTER = 8.0
"""Chi-squared of sound maps of N pixels scatters by 2 / sqrt(N): four times that is no chance."""


@dataclass(frozen=True)
class FitNumbers:
    """The numbers of a fit that its trust depends on.

    Parameters
    ----------
    kernel, std : array, (bias, kind, h, w)
        The kernels and their standard deviation.
    determined : list of float
        Share of the kernel's free numbers that the data fix, per bias.
    reduced_chi2 : list of float
        Residual variance over pixel-noise variance, per bias.
    r_squared : list of float
        Share of the map's variance that is explained, per bias.
    predicted, chance : list of float
        Share of the variance within the kernel windows that the kernels explain beyond what as
        many free numbers explain of anything, and the least share that is no chance, per bias.
    ridge_replaced : list of bool
        Whether the evidence preferred no kernel at all and a weak ridge was taken, per bias.
    converged : bool
        Whether the solver reached its tolerance.
    """

    kernel: NDArray[np.floating]
    std: NDArray[np.floating]
    determined: list[float]
    reduced_chi2: list[float]
    r_squared: list[float]
    predicted: list[float]
    chance: list[float]
    ridge_replaced: list[bool]
    converged: bool


Assessor = Callable[[Problem, FitNumbers], list[Reason]]
"""Gives the reasons for and against trusting a kernel."""


def assess_fit(problem: Problem, fit: FitNumbers) -> list[Reason]:
    """Judge a kernel of least squares or of the average.

    Trust is ``"undetermined"`` where the kernel explains no more of the map than chance would, its
    expected error exceeds it, or the window has more unknowns than the map has pixels;
    ``"uncertain"`` where half of it is error or comes from the ridge, parts of the window are not
    shown, or the residual holds more than noise.

    Parameters
    ----------
    problem : Problem
        The input.
    fit : FitNumbers
        What the fit gave.

    Returns
    -------
    list of Reason
        Findings, in no particular order; each with the trust that it leaves.
    """
    fill = len(problem.model.kinds) * np.prod(problem.parameters.kernel_shape) / problem.mask.sum()
    fill = float(fill)
    share = float(np.median(fit.determined))
    separates = problem.parameters.separates_defects
    errors = error_by_kind(problem, fit)
    reasons = [
        *error_reasons(errors),
        *explanation_reasons(problem, fit),
        *unseen_reasons(problem),
        *resampling_reasons(problem),
        *sampling_reasons(problem, fit.kernel, fit.std),
        *_ridge_reasons(problem, fit),
    ]
    if fill >= 1:
        reasons.append(
            Reason(code="window_exceeds_map", number=fill, threshold=1.0, trust="undetermined")
        )
    elif fill > _MAX_FILL:
        reasons.append(
            Reason(code="window_large", number=fill, threshold=_MAX_FILL, trust="uncertain")
        )
    # A kernel with that many free numbers follows the noise and colours the residual.
    misfit = finite_median(fit.reduced_chi2) if fill <= _MAX_FILL else float("nan")
    reasons += _misfit_reasons(problem, misfit, float(np.median(fit.r_squared)))
    if separates and share < _MIN_DETERMINED:
        reasons.append(
            Reason(
                code="few_determined", number=share, threshold=_MIN_DETERMINED, trust="uncertain"
            )
        )
    elif separates and share < _ORDERED_DETERMINED and max(errors.values()) > _ORDERED_ERROR:
        reasons.append(Reason(code="ordered", number=share, threshold=_ORDERED_DETERMINED))
    if separates:
        reasons += duplicate_reasons(problem)
    else:
        reasons.append(Reason(code="average_overlap"))
    if not fit.converged:
        reasons.append(Reason(code="not_converged"))
    return reasons


def finite_median(values: Sequence[float]) -> float:
    """Return the median of the finite values, NaN without any."""
    finite = [value for value in values if np.isfinite(value)]
    return float(np.median(finite)) if finite else float("nan")


def relative_error(kernel: NDArray[np.floating], std: NDArray[np.floating]) -> float:
    """Return the rms standard deviation over the kernel's rms; infinite without a kernel."""
    size = float(np.sqrt(np.mean(np.square(kernel, dtype=np.float64))))
    error = float(np.sqrt(np.mean(np.square(std, dtype=np.float64))))
    return error / size if size > 0 else float("inf")


def error_by_kind(problem: Problem, fit: FitNumbers) -> dict[str, float]:
    """Return the `relative_error` of each kind's kernel."""
    return {
        kind: relative_error(fit.kernel[:, index], fit.std[:, index])
        for index, kind in enumerate(problem.model.kinds)
    }


def error_reasons(errors: dict[str, float]) -> list[Reason]:
    """Name the kernels with a large error, or one that exceeds them.

    A kernel below its error is undetermined; where only some of several kinds are, the result as a
    whole is uncertain.

    Parameters
    ----------
    errors : dict
        `relative_error` by kind.
    """
    beyond: Trust = "undetermined" if min(errors.values()) > 1 else "uncertain"
    reasons = []
    for kind, error in errors.items():
        place = kind if len(errors) > 1 else ""
        if error > 1:
            reasons.append(
                Reason(
                    code="error_exceeds_kernel",
                    number=error,
                    threshold=1.0,
                    place=place,
                    trust=beyond,
                )
            )
        elif error > MAX_ERROR:
            reasons.append(
                Reason(
                    code="large_error",
                    number=error,
                    threshold=MAX_ERROR,
                    place=place,
                    trust="uncertain",
                )
            )
    return reasons


def explanation_reasons(problem: Problem, fit: FitNumbers) -> list[Reason]:
    """Compare the predicted share of the map with what chance would explain.

    The share is adjusted R squared within the kernel windows: negative where the kernels make the
    misfit larger, near zero where they explain as little as any as many free numbers. Noise does
    not count against a kernel: many defects in strong noise explain little of the variance, yet
    far more than chance.
    """
    known = [value for value in fit.predicted if np.isfinite(value)]
    if not known:
        return [Reason(code="no_variance", trust="undetermined")]
    missed = [
        index
        for index, (share, chance) in enumerate(zip(fit.predicted, fit.chance, strict=True))
        if not share > chance
    ]
    if 2 * len(missed) >= len(fit.predicted):
        return [
            Reason(
                code="not_explained",
                number=finite_median(fit.predicted),
                threshold=finite_median(fit.chance),
                trust="undetermined",
            )
        ]
    if missed:
        return [Reason(code="planes_not_explained", place=place_of_planes(problem, missed))]
    return []


def place_of_planes(problem: Problem, planes: Sequence[int]) -> str:
    """Name planes by their numbers, from 1."""
    named = ", ".join(str(index + 1) for index in planes[:_NAMED_PLANES])
    return f"{problem.plane_dim} number {named}{' ...' * (len(planes) > _NAMED_PLANES)}"


def unseen_reasons(problem: Problem, trust: Trust = "uncertain") -> list[Reason]:
    """Measure the share of kernel pixels that no defect of their kind shows on a counted pixel."""
    kinds = problem.model.kinds
    strongest = [np.square(problem.defects.of_kind(kind).strength).max() for kind in kinds]
    least = 0.1 * torch.tensor(strongest).to(problem.coverage).view(-1, 1, 1)
    unseen = float((problem.coverage < least).float().mean())
    if unseen <= _MAX_UNSEEN:
        return []
    return [Reason(code="unseen", number=unseen, threshold=_MAX_UNSEEN, trust=trust)]


def duplicate_reasons(problem: Problem) -> list[Reason]:
    """Count pairs of defects of one kind less than a pixel apart, if more than random ones have."""
    pairs, by_chance = 0, 0.0
    for kind in problem.defects.kinds:
        positions = problem.defects.of_kind(kind).positions
        pairs += _close_pairs(positions, 1.0)
        area = max(float(np.prod(np.ptp(positions, axis=0))), 1.0)
        by_chance += 0.5 * np.pi * len(positions) * (len(positions) - 1) / area
    limit = float(by_chance + 3 * np.sqrt(by_chance))
    return [Reason(code="duplicates", number=pairs, threshold=limit)] if pairs > limit else []


def _close_pairs(positions: NDArray[np.float64], distance: float) -> int:
    """Count pairs of positions that are no further than a distance apart."""
    # Not scipy.spatial, whose import takes a twentieth of the first extraction of a process.
    ordered = positions[np.argsort(positions[:, 0])]
    pairs = 0
    for ahead in range(1, len(ordered)):
        away = ordered[ahead:] - ordered[:-ahead]
        if away[:, 0].min() > distance:
            break
        pairs += int((np.square(away).sum(axis=1) <= distance**2).sum())
    return pairs


def usual_misfit(problem: Problem) -> float:
    """Return the reduced chi-squared that a sound map of this size does not exceed by chance."""
    return 1.0 + max(_CHANCE_SCATTER / float(np.sqrt(problem.mask.sum())), _MIN_EXCESS)


def resampling_reasons(problem: Problem) -> list[Reason]:
    """Tell that interpolation made the noise of neighbouring pixels alike."""
    if problem.noise_covariance is None:
        return []
    return [Reason(code="resampled_noise", number=problem.difference_share, threshold=1.0)]


def symmetry_reasons(problem: Problem, misfit: float) -> list[Reason]:
    """Doubt an imposed symmetry where the residual holds more than noise."""
    symmetry = problem.parameters.symmetry
    if symmetry is None or not misfit > _MAX_SYMMETRY_MISFIT:
        return []
    return [
        Reason(
            code="symmetry_doubtful",
            number=misfit,
            threshold=_MAX_SYMMETRY_MISFIT,
            place=str(symmetry),
            trust="uncertain",
        )
    ]


def _misfit_reasons(problem: Problem, misfit: float, explained: float) -> list[Reason]:
    """Say what the residual's variance over that of pixel noise means."""
    if misfit > MAX_MISFIT and explained < _MIN_EXPLAINED:
        return [
            Reason(
                code="little_explained",
                number=explained,
                threshold=_MIN_EXPLAINED,
                trust="uncertain",
            )
        ]
    doubtful = symmetry_reasons(problem, misfit)
    if doubtful or not misfit > MAX_MISFIT:
        return doubtful
    return [
        Reason(code="residual_structure", number=misfit, threshold=MAX_MISFIT, trust="uncertain")
    ]


def _ridge_reasons(problem: Problem, fit: FitNumbers) -> list[Reason]:
    """Name the biases at which the evidence preferred no kernel at all."""
    replaced = [index for index, one in enumerate(fit.ridge_replaced) if one]
    if not replaced:
        return []
    place = place_of_planes(problem, replaced) if len(fit.ridge_replaced) > 1 else ""
    return [Reason(code="ridge_replaced", place=place, trust="uncertain")]
