"""Displacement of a lattice by the method of Lawler and Fujita, Nature 466, 347 (2010)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.interpolate
import scipy.ndimage
from numpy.typing import NDArray

from qpi_kernels.prepare.lattice.spectrum import level
from qpi_kernels.prepare.prepared import PreparationError

__all__ = ["LatticeField", "follow_lattice", "inverted"]

# The lock-in is sampled this many times in its own width.
_SAMPLES_PER_WIDTH = 3
_PASSES = 8
_ENOUGH_PX = 0.01
# Pixels further off than this are adsorbates or glitches, unless there are many.
_OUTLIER_DEVIATIONS = 5.0
_MAX_OUTLIERS = 0.02
_OUTLIER_RADIUS = 0.4
_TALLER = 1.5
# Below this share of counted pixels a lock-in is that of its neighbours.
_MIN_COVERAGE = 0.05
_NARROW, _WIDE = 1.5, 3.0
_WIDEST_SHARE = 1 / 7
_AIMED_NOISE_PX = 0.05
# Two-dimensional rms error of two waves at SNR 1 after one pass in a window of one spacing.
_NOISE_PX = 0.09
# Times the error of two or three passes in units of that.
_NOISE_OF_PASSES = 1.6
# Passes end when their change is no more than so many times that which noise makes.
_MIN_CHANGE = 2.0
# A wider window must agree with the narrow one within the noise of that.
_AGREEMENT = 1.2
_NARROWING = 0.8
_FIXED_POINT_ROUNDS = 10


@dataclass(frozen=True, eq=False)
class LatticeField:
    """Displacement of a lattice, and its undisturbed wave vectors.

    Parameters
    ----------
    displacement : array, (2, y, x)
        Rows, then columns, in px; the lattice at ``r`` is the undisturbed one at
        ``r - displacement(r)``. Its mean and mean slope are zero.
    waves : array, (2 or 3, 2)
        Undisturbed wave vectors (row, col) in rad/px.
    residues : array of bool, (y, x)
        True within one lock-in width of a phase residue, where the phase has no one value.
    width_px : float
        Standard deviation of the lock-in's Gaussian.
    noise_ratio : float
        Standard deviation of what is not lattice, over the lattice's mean amplitude.
    """

    displacement: NDArray[np.float64]
    waves: NDArray[np.float64]
    residues: NDArray[np.bool_]
    width_px: float
    noise_ratio: float


def follow_lattice(
    plane: NDArray[np.float64], waves: NDArray[np.float64], width: float | None = None
) -> LatticeField:
    """Measure how a lattice is displaced, by phases of its Bragg waves.

    Each Bragg wave is demodulated in a Gaussian window by normalised convolution, then again with
    what was found, until nothing changes: so the window's average does not weaken the drift.

    Parameters
    ----------
    plane : array, (y, x)
        Topograph, NaN where a pixel does not count.
    waves : array, (2 or 3, 2)
        Bragg vectors (row, col) in rad/px, true to about one sample of the Fourier transform.
    width : float, optional
        Standard deviation of the window in row spacings of the lattice; 1.5, and up to 3 in
        noise, if left out.
    """
    spacing = float(2 * np.pi / np.linalg.norm(waves, axis=1).mean())
    counted = np.isfinite(plane)
    windows = [
        np.exp(-0.5 * ((np.arange(n)[:, None] - np.arange(n)) / (_NARROW * spacing)) ** 2)
        for n in plane.shape
    ]
    signal = _without_background(plane, windows)
    weight = _trusted(signal, counted, _OUTLIER_RADIUS * spacing).astype(float)
    first = _LockIn(signal, weight, (_NARROW if width is None else width) * spacing)
    waves, noise_ratio = first.refined(waves)
    narrow = first.field(waves, noise_ratio)
    if width is not None:
        return narrow
    noise_px = _NOISE_OF_PASSES * _noise_px(noise_ratio, len(waves))
    widest = min(_WIDE * spacing, _WIDEST_SHARE * min(plane.shape))
    wider = min(noise_px / _AIMED_NOISE_PX * spacing, widest)
    # Wider windows average more noise; the widest that does not lose drift is the best
    # (O. Lepskii, Theory Probab. Appl. 35, 454 (1991)).
    while wider > _NARROW * spacing / _NARROWING:
        wide = _LockIn(signal, weight, wider).field(waves, noise_ratio)
        lost = ((wide.displacement - narrow.displacement) ** 2).sum(axis=0)
        if np.sqrt(lost[weight > 0].mean()) < _AGREEMENT * noise_px / _NARROW:
            return wide
        wider *= _NARROWING
    return narrow


def inverted(displacement: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``d`` with ``d(r) = displacement(r + d(r))``, (2, y, x), by fixed-point iteration."""
    grid = np.indices(displacement.shape[1:], float)
    moved = displacement
    for _ in range(_FIXED_POINT_ROUNDS):
        at = grid + moved
        new = np.stack(
            [
                scipy.ndimage.map_coordinates(part, at, order=1, mode="nearest")
                for part in displacement
            ]
        )
        change = float(np.abs(new - moved).max())
        moved = new
        if change < 1e-4:
            break
    return moved


class _LockIn:
    """A Gaussian window that averages demodulated waves on a coarse grid."""

    def __init__(
        self, signal: NDArray[np.float64], weight: NDArray[np.float64], width: float
    ) -> None:
        self.signal, self.weight, self.width = signal, weight, width
        self.points = [
            np.linspace(0, n - 1, max(8, int(np.ceil(_SAMPLES_PER_WIDTH * n / width))))
            for n in signal.shape
        ]
        self.windows = [
            np.exp(-0.5 * ((points[:, None] - np.arange(n)) / width) ** 2)
            for points, n in zip(self.points, signal.shape, strict=True)
        ]
        whole = self._sum(np.ones(signal.shape))
        self.coverage = self._sum(weight)
        self.counted = self.coverage > _MIN_COVERAGE * whole
        if not self.counted.any():
            raise PreparationError(
                "the lattice is not resolved: too few pixels count in any window; mask less of it"
            )

    def _sum(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self.windows[0] @ values @ self.windows[1].T)

    def demodulated(self, phase: NDArray[np.float64]) -> NDArray[np.complex128]:
        """Average ``signal exp(-i phase)`` over the window; gaps take their nearest neighbour."""
        real = self._sum(self.weight * self.signal * np.cos(phase))
        imaginary = self._sum(self.weight * self.signal * np.sin(phase))
        average = (real - 1j * imaginary) / np.maximum(self.coverage, 1e-300)
        if self.counted.all() or not self.counted.any():
            return np.asarray(average, np.complex128)
        nearest = scipy.ndimage.distance_transform_edt(
            ~self.counted, return_distances=False, return_indices=True
        )
        return np.asarray(average[tuple(nearest)], np.complex128)

    def fine(self, coarse: NDArray[np.float64]) -> NDArray[np.float64]:
        """Interpolate values of the coarse grid to every pixel."""
        spline = scipy.interpolate.RectBivariateSpline(*self.points, coarse)
        return np.asarray(spline(*(np.arange(n) for n in self.signal.shape)))

    def plane_waves(self, waves: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the phases of plane waves, (N, y, x), zero at the frame's middle."""
        rows, columns = (np.arange(n) - (n - 1) / 2 for n in self.signal.shape)
        return np.asarray(
            waves[:, 0, None, None] * rows[:, None] + waves[:, 1, None, None] * columns
        )

    def refined(self, waves: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
        """Make the mean slope of every phase zero; return the noise over the lattice, too."""
        new, rest, amplitudes = [], self.signal, []
        for wave, phase in zip(waves, self.plane_waves(waves), strict=True):
            average = self.demodulated(phase)
            new.append(wave + self._slope(_unwrapped(average), np.abs(average)))
            amplitudes.append(2 * float(np.median(np.abs(average[self.counted]))))
            wavy = np.exp(1j * phase) * (self.fine(average.real) + 1j * self.fine(average.imag))
            rest = rest - 2 * wavy.real
        counted = rest[self.weight > 0]
        deviation = 1.4826 * float(np.median(np.abs(counted - np.median(counted))))
        return np.array(new), deviation / max(float(np.mean(amplitudes)), 1e-300)

    def field(self, waves: NDArray[np.float64], noise_ratio: float) -> LatticeField:
        """Follow the phases of the waves pass by pass."""
        phases = self.plane_waves(waves)
        spacing = 2 * np.pi / np.linalg.norm(waves, axis=1).mean()
        noise_px = _noise_px(noise_ratio, len(waves)) * spacing / self.width
        residues = np.zeros(self.coverage.shape, bool)
        coarse = np.zeros((2, *self.coverage.shape))
        for number in range(_PASSES):
            moved = np.stack([self.fine(part) for part in coarse])
            averages = []
            for wave, phase in zip(waves, phases, strict=True):
                averages.append(self.demodulated(phase - np.tensordot(wave, moved, 1)))
            if number == 0:
                residues = np.any([_residues(average) for average in averages], axis=0)
            change = self._solved(waves, averages)
            coarse = coarse + change
            # Of white noise, pass k adds 1 / sqrt(k (2k - 1)) times what the first one did.
            noise = noise_px / np.sqrt((number + 1) * (2 * number + 1))
            size = np.sqrt((change[:, self.counted] ** 2).sum(axis=0).mean())
            if number > 0 and size < max(_ENOUGH_PX, _MIN_CHANGE * noise):
                break
        strength = np.sum(np.abs(averages), axis=0)
        waves, coarse = self._without_slope(waves, coarse, strength)
        return LatticeField(
            np.stack([self.fine(part) for part in coarse]),
            waves,
            self._near(residues & self.counted),
            self.width,
            noise_ratio,
        )

    def _solved(
        self, waves: NDArray[np.float64], averages: list[NDArray[np.complex128]]
    ) -> NDArray[np.float64]:
        """Solve the phases for a displacement, weighted with the squared amplitudes."""
        weights = np.abs(np.stack(averages)) ** 2
        weights = weights / max(float(weights.max()), 1e-300) + 1e-9
        angles = np.stack([self._centred(_unwrapped(average), average) for average in averages])
        normal = np.einsum("jyx,ja,jb->yxab", weights, waves, waves)
        right = np.einsum("jyx,ja,jyx->yxa", weights, waves, angles)
        solved = np.linalg.solve(normal, right[..., None])[..., 0]
        return -np.moveaxis(solved, -1, 0)

    def _centred(
        self, angle: NDArray[np.float64], average: NDArray[np.complex128]
    ) -> NDArray[np.float64]:
        weight = np.abs(average) ** 2 * self.counted
        return np.asarray(angle - (weight * angle).sum() / weight.sum())

    def _slope(
        self, values: NDArray[np.float64], strength: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Fit a plane to values of the coarse grid; return its slope (row, col) per px."""
        return self._plane(values, strength)[1:]

    def _plane(
        self, values: NDArray[np.float64], strength: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Fit a plane; return its value at the frame's middle and its slope."""
        rows, columns = np.meshgrid(*self.points, indexing="ij")
        middle = (np.array(self.signal.shape) - 1) / 2
        flat = np.stack(
            [np.ones(rows.shape), rows - middle[0], columns - middle[1]], axis=-1
        ).reshape(-1, 3)
        root = (strength * self.counted).ravel()
        fit = np.linalg.lstsq(flat * root[:, None], values.ravel() * root, rcond=None)[0]
        return np.asarray(fit)

    def _without_slope(
        self,
        waves: NDArray[np.float64],
        coarse: NDArray[np.float64],
        strength: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Move the mean slope of a displacement into the wave vectors."""
        fits = np.stack([self._plane(part, strength) for part in coarse])
        rows, columns = np.meshgrid(*self.points, indexing="ij")
        middle = (np.array(self.signal.shape) - 1) / 2
        away = np.stack([rows - middle[0], columns - middle[1]])
        slopes = fits[:, 1:]
        # Q (r - u) = Q' (r - u') with u' of no slope: Q' = Q (1 - S), u' = (1 - S)^-1 (u - S r).
        rest = coarse - fits[:, 0, None, None] - np.tensordot(slopes, away, 1)
        kept = np.eye(2) - slopes
        return waves @ kept, np.tensordot(np.linalg.inv(kept), rest, 1)

    def _near(self, residues: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Widen residues of the coarse grid by one window, at every pixel."""
        near = np.zeros(self.signal.shape, bool)
        height, width = self.signal.shape
        for row, column in np.argwhere(residues):
            down = np.arange(height) - self.points[0][row]
            right = np.arange(width) - self.points[1][column]
            near |= np.hypot(down[:, None], right) <= self.width
        return near


def _noise_px(noise_ratio: float, waves: int) -> float:
    """Return the error of one pass in a window of one spacing."""
    return float(_NOISE_PX * noise_ratio * np.sqrt(2 / waves))


def _unwrapped(average: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Return the phase without jumps of 2 pi, most reliable pixels first."""
    angle = np.angle(average * np.exp(-1j * np.angle(average.sum())))
    if np.abs(angle).max() < np.pi / 2:
        return np.asarray(angle)
    from skimage.restoration import unwrap_phase

    unwrapped = np.asarray(unwrap_phase(angle, rng=0))  # type: ignore[no-untyped-call]
    return np.asarray(unwrapped - 2 * np.pi * np.round(np.median(unwrapped) / (2 * np.pi)))


def _residues(average: NDArray[np.complex128]) -> NDArray[np.bool_]:
    """Mark where the phase gains 2 pi about four neighbours."""
    down = np.angle(average[1:] * average[:-1].conj())
    right = np.angle(average[:, 1:] * average[:, :-1].conj())
    turn = right[:-1] + down[:, 1:] - right[1:] - down[:, :-1]
    marked = np.zeros(average.shape, bool)
    marked[:-1, :-1] = np.abs(turn) > np.pi
    return marked


def _without_background(
    plane: NDArray[np.float64], windows: list[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Subtract the local mean of the pixels that count; 0 where they do not."""
    counted = np.isfinite(plane)
    share = np.maximum(windows[0] @ counted.astype(float) @ windows[1].T, 1e-300)
    rest = level(plane)
    # A second time, as at edges the window's middle is not its mean position.
    for _ in range(2):
        rest = np.where(counted, rest - windows[0] @ rest @ windows[1].T / share, 0.0)
    return rest


def _trusted(
    signal: NDArray[np.float64], counted: NDArray[np.bool_], radius: float
) -> NDArray[np.bool_]:
    """Return the pixels that count and are further than a radius in px from few far outliers."""
    size = np.abs(signal[counted])
    # Sharp atoms are far above the median, but not above each other.
    tall = _TALLER * float(np.quantile(size, 1 - _MAX_OUTLIERS))
    limit = max(_OUTLIER_DEVIATIONS * 1.4826 * float(np.median(size)), tall)
    outlying = counted & (np.abs(signal) > limit)
    if not outlying.any():
        return counted
    return np.asarray(counted & (scipy.ndimage.distance_transform_edt(~outlying) > radius))
