"""How many kinds of defects a map pays for."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import scipy.ndimage
import scipy.stats
import torch
from numpy.typing import NDArray

from qpi_kernels.extraction.blind.alternating_fit import AlternatingFit
from qpi_kernels.extraction.blind.gibbs_sampler import Points

__all__ = ["prefers_more_kinds", "repeated_kinds", "strong_points"]

_WEAKEST = 0.15
# What a further kind must gain for a pixel of its kernels, as -2 log-likelihood: Akaike's price of
# a number. Superfluous kinds gain about 1 in white noise.
_WORTH = 2.0
_MIN_PLACES = 2
# Points of one kind keep to those of another if so few maps in which they lie anywhere would have
# as many within so many windows of them.
_BY_CHANCE, _NEAR = 1e-3, 0.75


def strong_points(run: AlternatingFit) -> Points:
    """Points that are not too weak to be told from noise."""
    points = run.sampler.points
    strong = points.strengths > _WEAKEST
    return Points(points.sites[strong], points.strengths[strong], points.kinds[strong])


def repeated_kinds(run: AlternatingFit) -> list[int]:
    """Kinds with several defects: what is seen once may be anything, and is all of pure noise."""
    kinds, counts = np.unique(strong_points(run).kinds, return_counts=True)
    return [int(kind) for kind in kinds[counts > 1]]


def prefers_more_kinds(poorer: AlternatingFit, richer: AlternatingFit) -> bool:
    """Whether one more kind explains the maps so much better that its kernel is paid for.

    A kind in one place is none: it may be a few defects of another kind that stand close together.
    Kinds that keep together are none, too: one is pieces of the other's kernel, which is larger
    than its window.

    Parameters
    ----------
    poorer, richer : AlternatingFit
        The best descriptions of the same maps by fewer and by more kinds.
    """
    numbers = richer.kernels[0].numel()
    if poorer.cost - richer.cost <= _WORTH * numbers * _correlated(richer):
        return False
    points = strong_points(richer)
    sites = np.rint(points.sites).astype(int)
    kinds = [sites[points.kinds == kind] for kind in range(len(richer.kernels))]
    if any(_separate_sites(of, richer) < _MIN_PLACES for of in kinds):
        return False
    return not any(_colocalised(of, others, richer) for others, of in permutations(kinds, 2))


def _correlated(run: AlternatingFit) -> float:
    """How many pixels of what is left of the maps move together, 1 in white noise.

    The sum of squares of the autocorrelation: noise of fewer independent numbers promises as many
    times more than it should.
    """
    seen = run.seen
    left = seen.residual(run.sampler.spectrum, run.kernels)
    power = torch.fft.rfft2(left).abs().square().flatten(1).double()
    # A periodogram of white noise has twice its squared mean as mean square.
    area = power.square().mean(dim=1) / (2 * power.mean(dim=1).square())
    return max(1.0, float(area.mean()))


def _separate_sites(points: NDArray[np.int64], run: AlternatingFit) -> int:
    """How many of the points are half a window from each other."""
    apart: list[NDArray[np.float64]] = []
    for place in points / (0.5 * np.array(run.seen.kernel_shape)):
        if all(np.abs(place - other).max() >= 1 for other in apart):
            apart.append(place)
    return len(apart)


def _colocalised(points: NDArray[np.int64], others: NDArray[np.int64], run: AlternatingFit) -> bool:
    """Whether points lie near others more often than by chance (binomial test)."""
    seen = run.seen
    near = np.zeros(seen.sites, bool)
    near[tuple(others.T)] = True
    sides = [2 * round(_NEAR * size) + 1 for size in seen.kernel_shape]
    near = scipy.ndimage.maximum_filter(near, sides)
    # Defects beyond the edge hardly show: where some would be by chance is within the image.
    first = [size - 1 - size // 2 for size in seen.kernel_shape]
    rows, columns = (
        slice(start, start + n) for start, n in zip(first, seen.image_shape, strict=True)
    )
    inside = np.zeros(seen.sites, bool)
    inside[rows, columns] = True
    points = points[inside[tuple(points.T)]]
    count = int(near[tuple(points.T)].sum())
    chance = scipy.stats.binom.sf(count - 1, len(points), near[inside].mean())
    return bool(chance < _BY_CHANCE)
