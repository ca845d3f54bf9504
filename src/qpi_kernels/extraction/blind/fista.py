"""The activations for known kernels: non-negative and sparse, by accelerated proximal gradients."""

from __future__ import annotations

import torch

from qpi_kernels.extraction.blind.convolution_model import ConvolutionModel

__all__ = ["sparse_activation"]


def sparse_activation(
    seen: ConvolutionModel,
    kernels: torch.Tensor,
    start: torch.Tensor,
    threshold: torch.Tensor,
    iterations: int,
) -> torch.Tensor:
    r"""Approach the sparse activations that explain the maps.

    Minimises :math:`|W(Y - \sum_t A_t * X_t - b)|^2/2 + \sum_t \lambda_t |X_t|_1` over ``X >= 0``
    with FISTA (Beck and Teboulle 2009, doi:10.1137/080716542).

    Parameters
    ----------
    seen : ConvolutionModel
        The maps.
    kernels : tensor, (kind, plane, h, w)
        ``A``.
    start : tensor, (kind, sites)
        Where to start.
    threshold : tensor, (kind,)
        ``lambda``: a site whose correlation with the kernel is below it stays empty.
    iterations : int
        Steps; each costs four FFTs of the map.

    Returns
    -------
    tensor, (kind, sites)
        Strength of each kind at each site.
    """
    spectrum = seen.kernel_spectrum(kernels)
    steepest = float(spectrum.abs().square().sum(dim=(0, 1)).max())
    if steepest == 0.0:
        return torch.zeros_like(start)
    level = threshold.view(-1, 1, 1)
    activation = ahead = start
    momentum = 1.0
    for _ in range(iterations):
        wrong = seen.project(seen.predict(seen.map_spectrum(ahead), spectrum)) - seen.values
        downhill = seen.correlate(wrong, spectrum) + level
        stepped = (ahead - downhill / steepest).clamp(min=0.0)
        following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = stepped + (momentum - 1) / following * (stepped - activation)
        activation, momentum = stepped, following
    return activation
