"""Kernels that the accuracy benchmark looks for: simulated ones, or the user's own."""

from __future__ import annotations

import hashlib
import zipfile
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.simulate.datasets.protocol import protocol_labels
from qpi_kernels.simulate.datasets.protocol_parameters import ProtocolParameters
from qpi_kernels.simulate.families import FAMILIES
from qpi_kernels.simulate.kernel_sampler import KernelSampler

__all__ = [
    "TEST_SEED",
    "KernelSource",
    "OwnKernels",
    "OwnKernelsError",
    "SimulatedKernels",
    "held_out_families",
]

Kernel = NDArray[np.float64]

TEST_SEED = 90_210
"""Of the test kernels; no prior is made of kernels of this seed."""


class OwnKernelsError(ValueError):
    """A file of kernels can not be used; the message says what to change."""


class KernelSource(Protocol):
    """Test kernels by number."""

    def kernel(self, number: int, side: int) -> tuple[Kernel, str]:
        """Return kernel (side, side), largest absolute value 1, and its name."""
        ...


@cache
def held_out_families() -> tuple[str, ...]:
    """List the families that the data set's split by family holds out."""
    labels = protocol_labels(ProtocolParameters()).values()
    return tuple(sorted({one.family for one in labels if one.family_split == "test"}))


class SimulatedKernels:
    """Kernels of simulated families.

    Parameters
    ----------
    families : sequence of str, optional
        All that pixels sample well when left out.
    """

    def __init__(self, families: tuple[str, ...] | None = None) -> None:
        smooth = (name for name, family in FAMILIES.items() if family.band_limited)
        self._families = families or tuple(smooth)

    def kernel(self, number: int, side: int) -> tuple[Kernel, str]:
        """Simulate a kernel; see `KernelSource`."""
        library = KernelSampler(self._families, shape=(side, side), seed=TEST_SEED)
        made = library.kernel(number)
        return _scaled(np.asarray(made.values, np.float64)), str(made.attrs["family"])


class OwnKernels:
    """Kernels from a NumPy file.

    Parameters
    ----------
    path : path-like
        ``.npz`` with one array (N, h, w) of real numbers under any name, or ``.npy``; centres at
        ``(h//2, w//2)``, in any unit.

    Raises
    ------
    OwnKernelsError
        If it holds something else.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._kernels = self._read()
        self.digest = hashlib.sha256(np.ascontiguousarray(self._kernels).tobytes()).hexdigest()

    def __len__(self) -> int:
        return len(self._kernels)

    def kernel(self, number: int, side: int) -> tuple[Kernel, str]:
        """Crop or pad a kernel of the file; after the last one the first comes again.

        Larger kernels are cropped, smaller ones surrounded by zeros.

        Raises
        ------
        OwnKernelsError
            If kernels have less than half of the window's side, or nothing in it.
        """
        index = number % len(self)
        found = np.zeros((side, side))
        have = self._kernels.shape[1:]
        if 2 * min(have) < side:
            raise OwnKernelsError(
                f"{self.path.name}: kernels of {have[0]} x {have[1]} pixels are too small for a "
                f"window of {side}: choose a --geometry with a smaller kernel"
            )
        spans = [_overlap(size, side) for size in have]
        target = tuple(there for there, _ in spans)
        source = tuple(here for _, here in spans)
        found[target] = self._kernels[index][source]
        if found.std() == 0:
            raise OwnKernelsError(
                f"{self.path.name}: kernel {index} is constant within {side} x {side} pixels"
            )
        return _scaled(found), f"own kernel {index}"

    def _read(self) -> Kernel:
        """Read the one array of kernels in the file."""
        name = self.path.name
        try:
            loaded = np.load(self.path, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                arrays = {"array": loaded}
            else:
                with loaded:
                    arrays = {key: loaded[key] for key in loaded.files}
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            raise OwnKernelsError(f"{name} is no readable NumPy file ({error})") from error
        stacks = [array for array in arrays.values() if array.ndim == 3]
        if len(stacks) != 1 or stacks[0].dtype.kind not in "fiu" or not stacks[0].size:
            found = ", ".join(f"{key} {one.dtype} {one.shape}" for key, one in arrays.items())
            raise OwnKernelsError(
                f"{name} must hold one array (N, h, w) of real numbers, not {found or 'nothing'}"
            )
        kernels = stacks[0].astype(np.float64)
        if not np.isfinite(kernels).all():
            raise OwnKernelsError(f"{name} holds numbers that are not finite")
        return kernels


def _overlap(have: int, want: int) -> tuple[slice, slice]:
    """Slice a side of a window and of a kernel where the two overlap, centre on centre."""
    start = want // 2 - have // 2
    first, last = max(start, 0), min(start + have, want)
    return slice(first, last), slice(first - start, last - start)


def _scaled(kernel: Kernel) -> Kernel:
    """Scale a kernel to a largest absolute value of 1."""
    return np.asarray(kernel / np.abs(kernel).max())
