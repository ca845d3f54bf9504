"""Nanonis scan images (.sxm)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qpi_kernels.io.layouts.nanonis_header import (
    ChannelName,
    Header,
    read_header_text,
    refuse_mostly_missing,
    setpoint_text,
)
from qpi_kernels.io.registry import ScanFormat
from qpi_kernels.io.scan import Channel, Direction, ScanFormatError, scan_dataset

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["FORMAT", "read"]

_NAME = "Nanonis .sxm"
_DATA_MARKER = b"\x1a\x04"


def read(path: str | Path) -> xr.Dataset:
    """Read a Nanonis scan.

    The file is a text header and big-endian float32 planes, already in physical units (the
    ``Calibration`` column of ``DATA_INFO`` is history). Backward rows are stored right to left,
    and the rows of an ``up`` scan bottom to top; both are put in display order.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    xarray.Dataset
        See `qpi_kernels.io.open_scan`. Rows that were not scanned are NaN.

    Raises
    ------
    ScanFormatError
        If the header is damaged, or not one row was scanned.
    """
    path = Path(path)
    text, header_stop = read_header_text(path, b":SCANIT_END:", _NAME)
    header = Header(path, _NAME, _entries(text))
    columns, rows = header.image_size("SCAN_PIXELS")
    planes = _planes(header)
    data = _read_planes(header, header_stop, (len(planes), rows, columns))
    _mark_unscanned_rows(data)
    if np.isnan(data).all():
        raise header.error("the scan was stopped before its first row")

    scan_direction = header.text("SCAN_DIR").lower()
    if scan_direction not in ("up", "down"):
        raise header.error(f"SCAN_DIR should be up or down but reads {scan_direction[:20]!r}")
    if scan_direction == "up":
        data = data[:, ::-1]
    channels = []
    for (name, direction), plane in zip(planes, data, strict=True):
        image = plane[:, ::-1] if direction == "backward" else plane
        channels.append(
            Channel(
                label=name.label,
                data=name.scaled(image),
                units=name.unit,
                quantity=name.quantity(header.entries),
                direction=direction,
            )
        )

    width, height = header.numbers("SCAN_RANGE", 2)
    centre_x, centre_y = header.numbers("SCAN_OFFSET", 2)
    return scan_dataset(
        channels,
        source=path,
        format=_NAME,
        pixel_nm=header.pixel_nm((width, height), (columns, rows)),
        bias=_bias(header),
        offset_nm=(1e9 * centre_x, 1e9 * centre_y),
        scan_angle_deg=header.numbers("SCAN_ANGLE", 1)[0],
        setpoint=_setpoint(header),
        complete=not bool(np.isnan(data).any()),
        header=header.entries,
        scan_speed_nm_s=_scan_speed_nm_s(header, 1e9 * width),
    )


def _scan_speed_nm_s(header: Header, width_nm: float) -> tuple[float, float] | None:
    """Divide the width by the times of a row, forward and backward."""
    try:
        forward, backward = header.numbers("SCAN_TIME", 2)
    except ScanFormatError:
        return None
    return (width_nm / forward, width_nm / backward) if forward > 0 and backward > 0 else None


def _entries(text: str) -> dict[str, str]:
    """Split ``:KEY:`` lines from the lines of their values."""
    entries: dict[str, list[str]] = {}
    key = ""
    for line in text.splitlines():
        match = re.fullmatch(r":(.+):\s*", line)
        if match:
            key = match[1]
            entries[key] = []
        elif key:
            entries[key].append(line)
    return {key: "\n".join(lines).strip("\r\n") for key, lines in entries.items()}


def _table(text: str) -> list[dict[str, str]]:
    """Read a table of tab-separated cells under a row of column names."""
    rows = [line.strip("\t").split("\t") for line in text.splitlines() if line.strip()]
    if not rows:
        return []
    return [dict(zip(rows[0], row, strict=False)) for row in rows[1:]]


def _planes(header: Header) -> list[tuple[ChannelName, Direction]]:
    """Return name and direction of each stored plane, in file order."""
    planes: list[tuple[ChannelName, Direction]] = []
    for row in _table(header.text("DATA_INFO")):
        name = ChannelName.parse(row.get("Name", ""), unit=row.get("Unit", "").strip())
        direction = row.get("Direction", "").strip().lower()
        if not name.label or direction not in ("both", "forward", "backward"):
            raise header.error("a row of DATA_INFO lacks a channel name or its direction")
        if direction in ("both", "forward"):
            planes.append((name, "forward"))
        if direction in ("both", "backward"):
            planes.append((name, "backward"))
    if not planes:
        raise header.error("DATA_INFO lists no channel")
    return planes


def _read_planes(header: Header, header_stop: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Read ``(plane, row, column)`` in recorded order; what the file lacks is NaN."""
    kind = header.text("SCANIT_TYPE").split()
    orders = {"MSBFIRST": ">f4", "LSBFIRST": "<f4"}
    if len(kind) != 2 or kind[0] != "FLOAT" or kind[1] not in orders:
        shown = " ".join(kind)[:40]
        raise header.error(f"data of type {shown!r} are not known, only FLOAT MSBFIRST")
    with header.path.open("rb") as file:
        file.seek(header_stop)
        marker = file.read(16).find(_DATA_MARKER)
        if marker < 0:
            raise header.error("the marker before the data is missing; the file ends in its header")
        start = header_stop + marker + len(_DATA_MARKER)
        present = file.seek(0, 2) - start
        values = shape[0] * shape[1] * shape[2]
        if present > 4 * values:
            raise header.error(
                f"{present} bytes of data follow but the header announces {4 * values}; "
                "SCAN_PIXELS or DATA_INFO is damaged"
            )
        if present < 4 * shape[2]:
            raise header.error(f"only {present} bytes of data follow the header, not one image row")
        refuse_mostly_missing(header, 4 * values, present)
        file.seek(start)
        stored = np.fromfile(file, orders[kind[1]], present // 4)
    data = np.full(values, np.nan, np.float32)
    data[: stored.size] = stored
    return data.reshape(shape)


def _mark_unscanned_rows(data: np.ndarray) -> None:
    """Turn rows into NaN that hold nothing but zeros in every plane."""
    blank = ((data == 0) | np.isnan(data)).all(axis=(0, 2))
    data[:, blank] = np.nan


def _bias(header: Header) -> float | None:
    """Return the bias, or None when a multi-pass scan used a bias of its own in some pass."""
    for row in _table(header.entries.get("Multipass-Config", "")):
        if row.get("Bias_override", "").strip().upper() == "TRUE":
            return None
    return header.number("BIAS", "Bias>Bias (V)")


def _setpoint(header: Header) -> str:
    """Read the set-point from its table or, failing that, its entries."""
    for row in _table(header.entries.get("Z-CONTROLLER", "")):
        match = re.match(r"\s*(\S+)\s*(\S*)", row.get("Setpoint", ""))
        if match:
            value = Header(header.path, _NAME, {"": match[1]}).number("")
            return setpoint_text(value, match[2], row.get("on", ""))
    return header.setpoint


FORMAT = ScanFormat(_NAME, (".sxm",), lambda head: head.startswith(b":NANONIS_VERSION:"), read)
