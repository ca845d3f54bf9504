"""Robust surfaces below terraces: common slopes, one level for each terrace."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.prepare.levelling.medians import densest_third

__all__ = ["Surface", "fit_surface", "label_terraces", "slopes"]

_CUT = 4.685  # Tukey's biweight with 95 % efficiency
_ROUNDS = 40
_ROUNDS_OF_SCALE = 8
_TOLERANCE = 1e-9
# Regions below this share of the counted pixels have no say in the surface.
_MIN_SHARE = 0.005
_GROUPS = 64
# From one distance of the differences to the next, twice as far, their scale may grow so much;
# where fewer than this share agree, all terraces are narrower.
_GROWTH, _MIN_WEIGHT = 1.5, 0.03
_SAMPLE = 2**15


@dataclass(frozen=True, eq=False)
class Surface:
    """A polynomial surface and the levels of terraces on it.

    Parameters
    ----------
    height : array, (rows, columns)
        Without a constant: zero in the middle of the image.
    levels : array, (terraces,)
        What is left of each terrace, in the order of the labels 1, 2, ...
    scale : float
        Robust standard deviation of the image about surface and levels.
    """

    height: NDArray[np.float64]
    levels: NDArray[np.float64]
    scale: float


def label_terraces(
    counted: NDArray[np.bool_], least_share: float = _MIN_SHARE
) -> NDArray[np.int64]:
    """Label connected regions of counted pixels, the largest as 1.

    Regions of no more than a share of the counted pixels are 0. Where nothing is masked, or all
    regions are small, all counted pixels are one terrace.
    """
    from scipy import ndimage

    labels, count = ndimage.label(counted)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    order = np.argsort(-sizes, kind="stable")
    large = order[sizes[order] > least_share * counted.sum()]
    if not large.size:
        return counted.astype(np.int64)
    new = np.zeros(count + 1, np.int64)
    new[large] = np.arange(1, large.size + 1)
    return np.asarray(new[labels])


def fit_surface(plane: NDArray[np.float64], terraces: NDArray[np.int64], order: int) -> Surface:
    """Fit a polynomial with one level for each terrace by reweighted least squares.

    The slopes start from differences of pixels, which unmasked steps do not tilt; the scale is
    that of the densest third of the residuals, and Tukey's biweight leaves out what is far from
    the surface (P. W. Holland and R. E. Welsch, Commun. Stat. A 6, 813 (1977)).

    Parameters
    ----------
    plane : array, (rows, columns)
        NaN where a pixel does not count.
    terraces : array of int, (rows, columns)
        Labels from 1; 0 has no say.
    order : int
        0, 1 or 2.
    """
    powers = [(down, total - down) for total in range(1, order + 1) for down in range(total + 1)]
    v, u = _unit_axes(plane.shape)
    places = np.flatnonzero((terraces > 0) & np.isfinite(plane))
    if places.size > _SAMPLE:
        places = np.sort(np.random.default_rng(0).choice(places, _SAMPLE, replace=False))
    rows, columns = np.divmod(places, plane.shape[1])
    values, terrace = plane.ravel()[places], terraces.ravel()[places] - 1
    basis = np.stack([v[rows] ** i * u[columns] ** j for i, j in powers] or [np.zeros(0)])
    start = np.zeros(len(powers))
    if order:
        half = (np.array(plane.shape)[::-1] - 1) / 2  # powers begin with u, then v
        start[:2] = np.array(slopes(plane))[::-1] * half
    count = int(terraces.max())
    coefficients, levels, scale = _reweighted(values, basis, terrace, count, start)
    height = np.zeros(plane.shape)
    for (i, j), coefficient in zip(powers, coefficients, strict=True):
        height += coefficient * (v**i)[:, None] * u**j
    return Surface(height, levels, scale)


def slopes(plane: NDArray[np.float64]) -> tuple[float, float]:
    """Estimate the tilt along rows' and columns' axes, per pixel, from differences of pixels.

    Differences at growing distances are located near what the shorter ones predict, so that
    steps and adsorbates, which change few of them, do not count.
    """
    return _slope(plane), _slope(plane.T)


def _slope(plane: NDArray[np.float64]) -> float:
    """Estimate the tilt along the first axis, per pixel."""
    thinned = _averaged(plane)
    slope, lag, last = None, 1, np.inf
    while lag <= max(len(plane) // 8, 1) and lag < len(plane):
        difference = thinned[lag:] - thinned[:-lag]
        difference = difference[np.isfinite(difference)]
        if difference.size < 8:
            break
        centre = float(np.median(difference)) if slope is None else slope * lag
        scale = 1.4826 * float(np.median(np.abs(difference - centre)))
        scale = last = min(scale, _GROWTH * last)
        for _ in range(3 if scale > 0 else 0):
            weight = np.maximum(1 - ((difference - centre) / (3 * scale)) ** 2, 0.0) ** 2
            if slope is not None and weight.mean() < _MIN_WEIGHT:
                return slope
            centre = float((weight * difference).sum() / max(weight.sum(), 1e-12))
        slope = centre / lag
        lag *= 2
    return 0.0 if slope is None else slope


def _averaged(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average groups of columns, where all of them count."""
    size = max(plane.shape[1] // _GROUPS, 1)
    cut = plane[:, : plane.shape[1] // size * size]
    return np.asarray(cut.reshape(len(plane), -1, size).mean(axis=2))


def _unit_axes(shape: tuple[int, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return coordinates from -1 to 1 along rows and columns."""
    down, right = (np.linspace(-1, 1, size) if size > 1 else np.zeros(1) for size in shape)
    return down, right


def _reweighted(
    values: NDArray[np.float64],
    basis: NDArray[np.float64],
    terrace: NDArray[np.int64],
    count: int,
    start: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Solve for coefficients and levels with weights from the residuals."""
    coefficients = start
    residual = values - coefficients @ basis if len(start) else values.copy()
    levels = np.array([densest_third(residual[terrace == k])[0] for k in range(count)])
    scale = 0.0
    for turn in range(_ROUNDS):
        residual = values - levels[terrace]
        if len(coefficients):
            residual -= coefficients @ basis
        if turn < _ROUNDS_OF_SCALE:
            scale = densest_third(residual)[1]
        if not scale > 1e-12 * float(np.abs(values).max(initial=0.0)):
            break
        weight = np.maximum(1 - (residual / (_CUT * scale)) ** 2, 0.0) ** 2
        total = np.maximum(np.bincount(terrace, weight, count), 1e-12)
        change = np.bincount(terrace, weight * residual, count) / total
        if len(coefficients):
            # Frisch-Waugh: within terraces first, so that few unknowns are left.
            mean = np.stack([np.bincount(terrace, weight * b, count) / total for b in basis])
            within = basis - mean[:, terrace]
            normal = (within * weight) @ within.T
            target = (within * weight) @ residual
            more = np.linalg.lstsq(normal, target, rcond=None)[0]
            coefficients = coefficients + more
            change = change - more @ mean
            moved = float(np.abs(more).max())
        else:
            moved = 0.0
        levels = levels + change
        if (
            turn >= _ROUNDS_OF_SCALE
            and max(moved, float(np.abs(change).max())) < _TOLERANCE * scale
        ):
            break
    return coefficients, levels, scale
