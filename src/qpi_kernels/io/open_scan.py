"""`open_scan`: decide the format from the content and hand over to its reader."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import xarray as xr

from qpi_kernels.io.scan import ScanFormatError

__all__ = ["FORMATS", "ScanFormat", "open_scan", "sniff"]

_HEAD_BYTES = 64 * 1024


class ScanFormat:
    """One readable format: its name, how its first bytes look, and where its reader lives.

    Parameters
    ----------
    name : str
        The format's name for people and for the ``format`` attribute.
    module : str
        Module in `qpi_kernels.io` with ``read(path, **options) -> xarray.Dataset``.
    matches : callable
        From a file's first bytes (64 KiB at most) to whether they are of this format.
    """

    def __init__(self, name: str, module: str, matches: Callable[[bytes], bool]) -> None:
        self.name = name
        self.module = module
        self.matches = matches

    def reader(self) -> Callable[..., xr.Dataset]:
        """Return this format's reader; its module is imported only now."""
        read = import_module(f"qpi_kernels.io.formats.{self.module}").read
        return cast("Callable[..., xr.Dataset]", read)


# Old Createc files lack the first-line magic; their data are a zlib stream after "DATA".
_ZLIB_DATA = re.compile(rb"\nDATA\x78[\x01\x5e\x9c\xda]")


def _createc(head: bytes) -> bool:
    # Spectra ([ParVERT..]) too: their reader says that they are not supported.
    if head.startswith((b"[Paramco32]", b"[Paramet32]", b"[ParVERT")):
        return True
    return b"Num.X" in head and (head.startswith(b"[Parameter]") or bool(_ZLIB_DATA.search(head)))


def _nanonis_dat(head: bytes) -> bool:
    # A text editor that saved the file again may have left a byte order mark.
    return head.removeprefix(b"\xef\xbb\xbf").startswith(b"Experiment\t")


FORMATS: tuple[ScanFormat, ...] = (
    ScanFormat("Nanonis .sxm", "nanonis_sxm", lambda head: head.startswith(b":NANONIS_VERSION:")),
    ScanFormat("Nanonis .3ds", "nanonis_3ds", lambda head: head.startswith(b"Grid dim=")),
    ScanFormat("Nanonis .dat", "nanonis_dat", _nanonis_dat),
    ScanFormat("Createc .dat", "createc", _createc),
    ScanFormat("RHK .sm4", "rhk_sm4", lambda head: head[2:16] == "STiMage".encode("utf-16-le")),
    ScanFormat("Omicron Matrix", "omicron_matrix", lambda head: head.startswith(b"ONTMATRX0101")),
    ScanFormat("Gwyddion .gwy", "gwyddion_gwy", lambda head: head[:4] in (b"GWYP", b"GWYO")),
    ScanFormat(
        "Gwyddion .gsf", "gsf", lambda head: head.startswith(b"Gwyddion Simple Field 1.0\n")
    ),
    ScanFormat("TIFF", "tiff", lambda head: head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    ScanFormat("NumPy .npy", "numpy_arrays", lambda head: head.startswith(b"\x93NUMPY")),
    ScanFormat("NumPy .npz", "numpy_arrays", lambda head: head.startswith(b"PK\x03\x04")),
    ScanFormat(
        "NetCDF .nc",
        "netcdf",
        lambda head: head.startswith(b"\x89HDF\r\n\x1a\n") or head[:3] == b"CDF",
    ),
)


def sniff(path: str | Path) -> ScanFormat:
    """Tell a file's format from its first bytes; the extension is never asked.

    Raises
    ------
    ScanFormatError
        If the file is missing, empty, a folder or of no known format.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise ScanFormatError(path, "any known format", error.strerror or str(error)) from error
    if not head:
        raise ScanFormatError(path, "any known format", "the file is empty")
    for candidate in FORMATS:
        if candidate.matches(head):
            return candidate
    known = ", ".join(candidate.name for candidate in FORMATS)
    raise ScanFormatError(path, "any known format", f"its first bytes match none of {known}")


def open_scan(path: str | Path, **options: Any) -> xr.Dataset:
    """Read a microscope file.

    Parameters
    ----------
    path : path-like
        The file. Its content decides the format.
    **options
        Passed to the format's reader, see the modules of `qpi_kernels.io`.

    Returns
    -------
    xarray.Dataset
        A variable per channel and direction with dims ``(y, x)`` or ``(bias, y, x)`` (point
        spectra: ``(spectrum, bias)``), native-endian float32, row 0 at the top of the image, NaN
        where nothing was measured; lengths in nm, bias in V. Attributes: see `scan_dataset`.

    Raises
    ------
    ScanFormatError
        If the file is unknown, foreign or damaged.
    TypeError
        If the format's reader does not take an option.
    """
    path = Path(path)
    scan_format = sniff(path)
    read = scan_format.reader()
    _refuse_unknown_options(scan_format, read, options)
    try:
        return read(path, **options)
    except ScanFormatError:
        raise
    except MemoryError as error:
        raise ScanFormatError(path, scan_format.name, "it does not fit into memory") from error
    except Exception as error:
        # Readers refuse what they foresee; a damaged file may still break an assumption or a
        # library in its own way (zlib.error, struct.error, ...), and a person needs one line
        # either way.
        reason = f"damaged or unexpected content ({type(error).__name__}: {error})"
        raise ScanFormatError(path, scan_format.name, reason) from error


def _refuse_unknown_options(
    scan_format: ScanFormat, read: Callable[..., xr.Dataset], options: dict[str, Any]
) -> None:
    takes = list(inspect.signature(read).parameters)[1:]
    unknown = [name for name in options if name not in takes]
    if unknown:
        known = f"it takes {', '.join(takes)}" if takes else "it takes none"
        raise TypeError(
            f"{scan_format.name} files are not read with the option {', '.join(unknown)}; {known}"
        )
