"""`LibraryFit`: from a kernel library to the prior that extraction uses."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from qpi_kernels.models.library_prior import LibraryPrior
from qpi_kernels.progress import Event
from qpi_kernels.simulate.library import KernelLibrary
from qpi_kernels.train.card import code_version

__all__ = ["LibraryFit"]

_VARIANTS = 4
_KERNELS_PER_STEP = 64


class LibraryFit:
    """Simulates kernels and compresses them, as a stepper.

    Parameters
    ----------
    library : KernelLibrary
        Where kernels come from.
    count : int
        How many; a multiple of 64 is made.
    components : int
        Principal components that are kept.
    """

    def __init__(self, library: KernelLibrary, count: int = 16_384, components: int = 800) -> None:
        self._library = library
        self._components = components
        self._batches = -(-count // _KERNELS_PER_STEP)
        self._made: list[NDArray[np.float32]] = []
        self._result: LibraryPrior | None = None

    @property
    def done(self) -> bool:
        """Whether `result` is ready."""
        return self._result is not None

    @property
    def result(self) -> LibraryPrior:
        """The finished prior."""
        if self._result is None:
            raise RuntimeError("the library is not finished; call step() until done")
        return self._result

    def step(self) -> Event:
        """Simulate some kernels; compress all of them at the end."""
        if len(self._made) < self._batches:
            self._made.append(self._batch(len(self._made)))
        else:
            self._result = self._compressed(np.concatenate(self._made))
        done = len(self._made) + (self._result is not None)
        return Event("Simulating kernels", done, self._batches + 1)

    def _batch(self, number: int) -> NDArray[np.float32]:
        hosts = _KERNELS_PER_STEP // _VARIANTS
        made: list[NDArray[np.float32]] = []
        for host in range(number * hosts, (number + 1) * hosts):
            recipes = self._library.variants(host, _VARIANTS)
            made += [kernel / np.linalg.norm(kernel) for kernel in self._library.values(recipes)]
        return np.stack(made)

    def _compressed(self, kernels: NDArray[np.float32]) -> LibraryPrior:
        flat = kernels.reshape(len(kernels), -1)
        # Blocks in float64: a sum of squares over thousands of kernels.
        power = np.zeros((flat.shape[1],) * 2)
        for start in range(0, len(flat), 1024):
            block = flat[start : start + 1024].astype(np.float64)
            power += block.T @ block
        size, count = len(power), min(self._components, *flat.shape)
        values, vectors = scipy.linalg.eigh(
            power / len(flat), subset_by_index=[size - count, size - 1], overwrite_a=True
        )
        profile, spectrum = _common(kernels)
        return LibraryPrior(
            vectors[:, ::-1].T.reshape(-1, *self._library.shape).astype(np.float32),
            np.sqrt(np.maximum(values[::-1], 0.0)).astype(np.float32),
            profile,
            spectrum,
            self._description(len(kernels)),
        )

    def _description(self, count: int) -> dict[str, Any]:
        return {
            "families": list(self._library.families),
            "seed": self._library.seed,
            "kernels": count,
            "components": self._components,
            "variants": _VARIANTS,
            "shape": list(self._library.shape),
            "pixel_nm": self._library.pixel_nm,
            "software": code_version(),
        }


def _common(kernels: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Radial profile of the standard deviation, and radial spectrum of what it leaves."""
    size = kernels.shape[-1]
    rows, columns = (np.arange(side) - side // 2 for side in kernels.shape[-2:])
    radius = np.hypot(rows[:, None], columns[None, :])
    profile = np.sqrt(_radial_mean(radius, np.square(kernels).mean(axis=0)))
    level = np.interp(radius, np.arange(len(profile)), profile)
    spectra = np.fft.fft2(kernels / level)
    power = np.square(np.abs(spectra)).mean(axis=0)
    momentum = size * np.hypot(
        np.fft.fftfreq(kernels.shape[-2])[:, None], np.fft.fftfreq(size)[None, :]
    )
    spectrum = _radial_mean(momentum, power)
    return profile.astype(np.float32), (spectrum / power.mean()).astype(np.float32)


def _radial_mean(radius: NDArray[np.float64], values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean of values at a distance of 0, 1, 2 ... (rounded)."""
    ring = np.round(radius).astype(int).ravel()
    return np.asarray(np.bincount(ring, values.ravel()) / np.bincount(ring))
