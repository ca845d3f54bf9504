"""Noise of single pixels, estimated from second differences of a map or a residual."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["estimate_pixel_noise"]

_MEDIAN_OF_NORMAL = 0.6745
"""Median of the absolute value of a standard normal number."""


def estimate_pixel_noise(
    images: torch.Tensor, mask: torch.Tensor, noise_share: torch.Tensor | None = None
) -> NDArray[np.float64]:
    """Estimate the standard deviation of white noise, insensitive to smooth structure.

    Parameters
    ----------
    images : tensor, (plane, rows, columns)
        Maps without their background, or residuals.
    mask : tensor of bool, (rows, columns)
        True where a pixel counts.
    noise_share : tensor, (plane, rows, columns), optional
        Share of the noise variance that a fit left in each pixel; default all of it. Pixels far
        below the usual share are not used.

    Returns
    -------
    array, (plane,)
        In units of ``images``; NaN where no 2 x 2 square of pixels counts.
    """
    nothing = np.full(len(images), np.nan)
    if min(images.shape[-2:]) < 2:
        return nothing
    corners = [slice(None, -1), slice(1, None)]
    signed = [(1 if i == j else -1, (corners[i], corners[j])) for i in (0, 1) for j in (0, 1)]
    difference = torch.stack([sign * images[..., *where] for sign, where in signed]).sum(dim=0) / 2
    counted = torch.stack([mask[where] for _, where in signed]).all(dim=0).flatten().nonzero()[:, 0]
    if not len(counted):
        return nothing
    chosen = difference.flatten(1)[:, counted].abs()
    if noise_share is None:
        found = chosen.median(dim=1).values
    else:
        shares = torch.stack([noise_share[..., *where] for _, where in signed]).mean(dim=0)
        share = shares.flatten(1)[:, counted]
        usable = share >= 0.5 * share.median(dim=1, keepdim=True).values
        found = torch.where(usable, chosen / share.sqrt(), torch.nan).nanmedian(dim=1).values
    return np.asarray(found.cpu().numpy(), np.float64) / _MEDIAN_OF_NORMAL
