"""`MapPlan`: what a map will tell of the kernel, in numbers with units."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["MapPlan"]

_SECONDS_PER_HOUR = 3600.0
# Slope of log error against log time: averaging gains at most the inverse root.
_STEEPEST, _FLATTEST = -0.5, -0.02


@dataclass(frozen=True, eq=False)
class MapPlan:
    r"""Predicted error of the kernel that a map will give.

    Errors are root mean squares over the window, of the rms of the kernel there (0.05 is 5 %).

    Parameters
    ----------
    shape : tuple of int
        (rows, columns) of the map.
    pixel_nm : float
        Pixel pitch, in nm.
    kernel_shape : tuple of int
        Kernel window, in pixels.
    defect_count : int
        Defects whose kernels reach into the map.
    pixels : int
        Pixels that are measured.
    biases : int
        Planes that are measured at each pixel.
    noise : float
        Standard deviation of a pixel at `time_per_pixel_s`, in the map's units.
    signal : float
        Root mean square of the expected kernel over the window, in the map's units.
    time_per_pixel_s : float
        Integration time of each pixel and bias, in s.
    error : float
        Predicted error.
    spread : tuple of float
        Smallest and largest error of the rehearsals.
    claimed : float
        Error that the extraction itself will state, from its standard deviation.
    band_edges : array, (band + 1,)
        Edges of bands of scattering vectors, in rad/nm.
    band_error, band_signal : array, (band,)
        Parts of the error and of the kernel in each band; the squares of each sum to those of
        `error` and to 1.
    times_s, errors : array, (n,)
        Integration times of a pixel, in s, and the error predicted for each.
    unresolved : float
        Part of the expected kernel that is too fine for the pixels; counted in all errors.
    good : float
        Share of rehearsals whose extraction called its kernel good.
    method, prior : str
        The estimator, and the expected kernels in words.
    """

    shape: tuple[int, int]
    pixel_nm: float
    kernel_shape: tuple[int, int]
    defect_count: int
    pixels: int
    biases: int
    noise: float
    signal: float
    time_per_pixel_s: float
    error: float
    spread: tuple[float, float]
    claimed: float
    band_edges: NDArray[np.float64]
    band_error: NDArray[np.float64]
    band_signal: NDArray[np.float64]
    times_s: NDArray[np.float64]
    errors: NDArray[np.float64]
    unresolved: float
    good: float
    method: str
    prior: str

    @property
    def hours(self) -> float:
        """Time of the whole map, in h; moves of the tip and a topograph come on top."""
        return self._hours(self.time_per_pixel_s)

    @property
    def error_in_units(self) -> float:
        """Predicted error of the kernel in the map's units."""
        return self.error * self.signal

    def error_at(self, hours: float) -> float:
        """Predict the error after another total time, in h.

        Between the rehearsed times and beyond them as a power of the time.
        """
        if not hours > 0:
            return math.inf
        time = hours * _SECONDS_PER_HOUR / (self.pixels * self.biases)
        return float(np.exp(self._log_error(math.log(time))))

    def hours_for(self, error: float) -> float:
        """Find the total time, in h, after which the error is as small as wanted.

        Infinite where no averaging is enough: where the pixels are too coarse, or the method has
        an error that does not fall.
        """
        if not error > self.unresolved:
            return math.inf
        low, high = math.log(1e-6 * self.times_s[0]), math.log(1e6 * self.times_s[-1])
        if self._log_error(high) > math.log(error):
            return math.inf
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (
                (middle, high) if self._log_error(middle) > math.log(error) else (low, middle)
            )
        return self._hours(math.exp(high))

    def gain_of(self, hours: float = 1.0) -> float:
        """Predict the relative fall of the error for more time, in h, than planned: 0.1 is 10 %."""
        return 1.0 - self.error_at(self.hours + hours) / self.error_at(self.hours)

    def as_dict(self) -> dict[str, Any]:
        """Return all numbers as plain types, JSON-compatible."""
        plain: dict[str, Any] = {}
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if isinstance(value, np.ndarray):
                value = [float(one) for one in value]
            plain[name] = list(value) if isinstance(value, tuple) else value
        return plain | {"hours": self.hours, "gain_of_one_more_hour": self.gain_of(1.0)}

    def in_words(self) -> str:
        """Describe the plan in a sentence or two."""
        rows, columns = self.shape
        low, high = (100 * one for one in self.spread)
        measured = "" if self.pixels == rows * columns else f", {self.pixels} of them measured"
        planes = "" if self.biases == 1 else f" at {self.biases} biases"
        more = 100 * self.gain_of(1.0)
        return (
            f"{rows} x {columns} pixels of {self.pixel_nm:.3g} nm{measured}{planes}, "
            f"{_in_time(self.hours)}: the kernel's error will be {100 * self.error:.2g} % of its "
            f"rms ({low:.2g} to {high:.2g} % in rehearsals, {self.prior}). "
            f"One more hour makes it {more:.0f} % smaller."
        )

    def plot(self, ax: Axes, kind: str = "time") -> Axes:
        """Draw the error against the map's time, or against the scattering vector.

        Parameters
        ----------
        ax : matplotlib.axes.Axes
            Where to.
        kind : str
            ``time`` or ``bands``.

        Returns
        -------
        matplotlib.axes.Axes
            ``ax``.
        """
        if kind == "bands":
            ax.stairs(100 * self.band_signal, self.band_edges, label="kernel")
            ax.stairs(100 * self.band_error, self.band_edges, label="error")
            ax.set(xlabel="q (rad/nm)", ylabel="part of the kernel's rms (%)", yscale="log")
            ax.legend(frameon=False)
            return ax
        ends = self._hours(float(self.times_s[0])), self._hours(float(self.times_s[-1]))
        hours = np.geomspace(ends[0], ends[1], 50)
        ax.plot(hours, [100 * self.error_at(float(one)) for one in hours])
        ax.plot(self.hours, 100 * self.error, "o")
        ax.set(xlabel="time of the map (h)", ylabel="error of the kernel (%)")
        ax.set(xscale="log", yscale="log")
        return ax

    def _hours(self, time_per_pixel_s: float) -> float:
        """Compute the total time, in h."""
        return self.pixels * self.biases * time_per_pixel_s / _SECONDS_PER_HOUR

    def _log_error(self, log_time: float) -> float:
        """Interpolate the logarithm of the error; averaging leaves its `unresolved` part."""
        part = np.sqrt(np.maximum(self.errors**2 - self.unresolved**2, 1e-300))
        x, y = np.log(self.times_s), np.log(part)
        if len(x) == 1:
            slope = np.array([_STEEPEST])
        else:
            slope = np.clip(np.diff(y) / np.diff(x), _STEEPEST, _FLATTEST)
        if log_time <= x[0]:
            found = y[0] + slope[0] * (log_time - x[0])
        elif log_time >= x[-1]:
            found = y[-1] + slope[-1] * (log_time - x[-1])
        else:
            found = np.interp(log_time, x, y)
        return float(0.5 * np.logaddexp(2 * found, 2 * math.log(max(self.unresolved, 1e-150))))


def _in_time(hours: float) -> str:
    """Word a time."""
    if hours < 1 / 60:
        return f"{3600 * hours:.0f} s"
    return f"{60 * hours:.0f} min" if hours < 1 else f"{hours:.1f} h"
