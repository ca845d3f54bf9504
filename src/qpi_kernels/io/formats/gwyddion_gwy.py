"""Gwyddion native files (``.gwy``): all channels of one size.

The components are walked here instead of with gwyfile, which loops for ever on a string cut off
at the end of a file and copies the rest of the file for every component. Specification:
https://gwyddion.net/documentation/user-guide-en/gwyfile-format.html
"""

from __future__ import annotations

import math
import re
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qpi_kernels.io.array_notes import read_notes
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

_NAME = "Gwyddion .gwy"
_MAGIC = b"GWYP"
_OLD_MAGIC = b"GWYO"
_OUR_NOTES = "notes"
_NOTES_READ = ("role", "trust", "kind")
_CHANNEL = re.compile(r"/(\d+)/data")
_SCALAR_BYTES = {"b": 1, "c": 1, "i": 4, "q": 8, "d": 8}
_ARRAY_ITEM_BYTES = {"C": 1, "I": 4, "Q": 8, "D": 8}


def read(path: str | Path, *, size: tuple[int, int] | None = None) -> xr.Dataset:
    """Read the channels of a Gwyddion file.

    One data set has one grid, so of a file with images of several sizes the channels with the size
    and pixel pitch of the first are read, or those of the given size.

    Parameters
    ----------
    path : path-like
        The ``.gwy`` file.
    size : tuple of int, optional
        ``(rows, columns)`` of the channels to read.

    Returns
    -------
    xarray.Dataset
        A ``(y, x)`` variable per channel, in nm, A, V or its own unit; masked pixels are kept.
        Where the file gives no length unit the coordinates count pixels.

    Raises
    ------
    ScanFormatError
        For damaged files, files of Gwyddion 1, and files without an image of this size.
    """
    path = Path(path)
    raw = path.read_bytes()
    if raw.startswith(_OLD_MAGIC):
        reason = "it is of Gwyddion 1; open it in Gwyddion and save it again"
        raise ScanFormatError(path, _NAME, reason)
    try:
        container = _Object.at(raw, len(_MAGIC), len(raw))
        fields = _data_fields(container)
    except (struct.error, UnicodeDecodeError) as error:
        raise ScanFormatError(path, _NAME, "it is cut or damaged") from error
    if not fields:
        raise ScanFormatError(path, _NAME, "it holds no image")
    wanted = fields[0].grid if size is None else None
    kept = [f for f in fields if f.grid == wanted or (size is not None and f.shape == tuple(size))]
    kept = [f for f in kept if f.grid == kept[0].grid]
    if not kept:
        there = ", ".join(f"{rows} x {columns}" for rows, columns in {f.shape for f in fields})
        raise ScanFormatError(path, _NAME, f"no image of this size; it holds {there}")
    left_out = [f"{f.title} ({f.shape[0]} x {f.shape[1]})" for f in fields if f not in kept]
    header = {"channels left out": "; ".join(left_out)} if left_out else {}
    channels = [field.channel() for field in kept]
    dataset = scan_dataset(
        channels,
        source=path,
        format=_NAME,
        pixel_nm=kept[0].pixel_nm,
        bias=kept[0].bias,
        offset_nm=kept[0].centre_nm,
        complete=not any(np.isnan(channel.data).any() for channel in channels),
        header={key: text for key, text in kept[0].meta.items() if key != _OUR_NOTES} | header,
    )
    for array, field in zip(dataset.data_vars.values(), kept, strict=True):
        array.attrs |= field.notes
    return dataset


@dataclass
class _Object:
    """A serialised object: where each of its components lies, by name."""

    raw: bytes
    kind: str
    components: dict[str, tuple[str, int, int]]

    @classmethod
    def at(cls, raw: bytes, start: int, end: int) -> _Object:
        """Walk the object at `start`, which must lie before `end`."""
        kind, position = _text(raw, start, end)
        size = _length(raw, position, end)
        position, stop = position + 4, position + 4 + size
        _check(stop, end)
        components: dict[str, tuple[str, int, int]] = {}
        while position < stop:
            name, position = _text(raw, position, stop)
            _check(position + 1, stop)
            code = chr(raw[position])
            position += 1
            after = _component_end(raw, code, position, stop)
            components[name] = (code, position, after)
            position = after
        return cls(raw, kind, components)

    def number(self, name: str) -> float:
        """Value of a numeric component; 0 when absent or not finite."""
        code, start, _ = self.components.get(name, ("", 0, 0))
        if code not in ("i", "q", "d"):
            return 0.0
        value = float(struct.unpack_from(f"<{code}", self.raw, start)[0])
        return value if math.isfinite(value) else 0.0

    def text(self, name: str) -> str:
        """Value of a string component; empty when absent."""
        code, start, end = self.components.get(name, ("", 0, 0))
        if code == "c":  # gwyfile writes strings of one letter so
            return chr(self.raw[start])
        return self.raw[start : end - 1].decode("utf-8", "replace") if code == "s" else ""

    def child(self, name: str) -> _Object | None:
        """Return the object held by a component; None when absent."""
        code, start, end = self.components.get(name, ("", 0, 0))
        return _Object.at(self.raw, start, end) if code == "o" else None

    def doubles(self, name: str) -> np.ndarray | None:
        """Value of an array-of-doubles component; None when absent."""
        code, start, end = self.components.get(name, ("", 0, 0))
        if code != "D":
            return None
        return np.frombuffer(self.raw, "<f8", count=(end - start - 4) // 8, offset=start + 4)


def _check(position: int, end: int) -> None:
    if position > end:
        raise struct.error("outside the object")


def _text(raw: bytes, start: int, end: int) -> tuple[str, int]:
    stop = raw.find(b"\0", start, end)
    if stop < 0:
        raise struct.error("a string without its end")
    return raw[start:stop].decode("utf-8"), stop + 1


def _length(raw: bytes, position: int, end: int) -> int:
    _check(position + 4, end)
    return int.from_bytes(raw[position : position + 4], "little")


def _component_end(raw: bytes, code: str, start: int, end: int) -> int:
    """Find where a component ends by its type code."""
    if code in _SCALAR_BYTES:
        after = start + _SCALAR_BYTES[code]
    elif code in _ARRAY_ITEM_BYTES:
        after = start + 4 + _ARRAY_ITEM_BYTES[code] * _length(raw, start, end)
    elif code == "s":
        after = _string_end(raw, start, end)
    elif code == "o":
        after = _object_end(raw, start, end)
    elif code in ("S", "O"):
        item_end: Callable[[bytes, int, int], int] = _string_end if code == "S" else _object_end
        after = start + 4
        for _ in range(_length(raw, start, end)):
            after = item_end(raw, after, end)
    else:
        raise struct.error(f"unknown component type {code!r}")
    _check(after, end)
    return after


def _string_end(raw: bytes, start: int, end: int) -> int:
    stop = raw.find(b"\0", start, end)
    if stop < 0:
        raise struct.error("a string without its end")
    return stop + 1


def _object_end(raw: bytes, start: int, end: int) -> int:
    after_name = _string_end(raw, start, end)
    after = after_name + 4 + _length(raw, after_name, end)
    _check(after, end)
    return after


@dataclass
class _Field:
    title: str
    values: np.ndarray
    units: str
    factor: float
    pixel_nm: tuple[float, float] | None
    centre_nm: tuple[float, float]
    meta: dict[str, str]

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.values.shape
        return rows, columns

    @property
    def grid(self) -> tuple[object, ...]:
        pitch = self.pixel_nm and tuple(float(f"{value:.6g}") for value in self.pixel_nm)
        return self.shape, pitch

    @property
    def bias(self) -> float | None:
        """Bias in V, when the importing program noted one in the channel's metadata."""
        for key, value in self.meta.items():
            match = re.fullmatch(r"\s*(-?[\d.]+(?:[eE][-+]?\d+)?)\s*(\S*V)\s*", value)
            if match and "bias" in key.lower():
                return float(match[1]) * in_project_units(match[2])[0]
        return None

    @property
    def notes(self) -> dict[str, str]:
        """Notes of our own exporter about the channel, for which Gwyddion has no field."""
        notes = read_notes(self.meta.get(_OUR_NOTES, ""))
        return {name: str(notes[name]) for name in _NOTES_READ if name in notes}

    def channel(self) -> Channel:
        with np.errstate(over="ignore", invalid="ignore"):  # only damaged files overflow
            data = (self.values * self.factor).astype(np.float32)
        quantity = quantity_of(self.title, self.units)
        return Channel(self.title, data, self.units, quantity, direction_of(self.title))


def _data_fields(container: _Object) -> list[_Field]:
    """Read the images of a container, numbering titles that repeat."""
    numbers = [int(m[1]) for m in map(_CHANNEL.fullmatch, container.components) if m]
    found = [_data_field(container, number) for number in sorted(numbers)]
    fields = [field for field in found if field is not None]
    repeated = {title for title, count in Counter(f.title for f in fields).items() if count > 1}
    for position, field in enumerate(fields):
        if field.title in repeated:
            field.title = f"{field.title} {position + 1}"
    return fields


def _data_field(container: _Object, number: int) -> _Field | None:
    """Read one image; None for what is no image or damaged."""
    field = container.child(f"/{number}/data")
    if field is None or field.kind != "GwyDataField":
        return None
    rows, columns = int(field.number("yres")), int(field.number("xres"))
    values = field.doubles("data")
    if values is None or min(rows, columns) < 1 or values.size != rows * columns:
        return None
    factor, units = in_project_units(_unit(field, "si_unit_z"))
    to_nm, length_unit = in_project_units(_unit(field, "si_unit_xy"))
    width, height, left, top = (
        field.number(key) * to_nm for key in ("xreal", "yreal", "xoff", "yoff")
    )
    pitch = credible_pitch(height / rows, width / columns) if length_unit == "nm" else None
    meta = container.child(f"/{number}/meta")
    return _Field(
        title=container.text(f"/{number}/data/title") or f"channel {number}",
        values=values.reshape(rows, columns),
        units=units,
        factor=factor,
        pixel_nm=pitch,
        # Offsets give the top left corner in a frame with y downwards.
        centre_nm=(left + width / 2, -(top + height / 2)) if pitch else (0.0, 0.0),
        meta={name: meta.text(name) for name in meta.components} if meta else {},
    )


def _unit(field: _Object, name: str) -> str:
    unit = field.child(name)
    return unit.text("unitstr") if unit else ""


FORMAT = ScanFormat(_NAME, (".gwy",), lambda head: head[:4] in (_MAGIC, _OLD_MAGIC), read)
