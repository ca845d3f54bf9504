"""Defects from samples: where the points of many sweeps agree, and how often they do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from qpi_kernels.extraction.blind.gibbs_sampler import Points

__all__ = ["SAME_PX", "probable_points"]

# Points of a kind so close to each other are not told apart.
SAME_PX = 2.0


def probable_points(
    samples: Sequence[Points], min_probability: float = 0.5
) -> tuple[Points, NDArray[np.float64]]:
    """Average the points of several sweeps.

    Beginning where most sweeps have a point, the points next to it, one of each sweep, are taken
    for the same defect. How many sweeps have one of the most frequent kind gives its probability,
    never quite 0 or 1 (Jeffreys 1946). Points of one sweep and kind so close to each other are not
    told apart: they stand for one defect, of their mean site and the sum of their strengths.

    Parameters
    ----------
    samples : sequence of Points
        Of one sweep each.
    min_probability : float
        Defects of less are left out.

    Returns
    -------
    points : Points
        Mean sites and strengths.
    probability : array, (N,)
        That a defect of that kind is there.
    """
    sweep = np.repeat(np.arange(len(samples)), [len(points) for points in samples])
    sites = np.concatenate([points.sites for points in samples])
    strengths = np.concatenate([points.strengths for points in samples])
    kinds = np.concatenate([points.kinds for points in samples])
    tree = cKDTree(sites)
    near = tree.query_ball_point(sites, SAME_PX)
    free = np.ones(len(sites), bool)
    found: list[tuple[NDArray[np.int64], float]] = []
    least = min_probability * len(samples)
    # A middle is a point with most others about it, and the closest to them.
    spread = [np.square(sites[each] - at).sum() for each, at in zip(near, sites, strict=True)]
    order = sorted(range(len(sites)), key=lambda at: (-len(near[at]), spread[at]))
    for at in order:
        if not free[at] or len(near[at]) < least:
            continue
        members = np.array([one for one in near[at] if free[one]])
        away = np.linalg.norm(sites[members] - sites[at], axis=1)
        members = members[np.argsort(away, kind="stable")]
        members = members[np.unique(sweep[members], return_index=True)[1]]
        kind = np.bincount(kinds[members]).argmax()
        of_kind = members[kinds[members] == kind]
        close = np.array([one for one in near[at] if free[one] and kinds[one] == kind])
        free[members] = False
        if len(of_kind) >= least:
            free[close] = False
            found.append((close, (len(of_kind) + 0.5) / (len(samples) + 1)))
    points = Points(
        np.array(
            [np.average(sites[close], axis=0, weights=strengths[close]) for close, _ in found]
        ).reshape(-1, 2),
        np.array([strengths[close].sum() / len(np.unique(sweep[close])) for close, _ in found]),
        np.array([kinds[close[0]] for close, _ in found], np.int64),
    )
    return points, np.array([probability for _, probability in found])
