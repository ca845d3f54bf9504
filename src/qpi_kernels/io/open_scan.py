"""`open_scan`: decide the format from the content and hand over to its reader."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qpi_kernels.io.registry import ScanFormat, known_formats
from qpi_kernels.io.scan import ScanFormatError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["open_scan", "sniff"]

_HEAD_BYTES = 64 * 1024


def sniff(path: str | Path) -> ScanFormat:
    """Recognise a file's format by its first bytes; the extension is never asked.

    Raises
    ------
    ScanFormatError
        If the file is missing, empty, a folder or of no known format.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except FileNotFoundError as error:
        raise ScanFormatError(path, "any known format", "there is no such file") from error
    except OSError as error:
        raise ScanFormatError(path, "any known format", error.strerror or str(error)) from error
    if not head:
        raise ScanFormatError(path, "any known format", "the file is empty")
    formats = known_formats()
    for candidate in formats.values():
        if candidate.matches(head):
            return candidate
    known = ", ".join(formats)
    raise ScanFormatError(path, "any known format", f"its first bytes match none of {known}")


def open_scan(path: str | Path, **options: Any) -> xr.Dataset:
    """Read a microscope file.

    Parameters
    ----------
    path : path-like
        The file. Its content decides the format.
    **options
        Passed to the format's reader, see the modules of `qpi_kernels.io.formats`.

    Returns
    -------
    xarray.Dataset
        A variable per channel and direction with dims ``(y, x)`` or ``(bias, y, x)`` (point
        spectra: ``(spectrum, bias)``), native-endian float32, row 0 at the top of the image, NaN
        where nothing was measured; lengths in nm, bias in V. Attributes: see `scan_dataset`; each
        channel's ``file`` is the path.

    Raises
    ------
    ScanFormatError
        If the file is unknown, foreign or damaged.
    TypeError
        If the format's reader does not take an option.
    """
    path = Path(path)
    scan_format = sniff(path)
    _refuse_unknown_options(scan_format, options)
    try:
        return _with_file(scan_format.read(path, **options), path)
    except ScanFormatError:
        raise
    except MemoryError as error:
        raise ScanFormatError(path, scan_format.name, "it does not fit into memory") from error
    except Exception as error:
        # Readers refuse what they foresee; a damaged file may still break an assumption or a
        # library in its own way (zlib.error, struct.error, ...), and the user needs one line
        # either way.
        reason = f"damaged or unexpected content ({type(error).__name__}: {error})"
        raise ScanFormatError(path, scan_format.name, reason) from error


def _with_file(scan: xr.Dataset, path: Path) -> xr.Dataset:
    """Note in every channel which file holds it, for a record of what is made from it."""
    for channel in scan.data_vars.values():
        channel.attrs["file"] = str(path.resolve())
    return scan


def _refuse_unknown_options(scan_format: ScanFormat, options: dict[str, Any]) -> None:
    """Raise TypeError with the known options for one that the format's reader does not take."""
    takes = list(inspect.signature(scan_format.read).parameters)[1:]
    unknown = [name for name in options if name not in takes]
    if unknown:
        known = f"it takes {', '.join(takes)}" if takes else "it takes none"
        raise TypeError(
            f"{scan_format.name} files are not read with the option {', '.join(unknown)}; {known}"
        )
