"""The functions of `inspect`, and what plain numpy offers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import xarray as xr
from scipy import ndimage

from qpi_kernels import inspect
from qpi_kernels.bench.inspect.problems import (
    CorrelationMap,
    CutMap,
    LatticeMap,
    NoisyMap,
    RoundMap,
    SymmetricMap,
    Task,
    Wave,
)
from qpi_kernels.bench.peers import Array, Way
from qpi_kernels.symmetry import Symmetry, symmetrisation_matrix

__all__ = ["OWN", "fourier_peak", "image_of", "own_ways", "plain_ways"]

OWN = "napari-qpi"


def image_of(values: Array, *, centred: bool = False) -> xr.DataArray:
    """Label an image whose pixels are 1 px, counted from the first one or from ``n // 2``."""
    coords = {
        axis: np.arange(size) - (size // 2 if centred else 0)
        for axis, size in zip(("y", "x"), values.shape[-2:], strict=True)
    }
    return xr.DataArray(values, dims=("bias", "y", "x")[-values.ndim :], coords=coords)


def fourier_peak(magnitude: Array) -> tuple[float, float]:
    """Return the largest magnitude away from zero, and its wave number in rad/px.

    Parameters
    ----------
    magnitude : array, (q_y, q_x)
        Zero at ``n // 2``.
    """
    rows, columns = (2 * np.pi * (np.arange(n) - n // 2) / n for n in magnitude.shape)
    number = np.hypot(rows[:, None], columns)
    away = np.where(number > 0.2, magnitude, 0.0)
    at = np.unravel_index(np.argmax(away), away.shape)
    return float(away[at]), float(number[at])


def own_ways() -> list[Way]:
    """List the functions that do each task here."""
    return [
        *(
            Way(OWN, f"fourier(padding={padding})", task, _peak(padding, index))
            for task, index in (("amplitude", 0), ("wave", 1))
            for padding in (1, 4)
        ),
        _way("noise", 'fourier(scale="psd")', lambda problem: _noise(problem, "hann")),
        _way(
            "noise",
            'fourier(scale="psd", window="none")',
            lambda problem: _noise(problem, "none"),
        ),
        _way("cut", "line_cut", _cut),
        _way("round", "radial_profile", _round),
        _way("ring", "radial_profile(floor=True)", _ring),
        _way("correlation", "autocorrelation", _correlation),
        _way("symmetry", "symmetrisation_matrix", _symmetric),
        _way("lattice", "bragg_peaks", _lattice),
    ]


def plain_ways() -> list[Way]:
    """List what takes a few lines of numpy and scipy."""
    return [
        *(
            Way("numpy", "fft2 of image - mean", task, _plain_peak(index))
            for task, index in (("amplitude", 0), ("wave", 1))
        ),
        Way("numpy", "fft2 of image - mean", "noise", _plain_noise),
        Way("numpy", "map_coordinates(order=1)", "cut", lambda problem: _plain_cut(problem, 1)),
        Way("numpy", "map_coordinates(order=3)", "cut", lambda problem: _plain_cut(problem, 3)),
    ]


def _way(task: Task, name: str, apply: Callable[[Any], Array]) -> Way:
    return Way(OWN, name, task, apply)


def _peak(padding: int, index: int) -> Callable[[Wave], Array]:
    def read(problem: Wave) -> Array:
        made = inspect.fourier(image_of(problem.raw), padding=padding)
        return np.asarray(fourier_peak(made.values)[index])

    return read


def _noise(problem: NoisyMap, window: Literal["hann", "none"]) -> Array:
    return np.asarray(inspect.fourier(image_of(problem.raw), scale="psd", window=window).mean())


def _cut(problem: CutMap) -> Array:
    made = inspect.line_cut(image_of(problem.raw), problem.start, problem.stop)
    return np.stack([made["y"], made["x"], made], axis=1)


def _round(problem: RoundMap) -> Array:
    made = inspect.radial_profile(image_of(problem.raw, centred=True))
    return np.stack([made["r"], made["mean"]], axis=1)


def _ring(problem: NoisyMap) -> Array:
    made = inspect.radial_profile(inspect.fourier(image_of(problem.raw)), floor=True)
    return np.stack([made["q"], made["mean"]], axis=1)


def _correlation(problem: CorrelationMap) -> Array:
    made = inspect.autocorrelation(image_of(problem.raw)).values
    height, width = problem.raw.shape
    top, left = height - 1 - height // 2, width - 1 - width // 2
    return np.asarray(made[top : top + height, left : left + width])


def _symmetric(problem: SymmetricMap) -> Array:
    shape = (problem.raw.shape[0], problem.raw.shape[1])
    matrix = symmetrisation_matrix(Symmetry.parse("C4v"), shape)
    return np.asarray(matrix @ problem.raw.ravel()).reshape(shape)


def _lattice(problem: LatticeMap) -> Array:
    return np.asarray(inspect.bragg_peaks(image_of(problem.raw)))


def _plain_transform(raw: Array) -> Array:
    return np.asarray(np.abs(np.fft.fftshift(np.fft.fft2(raw - raw.mean()))))


def _plain_peak(index: int) -> Callable[[Wave], Array]:
    def read(problem: Wave) -> Array:
        scale = 2 / problem.raw.size
        return np.asarray(fourier_peak(scale * _plain_transform(problem.raw))[index])

    return read


def _plain_noise(problem: NoisyMap) -> Array:
    return np.asarray((_plain_transform(problem.raw) ** 2).mean() / problem.raw.size)


def _plain_cut(problem: CutMap, order: int) -> Array:
    ends = np.array([problem.start, problem.stop])
    number = int(np.ceil(np.linalg.norm(ends[1] - ends[0]))) + 1
    line = ends[0] + np.linspace(0, 1, number)[:, None] * (ends[1] - ends[0])
    values = ndimage.map_coordinates(problem.raw, line.T, order=order)
    return np.column_stack([line, values])
