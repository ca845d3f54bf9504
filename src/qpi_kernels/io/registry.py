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

_registered: dict[str, ScanFormat] = {}


@dataclass(frozen=True)
class ScanFormat:
    """A readable file format.

    Parameters
    ----------
    name : str
        The format's name for display and for the ``format`` attribute, such as ``"Nanonis .sxm"``.
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


def known_formats() -> dict[str, ScanFormat]:
    """List the formats by name: registered ones, then ``io/formats/``, in the order of sniffing."""
    return {**dict(reversed(_registered.items())), **_formats_of_the_room()}


def register(scan_format: ScanFormat) -> ScanFormat:
    """Add a format for this process; it is asked before those of ``io/formats/``.

    Raises
    ------
    ValueError
        If another format has its name.
    """
    name = scan_format.name
    if known_formats().get(name, scan_format) != scan_format:
        raise ValueError(f"there is a format {name!r} already; give this one another name")
    _registered[name] = scan_format
    return scan_format


def unregister(name: str) -> None:
    """Forget a format that `register` added."""
    _registered.pop(name, None)


@cache
def _formats_of_the_room() -> dict[str, ScanFormat]:
    """Import every file of ``io/formats/`` and collect its ``FORMAT``."""
    room = import_module("qpi_kernels.io.formats")
    files = sorted(module.name for module in iter_modules(room.__path__))
    formats = (import_module(f"{room.__name__}.{file}").FORMAT for file in files)
    return {scan_format.name: scan_format for scan_format in formats}
