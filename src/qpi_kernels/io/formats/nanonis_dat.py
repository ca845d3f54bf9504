"""Nanonis point spectra (.dat): a text header and a table of columns."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qpi_kernels.io.layouts.nanonis_header import (
    ChannelName,
    Header,
    read_header_text,
)
from qpi_kernels.io.layouts.nanonis_sweep import name_sweep
from qpi_kernels.io.numeric_didv import DERIVED, differentiate
from qpi_kernels.io.registry import ScanFormat
from qpi_kernels.io.scan import Channel, scan_dataset

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["FORMAT", "read"]

_NAME = "Nanonis .dat"


def read(path: str | Path) -> xr.Dataset:
    """Read a Nanonis point spectrum.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    xarray.Dataset
        A variable ``(spectrum, bias)`` with one spectrum per column of the file: the average
        (``[AVG]``), single sweeps (``[00001]``, ...) and sweeps back (``direction`` backward).
        The file's first column is the axis, in recorded order; when that is not the bias the
        dimension is called ``sweep``. Without a lock-in column dI/dV is computed from the
        current. ``complete`` is False when fewer points than announced were recorded.

    Raises
    ------
    ScanFormatError
        If the header or the table is damaged.
    """
    path = Path(path)
    text, start = read_header_text(path, b"[DATA]", _NAME)
    entries = {}
    for line in text.splitlines():
        key, tab, value = line.partition("\t")
        if tab:
            entries[key.strip()] = value.strip()
    header = Header(path, _NAME, entries)
    columns, table, whole = _table(header, start)

    names = [ChannelName.parse(column) for column in columns]
    both_ways = any(name.direction == "backward" for name in names)
    sweeps_bias = names[0].plain in ("bias", "bias calc")
    axis = table[:, 0] * names[0].scale
    channels = []
    for name, values in zip(names[1:], table.T[1:], strict=True):
        quantity = name.quantity(entries)
        if quantity == "topography" or (quantity == "didv" and not sweeps_bias):
            quantity = "other"
        direction = name.direction if both_ways else "none"
        spectrum = (values * name.scale)[np.newaxis]
        channels.append(Channel(name.label, spectrum, name.unit, quantity, direction))
    if sweeps_bias:
        channels += _derived_channels(channels, axis)

    announced = header.number("Bias Spectroscopy>Num Pixel")
    complete = whole and not (sweeps_bias and announced is not None and len(axis) < announced)
    position = [header.number(key) for key in ("X (m)", "Y (m)")]
    dataset = scan_dataset(
        channels,
        source=path,
        format=_NAME,
        pixel_nm=None,
        bias=axis if sweeps_bias else None,
        setpoint=header.setpoint,
        complete=complete,
        header=entries,
        spectrum_positions_nm=np.array(
            [[math.nan if value is None else 1e9 * value for value in position]]
        ),
    )
    return dataset if sweeps_bias else name_sweep(dataset, header, names[0], axis)


def _table(header: Header, start: int) -> tuple[list[str], np.ndarray, bool]:
    """Read column names and numbers; a last line without its end may be cut inside a number."""
    text = header.path.read_bytes()[start:].decode("latin-1")
    lines = text.split("\n")
    whole = lines.pop().strip() == ""
    lines = [line.strip("\r") for line in lines if line.strip()]
    if len(lines) < 2:
        raise header.error("no row of numbers follows [DATA]")
    columns = lines[0].split("\t")
    if len(columns) < 2:
        raise header.error("the table has no channel beside its axis")
    rows = []
    for number, line in enumerate(lines[1:], start=1):
        cells = line.split("\t")
        try:
            row = [float(cell) for cell in cells]
        except ValueError:
            row = []
        if len(row) != len(columns):
            raise header.error(f"row {number} of the table is not {len(columns)} numbers")
        rows.append(row)
    table = np.array(rows)
    if not np.isfinite(table[:, 0]).all():
        raise header.error(f"the axis {columns[0]!r} holds values that are not numbers")
    return columns, table, whole


def _derived_channels(channels: list[Channel], bias: np.ndarray) -> list[Channel]:
    """Differentiate the current unless dI/dV was recorded."""
    if len(bias) < 2 or any(channel.quantity == "didv" for channel in channels):
        return []
    names = [ChannelName.parse(channel.label) for channel in channels]
    return [
        Channel(
            "dI/dV",
            differentiate(channel.data, bias, axis=1),
            "S",
            "didv",
            channel.direction,
            DERIVED,
        )
        for channel, name in zip(channels, names, strict=True)
        if channel.quantity == "current" and not (name.is_single_sweep or name.is_filtered)
    ]


def _matches(head: bytes) -> bool:
    # A text editor that saved the file again may have left a byte order mark.
    return head.removeprefix(b"\xef\xbb\xbf").startswith(b"Experiment\t")


FORMAT = ScanFormat(_NAME, (".dat",), _matches, read, shared=True)
