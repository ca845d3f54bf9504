"""Noise of single pixels, estimated from second differences of a map or a residual."""

from __future__ import annotations

import torch

__all__ = ["estimate_pixel_noise"]

_MEDIAN_OF_NORMAL = 0.6745
"""Median of the absolute value of a standard normal number."""


def estimate_pixel_noise(
    image: torch.Tensor, mask: torch.Tensor, noise_share: torch.Tensor | None = None
) -> float:
    """Estimate the standard deviation of white noise, insensitive to smooth structure.

    Parameters
    ----------
    image : tensor, (rows, columns)
        A map without its background, or a residual.
    mask : tensor of bool, (rows, columns)
        True where a pixel counts.
    noise_share : tensor, (rows, columns), optional
        Share of the noise variance that a fit left in each pixel; default all of it. Pixels far
        below the usual share are not used.

    Returns
    -------
    float
        In units of ``image``; NaN where no 2 x 2 square of pixels counts.
    """
    if min(image.shape) < 2:
        return float("nan")
    corners = [slice(None, -1), slice(1, None)]
    signed = [(1 if i == j else -1, (corners[i], corners[j])) for i in (0, 1) for j in (0, 1)]
    difference = torch.stack([sign * image[where] for sign, where in signed]).sum(dim=0) / 2
    counted = torch.stack([mask[where] for _, where in signed]).all(dim=0)
    if not counted.any():
        return float("nan")
    chosen = difference[counted]
    if noise_share is not None:
        share = torch.stack([noise_share[where] for _, where in signed]).mean(dim=0)[counted]
        usable = share >= 0.5 * share.median()
        chosen = chosen[usable] / share[usable].sqrt()
    return float(chosen.abs().median() / _MEDIAN_OF_NORMAL)
