"""Angular mean of a kernel in real space, with its error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

__all__ = ["RadialMean", "angular_power", "radial_mean"]

Array = NDArray[np.float64]
Values = TypeVar("Values", NDArray[np.float64], NDArray[np.complex128])

# Of the largest mean: a kernel without error is not fitted for ever.
_MIN_ERROR = 1e-6
# Half the width in q over which a power is averaged, in steps of the transform.
_POWER_BINS = 1.5


@dataclass(frozen=True, eq=False)
class RadialMean:
    """Means over rings about the defect.

    Parameters
    ----------
    radius : array, (ring,)
        Mean distance of a ring's pixels in nm.
    mean, error : array, (bias, ring)
        Mean of the kernel and its standard deviation, in the kernel's units.
    distances, share : array, (distance,)
        All distances of pixels, ascending, and their share in the ring that holds them.
    first : array of int, (ring,)
        Where each ring begins in them.
    """

    radius: Array
    mean: Array
    error: Array
    distances: Array
    share: Array
    first: NDArray[np.int64]

    def averaged(self, values: Values) -> Values:
        """Average values at `distances`, (..., distance), over rings, (..., ring)."""
        return np.add.reduceat(values * self.share, self.first, axis=-1)

    def between(self, near: float, far: float) -> RadialMean:
        """Keep the rings of radii from `near` to `far` in nm."""
        chosen = (self.radius >= near - 1e-9) & (self.radius <= far + 1e-9)
        sizes = np.diff([*self.first, len(self.distances)])
        kept = np.repeat(chosen, sizes)
        return RadialMean(
            self.radius[chosen],
            self.mean[:, chosen],
            self.error[:, chosen],
            self.distances[kept],
            self.share[kept],
            np.cumsum([0, *sizes[chosen]])[:-1],
        )


def radial_mean(
    kernel: xr.DataArray, std: xr.DataArray | None, *, alike: bool = False
) -> RadialMean:
    """Average a kernel over rings of a pixel's width, as far as they are whole.

    Parameters
    ----------
    kernel : DataArray, (bias, y, x)
        With coordinates in nm from the defect.
    std : DataArray, (bias, y, x), optional
        Standard deviation of each pixel. Without it the errors are those of the pixels' scatter.
    alike : bool
        Take the errors of a ring's pixels for one and the same, as a prior makes them, so that the
        mean is no better known than a pixel; else for independent.
    """
    y, x = kernel["y"].values.astype(float), kernel["x"].values.astype(float)
    step = max(abs(float(y[1] - y[0])), abs(float(x[1] - x[0])))
    reach = min(abs(y[0]), abs(y[-1]), abs(x[0]), abs(x[-1]))
    distance = np.hypot(y[:, None], x[None, :]).ravel()
    ring = np.rint(distance / step).astype(np.int64)
    inside = ring <= int(reach / step + 1e-6)
    count = np.bincount(ring[inside])

    def mean(values: Array) -> Array:
        """Average images over rings."""
        flat = values.reshape(-1, distance.size)[:, inside]
        return np.stack([np.bincount(ring[inside], weights=one) for one in flat]) / count

    values = np.asarray(kernel.values, float)
    means = mean(values)
    if std is not None:
        spread = np.asarray(std.values, float)
        errors = mean(spread) if alike else np.sqrt(mean(spread**2) / count)
    else:
        scatter = np.maximum(mean(values**2) - means**2, 0.0)
        errors = np.sqrt(scatter / np.maximum(count - 1, 1))
        # Rings of few pixels have no scatter to speak of.
        errors = np.maximum(errors, np.median(errors, axis=1, keepdims=True))
    largest = np.abs(means).max(axis=1, keepdims=True)
    errors = np.maximum(errors, _MIN_ERROR * largest + np.finfo(float).tiny)
    rounded = np.round(distance[inside] / step, 6) * step
    distances, where, pixels = np.unique(rounded, return_inverse=True, return_counts=True)
    rings = np.zeros(len(distances), np.int64)
    rings[where] = ring[inside]
    first = np.searchsorted(rings, np.arange(len(count)))
    return RadialMean(mean(distance)[0], means, errors, distances, pixels / count[rings], first)


def angular_power(kernel: xr.DataArray, rings: RadialMean, fitted: Array, q: Array) -> Array:
    """Estimate the power of a kernel's errors at wave numbers, over that of independent pixels.

    What a round kernel shows beside its angular mean is error. Errors that are correlated from
    pixel to pixel, as after smoothing, gather at small q and are more there than their standard
    deviation tells.

    Parameters
    ----------
    kernel : DataArray, (bias, y, x)
        In nm from the defect.
    rings : RadialMean
        With errors of independent pixels.
    fitted : array, (bias, distance)
        Waves at their distances.
    q : array, (bias,)
        In rad/nm.
    """
    y, x = kernel["y"].values.astype(float), kernel["x"].values.astype(float)
    step = max(abs(float(y[1] - y[0])), abs(float(x[1] - x[0])))
    distance = np.hypot(y[:, None], x[None, :])
    ring = np.rint(distance / step).astype(np.int64)
    numbers = np.rint(rings.radius / step).astype(np.int64)
    inside = np.isin(ring, numbers)
    count = np.maximum(np.bincount(ring.ravel()), 1)
    number = np.clip(ring - numbers[0], 0, len(numbers) - 1)
    q_y, q_x = (2 * np.pi * np.fft.fftfreq(len(one), abs(one[1] - one[0])) for one in (y, x))
    length = np.hypot(q_y[:, None], q_x)
    width = _POWER_BINS * 2 * np.pi / (step * min(len(y), len(x)))
    found = []
    for values, error, waves, at in zip(kernel.values, rings.error, fitted, q, strict=True):
        rest = (values - np.interp(distance, rings.distances, waves)) * inside
        mean = np.bincount(ring.ravel(), weights=rest.ravel()) / count
        rest = (rest - mean[ring]) * inside / (error[number] * np.sqrt(count[ring]))
        power = np.abs(np.fft.fft2(rest)) ** 2 / inside.sum()
        found.append(float(power[np.abs(length - at) <= width].mean()))
    return np.array(found)
