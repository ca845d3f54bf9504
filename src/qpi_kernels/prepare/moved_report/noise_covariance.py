"""The covariance that interpolation gives to noise that was white."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

__all__ = [
    "difference_share",
    "known_covariance",
    "power_on",
    "resampled_covariance",
    "turned_covariance",
    "with_covariance",
]

_ENTRY, _COVARIANCE = "resampling", "noise_covariance"
# Quintic splines of neighbouring pixels are correlated over a few pixels only.
_REACH = 7
# Distances for which the correlation of two readings is tabulated, and the steps in a pixel.
_FARTHEST, _STEPS = 16, 32
_SAMPLED = 4000

Report = Mapping[str, Mapping[str, Any]]


def known_covariance(report: Report) -> NDArray[np.float64] | None:
    """Look up the covariance in a report; None where no pixel was interpolated."""
    found = report.get(_ENTRY, {}).get(_COVARIANCE)
    return None if found is None else np.asarray(found, float)


def with_covariance(report: Report, covariance: NDArray[np.float64] | None) -> Report:
    """Put a covariance in a report; None takes it out.

    The entry is ``resampling``, before those of the steps: (lag rows, lag columns), lag 0 in the
    middle.
    """
    steps = {name: found for name, found in report.items() if name != _ENTRY}
    if covariance is None:
        return steps
    variance = float(covariance[_REACH, _REACH])
    return {_ENTRY: {_COVARIANCE: covariance, "noise_variance_share": variance}, **steps}


def resampled_covariance(positions: NDArray[np.float64], order: int) -> NDArray[np.float64]:
    """Average the covariance of readings of unit white noise between its pixels.

    A reading at ``p`` is the sum of the noise with the cardinal spline's weights ``h(p - k)``, so
    that two of them covary by ``sum_k h(p - k) h(p' - k)``, the product of rows and columns.

    Parameters
    ----------
    positions : array, (2, rows, columns)
        Rows, then columns, in pixels of the image that was read.
    order : int
        Of the spline.

    Returns
    -------
    array, (15, 15)
        Mean covariance at lags of -7 to 7 pixels of the new image; 1 in the middle and 0 elsewhere
        where nothing was interpolated.
    """
    rows, columns = positions.shape[1:]
    covariance = np.zeros((2 * _REACH + 1, 2 * _REACH + 1))
    along_one_axis = _covariance_of_readings(order)
    # Random pixels, because regular ones may meet few of the phases between old pixels.
    at = np.random.default_rng(0).random((2, _SAMPLED))
    for down in range(min(_REACH, rows - 1) + 1):
        for right in range(-min(_REACH, columns - 1), min(_REACH, columns - 1) + 1):
            row = (at[0] * (rows - down)).astype(np.int64)
            column = (at[1] * (columns - abs(right))).astype(np.int64) + max(0, -right)
            here, there = positions[:, row, column], positions[:, row + down, column + right]
            product = along_one_axis(here[0], there[0]) * along_one_axis(here[1], there[1])
            covariance[_REACH + down, _REACH + right] = product.mean()
            covariance[_REACH - down, _REACH - right] = product.mean()
    return covariance


def turned_covariance(
    covariance: NDArray[np.float64],
    positions: NDArray[np.float64],
    new: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Move a covariance with the pixels, and add that of a further interpolation.

    Parameters
    ----------
    covariance : array, (15, 15)
        Of the old image.
    positions : array, (2, rows, columns)
        Old positions of the new pixels.
    new : array, (15, 15), optional
        From `resampled_covariance` for these positions.
    """
    rows, columns = positions.shape[1:]
    middle = positions[:, rows // 2, columns // 2]
    matrix = np.stack(
        [positions[:, rows // 2 - 1, columns // 2], positions[:, rows // 2, columns // 2 - 1]],
        axis=1,
    )
    lags = np.indices(covariance.shape) - _REACH
    old_lags = np.tensordot(middle[:, None] - matrix, lags, axes=1)
    turned = scipy.ndimage.map_coordinates(covariance, old_lags + _REACH, order=1)
    if new is None:
        return np.asarray(turned)
    return np.asarray(scipy.ndimage.convolve(turned, new, mode="constant"))


def power_on(covariance: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean power of such noise on the counted pixels, zero on all others.

    Parameters
    ----------
    covariance : array, (15, 15)
        From a report.
    mask : array of bool, (rows, columns)
        True where a pixel counts.

    Returns
    -------
    array, (rows, columns)
        At the wave vectors of `numpy.fft.fft2`; its mean is the variance of the masked noise.
    """
    reach = [min(_REACH, (side - 1) // 2) for side in mask.shape]
    rows, columns = (np.arange(-far, far + 1) for far in reach)
    whole = np.zeros(mask.shape)
    whole[np.ix_(rows, columns)] = covariance[np.ix_(rows + _REACH, columns + _REACH)]
    pairs = np.fft.ifft2(np.square(np.abs(np.fft.fft2(mask)))).real / mask.size
    return np.asarray(np.maximum(np.fft.fft2(whole * pairs).real, 0.0))


def difference_share(covariance: NDArray[np.float64]) -> float:
    """Return the share of the noise's variance that second differences of 2 x 2 pixels show.

    ``(f00 - f01 - f10 + f11) / 2`` has the variance of white noise itself, and less of noise that
    interpolation made alike in neighbouring pixels.
    """
    near = covariance[_REACH : _REACH + 2, _REACH - 1 : _REACH + 2]
    shown = near[0, 1] - near[0, 2] - near[1, 1] + (near[1, 0] + near[1, 2]) / 2
    return float(shown / near[0, 1])


@cache
def _covariance_of_readings(
    order: int,
) -> Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]:
    """Tabulate the covariance of two readings along one axis, by phase and distance."""
    delta = np.zeros(8 * _FARTHEST + 1)
    delta[4 * _FARTHEST] = 1.0
    steps = np.arange(-4 * _FARTHEST * _STEPS, 4 * _FARTHEST * _STEPS + 1)
    weights = scipy.ndimage.map_coordinates(delta, [steps / _STEPS + 4 * _FARTHEST], order=order)
    nodes = 4 * _FARTHEST * _STEPS + _STEPS * np.arange(-2 * _FARTHEST, 2 * _FARTHEST + 1)
    phases = np.arange(_STEPS + 1)
    distances = np.arange(-_FARTHEST * _STEPS, _FARTHEST * _STEPS + 1)
    here = weights[phases[:, None] + nodes]
    there = weights[phases[:, None, None] + distances[:, None] + nodes]
    table = np.einsum("pk,pdk->pd", here, there)

    def covariance(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
        """Interpolate the table for two arrays of positions."""
        phase = (first - np.floor(first)) * _STEPS
        distance = (second - first + _FARTHEST) * _STEPS
        read = scipy.ndimage.map_coordinates(table, [phase, distance], order=1, mode="constant")
        return np.asarray(read)

    return covariance
