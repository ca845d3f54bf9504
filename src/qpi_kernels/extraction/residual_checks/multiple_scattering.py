"""Waves that scatter from defect to defect, for kernels that are rings of one wavelength."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.special
from numpy.typing import NDArray

from qpi_kernels.extraction.residual_checks.marked_residual import MarkedResidual
from qpi_kernels.extraction.residual_checks.scan_order import explained_beyond
from qpi_kernels.extraction.residual_checks.transforms import Image

__all__ = ["FreeWave", "scattered_chi2"]

Wave = NDArray[np.complexfloating[Any, Any]]

_CORE_PX = 3.0
_MIN_SHARE = 0.6
# Variance below this share of the mean square is rounding.
_MIN_VARIANCE = 1e-20
_MIN_SIDE = 12
# Shortest wavelength of the waves in pixels; twice that of the kernel's rings.
_SHORTEST_PX = 5.0
_STEPS_PER_WINDOW = 20
# Numbers of the largest table of waves: pixels times marks.
_MAX_TABLE = 4_000_000
# Distances between which no wave changes much, and numbers of a block of that table.
_STEPS_PER_PX = 128
_BLOCK = 130_000


@dataclass(frozen=True)
class FreeWave:
    r"""Green's function of free electrons, :math:`g(r) = H_0^{(1)}(kr)\, e^{-r/\ell}`.

    Parameters
    ----------
    wave_number : float
        k in radians per pixel.
    decay : float
        Inverse of the length l, per pixel.
    share : float
        Share of the kernel's variance outside its core that the real and imaginary part of g^2
        explain.
    """

    wave_number: float
    decay: float
    share: float

    @classmethod
    def fit(cls, kernel: Image) -> FreeWave | None:
        """Fit a kernel, Im(t g^2) for a point scatterer; None where it is no ring, or level.

        The wave number follows from the kernel's mean over directions.
        """
        half = min(kernel.shape) // 2
        if 2 * half < _MIN_SIDE:
            return None
        rows, columns = (np.arange(size) - size // 2 for size in kernel.shape)
        distance = np.hypot(rows[:, None], columns)
        far = distance > _CORE_PX
        total = float(np.square(kernel[far] - kernel[far].mean()).sum())
        if not total > _MIN_VARIANCE * float(np.square(kernel[far]).sum()):
            return None
        weight = np.bincount(np.rint(distance[far]).astype(int))
        mean = np.bincount(np.rint(distance[far]).astype(int), kernel[far]) / np.maximum(weight, 1)
        shown = weight > 0
        radius = np.flatnonzero(shown).astype(np.float64)
        profile, root = mean[shown], np.sqrt(weight[shown])
        step = 1.0 / _STEPS_PER_WINDOW
        numbers = np.arange(np.pi / half, 2 * np.pi / _SHORTEST_PX, 4 * step / half)
        decays = np.array([0.0, 0.5, 1.0]) / half
        best = _best(profile, radius, root, numbers, decays)
        for width in (4 * step, step):
            near = best[0] + width / half * np.linspace(-1, 1, 9)
            decays = np.maximum(best[1] + width / half * 5 * np.linspace(-1, 1, 5), 0.0)
            best = _best(profile, radius, root, near, decays)
        squared = _wave(distance[far], *best) ** 2
        basis = np.stack([squared.real, squared.imag, np.ones(far.sum())])
        left = _left(basis[None], kernel[far])[0]
        share = 1.0 - left / total
        return cls(*best, float(share)) if share > _MIN_SHARE else None

    def within(self, reach: float) -> Wave:
        """Tabulate g to a distance in pixels, at `_STEPS_PER_PX` steps for each."""
        coarse = np.arange(0.0, reach + 1.0, 0.25)
        fine = np.arange(0.0, reach + 0.5, 1 / _STEPS_PER_PX)
        wave = np.interp(fine, coarse, _wave(coarse, self.wave_number, self.decay))
        return np.asarray(wave, np.complex64)


def scattered_chi2(residual: MarkedResidual, patterns: Image) -> float | None:
    r"""Compute the chi-squared that scattering between pairs of marks explains.

    To second order in the T-matrix, with amplitudes alike, the map has beside the sum of kernels

    .. math:: \mathrm{Im}\, t^2 \sum_{i \ne j} g(r - r_i)\, g(r_i - r_j)\, g(r_j - r)

    (A. Balatsky, I. Vekhter and J.-X. Zhu, RMP 78, 373, 2006): two numbers, the complex t^2.

    Parameters
    ----------
    residual : MarkedResidual
        The residual.
    patterns : array, (n, rows, columns)
        Whitened changes of the map that the kernel follows.

    Returns
    -------
    float or None
        None where the kernel of the kind with most marks is no ring of one wavelength, or fewer
        than two marks of that kind have a strength.
    """
    number = int(np.bincount(residual.kind).argmax())
    chosen = (residual.kind == number) & (residual.defects.strength != 0)
    wave = FreeWave.fit(residual.kernels[number]) if chosen.sum() > 1 else None
    if wave is None:
        return None
    positions, strength = residual.defects.positions[chosen], residual.defects.strength[chosen]
    step = int(np.ceil(np.sqrt(residual.values.size * len(positions) / _MAX_TABLE)))
    rows, columns = (np.arange(0, side, step) for side in residual.shape)
    pairs, single = _scattered(wave, positions, strength, rows, columns)
    tested, known = (
        np.stack([_on_grid(part, residual.shape, step) for part in (one.real, one.imag)])
        for one in (pairs, single)
    )
    fitted = np.concatenate([patterns, residual.whiten(known)])
    return explained_beyond(residual.white, residual.whiten(tested), fitted)


def _scattered(
    wave: FreeWave,
    positions: Image,
    strength: Image,
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
) -> tuple[Wave, Wave]:
    """Sum the waves that scatter at pairs of marks, and at single ones, each (rows, columns)."""
    down, across = rows - positions[:, :1], columns - positions[:, 1:]
    apart = np.hypot(*(positions[:, None] - positions).transpose(2, 0, 1))
    far = np.hypot(np.abs(down).max(axis=1), np.abs(across).max(axis=1)).max()
    table = wave.within(float(max(far, apart.max())))
    squares = [(np.square(one) * _STEPS_PER_PX**2).astype(np.float32) for one in (down, across)]
    between = table[np.rint(apart * _STEPS_PER_PX).astype(np.intp)]
    np.fill_diagonal(between, 0.0)
    between *= (strength[:, None] * strength).astype(np.float32)
    weight = strength.astype(np.complex64)
    pairs, single = (np.empty((len(rows), len(columns)), np.complex64) for _ in range(2))
    # Blocks that stay in a processor's cache.
    block = max(1, _BLOCK // across.size)
    for some in (slice(start, start + block) for start in range(0, len(rows), block)):
        steps = np.sqrt(squares[0][:, some, None] + squares[1][:, None]) + np.float32(0.5)
        waves = table.take(steps.astype(np.intp)).reshape(len(positions), -1)
        shape = pairs[some].shape
        pairs[some] = ((between @ waves) * waves).sum(axis=0).reshape(shape)
        single[some] = (weight @ np.square(waves)).reshape(shape)
    return pairs, single


def _on_grid(values: Image, shape: tuple[int, int], step: int) -> Image:
    """Put values of every so many pixels on all pixels, zero between."""
    if step == 1:
        return values
    image = np.zeros(shape)
    image[::step, ::step] = values
    return image


def _wave(distance: Image, wave_number: float, decay: float) -> Wave:
    """Evaluate g; within a pixel of the defect it is that of a pixel's distance."""
    regular = np.maximum(distance, 1.0)
    return np.asarray(_hankel(wave_number * regular) * np.exp(-decay * regular))


def _hankel(argument: Image) -> Wave:
    """Evaluate the Hankel function of real arguments, faster than `scipy.special.hankel1`."""
    return np.asarray(scipy.special.j0(argument) + 1j * scipy.special.y0(argument))


def _best(
    profile: Image, radius: Image, weight: Image, numbers: Image, decays: Image
) -> tuple[float, float]:
    """Find wave number and decay whose g^2 fits a radial profile best."""
    squared = _hankel(numbers[:, None, None] * radius) ** 2
    squared = squared * np.exp(-2 * decays[:, None] * radius)
    basis = np.stack([squared.real, squared.imag, np.ones_like(squared.real)], axis=-2) * weight
    left = _left(basis, profile * weight)
    row, column = np.unravel_index(int(left.argmin()), left.shape)
    return float(numbers[row]), float(decays[column])


def _left(basis: Image, target: Image) -> Image:
    """Compute the squares that fits of a basis (..., 3, n) leave of a target (n,)."""
    basis = basis / np.sqrt(np.square(basis).sum(axis=-1, keepdims=True))
    normal = basis @ np.swapaxes(basis, -1, -2) + 1e-9 * np.eye(basis.shape[-2])
    product = basis @ target
    fit = np.linalg.solve(normal, product[..., None])[..., 0]
    return np.asarray(np.square(target).sum() - (fit * product).sum(axis=-1))
