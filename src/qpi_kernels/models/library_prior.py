"""`LibraryPrior`: what thousands of simulated kernels have in common, as a Gaussian."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
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
_FORMAT = "qpi-library-prior-2"
# Strong components are kept in half precision; the weak ones, which are many, in bytes.
_STRONG = 128
_MOST_NUMBERS = 2**24


@dataclass(frozen=True, eq=False)
class LibraryPrior:
    """A Gaussian with the covariance of simulated kernels, by its principal components.

    The kernels it is made of have a Euclidean norm of 1, so no kernel counts for more than
    another, and the mean square norm of what the prior draws is 1 too. Its mean is zero: a kernel
    and its negative are equally likely, as they are for attractive and repulsive defects.

    Parameters
    ----------
    basis : array, (m, h, w)
        Orthonormal components, the strongest first; a kernel's centre is at ``(h//2, w//2)``.
    spread : array, (m,)
        Standard deviation of a kernel along each.
    profile : array, (p,)
        Standard deviation of the kernels at a distance of 0, 1, 2 ... pixels from the defect.
    spectrum : array, (q,)
        Mean power of the kernels over that profile at 0, 1, 2 ... periods per window.
    description : dict
        Families, seed, number and software, JSON-compatible.
    """

    basis: NDArray[np.float32]
    spread: NDArray[np.float32]
    profile: NDArray[np.float32]
    spectrum: NDArray[np.float32]
    description: dict[str, Any]

    @property
    def shape(self) -> tuple[int, int]:
        """Size of the kernels."""
        rows, columns = self.basis.shape[1:]
        return rows, columns

    def components_on(self, window: tuple[int, int]) -> tuple[NDArray[np.float32], float]:
        """Components times their spread on another window, and the scale of its pixels.

        A window that is smaller shows the middle; a larger one shows them stretched, by the scale
        that is the second answer. Of a very large one the weakest components are left out.

        Parameters
        ----------
        window : tuple of int
            Height and width.

        Returns
        -------
        array, (components, rows, columns)
        float
            Pixels of the window per pixel of the library.
        """
        count = max(_STRONG, _MOST_NUMBERS // (window[0] * window[1]))
        scaled = self.basis[:count] * self.spread[:count, None, None]
        scale = max(1.0, max(have / size for have, size in zip(window, self.shape, strict=True)))
        if scale == 1.0:
            rows, columns = (
                slice(size // 2 - want // 2, size // 2 - want // 2 + want)
                for size, want in zip(self.shape, window, strict=True)
            )
            return np.ascontiguousarray(scaled[:, rows, columns]), 1.0
        matrices = [
            resampling_matrix(size, want, 1 / scale).astype(np.float32)
            for size, want in zip(self.shape, window, strict=True)
        ]
        return np.asarray(matrices[0] @ scaled @ matrices[1].T / scale), scale

    def save(self, path: str | Path) -> Path:
        """Write a safetensors file."""
        path = Path(path)
        weak = self.basis[_STRONG:]
        step = np.abs(weak).max(axis=(1, 2), initial=1e-30) / 127
        tensors: dict[str, NDArray[Any]] = {
            "strong": self.basis[:_STRONG].astype(np.float16),
            "weak": np.round(weak / step[:, None, None]).astype(np.int8),
            "weak_step": step.astype(np.float32),
            "spread": self.spread,
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
            weak = parts["weak"] * parts["weak_step"][:, None, None]
            found = cls(
                np.concatenate([parts["strong"], weak]).astype(np.float32),
                parts["spread"],
                parts["profile"],
                parts["spectrum"],
                json.loads(told["description"]) | {"sha256": _sha256(path)},
            )
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            if isinstance(error, ModelFormatError):
                raise
            raise ModelFormatError(f"{path} is no usable library of kernels ({error})") from error
        found._check(path)
        return found

    def _check(self, path: str | Path) -> None:
        fits = (
            self.basis.ndim == 3
            and self.spread.shape == self.basis.shape[:1]
            and self.profile.ndim == self.spectrum.ndim == 1
            and bool(len(self.profile) and len(self.spectrum))
        )
        numbers = (self.basis, self.spread, self.profile, self.spectrum)
        spreads = (self.spread, self.profile, self.spectrum)
        sound = all(np.isfinite(part).all() for part in numbers) and all(
            (part >= 0).all() and part.any() for part in spreads
        )
        if not fits or not sound:
            raise ModelFormatError(f"{path} is damaged: its parts do not fit together")


def _sha256(path: str | Path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@cache
def bundled_library() -> LibraryPrior:
    """The library of all simulated families that comes with the package."""
    return LibraryPrior.load(_BUNDLED)
