"""Share of a map's variance that kernels predict, against what chance would explain."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.fft
from numpy.typing import NDArray

__all__ = ["PredictedShare", "predicted_share"]

_SIGMAS = 3.0
_MIN_FREE_SHARE = 0.5
_KURTOSIS_OF_NORMAL = 3.0


class PredictedShare(NamedTuple):
    """Adjusted R squared within the kernel windows, and its limit.

    Parameters
    ----------
    share : float
        Negative where the kernels enlarge the misfit; NaN without any variance.
    chance : float
        The share that kernels of random positions reach at three standard deviations.
    """

    share: float
    chance: float


def predicted_share(
    signal: NDArray[np.floating],
    residual: NDArray[np.floating],
    mask: NDArray[np.bool_],
    reach: NDArray[np.bool_],
    freedom: float,
    size: int,
) -> PredictedShare:
    """Compare the explained variance with what as many free numbers explain of anything.

    Fitting p numbers to n samples of variance v without any relation explains p v of the sum of
    squares n v, with a relative scatter of sqrt(2/p + 2/(n - p)) for normal samples that are
    independent (the F test). Correlated samples, as in structure that no kernel describes, scatter
    as so many fewer, and heavy-tailed ones more.

    Parameters
    ----------
    signal, residual : array, (rows, columns)
        Map without background, before and after the kernels are taken away; zero where masked.
    mask : array of bool, (rows, columns)
        True where a pixel counts.
    reach : array of bool, (rows, columns)
        True where a defect's window shows something.
    freedom : float
        Effective number of kernel parameters that the data fix: sum of g/(g + ridge).
    size : int
        Number of free kernel parameters.

    Returns
    -------
    PredictedShare
        Share and limit.
    """
    # Shrunk numbers explain f (2 - f) each, f = g/(g + ridge): at most as at their mean.
    mean = min(freedom / max(size, 1), 1.0)
    fitted = max(size * mean * (2 - mean), 1.0)
    inside = mask & reach
    count = int(inside.sum())
    before = float(np.square(signal[inside], dtype=np.float64).sum())
    if not count or not before > 0:
        return PredictedShare(float("nan"), 0.0)
    # A lone defect's kernel follows every pixel of its window; the noise shows outside.
    region = inside if count - fitted > _MIN_FREE_SHARE * count else mask
    free = max(float(region.sum()) - fitted, 1.0)
    noise = float(np.square(residual[region], dtype=np.float64).sum()) / free
    share = 1.0 - noise / (before / count)
    scatter = _samples_per_number(residual, region)
    excess = _SIGMAS * float(np.sqrt(2 * scatter / fitted + 2 * scatter / free)) * fitted / count
    return PredictedShare(share, excess / (1 + excess))


def _samples_per_number(residual: NDArray[np.floating], region: NDArray[np.bool_]) -> float:
    """Return how many samples scatter as one independent normal number, at least 1."""
    values = np.where(region, residual, 0.0)
    energies = np.square(values, dtype=np.float64)
    energy = float(energies.sum())
    if not energy > 0:
        return 1.0
    # The periodogram of white noise scatters by as much as its mean: twice that in its square.
    # The half spectrum of a real map holds most waves once for their two signs.
    power = np.square(np.abs(scipy.fft.rfft2(values)), dtype=np.float64)
    counts = np.full(power.shape[1], 2.0)
    counts[0] = 1.0
    if values.shape[1] % 2 == 0:
        counts[-1] = 1.0
    total = float(power.sum(axis=0) @ counts)
    correlated = values.size * float(np.square(power).sum(axis=0) @ counts) / total**2 / 2
    kurtosis = float(region.sum()) * float(np.square(energies).sum()) / energy**2
    return max(correlated, 1.0) * max(kurtosis / _KURTOSIS_OF_NORMAL, 1.0)
