"""`LibraryPrior`: thousands of simulated kernels, small enough to come with the package."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from qpi_kernels.interpolation import resampling_matrix
from qpi_kernels.io.atomic_write import replacing
from qpi_kernels.models.folder import ModelFormatError

__all__ = ["LibraryPrior", "bundled_library"]

_BUNDLED = Path(__file__).parent / "bundled" / "library.safetensors"
_STEPS = 127.0
_FORMAT = "qpi-library-prior-1"


@dataclass(frozen=True, eq=False)
class LibraryPrior:
    """Simulated kernels by their principal components, and what they have in common.

    Parameters
    ----------
    basis : array, (m, h, w)
        Orthonormal components; a kernel's centre is at ``(h//2, w//2)``.
    coordinates : array of int8, (n, m)
        Each kernel in that basis, with a Euclidean norm of 1 before rounding, in units of `step`.
    step : array, (m,)
        Size of a unit of each coordinate.
    profile : array, (p,)
        Standard deviation of the kernels at a distance of 0, 1, 2 ... pixels from the defect.
    spectrum : array, (q,)
        Mean power of the kernels over that profile at 0, 1, 2 ... periods per window.
    description : dict
        Families, seed, number and software, JSON-compatible.
    """

    basis: NDArray[np.float32]
    coordinates: NDArray[np.int8]
    step: NDArray[np.float32]
    profile: NDArray[np.float32]
    spectrum: NDArray[np.float32]
    description: dict[str, Any]

    @property
    def shape(self) -> tuple[int, int]:
        """Size of the kernels."""
        rows, columns = self.basis.shape[1:]
        return rows, columns

    def kernels(self, which: NDArray[np.integer]) -> NDArray[np.float32]:
        """Kernels by their numbers, (len(which), m), as coordinates."""
        return np.asarray(self.coordinates[which] * self.step, np.float32)

    def nearest(self, kernel: NDArray[np.floating], count: int) -> NDArray[np.intp]:
        """Numbers of the kernels that resemble one most, whatever their sign and size.

        Parameters
        ----------
        kernel : array, (h, w)
            On the library's own grid.
        count : int
            How many.
        """
        wanted = self.basis.reshape(len(self.basis), -1) @ kernel.ravel().astype(np.float32)
        alike = np.abs(self.coordinates @ (self.step * wanted))
        return np.argpartition(alike, -count)[-count:]

    def basis_on(self, window: tuple[int, int]) -> tuple[NDArray[np.float32], float]:
        """The components on another window, (m, rows, columns), and the pixels' scale.

        A window that is smaller shows the middle; a larger one shows them stretched, by the scale
        that is the second answer.
        """
        scale = max(1.0, max(have / size for have, size in zip(window, self.shape, strict=True)))
        if scale == 1.0:
            rows, columns = (
                slice(size // 2 - want // 2, size // 2 - want // 2 + want)
                for size, want in zip(self.shape, window, strict=True)
            )
            return self.basis[:, rows, columns], 1.0
        matrices = [
            resampling_matrix(size, want, 1 / scale).astype(np.float32)
            for size, want in zip(self.shape, window, strict=True)
        ]
        return np.asarray(matrices[0] @ self.basis @ matrices[1].T), scale

    def save(self, path: str | Path) -> Path:
        """Write a safetensors file."""
        path = Path(path)
        tensors: dict[str, NDArray[Any]] = {
            "basis": self.basis.astype(np.float16),
            "coordinates": self.coordinates,
            "step": self.step,
            "profile": self.profile,
            "spectrum": self.spectrum,
        }
        told = {"format": _FORMAT, "description": json.dumps(self.description)}
        with replacing(path) as partial:
            # safetensors writes the memory as it lies, whatever the strides say.
            whole = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
            save_file(whole, partial, metadata=told)
        return path

    @classmethod
    def load(cls, path: str | Path) -> LibraryPrior:
        """Read a file that `save` wrote.

        Raises
        ------
        ModelFormatError
            If it is another file, or its parts do not fit together.
        """
        try:
            with safe_open(path, framework="np") as file:
                told = file.metadata() or {}
                if told.get("format") != _FORMAT:
                    raise ModelFormatError(f"{path} is no library of kernels")
                parts = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            found = cls(
                parts["basis"].astype(np.float32),
                parts["coordinates"],
                parts["step"],
                parts["profile"],
                parts["spectrum"],
                json.loads(told["description"]),
            )
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            if isinstance(error, ModelFormatError):
                raise
            raise ModelFormatError(f"{path} is no usable library of kernels ({error})") from error
        found._check(path)
        return found

    def _check(self, path: str | Path) -> None:
        components = len(self.basis)
        fits = (
            self.basis.ndim == 3
            and self.coordinates.shape[1:] == (components,)
            and self.coordinates.dtype == np.int8
            and self.step.shape == (components,)
            and self.profile.ndim == self.spectrum.ndim == 1
        )
        numbers = (self.basis, self.step, self.profile, self.spectrum)
        if not fits or not all(np.isfinite(part).all() for part in numbers):
            raise ModelFormatError(f"{path} is damaged: its parts do not fit together")


def bundled_library() -> LibraryPrior:
    """The library of all simulated families that comes with the package."""
    return LibraryPrior.load(_BUNDLED)
