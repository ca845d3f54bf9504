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
    first, right, below, last = _squares(images)
    difference = (first - right - below + last) / 2
    counted = torch.stack(_squares(mask)).all(dim=0).flatten().nonzero()[:, 0]
    if not len(counted):
        return nothing
    chosen = difference.flatten(1).index_select(1, counted).abs()
    if noise_share is None:
        return _lower_median(chosen) / _MEDIAN_OF_NORMAL
    first, right, below, last = _squares(noise_share)
    share = ((first + right + below + last) / 4).flatten(1).index_select(1, counted)
    usual = torch.from_numpy(_lower_median(share)).to(share)
    usable = share >= 0.5 * usual[:, None]
    return _lower_median(chosen / share.sqrt(), usable) / _MEDIAN_OF_NORMAL


def _squares(images: torch.Tensor) -> list[torch.Tensor]:
    """Return the four corners of all squares of 2 x 2 pixels."""
    sides = (slice(None, -1), slice(1, None))
    return [images[..., rows, columns] for rows in sides for columns in sides]


def _lower_median(values: torch.Tensor, usable: torch.Tensor | None = None) -> NDArray[np.float64]:
    """Find the median of the usable values of each row, the lower one of two."""
    if values.device.type != "cpu":
        kept = values if usable is None else torch.where(usable, values, torch.nan)
        return np.asarray(kept.nanmedian(dim=1).values.cpu().numpy(), np.float64)
    # Ten times faster than torch's.
    rows = values.numpy()
    some = (
        rows
        if usable is None
        else [row[use] for row, use in zip(rows, usable.numpy(), strict=True)]
    )
    places = [(len(row) - 1) // 2 for row in some]
    found = [np.partition(row, at)[at] for row, at in zip(some, places, strict=True)]
    return np.asarray(found, np.float64)
