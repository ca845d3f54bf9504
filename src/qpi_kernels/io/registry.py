"""`ScanFormat` and the registry of file formats.

A format is one file in ``io/formats/`` that defines ``FORMAT``; the registry finds it there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["ScanFormat", "known_formats", "register", "unregister"]

_registered: list[ScanFormat] = []


@dataclass(frozen=True)
class ScanFormat:
    """A readable file format.

    Parameters
    ----------
    name : str
        The format's name for people and for the ``format`` attribute, such as ``"Nanonis .sxm"``.
    extensions : tuple of str
        Endings of its files' names in lower case, such as ``(".sxm",)``.
    matches : callable
        From a file's first bytes (64 KiB at most) to whether they are of this format.
    read : callable
        ``read(path, **options) -> xarray.Dataset``, see `qpi_kernels.io.scan.scan_dataset`. It
        imports heavy libraries when called, so that the registry stays light.
    shared : bool
        Other programs use the extensions too: a graphical program looks at the content first.
    written_here : callable, optional
        From the path of such a file to whether this library wrote it. Give it for general formats
        (TIFF, NumPy, NetCDF), whose other files a graphical program leaves to others.
    patterns : tuple of str, optional
        Patterns of the file names that a graphical program offers to read; by default ``"*"`` and
        each extension.
    """

    name: str
    extensions: tuple[str, ...]
    matches: Callable[[bytes], bool]
    read: Callable[..., xr.Dataset]
    shared: bool = False
    written_here: Callable[[Path], bool] | None = None
    patterns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.patterns:
            patterns = tuple(f"*{extension}" for extension in self.extensions)
            object.__setattr__(self, "patterns", patterns)


def known_formats() -> tuple[ScanFormat, ...]:
    """List the registered formats, then those of ``io/formats/``, in the order of sniffing."""
    return (*_registered, *_formats_of_the_room())


def register(scan_format: ScanFormat) -> None:
    """Add a format for this process; it is asked before those of ``io/formats/``."""
    _registered.insert(0, scan_format)


def unregister(scan_format: ScanFormat) -> None:
    """Remove a format that `register` added."""
    _registered.remove(scan_format)


@cache
def _formats_of_the_room() -> tuple[ScanFormat, ...]:
    """Import every file of ``io/formats/`` and collect its ``FORMAT``."""
    room = import_module("qpi_kernels.io.formats")
    names = sorted(module.name for module in iter_modules(room.__path__))
    return tuple(import_module(f"{room.__name__}.{name}").FORMAT for name in names)
