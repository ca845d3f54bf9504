"""Maps with a known kernel on rows, a plane and terraces, and their levelling by medians."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.prepare import Prepared

Array = NDArray[Any]
WINDOW = (25, 25)


def wave(rows: Array, cols: Array) -> Array:
    """Evaluate rings in an envelope, smooth at the core and small at the window's edge."""
    square = np.square(rows) + np.square(cols)
    return np.cos(0.9 * np.sqrt(square + 1.0) + 0.4) * np.exp(-square / 32)


def true_kernel() -> Array:
    rows, cols = np.indices(WINDOW) - np.array(WINDOW)[:, None, None] // 2
    return wave(rows, cols)


class LevelledMap:
    """A map of scattered defects in noise, on a background that levelling is to take away.

    Attributes
    ----------
    positions : array
        Of the defects.
    signal : array
        Waves and noise.
    background : array
        Plane, row offsets and steps.
    terraces : array of int
        Labels, 0 on the steps.
    """

    def __init__(self, seed: int, *, snr: float = 3.0, size: int = 96, steps: bool = False) -> None:
        rng = np.random.default_rng(seed)
        row, col = np.indices((size, size), float)
        self.positions = rng.uniform(2, size - 3, (size * size // 450, 2))
        clean = sum(wave(row - at[0], col - at[1]) for at in self.positions)
        strength = float(clean.std())
        self.signal = clean + strength / snr**0.5 * rng.standard_normal(clean.shape)
        self.background = strength * (0.05 * row - 0.03 * col + 3 * rng.normal(size=(size, 1)))
        self.terraces = np.ones((size, size), int)
        if steps:
            across = 0.64 * row + 0.77 * col
            for place, height in ((0.35 * size, 15.0), (0.9 * size, -22.0)):
                self.background += height * strength * (across > place)
                self.terraces += across > place
            on_step = [np.abs(across - place) < 4 for place in (0.35 * size, 0.9 * size)]
            self.terraces[on_step[0] | on_step[1]] = 0

    @property
    def mask(self) -> NDArray[np.bool_]:
        """True beside the steps."""
        return self.terraces > 0

    def prepared(self) -> Prepared:
        """Level terraces, plane and rows by medians, as the steps of these names do."""
        image = np.where(self.mask, self.signal + self.background, np.nan)
        row, col = np.indices(image.shape, float)
        for _ in range(5):
            for label in range(1, self.terraces.max() + 1):
                on_it = self.terraces == label
                image[on_it] -= np.median(image[on_it])
            lag = len(image) // 3
            image = image - row * np.nanmedian(image[lag:] - image[:-lag]) / lag
            image = image - col * np.nanmedian(image[:, lag:] - image[:, :-lag]) / lag
            image = image - np.nanmedian(image, axis=1, keepdims=True)
        report = {"mask_steps": {"terraces": self.terraces}, "level": {}, "align_rows": {}}
        history = tuple({"step": name} for name in report)
        return Prepared(xr.DataArray(image, dims=("y", "x")), self.mask, None, report, history)


def kernel_error(kernel: Any) -> float:
    """Return the rms error of a kernel over the true one's rms deviation."""
    difference = np.asarray(kernel) - true_kernel()
    return float(np.sqrt(np.mean(np.square(difference))) / true_kernel().std())
