"""Points that stand at one vector from each other, as where each defect is found as two."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import numpy as np
import scipy.ndimage
import scipy.stats
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from qpi_kernels.extraction.blind.alternating_fit import AlternatingFit
from qpi_kernels.extraction.blind.convolution_model import ConvolutionModel
from qpi_kernels.extraction.blind.gibbs_sampler import Points
from qpi_kernels.progress import Event, map_events

__all__ = ["common_separation", "has_common_separation", "join_points"]

# Separations are counted in boxes of 3 px, and points of a group are so close to where it puts
# them; closer points are not told apart for sure.
_BOX_PX, _CLOSE_PX, _MIN_PX = 3, 2.0, 3.0
_MIN_SHARE, _SIGNIFICANCE = 0.5, 1e-6
# Sweeps of a fit whose points were joined, and the cost by which it must be lower.
_SWEEPS, _MIN_GAIN = 8, 50.0
# Where a group's one point stands: as a share of the way from its first point to its last.
_PLACES = (0.0, 0.5, 1.0)


def common_separation(
    sites: NDArray[np.floating], window: tuple[int, int], sites_shape: tuple[int, int]
) -> NDArray[np.float64] | None:
    """Find the vector at which more than half of the points have a partner; None if there is none.

    Points at random have partners at one vector where they are dense. There must be so many more
    than these, and more than chance gives at any vector of the window (Poisson test with Bonferroni
    correction).

    Parameters
    ----------
    sites : array, (N, 2)
        Points, in px.
    window : tuple of int
        Shape of the kernels: vectors beyond it are not of one defect.
    sites_shape : tuple of int
        Shape of the sites among which the points are.

    Returns
    -------
    array, (2,), optional
        The vector, in px.
    """
    if len(sites) < 4:
        return None
    pairs = cKDTree(sites).query_pairs(float(np.hypot(*window)), output_type="ndarray")
    vectors = sites[pairs[:, 1]] - sites[pairs[:, 0]]
    vectors = np.concatenate([vectors, -vectors])
    vectors = vectors[(np.abs(vectors) < window).all(1) & (np.hypot(*vectors.T) >= _MIN_PX)]
    if not len(vectors):
        return None
    bins = np.rint(vectors).astype(int) + np.array(window)
    counts = np.zeros([2 * size + 1 for size in window])
    np.add.at(counts, tuple(bins.T), 1)
    boxes = scipy.ndimage.convolve(counts, np.ones((_BOX_PX, _BOX_PX)), mode="constant")
    top = np.unravel_index(boxes.argmax(), boxes.shape)
    near = vectors[(np.abs(bins - top) <= _BOX_PX // 2).all(1)]
    expected = len(sites) ** 2 / np.prod(sites_shape) * _BOX_PX**2
    if len(near) - expected < 0.5 * _MIN_SHARE * len(sites):
        return None
    p_value = scipy.stats.poisson.sf(len(near) - 1, expected) * boxes.size
    separation: NDArray[np.float64] = near.mean(axis=0)
    _, groups = _groups(sites, separation)
    paired = np.bincount(groups)[groups] > 1
    return separation if paired.mean() > _MIN_SHARE and p_value < _SIGNIFICANCE else None


def has_common_separation(points: Points, model: ConvolutionModel) -> bool:
    """Test whether most points of some kind have a partner at one vector."""
    shapes = model.kernel_shape, model.sites
    return any(
        common_separation(points.sites[points.kinds == kind], *shapes) is not None
        for kind in np.unique(points.kinds)
    )


def join_points(fit: AlternatingFit, seed: int) -> Generator[Event, None, AlternatingFit]:
    """Join points that stand at one vector from each other to one each, if that explains more.

    Part of a kernel that stands twice for each defect explains much, and sweeps, which draw one
    point after the other, do not lead from there to one point for each. It may stand anywhere
    between them: at the first, in the middle, and at the last is tried. Nothing is fitted where
    there is no such vector.

    Parameters
    ----------
    fit : AlternatingFit
        The present fit.
    seed : int
        Seed of the sampler of others.

    Returns
    -------
    generator
        Yields events and returns the fit of the lowest cost.
    """
    best, model = fit, fit.model
    for kind in range(len(fit.kernels)):
        points = best.sampler.points
        of_kind = points.sites[points.kinds == kind]
        separation = common_separation(of_kind, model.kernel_shape, model.sites)
        if separation is None:
            continue
        for place in _PLACES:
            joined = _joined(points, kind, separation, place)
            work = AlternatingFit.of_points(model, joined, len(fit.kernels), seed, sweeps=_SWEEPS)
            other = yield from map_events(work, _named)
            if other.cost < best.cost - _MIN_GAIN:
                best = other
    return best


def _named(event: Event) -> Event:
    """Put what is being done into an event."""
    return replace(event, message="Joining the defects")


def _joined(points: Points, kind: int, separation: NDArray[np.floating], place: float) -> Points:
    """Put one point, at a share of the way from first to last, where several of a kind are linked.

    Points of the kind without a partner are left out.
    """
    of_kind = points.kinds == kind
    sites = points.sites[of_kind]
    count, groups = _groups(sites, separation)
    sizes = np.bincount(groups, minlength=count)
    order = np.lexsort((sites @ separation, groups))
    stops = np.cumsum(sizes)
    first, last = sites[order[stops - sizes]], sites[order[stops - 1]]
    strengths = np.bincount(groups, points.strengths[of_kind], count) / sizes
    linked = sizes > 1
    middles = (first + place * (last - first))[linked]
    joined = Points(middles, strengths[linked], np.full(len(middles), kind))
    others = Points(points.sites[~of_kind], points.strengths[~of_kind], points.kinds[~of_kind])
    return Points.concatenate([others, joined])


def _groups(
    sites: NDArray[np.floating], separation: NDArray[np.floating]
) -> tuple[int, NDArray[np.int64]]:
    """Link each point to the nearest one at the vector from it: number and index of groups."""
    away, partners = cKDTree(sites).query(sites + separation)
    linked = np.flatnonzero(away < _CLOSE_PX)
    links = coo_array(
        (np.ones(len(linked)), (linked, partners[linked])), shape=(len(sites), len(sites))
    )
    count, groups = connected_components(links, directed=False)
    return int(count), groups.astype(np.int64)
