"""The activation for known kernels: non-negative and sparse, by accelerated proximal gradients."""

from __future__ import annotations

import torch

from qpi_kernels.extraction.blind_map import BlindMap

__all__ = ["sparse_activation"]


def sparse_activation(
    seen: BlindMap,
    kernels: torch.Tensor,
    start: torch.Tensor,
    threshold: float,
    iterations: int,
) -> torch.Tensor:
    r"""Approach the sparse activation that explains the maps.

    Minimises :math:`|W(Y - A * X - b)|^2/2 + \lambda |X|_1` over ``X >= 0`` with FISTA (Beck and
    Teboulle 2009, doi:10.1137/080716542).

    Parameters
    ----------
    seen : BlindMap
        The maps.
    kernels : tensor, (plane, h, w)
        ``A``.
    start : tensor, (sites)
        Where to start.
    threshold : float
        ``lambda``: a site whose correlation with the kernel is below it stays empty.
    iterations : int
        Steps; each costs four FFTs of the map.

    Returns
    -------
    tensor, (sites)
        Strength at each site.
    """
    spectrum = seen.kernel_spectrum(kernels)
    steepest = float(spectrum.abs().square().sum(dim=0).max())
    if steepest == 0.0:
        return torch.zeros_like(start)
    activation = ahead = start
    momentum = 1.0
    for _ in range(iterations):
        wrong = seen.project(seen.predict(seen.map_spectrum(ahead), spectrum)) - seen.values
        downhill = seen.correlate(wrong, spectrum) + threshold
        stepped = (ahead - downhill / steepest).clamp(min=0.0)
        following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = stepped + (momentum - 1) / following * (stepped - activation)
        activation, momentum = stepped, following
    return activation
