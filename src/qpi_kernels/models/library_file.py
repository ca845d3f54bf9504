"""Libraries of kernels as files: safetensors, small enough to come with the package."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from qpi_kernels.io.atomic_write import replacing
from qpi_kernels.models.folder import ModelFormatError
from qpi_kernels.models.library_prior import FamilyPrior, LibraryPrior

__all__ = ["read_library", "write_library"]

_FORMAT = "qpi-library-prior-3"
# So many of the strongest rows are kept in half precision; the weak ones, which are many, in bytes.
_STRONG = 128
_OWN = ("spread", "profile", "spectrum")

Arrays = dict[str, NDArray[Any]]


def write_library(library: LibraryPrior, path: Path) -> Path:
    """Write a library; an existing file is replaced once the new one is complete."""
    basis = library.basis.reshape(len(library.basis), -1)
    tensors = _packed(basis, "basis") | {name: getattr(library, name) for name in _OWN}
    for name, family in library.families.items():
        tensors |= _packed(family.mixing, f"{name}.mixing")
        tensors |= {f"{name}.{own}": getattr(family, own) for own in _OWN}
    told = {
        "format": _FORMAT,
        "shape": json.dumps(library.shape),
        "families": json.dumps(list(library.families)),
        "description": json.dumps(library.description),
    }
    with replacing(path) as partial:
        # safetensors writes the memory as it lies, whatever the strides say.
        whole = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
        save_file(whole, partial, metadata=told)
    return path


def read_library(path: Path) -> LibraryPrior:
    """Read a library.

    Raises
    ------
    ModelFormatError
        If it is another file, or its parts do not fit together.
    """
    try:
        with safe_open(path, framework="np") as file:
            told = file.metadata() or {}
            if told.get("format") != _FORMAT:
                raise ModelFormatError(
                    f"{path} is no library of kernels of this version; make one with "
                    "`napari-qpi library`"
                )
            parts = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        rows, columns = json.loads(told["shape"])
        found = LibraryPrior(
            _unpacked(parts, "basis").reshape(-1, rows, columns),
            **_own(parts),
            description=json.loads(told["description"]) | {"sha256": _sha256(path)},
            families={
                name: FamilyPrior(_unpacked(parts, f"{name}.mixing"), **_own(parts, f"{name}."))
                for name in json.loads(told["families"])
            },
        )
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        if isinstance(error, ModelFormatError):
            raise
        raise ModelFormatError(f"{path} is no usable library of kernels ({error})") from error
    _check(found, path)
    return found


def _packed(rows: NDArray[np.float32], name: str) -> Arrays:
    weak = rows[_STRONG:]
    step = np.abs(weak).max(axis=1, initial=1e-30) / 127
    return {
        f"{name}.strong": rows[:_STRONG].astype(np.float16),
        f"{name}.weak": np.round(weak / step[:, None]).astype(np.int8),
        f"{name}.weak_step": step.astype(np.float32),
    }


def _unpacked(parts: Arrays, name: str) -> NDArray[np.float32]:
    weak = parts[f"{name}.weak"] * parts[f"{name}.weak_step"][:, None]
    return np.concatenate([parts[f"{name}.strong"], weak]).astype(np.float32)


def _own(parts: Arrays, prefix: str = "") -> Arrays:
    return {name: parts[f"{prefix}{name}"] for name in _OWN}


def _check(library: LibraryPrior, path: Path) -> None:
    fits = library.spread.shape == library.basis.shape[:1]
    arrays, spreads = [library.basis], []
    gaussians: list[LibraryPrior | FamilyPrior] = [library, *library.families.values()]
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
