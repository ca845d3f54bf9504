"""Noise of a scan, one plane at a time and with unit standard deviation."""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

__all__ = [
    "acquisition_time",
    "flicker_noise",
    "glitches",
    "mains_pickup",
    "row_offsets",
    "white_noise",
]


def acquisition_time(shape: tuple[int, int], line_time_s: float) -> NDArray[np.float64]:
    """Compute the time in s at which each pixel is measured, (rows, columns), from the start.

    Only the forward pass is kept; the retrace of each row takes as long.
    """
    rows, columns = shape
    return np.asarray(
        line_time_s * (2.0 * np.arange(rows)[:, None] + np.arange(columns)[None, :] / columns)
    )


def white_noise(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Draw independent normal numbers."""
    return rng.standard_normal(shape)


def flicker_noise(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Draw 1/f noise in the order of acquisition, retraces included and thrown away.

    The power of each Fourier component is 1/frequency, from one period in the frame to the Nyquist
    frequency of the pixels; the phases are random.
    """
    rows, columns = shape
    size = scipy.fft.next_fast_len(2 * rows * columns, real=True)
    frequency = np.arange(size // 2 + 1)
    frequency[0] = 1
    amplitude = 1 / np.sqrt(frequency)
    amplitude[0] = 0.0
    components = rng.standard_normal((len(frequency), 2)).view(np.complex128)[:, 0] * amplitude
    # Each component and its mirror image have an expected square of 2 amplitude^2.
    expected = 2.0 * np.sqrt((amplitude**2).sum()) / size
    noise = scipy.fft.irfft(components, n=size) / expected
    return np.asarray(noise[: 2 * rows * columns].reshape(rows, 2, columns)[:, 0])


def row_offsets(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Draw one normal number for each row, (rows, 1)."""
    return rng.standard_normal((shape[0], 1))


def mains_pickup(
    rng: np.random.Generator,
    shape: tuple[int, int],
    *,
    line_time_s: float,
    frequency_hz: float,
    wander_hz: float,
) -> NDArray[np.float64]:
    """Draw a sine in the time of acquisition with a random phase.

    Its phase runs on through the retraces, so the stripes are oblique unless a row takes a whole
    number of periods. Within a row it has ``frequency_hz * line_time_s`` periods.
    """
    frequency = frequency_hz + wander_hz * rng.standard_normal()
    phase = 2 * np.pi * rng.random()
    time = acquisition_time(shape, line_time_s)
    return np.asarray(np.sqrt(2) * np.sin(2 * np.pi * frequency * time + phase))


def glitches(
    rng: np.random.Generator, shape: tuple[int, int], *, share: float
) -> NDArray[np.float64]:
    """Draw normal numbers in a random share of the pixels, zero elsewhere."""
    plane = np.zeros(shape)
    hit = rng.random(shape) < share
    plane[hit] = rng.standard_normal(hit.sum())
    return plane
