"""Sharp peaks of a Fourier spectrum that stand above rings, streaks and noise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.fft
import scipy.ndimage
from numpy.typing import NDArray

__all__ = ["SharpPeaks", "Spectrum", "hann", "level", "without_edges"]

# Slower than four periods a frame, a maximum is the sample's slope or its defects.
_MIN_PERIODS = 4
# Reach of the neighbourhood that tells the background of a peak, and of the peak itself.
_REACH_PX = 10
_CORE_PX = 3
_CANDIDATES = 60
# Streaks of steps, rows and pickup run through maxima in any direction.
_DIRECTIONS = 16
_LEVEL_ROUNDS = 3
_LEVEL_PIXELS = 20_000
_PERIODS_KEPT = 16
_OUTLIER_DEVIATIONS = 3.0


def hann(shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return a periodic two-dimensional Hann window, (rows, columns)."""
    rows, columns = (0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(n) + 0.5) / n) for n in shape)
    return np.asarray(np.outer(rows, columns))


def level(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Subtract a plane that outliers do not tilt; NaN, where nothing counts, becomes 0."""
    counted = np.isfinite(plane)
    rows, columns = (np.linspace(-1, 1, n) for n in plane.shape)
    slopes = np.stack([np.ones(plane.shape), *np.meshgrid(rows, columns, indexing="ij")], axis=-1)
    # A plane needs no more pixels than these.
    stride = max(1, counted.sum() // _LEVEL_PIXELS)
    terms, values = slopes[counted][::stride], plane[counted][::stride]
    used = np.ones(values.size, bool)
    fit: NDArray[np.floating] = np.zeros(3)
    for _ in range(_LEVEL_ROUNDS):
        fit = np.linalg.lstsq(terms[used], values[used], rcond=None)[0]
        rest = values - terms @ fit
        middle = np.median(rest)
        deviation = 1.4826 * np.median(np.abs(rest - middle))
        used = np.abs(rest - middle) <= _OUTLIER_DEVIATIONS * deviation + 1e-300
    return np.where(counted, plane - slopes @ fit, 0.0)


def without_edges(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Subtract the local mean and leave out step edges and tall defects, which become NaN.

    Waves of at least six periods a frame stay as they are.
    """
    width = min(plane.shape) / _PERIODS_KEPT
    windows = [
        np.exp(-0.5 * ((np.arange(n)[:, None] - np.arange(n)) / width) ** 2) for n in plane.shape
    ]
    filled = np.where(np.isfinite(plane), level(plane), np.nan)
    rest = filled
    for _ in range(_LEVEL_ROUNDS):
        used = np.isfinite(rest)
        share = windows[0] @ used.astype(float) @ windows[1].T
        total = windows[0] @ np.where(used, filled, 0.0) @ windows[1].T
        rest = filled - total / np.maximum(share, 1e-300)
        deviation = 1.4826 * float(np.nanmedian(np.abs(rest)))
        rest = np.where(np.abs(rest) <= _OUTLIER_DEVIATIONS * deviation, rest, np.nan)
    return rest


@dataclass(frozen=True, eq=False)
class SharpPeaks:
    """Peaks of a spectrum, the most prominent first.

    Parameters
    ----------
    waves : array, (N, 2)
        Wave vectors (row, col) in rad/px, refined between the samples.
    prominence : array, (N,)
        Amplitudes over the background.
    amplitude : array, (N,)
        In units of the image.
    """

    waves: NDArray[np.float64]
    prominence: NDArray[np.float64]
    amplitude: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Hann-weighted Fourier amplitudes of the pixels that count.

    Parameters
    ----------
    plane : array, (y, x)
        Levelled, 0 where a pixel does not count.
    counted : array of bool, (y, x)
        True where a pixel counts.
    """

    plane: NDArray[np.float64]
    counted: NDArray[np.bool_]

    @classmethod
    def of(cls, plane: NDArray[np.float64]) -> Spectrum:
        """Level a plane with NaN where nothing counts, and transform it."""
        return cls(level(plane), np.isfinite(plane))

    @cached_property
    def amplitude(self) -> NDArray[np.float64]:
        """Amplitudes, (y, x), zero at ``n // 2``; a cosine of amplitude A reads A/2."""
        weight = hann(self.plane.shape) * self.counted
        weighted = weight * self.plane
        mean = weighted.sum() / weight.sum()
        transform = scipy.fft.fft2(weighted - mean * weight)
        return np.asarray(np.abs(scipy.fft.fftshift(transform)) / weight.sum())

    @cached_property
    def radial_background(self) -> NDArray[np.float64]:
        """Median amplitude at the same wave number, (y, x)."""
        rows, columns = self._periods_per_frame()
        height, width = self.plane.shape
        # Circles of equal wave number in px, also on frames that are not square.
        wave = np.hypot(rows / height, columns / width) * min(height, width)
        bins = np.minimum(wave.astype(int), int(wave.max()))
        order = np.argsort(bins, axis=None)
        counts = np.bincount(bins.ravel())
        groups = np.split(self.amplitude.ravel()[order], np.cumsum(counts)[:-1])
        medians = np.array([np.median(group) if group.size else 0.0 for group in groups])
        return np.asarray(scipy.ndimage.median_filter(medians, 3, mode="nearest")[bins])

    def peaks(self, prominence: float) -> SharpPeaks:
        """Find the sharp peaks of one half of the plane, the most prominent first.

        Parameters
        ----------
        prominence : float
            Least amplitude in units of the background, which is the largest of the medians at
            the same wave number, in the neighbourhood, and along lines through the peak.
        """
        smooth = np.sqrt(scipy.ndimage.gaussian_filter(self.amplitude**2, 0.7, mode="wrap"))
        highest = scipy.ndimage.maximum_filter(smooth, 2 * _CORE_PX - 1, mode="wrap")
        rows, columns = self._periods_per_frame()
        half = (columns > 0) | ((columns == 0) & (rows > 0))
        far = np.hypot(rows, columns) >= _MIN_PERIODS
        ratio = self.amplitude / np.maximum(self.radial_background, 1e-300)
        ratio = scipy.ndimage.maximum_filter(ratio, 3, mode="wrap")
        found = np.argwhere((smooth == highest) & half & far & (ratio > prominence))
        found = found[np.argsort(-ratio[tuple(found.T)], kind="stable")][:_CANDIDATES]
        ratios = np.array([self._prominence(peak) for peak in found])
        good = np.flatnonzero(ratios > prominence)
        good = good[np.argsort(-ratios[good], kind="stable")]
        waves = np.array([self._refined(found[at]) for at in good]).reshape(-1, 2)
        return SharpPeaks(waves, ratios[good], smooth[tuple(found[good].T)])

    def top(self, wave: NDArray[np.float64]) -> float:
        """Return the largest amplitude at or beside a wave vector (row, col) in rad/px."""
        shape = np.array(self.plane.shape)
        peak = np.rint(wave * shape / (2 * np.pi)).astype(int) + shape // 2
        away = np.arange(1 - _CORE_PX, _CORE_PX)
        return float(self._at(peak, away[:, None], away).max())

    def _periods_per_frame(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        rows, columns = (np.arange(n) - n // 2 for n in self.plane.shape)
        return rows[:, None] + 0.0 * columns, 0.0 * rows[:, None] + columns

    def _prominence(self, peak: NDArray[np.intp]) -> float:
        """Divide the amplitude of a maximum by the largest median about it."""
        away = np.arange(-_REACH_PX, _REACH_PX + 1)
        near = self._at(peak, away[:, None], away)
        core = np.maximum(np.abs(away)[:, None], np.abs(away)) < _CORE_PX
        top = float(near[core].max())
        along = away[np.abs(away) >= _CORE_PX]
        side = np.arange(-1, 2)[:, None]
        medians = [np.median(near[~core]), self.radial_background[tuple(peak)]]
        for angle in np.arange(_DIRECTIONS) * np.pi / _DIRECTIONS:
            down, right = np.sin(angle), np.cos(angle)
            rows = np.rint(along * down + side * right).astype(int)
            columns = np.rint(along * right - side * down).astype(int)
            # The strongest of the three lines, so that a streak may lie beside the peak.
            medians.append(np.median(self._at(peak, rows, columns), axis=1).max())
        return top / max(float(max(medians)), 1e-300)

    def _at(
        self, peak: NDArray[np.intp], rows: NDArray[np.intp], columns: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        height, width = self.plane.shape
        near = self.amplitude[(peak[0] + rows) % height, (peak[1] + columns) % width]
        return np.asarray(near)

    def _refined(self, peak: NDArray[np.intp]) -> NDArray[np.float64]:
        """Refine a maximum by parabolas through the logarithm of its neighbours."""
        away = np.arange(-1, 2)
        near = np.log(self._at(peak, away[:, None], away) + 1e-300)
        at = np.unravel_index(np.argmax(near), near.shape)
        best = peak + np.array(at) - 1
        wave = []
        for axis, n in enumerate(self.plane.shape):
            steps = np.zeros((2, 3), int)
            steps[axis] = away
            low, top, high = np.log(self._at(best, steps[0], steps[1]) + 1e-300)
            curvature = low - 2 * top + high
            shift = 0.5 * (low - high) / curvature if curvature < 0 else 0.0
            wave.append(2 * np.pi * (best[axis] - n // 2 + np.clip(shift, -0.5, 0.5)) / n)
        return np.array(wave)
