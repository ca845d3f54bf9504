"""Choice of the number of kinds of defects."""

from __future__ import annotations

from collections.abc import Generator
from itertools import permutations

import numpy as np
import scipy.ndimage
import scipy.stats
import torch
from numpy.typing import NDArray

from qpi_kernels.extraction.blind.alternating_fit import AlternatingFit
from qpi_kernels.extraction.blind.evidence.left_out_blocks import predict_blocks
from qpi_kernels.extraction.blind.gibbs_sampler import Points
from qpi_kernels.progress import Event, portion

__all__ = [
    "dominant_points",
    "is_better_without_more_kinds",
    "pays_for_its_kernel",
    "prefers_more_kinds",
    "repeated_kinds",
    "residual_is_white",
    "strong_points",
]

_MIN_STRENGTH = 0.15
# Penalty of a further kind for each pixel of its kernels, as -2 log-likelihood (Akaike 1974), and
# by how many standard errors left-out blocks must be predicted better.
_PENALTY, _MIN_SIGNIFICANCE = 2.0, 2.0
# Cost by which another fit of as many kinds must be lower, as -2 log-likelihood.
_MIN_GAIN = 50.0
_MIN_SITES, _STRONGEST, _SEED = 2, 8, 0
_MAX_FAINT_SHARE = 0.25
# Points of two kinds are colocalised if so few maps with points at random would have as many
# within so many windows of each other.
_SIGNIFICANCE, _NEAR_WINDOWS = 1e-3, 0.75
# Over their expectation in white noise: gain in likelihood of a smooth spectrum, averaged over so
# many frequencies a side, and fluctuation of the local variance.
_MAX_GAIN, _MAX_FLUCTUATION, _SMOOTHED_FREQUENCIES = 1.5, 1.6, 9


def strong_points(fit: AlternatingFit) -> Points:
    """Select the points that are strong enough to tell them from noise."""
    points = fit.sampler.points
    strong = points.strengths > _MIN_STRENGTH
    return Points(points.sites[strong], points.strengths[strong], points.kinds[strong])


def dominant_points(fit: AlternatingFit) -> Points:
    """Select the points that are surely defects, where many may be none.

    Noise and the tails of kernels are taken for faint defects. Where these are many, only points
    at least half as strong as the strongest few of their kind remain.
    """
    points = strong_points(fit)
    chosen = np.ones(len(points), bool)
    for kind in np.unique(points.kinds):
        of_kind = points.kinds == kind
        strengths = points.strengths[of_kind]
        if np.mean(strengths < 0.5) > _MAX_FAINT_SHARE:
            strongest = np.sort(strengths)[-_STRONGEST:]
            chosen &= ~of_kind | (points.strengths > 0.5 * np.median(strongest))
    return Points(points.sites[chosen], points.strengths[chosen], points.kinds[chosen])


def repeated_kinds(points: Points) -> list[int]:
    """Select the kinds with several defects; pure noise too has kinds that occur once."""
    kinds, counts = np.unique(points.kinds, return_counts=True)
    return [int(kind) for kind in kinds[counts > 1]]


def residual_is_white(fit: AlternatingFit) -> bool:
    """Test whether the residual is white noise, in which there is no further kind to be found.

    A kind that pays for its kernel would leave an eighth of the residual's variance or so
    structured. It shows in the spectrum, or where its defects are few, in the local variance.
    """
    model = fit.model
    residual = fit.residual.double()
    power = torch.fft.fft2(residual).abs().square().numpy()
    size = _SMOOTHED_FREQUENCIES
    smooth = scipy.ndimage.uniform_filter(power, (0, size, size), mode="wrap")
    gain = float((np.log(power.mean(axis=(1, 2))) - np.log(smooth).mean(axis=(1, 2))).mean())
    if gain * 2 * size**2 > _MAX_GAIN:
        return False
    box = min(model.kernel_shape) // 2
    counted = scipy.ndimage.uniform_filter(model.mask.numpy().astype(float), box)
    energy = scipy.ndimage.uniform_filter(residual.square().mean(dim=0).numpy(), box)
    local = energy[counted > 0.5] / counted[counted > 0.5]
    expected = np.sqrt(2 / len(residual)) / box
    return bool(local.std() < _MAX_FLUCTUATION * expected * local.mean())


def pays_for_its_kernel(
    poorer: AlternatingFit | None, richer: AlternatingFit, penalty: float = _PENALTY
) -> bool:
    """Test whether a further kind gains more likelihood than as many numbers gain of noise.

    Where defects stand so densely that many are not found, groups of them predict a little as a
    kind, and do not pass. The costs compare under different whitenings, see `NoiseColour`.

    Parameters
    ----------
    poorer : AlternatingFit, optional
        The fit without the kind; of no defects at all when left out.
    richer : AlternatingFit
        The fit with it.
    penalty : float
        For each pixel of the kernel, as -2 log-likelihood.
    """
    cost = richer.cost_of_nothing if poorer is None else poorer.cost
    return cost - richer.cost > penalty * richer.kernels[0].numel()


def is_better_without_more_kinds(poorer: AlternatingFit, richer: AlternatingFit) -> bool:
    """Test whether a fit with room for more kinds has no points of them, but a lower cost."""
    present = np.unique(richer.sampler.points.kinds)
    return len(present) == len(poorer.kernels) and poorer.cost - richer.cost > _MIN_GAIN


def prefers_more_kinds(
    poorer: AlternatingFit, richer: AlternatingFit
) -> Generator[Event, None, bool]:
    """Decide whether the map has one more kind, by the prediction of blocks left out.

    A kind at a single site is rejected: it may be a few defects of another kind close together.
    Kinds that are colocalised are rejected, too: one consists of pieces of the other's kernel,
    which is larger than its window.

    Parameters
    ----------
    poorer, richer : AlternatingFit
        The best fits of the same maps by fewer and by more kinds.

    Returns
    -------
    generator
        Yields events and returns the decision.
    """
    points = strong_points(richer)
    sites = np.rint(points.sites).astype(int)
    kinds = [sites[points.kinds == kind] for kind in range(len(richer.kernels))]
    if any(_separate_sites(one, richer) < _MIN_SITES for one in kinds):
        return False
    if any(_colocalised(one, other, richer) for other, one in permutations(kinds, 2)):
        return False
    # The same pixels are to be predicted: both see the noise as the richer fit does.
    start = AlternatingFit.of_points(
        richer.model, dominant_points(poorer), len(poorer.kernels), _SEED
    )
    poorer = yield from portion(start, 0.0, 0.1)
    fewer = yield from portion(predict_blocks(poorer), 0.1, 0.55)
    more = yield from portion(predict_blocks(richer), 0.55, 1.0)
    return more.significance_over(fewer) > _MIN_SIGNIFICANCE


def _separate_sites(points: NDArray[np.int64], fit: AlternatingFit) -> int:
    """Count the points that are at least half a window from each other."""
    separate: list[NDArray[np.float64]] = []
    for point in points / (0.5 * np.array(fit.model.kernel_shape)):
        if all(np.abs(point - other).max() >= 1 for other in separate):
            separate.append(point)
    return len(separate)


def _colocalised(points: NDArray[np.int64], others: NDArray[np.int64], fit: AlternatingFit) -> bool:
    """Test whether points lie near others more often than by chance (binomial test)."""
    model = fit.model
    near = np.zeros(model.sites, bool)
    near[tuple(others.T)] = True
    sides = [2 * round(_NEAR_WINDOWS * size) + 1 for size in model.kernel_shape]
    near = scipy.ndimage.maximum_filter(near, sides)
    # Defects beyond the edge hardly show: chance is counted within the image.
    first = [size - 1 - size // 2 for size in model.kernel_shape]
    rows, columns = (
        slice(start, start + n) for start, n in zip(first, model.image_shape, strict=True)
    )
    inside = np.zeros(model.sites, bool)
    inside[rows, columns] = True
    points = points[inside[tuple(points.T)]]
    count = int(near[tuple(points.T)].sum())
    p_value = scipy.stats.binom.sf(count - 1, len(points), near[inside].mean())
    return bool(p_value < _SIGNIFICANCE)
