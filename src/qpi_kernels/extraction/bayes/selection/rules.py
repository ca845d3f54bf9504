"""Rules of a selection of priors: which to try for a plane, and which is the best."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from qpi_kernels.extraction.bayes.posterior import Posterior
from qpi_kernels.extraction.bayes.priors.library_priors import WHITE_PRIOR
from qpi_kernels.extraction.bayes.priors.map_waves import LOCAL_WAVES
from qpi_kernels.extraction.bayes.selection.findings import SelectedPosterior

__all__ = [
    "FITS",
    "close_to_best",
    "compared_cost",
    "is_enough",
    "most_likely",
    "possible_gain",
    "representatives",
    "wants_broad",
    "winners",
]

# Priors for other kernels are tried unless the narrow one leads them by so much log-evidence.
_CLEAR_GAP = 5.0
# Gain over least squares, as a share of the largest possible: of a family's strongest components if
# it is to be tried, and of a prior beside which no other is tried. In 52 maps of all families at
# SNR 1 and 100 the own one gained .63 at least where it was the best; in 15 of 18 maps of no family
# at SNR 10, where waves as in the map are better, less than nothing.
FITS, _ENOUGH = 0.3, 0.9
# Log-evidence that a broad prior does not make up for what the narrow one loses to waves.
_HOPELESS = 250.0
# What a prior must gain over none, as -2 log-evidence.
_MIN_GAIN = 2.0
# What a fit of what a prior lacks may gain, as a share of what priors can: a family that was behind
# waves by .036 of it was ahead when both were fitted.
_FIT_GAIN = 0.05
# Planes of a stack that try all priors; the others try those that were the best of one of these.
_REPRESENTATIVES = 4


def representatives(planes: Sequence[int], white: Sequence[Posterior]) -> list[int]:
    """Choose planes that stand for a stack: those that determine most, of each part of it."""
    parts = np.array_split(np.arange(len(planes)), min(_REPRESENTATIVES, len(planes)))
    return [planes[max(part, key=lambda row: white[row].determined)] for part in parts]


def winners(selected: Iterable[SelectedPosterior]) -> frozenset[str]:
    """Name the priors that are the best for one of some planes, or nearly."""
    return frozenset(
        name
        for one in selected
        for name, gap in one.log_evidence_gap.items()
        if gap < 4 * _CLEAR_GAP
    )


def is_enough(candidates: dict[str, Posterior]) -> bool:
    """Tell that a prior gains over least squares nearly all that a prior can."""
    white, *others = candidates.values()
    return any(white.cost - one.cost > _ENOUGH * white.volume for one in others)


def possible_gain(candidates: dict[str, Posterior]) -> float:
    """Bound what another prior may gain over the best, as -2 log evidence."""
    white = candidates[WHITE_PRIOR]
    return white.volume - white.cost + min(one.cost for one in candidates.values())


def wants_broad(candidates: dict[str, Posterior], narrow: str) -> bool:
    """Tell that a plane shows something, and that neither prior tried so far is clearly right."""
    costs = {name: one.cost for name, one in candidates.items()}
    if narrow not in costs:
        return True
    first = costs.pop(narrow)
    if abs(first - costs[WHITE_PRIOR]) < 2 * _CLEAR_GAP:
        return False
    # The broad prior lies between the two.
    return -2 * _HOPELESS < min(costs.values()) - first < 2 * _CLEAR_GAP


def most_likely(candidates: dict[str, Posterior]) -> Posterior:
    """Return the posterior of the largest evidence."""
    return min(candidates.values(), key=lambda one: one.cost)


def compared_cost(name: str, posterior: Posterior) -> float:
    """Return -2 log evidence, with the gain that a prior must have to replace least squares."""
    return posterior.cost - (_MIN_GAIN if name == WHITE_PRIOR else 0.0)


def close_to_best(candidates: dict[str, Posterior]) -> list[str]:
    """Name the best prior, and those that may be better once what they lack is fitted.

    Only of waves at their places, of which most is fitted already.
    """
    best = min(candidates, key=lambda name: compared_cost(name, candidates[name]))
    if best != LOCAL_WAVES:
        return [best]
    limit = candidates[best].cost + _FIT_GAIN * candidates[WHITE_PRIOR].volume
    others = [name for name, one in candidates.items() if name != best and one.cost < limit]
    return [best, *others]
