"""`KernelPrior`: the covariance of thousands of simulated kernels, and its file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from qpi_kernels.interpolation import resampling_matrix
from qpi_kernels.io.atomic_write import replacing
from qpi_kernels.models.folder_files import ModelFormatError

__all__ = ["FamilyPrior", "KernelPrior", "bundled_prior"]

_BUNDLED = Path(__file__).parent / "bundled" / "library.safetensors"
_MIN_COMPONENTS = 128
_MAX_NUMBERS = 2**22
_FORMAT = "qpi-library-prior-4"
# So many of the strongest rows are kept in half precision; the weak ones, which are many, in bytes.
_STRONG = 128
_OWN = ("spread", "profile", "spectrum")

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class FamilyPrior:
    """The Gaussian of one family's kernels, in components of the library of all.

    Parameters
    ----------
    mixing : array, (r, m)
        Orthonormal rows: the family's components, the strongest first, by those of the library.
    spread : array, (r,)
        Standard deviation of a kernel along each.
    profile, spectrum : array
        As those of `KernelPrior`.
    fold : int
        Rotations by 360/fold degrees leave all its kernels as they are; 0 for all rotations.
    """

    mixing: NDArray[np.float32]
    spread: NDArray[np.float32]
    profile: NDArray[np.float32]
    spectrum: NDArray[np.float32]
    fold: int = 1

    @property
    def missing(self) -> float:
        """Share of its kernels' variance that the components do not have."""
        return max(0.0, 1.0 - float(np.square(self.spread, dtype=np.float64).sum()))


@dataclass(frozen=True, eq=False)
class KernelPrior:
    """A Gaussian with the covariance of simulated kernels, by its principal components.

    It is fitted to kernels of Euclidean norm 1, so all of them have the same weight, and the mean
    square norm of its samples is 1 too. Its mean is zero: a kernel
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
    families : mapping of str to FamilyPrior
        The prior of each family.
    """

    basis: NDArray[np.float32]
    spread: NDArray[np.float32]
    profile: NDArray[np.float32]
    spectrum: NDArray[np.float32]
    description: dict[str, Any]
    families: Mapping[str, FamilyPrior] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        """Size of the kernels."""
        rows, columns = self.basis.shape[1:]
        return rows, columns

    def family(self, name: str) -> KernelPrior:
        """Return the prior of one of its `families`."""
        one = self.families[name]
        flat = one.mixing @ self.basis.reshape(len(self.basis), -1)
        basis = flat.reshape(-1, *self.shape)
        description = {**self.description, "families": [name]}
        return KernelPrior(basis, one.spread, one.profile, one.spectrum, description)

    def without(self, name: str) -> KernelPrior:
        """Return this prior without the Gaussian of one of its `families`.

        The components that all families share stay: they were computed with its kernels, too.
        """
        left = {one: found for one, found in self.families.items() if one != name}
        return replace(self, families=left)

    def scale_on(self, window: tuple[int, int]) -> float:
        """Compute the pixels of a window per pixel of the library; at least 1."""
        return max(1.0, max(side / size for side, size in zip(window, self.shape, strict=True)))

    def components_on(self, window: tuple[int, int]) -> tuple[NDArray[np.float32], float]:
        """Resample the components, times their spread, to another window.

        A smaller window shows the middle; a larger one shows them stretched, see `scale_on`. For a
        very large one the weakest components are left out.

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
        count = max(_MIN_COMPONENTS, _MAX_NUMBERS // (window[0] * window[1]))
        scaled = self.basis[:count] * self.spread[:count, None, None]
        scale = self.scale_on(window)
        if scale == 1.0:
            rows, columns = (
                slice(size // 2 - side // 2, size // 2 - side // 2 + side)
                for size, side in zip(self.shape, window, strict=True)
            )
            return np.ascontiguousarray(scaled[:, rows, columns]), 1.0
        matrices = [
            resampling_matrix(size, side, 1 / scale).astype(np.float32)
            for size, side in zip(self.shape, window, strict=True)
        ]
        return np.asarray(matrices[0] @ scaled @ matrices[1].T / scale), scale

    def save(self, path: str | Path) -> Path:
        """Write a safetensors file."""
        return _write(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> KernelPrior:
        """Read a file that `save` wrote.

        Raises
        ------
        ModelFormatError
            If it is another file, or its parts do not fit together.
        """
        return _read(Path(path))


@cache
def bundled_prior() -> KernelPrior:
    """Load the prior of all simulated families that comes with the package."""
    return KernelPrior.load(_BUNDLED)


def _write(library: KernelPrior, path: Path) -> Path:
    """Write a library; an existing file is replaced once the new one is complete."""
    basis = library.basis.reshape(len(library.basis), -1)
    tensors = _packed(basis, "basis") | {name: getattr(library, name) for name in _OWN}
    for name, family in library.families.items():
        tensors |= _packed(family.mixing, f"{name}.mixing")
        tensors |= {f"{name}.{own}": getattr(family, own) for own in _OWN}
    metadata = {
        "format": _FORMAT,
        "shape": json.dumps(library.shape),
        "folds": json.dumps({name: one.fold for name, one in library.families.items()}),
        "description": json.dumps(library.description),
    }
    with replacing(path) as partial:
        # safetensors writes the memory as it lies, whatever the strides say.
        whole = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
        save_file(whole, partial, metadata=metadata)
    return path


def _read(path: Path) -> KernelPrior:
    """Read a library; the errors are those of `KernelPrior.load`."""
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != _FORMAT:
                raise ModelFormatError(
                    f"{path} is no library of kernels of this version; make one with "
                    "`napari-qpi library`"
                )
            parts = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        rows, columns = json.loads(metadata["shape"])
        prior = KernelPrior(
            _unpacked(parts, "basis").reshape(-1, rows, columns),
            **_own(parts),
            description=json.loads(metadata["description"]) | {"sha256": _sha256(path)},
            families={
                name: FamilyPrior(
                    _unpacked(parts, f"{name}.mixing"), **_own(parts, f"{name}."), fold=int(fold)
                )
                for name, fold in json.loads(metadata["folds"]).items()
            },
        )
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        if isinstance(error, ModelFormatError):
            raise
        raise ModelFormatError(f"{path} is no usable library of kernels ({error})") from error
    _check(prior, path)
    return prior


def _packed(rows: NDArray[np.float32], name: str) -> Arrays:
    """Compress rows: the strongest to half precision, the others to bytes."""
    weak = rows[_STRONG:]
    step = np.abs(weak).max(axis=1, initial=1e-30) / 127
    return {
        f"{name}.strong": rows[:_STRONG].astype(np.float16),
        f"{name}.weak": np.round(weak / step[:, None]).astype(np.int8),
        f"{name}.weak_step": step.astype(np.float32),
    }


def _unpacked(parts: Arrays, name: str) -> NDArray[np.float32]:
    """Undo `_packed`."""
    strong, weak = parts[f"{name}.strong"], parts[f"{name}.weak"]
    rows = np.empty((len(strong) + len(weak), strong.shape[1]), np.float32)
    rows[: len(strong)] = strong
    np.multiply(weak, parts[f"{name}.weak_step"][:, None], out=rows[len(strong) :])
    return rows


def _own(parts: Arrays, prefix: str = "") -> Arrays:
    """Select the arrays of one prior."""
    return {name: parts[f"{prefix}{name}"] for name in _OWN}


def _check(library: KernelPrior, path: Path) -> None:
    """Refuse a prior with parts of wrong shapes, or values that cannot be."""
    fits = library.spread.shape == library.basis.shape[:1]
    arrays, spreads = [library.basis], []
    gaussians: list[KernelPrior | FamilyPrior] = [library, *library.families.values()]
    for one in gaussians:
        spreads += [one.spread, one.profile, one.spectrum]
    for family in library.families.values():
        fits &= family.mixing.shape == (len(family.spread), len(library.basis))
        arrays.append(family.mixing)
    fits &= all(one.ndim == 1 and len(one) for one in spreads)
    sound = all(np.isfinite(one).all() for one in (*arrays, *spreads)) and all(
        (one >= 0).all() and one.any() for one in spreads
    )
    if not fits or not sound:
        raise ModelFormatError(f"{path} is damaged: its parts do not fit together")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
