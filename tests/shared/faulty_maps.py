"""Maps of free-electron rings with one fault each, and results that take them for sums of kernels.

A generator of its own: Green's functions in closed form, no code of `qpi_kernels.simulate`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.ndimage
import scipy.special
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.defects import Defects
from qpi_kernels.quality import Quality
from qpi_kernels.result import KernelResult

Image = NDArray[np.float64]

SIDE, WINDOW, COUNT = 96, 32, 18
WAVE_NUMBER, DECAY_PX = 0.45, 16.0
T_MATRIX = 1.0 * np.exp(0.6j)


@dataclass(frozen=True)
class FaultyMap:
    """A map with noise, the marks given, and the kernels whose mean is taken for right."""

    observation: Image
    marks: NDArray[np.float64]
    amplitudes: tuple[complex, ...] = (T_MATRIX,)

    @property
    def kernel(self) -> Image:
        """Kernel on its window."""
        rows, columns = (one - WINDOW // 2 for one in pixels(WINDOW))
        return np.asarray(np.mean([ring(rows, columns, one) for one in self.amplitudes], axis=0))


def green(distance: Image) -> NDArray[np.complex128]:
    """Green's function of free electrons."""
    regular = np.maximum(distance, 1.0)
    return np.asarray(scipy.special.hankel1(0, WAVE_NUMBER * regular) * np.exp(-regular / DECAY_PX))


def ring(rows: Image, columns: Image, amplitude: complex = T_MATRIX) -> Image:
    """Kernel at offsets from the defect; it fades before the window's edge."""
    half = WINDOW / 2
    fade = np.clip((half - 0.5 - np.abs(rows)) / 3, 0, 1)
    fade = fade * np.clip((half - 0.5 - np.abs(columns)) / 3, 0, 1)
    wave: Image = np.imag(amplitude * green(np.hypot(rows, columns)) ** 2)
    return wave * fade


def pixels(side: int = SIDE) -> tuple[Image, Image]:
    """Row and column of every pixel."""
    rows, columns = np.indices((side, side)).astype(float)
    return rows, columns


def summed(
    positions: NDArray[np.float64],
    amplitudes: NDArray[np.complex128] | None = None,
    rows: Image | None = None,
    columns: Image | None = None,
) -> Image:
    """Sum rings at positions, seen at pixels or elsewhere."""
    at = pixels() if rows is None or columns is None else (rows, columns)
    given = np.full(len(positions), T_MATRIX) if amplitudes is None else amplitudes
    waves = [
        ring(at[0] - row, at[1] - column, amplitude)
        for (row, column), amplitude in zip(positions, given, strict=True)
    ]
    return np.asarray(np.sum(waves, axis=0))


def scattered(positions: NDArray[np.float64]) -> Image:
    """All multiple scattering between point defects: the T-matrix of all of them together."""
    rows, columns = pixels()
    apart = green(np.hypot(*(positions[:, None] - positions).transpose(2, 0, 1)))
    np.fill_diagonal(apart, 0.0)
    together = np.linalg.inv(np.eye(len(positions)) / T_MATRIX - 0.4 * apart)
    table = green(np.hypot(rows - positions[:, :1, None], columns - positions[:, 1:, None]))
    flat = table.reshape(len(positions), -1)
    whole = np.imag((flat * (together @ flat)).sum(axis=0))
    single = np.imag(T_MATRIX * (flat**2).sum(axis=0))
    return np.asarray(whole - single).reshape(SIDE, SIDE)


def faulty(
    fault: str, seed: int, snr: float = 10.0, noise: str = "white", *, whole: bool = False
) -> FaultyMap:
    """Draw a map with a fault, ``none`` for a sound one.

    Rings have a cusp, which no interpolation carries to fractions of a pixel: at a high signal to
    noise only maps with defects on whole pixels are sums of one kernel.
    """
    random = np.random.default_rng([seed, 1])
    true = random.uniform(2, SIDE - 3, (COUNT, 2))
    true = np.rint(true) if whole else true
    marks, observation = true.copy(), summed(true)
    taken: tuple[complex, ...] = (T_MATRIX,)
    if fault == "marks_displaced":
        marks += random.normal(0, 0.7, marks.shape)
    elif fault == "marks_empty":
        marks = np.concatenate([marks, random.uniform(2, SIDE - 3, (4, 2))])
    elif fault == "unmarked_defects":
        marks = marks[4:]
    elif fault == "second_kind":
        taken = (T_MATRIX, T_MATRIX * np.exp(1.5j))
        observation = summed(true, np.where(np.arange(COUNT) % 2, *taken))
    elif fault == "tip_change":
        blurred = scipy.ndimage.gaussian_filter(observation, 1.0)
        observation[SIDE // 2 :] = 0.85 * blurred[SIDE // 2 :]
    elif fault == "drift":
        time = true[:, 0] / SIDE - 0.5
        marks += np.outer(2 * time, [0.6, 0.8])
    elif fault == "drift_within":
        rows, columns = pixels()
        moved = 8 * np.exp(-2.5 * np.arange(SIDE) / SIDE)
        observation = summed(true, None, rows, columns + (moved - moved.mean())[:, None])
        for _ in range(3):
            marks[:, 1] = true[:, 1] - np.interp(marks[:, 0], np.arange(SIDE), moved - moved.mean())
    elif fault == "multiple_scattering":
        observation = observation + scattered(true)
    size = observation.std() / np.sqrt(snr)
    grain = np.random.default_rng([seed, 2]).standard_normal((SIDE, SIDE))
    if noise == "flicker":
        wave = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)) * SIDE
        grain = np.fft.irfft2(np.fft.rfft2(grain) / np.sqrt(np.maximum(wave, 1)), (SIDE, SIDE))
    return FaultyMap(observation + size * grain / grain.std(), marks, taken)


def sum_of_kernels(found: FaultyMap, mask: NDArray[np.bool_] | None = None) -> KernelResult:
    """Take a map for the sum of its kernels at the marks, as an estimator would."""
    counted = np.ones((SIDE, SIDE)) if mask is None else mask
    parts = [summed(found.marks, np.full(len(found.marks), one)) for one in found.amplitudes]
    prediction = np.mean(parts, axis=0)
    scale = float((counted * prediction * found.observation).sum())
    scale /= float((counted * np.square(prediction)).sum())
    residual = found.observation - scale * prediction
    count = (SIDE, SIDE)
    kernel = xr.DataArray(scale * found.kernel, dims=("y", "x"))
    quality = Quality(
        noise_sigma=[residual.std()],
        reduced_chi2=[1.0],
        r_squared=[0.9],
        fill=found.kernel.size / residual.size,
        condition=1.0,
        ridge=[0.0],
        determined=[0.1],
        expected_error=0.03,
        defects=len(found.marks),
        iterations=1,
        converged=True,
        symmetry_scores={},
        trust="good",
        reasons=[],
    )
    image = {"dims": ("y", "x")}
    return KernelResult(
        kernel,
        0.03 * kernel,
        xr.DataArray(np.zeros(count), **image),
        xr.DataArray(scale * prediction, **image),
        xr.DataArray(residual, **image),
        Defects(found.marks),
        quality,
    )
