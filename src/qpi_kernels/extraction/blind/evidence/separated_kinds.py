"""Kinds of defects that share places, as where the kernel of one is a mixture of two."""

from __future__ import annotations

from collections.abc import Generator
from itertools import permutations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from qpi_kernels.extraction.blind.alternating_fit import AlternatingFit
from qpi_kernels.extraction.blind.evidence.model_order import dominant_points
from qpi_kernels.extraction.blind.gibbs_sampler import Points
from qpi_kernels.progress import Event, portion

__all__ = ["separate_kinds"]

# Points of two kinds so close share a place, as centres of mixed kernels are off; so many of them
# are tried.
_CLOSE_PX, _MIN_SHARED = 4.0, 3
# Sweeps of a trial, and the cost by which it must be lower.
_SWEEPS, _MIN_GAIN = 8, 50.0


def separate_kinds(fit: AlternatingFit, seed: int) -> Generator[Event, None, AlternatingFit]:
    """Give each defect one kind and leave out faint points, if that explains the maps better.

    Where the first kind was found at defects of both, the second shows the difference of their
    kernels, at defects of one of them and faintly elsewhere. Sweeps, which move one point after the
    other, do not lead from there to one kind for each defect.

    Parameters
    ----------
    fit : AlternatingFit
        The present fit, of any number of kinds.
    seed : int
        Seed of the sampler of others.

    Returns
    -------
    generator
        Yields events and returns the fit of the lowest cost.
    """
    kinds, best = len(fit.kernels), fit
    points = dominant_points(fit)
    keep = [_without_shared(points, *pair) for pair in permutations(range(kinds), 2)]
    trials = [chosen for chosen in keep if not chosen.all()]
    if kinds > 1 and len(points) < len(fit.sampler.points):
        trials.append(np.ones(len(points), bool))
    for number, chosen in enumerate(trials):
        kept = Points(points.sites[chosen], points.strengths[chosen], points.kinds[chosen])
        start, stop = number / len(trials), (number + 1) / len(trials)
        work = AlternatingFit.of_points(fit.model, kept, kinds, seed, sweeps=_SWEEPS)
        trial = yield from portion(work, start, stop)
        if trial.cost < best.cost - _MIN_GAIN:
            best = trial
    return best


def _without_shared(points: Points, kind: int, other: int) -> NDArray[np.bool_]:
    """Select all points but those of a kind where another kind is, too."""
    of_kind, of_other = (np.flatnonzero(points.kinds == one) for one in (kind, other))
    chosen = np.ones(len(points), bool)
    if len(of_kind) and len(of_other):
        away = cKDTree(points.sites[of_other]).query(points.sites[of_kind])[0]
        shared = of_kind[away < _CLOSE_PX]
        # A kind keeps some defects.
        if _MIN_SHARED <= len(shared) < len(of_kind):
            chosen[shared] = False
    return chosen
