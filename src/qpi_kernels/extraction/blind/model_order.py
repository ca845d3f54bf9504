"""Choice of the number of kinds of defects."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import scipy.ndimage
import scipy.stats
import torch
from numpy.typing import NDArray

from qpi_kernels.extraction.blind.alternating_fit import AlternatingFit
from qpi_kernels.extraction.blind.gibbs_sampler import Points

__all__ = ["prefers_more_kinds", "repeated_kinds", "residual_is_white", "strong_points"]

_MIN_STRENGTH = 0.15
# Penalty of a further kind for each pixel of its kernels, as -2 log-likelihood (2 in Akaike 1974).
# As kinds choose their defects, superfluous ones gain up to 2.2, and true ones 2.9 and more.
_PENALTY = 2.4
_MIN_SITES = 2
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


def repeated_kinds(fit: AlternatingFit) -> list[int]:
    """Select the kinds with several defects; pure noise too has kinds that occur once."""
    kinds, counts = np.unique(strong_points(fit).kinds, return_counts=True)
    return [int(kind) for kind in kinds[counts > 1]]


def residual_is_white(fit: AlternatingFit) -> bool:
    """Test whether the residual is white noise, in which there is no further kind to be found.

    A kind that pays for its kernel would leave an eighth of the residual's variance or so
    structured. It shows in the spectrum, or where its defects are few, in the local variance.
    """
    model = fit.model
    residual = model.residual(fit.sampler.spectrum, fit.kernels).double()
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


def prefers_more_kinds(poorer: AlternatingFit, richer: AlternatingFit) -> bool:
    """Decide whether one more kind improves the fit by more than its kernel's penalty.

    A kind at a single site is rejected: it may be a few defects of another kind close together.
    Kinds that are colocalised are rejected, too: one consists of pieces of the other's kernel,
    which is larger than its window.

    Parameters
    ----------
    poorer, richer : AlternatingFit
        The best fits of the same maps by fewer and by more kinds.
    """
    # Before a kind is added its signal counts as colour of the noise, after it colour as signal.
    area = np.sqrt(_correlation_area(poorer) * _correlation_area(richer))
    if poorer.cost - richer.cost <= _PENALTY * richer.kernels[0].numel() * area:
        return False
    points = strong_points(richer)
    sites = np.rint(points.sites).astype(int)
    kinds = [sites[points.kinds == kind] for kind in range(len(richer.kernels))]
    if any(_separate_sites(one, richer) < _MIN_SITES for one in kinds):
        return False
    return not any(_colocalised(one, other, richer) for other, one in permutations(kinds, 2))


def _correlation_area(fit: AlternatingFit) -> float:
    """Estimate the correlation area of the residual in pixels, 1 in white noise.

    It is the sum of squares of the autocorrelation: the gain in likelihood is too large by this
    factor, for the noise holds that many times fewer independent numbers than pixels.
    """
    residual = fit.model.residual(fit.sampler.spectrum, fit.kernels)
    power = torch.fft.rfft2(residual).abs().square().flatten(1).double()
    # A periodogram of white noise has twice its squared mean as mean square.
    area = power.square().mean(dim=1) / (2 * power.mean(dim=1).square())
    return max(1.0, float(area.mean()))


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
