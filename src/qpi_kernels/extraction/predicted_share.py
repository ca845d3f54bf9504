"""Share of a map's variance that kernels predict, against what chance would explain."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["PredictedShare", "predicted_share"]

_SIGMAS = 3.0
_MIN_FREE_SHARE = 0.5
_KURTOSIS_OF_NORMAL = 3.0


class PredictedShare(NamedTuple):
    """Adjusted R squared within the kernel windows, and its limit, of each plane.

    Parameters
    ----------
    share : array, (plane,)
        Negative where the kernels enlarge the misfit; NaN without any variance.
    chance : array, (plane,)
        The share that kernels of random positions reach at three standard deviations.
    """

    share: NDArray[np.float64]
    chance: NDArray[np.float64]


def predicted_share(
    signal: torch.Tensor,
    residual: torch.Tensor,
    mask: torch.Tensor,
    reach: torch.Tensor,
    freedom: NDArray[np.float64],
    size: int,
) -> PredictedShare:
    """Compare the explained variance with what as many free numbers explain of anything.

    Fitting p numbers to n samples of variance v without any relation explains p v of the sum of
    squares n v, with a relative scatter of sqrt(2/p + 2/(n - p)) for normal samples that are
    independent (the F test). Correlated samples, as in structure that no kernel describes, scatter
    as so many fewer, and heavy-tailed ones more.

    Parameters
    ----------
    signal, residual : tensor, (plane, rows, columns)
        Maps without background, before and after the kernels are taken away; zero where masked.
    mask : tensor of bool, (rows, columns)
        True where a pixel counts.
    reach : tensor of bool, (rows, columns)
        True where a defect's window shows something.
    freedom : array, (plane,)
        Effective number of kernel parameters that the data fix: sum of g/(g + ridge).
    size : int
        Number of free kernel parameters.

    Returns
    -------
    PredictedShare
        Shares and limits.
    """
    # Shrunk numbers explain f (2 - f) each, f = g/(g + ridge): at most as at their mean.
    mean = np.minimum(freedom / max(size, 1), 1.0)
    fitted = np.maximum(size * mean * (2 - mean), 1.0)
    inside = mask & reach
    count, counted = (float(one) for one in torch.stack([inside.sum(), mask.sum()]).tolist())
    if not count:
        return PredictedShare(np.full(len(fitted), np.nan), np.zeros(len(fitted)))
    # A lone defect's kernel follows every pixel of its window; the noise shows outside.
    is_inside = count - fitted > _MIN_FREE_SHARE * count
    chosen = torch.from_numpy(is_inside).to(mask.device).view(-1, 1, 1)
    region = torch.where(chosen, inside, mask)
    values = torch.where(region, residual, 0.0)
    squares = _exact(values).square()
    sums = (_exact(torch.where(inside, signal, 0.0)).square(), squares, squares.square())
    before, energy, fourth = _numbers([one.sum(dim=(-2, -1)) for one in sums])
    pixels = np.where(is_inside, count, counted)
    free = np.maximum(pixels - fitted, 1.0)
    safe = np.where(before > 0, before, 1.0)
    share = np.where(before > 0, 1.0 - energy / free / (safe / count), np.nan)
    scatter = _samples_per_number(values, pixels, energy, fourth)
    excess = _SIGMAS * np.sqrt(2 * scatter / fitted + 2 * scatter / free) * fitted / count
    return PredictedShare(share, np.where(before > 0, excess / (1 + excess), 0.0))


def _samples_per_number(
    values: torch.Tensor,
    pixels: NDArray[np.float64],
    energy: NDArray[np.float64],
    fourth: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return how many samples scatter as one independent normal number, at least 1.

    Parameters
    ----------
    values : tensor, (plane, rows, columns)
        Residuals, zero outside the region.
    pixels, energy, fourth : array, (plane,)
        Pixels of the region, and sums of squares and fourth powers there.
    """
    # The periodogram of white noise scatters by as much as its mean: twice that in its square.
    # The half spectrum of a real map holds most waves once for their two signs.
    power = _exact(torch.view_as_real(torch.fft.rfft2(values)).square().sum(dim=-1))
    counts = torch.full((power.shape[-1],), 2.0).to(power)
    counts[0] = 1.0
    if values.shape[-1] % 2 == 0:
        counts[-1] = 1.0
    columns, squared = power.sum(dim=-2), power.square().sum(dim=-2)
    total, square = _numbers([columns @ counts, squared @ counts])
    some = energy > 0
    correlated = values[0].numel() * square / np.where(some, total, 1.0) ** 2 / 2
    kurtosis = pixels * fourth / np.where(some, energy, 1.0) ** 2 / _KURTOSIS_OF_NORMAL
    return np.where(some, np.maximum(correlated, 1.0) * np.maximum(kurtosis, 1.0), 1.0)


def _exact(images: torch.Tensor) -> torch.Tensor:
    """Take double precision where the device has it."""
    return images if images.device.type == "mps" else images.double()


def _numbers(sums: list[torch.Tensor]) -> NDArray[np.float64]:
    """Copy numbers of the planes to the host at once."""
    return np.asarray(torch.stack(sums).cpu().double().numpy())
