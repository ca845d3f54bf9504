"""Gwyddion simple field files (``.gsf``), read with gsffile."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qpi_kernels.io.physical_units import (
    credible_pitch,
    direction_of,
    in_project_units,
    quantity_of,
)
from qpi_kernels.io.registry import ScanFormat
from qpi_kernels.io.scan import Channel, ScanFormatError, scan_dataset

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["FORMAT", "read"]

_NAME = "Gwyddion .gsf"
_SIZE = re.compile(rb"^\s*(XRes|YRes)\s*=\s*(\d{1,9})\s*$", re.MULTILINE)
_HEADER_BYTES = 64 * 1024


def read(path: str | Path) -> xr.Dataset:
    """Read a Gwyddion simple field.

    Parameters
    ----------
    path : path-like
        The ``.gsf`` file.

    Returns
    -------
    xarray.Dataset
        One ``(y, x)`` variable, row 0 at the top, in nm, A, V or its own unit. The pixels need not
        be square. Without a length unit the coordinates count pixels.

    Raises
    ------
    ScanFormatError
        If the file is cut or damaged.
    """
    # The reading library is imported when a file of the format comes, not for sniffing.
    from gsffile import read_gsf

    path = Path(path)
    _check_size(path)
    data, metadata = read_gsf(path)
    title = str(metadata.get("Title", "")) or path.stem
    factor, unit = in_project_units(str(metadata.get("ZUnits", "")))
    with np.errstate(over="ignore", invalid="ignore"):
        values = (data * factor).astype(np.float32)
    to_nm, length_unit = in_project_units(str(metadata.get("XYUnits", "")))
    rows, columns = values.shape
    width, height, left, top = (
        _finite(metadata.get(key)) * to_nm for key in ("XReal", "YReal", "XOffset", "YOffset")
    )
    pitch = credible_pitch(height / rows, width / columns) if length_unit == "nm" else None
    return scan_dataset(
        [Channel(title, values, unit, quantity_of(title, unit), direction_of(title))],
        source=path,
        format=_NAME,
        pixel_nm=pitch,
        # Offsets give the top left corner in a frame with y downwards.
        offset_nm=(left + width / 2, -(top + height / 2)) if pitch else (0.0, 0.0),
        complete=not np.isnan(values).any(),
        header=metadata,
    )


def _finite(value: object) -> float:
    return value if isinstance(value, float) and math.isfinite(value) else 0.0


def _check_size(path: Path) -> None:
    """Compare the declared size with the file's, before anything is allocated for it."""
    with path.open("rb") as file:
        head, _, _ = file.read(_HEADER_BYTES).partition(b"\0")
    sizes = {key: int(value) for key, value in _SIZE.findall(head)}
    columns, rows = sizes.get(b"XRes", 0), sizes.get(b"YRes", 0)
    if not (rows and columns):
        raise ScanFormatError(path, _NAME, "its header gives no image size (XRes, YRes)")
    present = path.stat().st_size - len(head)
    if present < 4 * rows * columns:
        reason = (
            f"it is cut: {rows} x {columns} values are declared, {max(0, present) // 4} are there"
        )
        raise ScanFormatError(path, _NAME, reason)


FORMAT = ScanFormat(
    _NAME, (".gsf",), lambda head: head.startswith(b"Gwyddion Simple Field 1.0\n"), read
)
