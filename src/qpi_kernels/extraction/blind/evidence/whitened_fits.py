"""Choice between fits of the same maps under different whitenings."""

from __future__ import annotations

from collections.abc import Generator

from qpi_kernels.extraction.blind.alternating_fit import AlternatingFit
from qpi_kernels.extraction.blind.evidence.model_order import dominant_points
from qpi_kernels.progress import Event

__all__ = ["better_whitened"]

# Sweeps under the other whitening, and the share of the points that must remain.
_SWEEPS, _MIN_REMAINING = 4, 0.8


def better_whitened(
    one: AlternatingFit, other: AlternatingFit, seed: int
) -> Generator[Event, None, AlternatingFit]:
    """Choose between two fits whose noise was estimated apart.

    Their costs compare unless points explain the noise itself, as they can where it is smooth: it
    is taken for weaker then, at wave vectors without any signal, too, where that alone lowers the
    cost. A fit of the lower cost but the weaker noise is therefore tried under the other's
    whitening. Defects remain there, and points that explain noise go.

    Parameters
    ----------
    one, other : AlternatingFit
        Fits of as many kinds.
    seed : int
        Seed of the sampler of the trial.

    Returns
    -------
    generator
        Yields events and returns one of the fits, or that of the trial.
    """
    best = min(one, other, key=lambda fit: fit.cost)
    noisier = max(one, other, key=lambda fit: fit.model.known_noise)
    points = dominant_points(best)
    if best is noisier or not len(points):
        return best
    kinds = len(best.kernels)
    trial = yield from AlternatingFit.of_points(noisier.model, points, kinds, seed, sweeps=_SWEEPS)
    if len(trial.sampler.points) >= _MIN_REMAINING * len(points):
        return best
    return min(trial, noisier, key=lambda fit: fit.cost)
