"""Non-negative, sparse activations for known kernels, by accelerated proximal gradients."""

from __future__ import annotations

from collections.abc import Generator

import torch

from qpi_kernels.extraction.blind.convolution_model import ConvolutionModel
from qpi_kernels.progress import Event

__all__ = ["sparse_activation"]


def sparse_activation(
    model: ConvolutionModel,
    kernels: torch.Tensor,
    start: torch.Tensor,
    threshold: torch.Tensor,
    iterations: int,
) -> Generator[Event, None, torch.Tensor]:
    r"""Approach the sparse activations that explain the maps.

    Minimises :math:`|W(Y - \sum_t A_t * X_t - b)|^2/2 + \sum_t \lambda_t |X_t|_1` over ``X >= 0``
    with FISTA (Beck and Teboulle 2009, doi:10.1137/080716542).

    Parameters
    ----------
    model : ConvolutionModel
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
    generator
        Yields an event for each iteration and returns the strength of each kind at each site,
        (kind, sites).
    """
    spectrum = model.kernel_spectrum(kernels)
    steepest = float(spectrum.abs().square().sum(dim=(0, 1)).max())
    if steepest == 0.0:
        return torch.zeros_like(start)
    level = threshold.view(-1, 1, 1)
    activation = ahead = start
    momentum = 1.0
    for iteration in range(1, iterations + 1):
        predicted = model.project(model.predict(model.activation_spectrum(ahead), spectrum))
        gradient = model.correlate(predicted - model.values, spectrum) + level
        stepped = (ahead - gradient / steepest).clamp(min=0.0)
        next_momentum = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = stepped + (momentum - 1) / next_momentum * (stepped - activation)
        activation, momentum = stepped, next_momentum
        yield Event("Searching for the defects", iteration, iterations)
    return activation
