"""`Page`: the pages of an RHK ``.sm4`` file with their headers, strings and data.

`qpi_kernels.io.formats.rhk_sm4` describes the layout.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qpi_kernels.io.physical_units import in_project_units
from qpi_kernels.io.scan import Direction, ScanFormatError

__all__ = [
    "CURVES",
    "IMAGE",
    "Page",
    "Pages",
    "curve_positions_nm",
    "physical_values",
    "read_pages",
]

_NAME = "RHK .sm4"

_PAGE_INDEX_HEADER, _PAGE_INDEX_ARRAY, _PAGE_HEADER, _PAGE_DATA = 1, 2, 3, 4
_CURVE_POSITIONS, _STRINGS = 8, 10
IMAGE, CURVES = 0, 1
_FLOAT_LINE_TYPES = {1, 6, 9, 10, 11, 13, 18, 19, 21, 22}  # read in source
_BACKWARD = 1
_OBJECTS_OFFSET = 180
_ALWAYS_ALLOWED_BYTES = 64 * 2**20


@dataclass
class Page:
    """One page: its header, the texts and where its data lie."""

    kind: int
    page_type: int
    line_type: int
    columns: int
    rows: int
    direction: Direction
    x_scale: float
    y_scale: float
    z_scale: float
    x_offset: float
    y_offset: float
    z_offset: float
    bias: float
    current: float
    angle: float
    grid: tuple[int, int]
    strings: list[str]
    objects: dict[int, tuple[int, int]]
    complete: bool = True

    def text(self, position: int) -> str:
        """Return one of the page's texts; empty when it lacks it."""
        return self.strings[position].strip() if position < len(self.strings) else ""

    @property
    def label(self) -> str:
        """The instrument's name of the channel."""
        return self.text(0) or f"page type {self.page_type}"

    @property
    def is_bias_spectrum(self) -> bool:
        """True if the page holds curves over bias."""
        return self.kind == CURVES and (
            self.line_type == 7 or self.text(7).lower() in ("v", "volt")
        )

    def bias_axis(self) -> np.ndarray:
        """Return the bias of the curves' points in V, as recorded."""
        return self.x_offset + self.x_scale * np.arange(self.columns)

    def summary(self) -> dict[str, str]:
        """Collect what the header tells, as text."""
        names = ("label", "system text", "session text", "user text", "path", "date", "time")
        return {
            **{name: self.text(i) for i, name in enumerate(names) if self.text(i)},
            "bias (V)": str(self.bias),
            "current (A)": str(self.current),
            "angle": str(self.angle),
            "line type": str(self.line_type),
            "grid": f"{self.grid[0]} x {self.grid[1]}",
        }


@dataclass
class Pages:
    """The readable pages of a file, and whether they are all of it."""

    pages: list[Page]
    complete: bool


def read_pages(path: Path, raw: bytes) -> Pages:
    """Read the headers of all images and curves of a file.

    Raises
    ------
    ScanFormatError
        If no page can be read, or pages declare more data than the file can hold.
    """
    try:
        (header_size,) = _unpack(raw, "<H", 0)
        _, object_count, *_ = _unpack(raw, "<5I", 38)
        index_header = _objects(raw, header_size + 2, object_count)[_PAGE_INDEX_HEADER][0]
        page_count, object_count, *_ = _unpack(raw, "<4I", index_header)
        offset = _objects(raw, index_header + 16, object_count)[_PAGE_INDEX_ARRAY][0]
        _checked(raw, offset, page_count, 32)
    except (struct.error, KeyError) as error:
        reason = "its table of pages is missing or points outside the file"
        raise ScanFormatError(path, _NAME, reason) from error
    pages: list[Page] = []
    complete = True
    for _ in range(page_count):
        try:
            kind, _, object_count, _ = _unpack(raw, "<4I", offset + 16)
            objects = _objects(raw, offset + 32, object_count)
            offset += 32 + 12 * object_count
        except struct.error:
            complete = False
            break
        if kind not in (IMAGE, CURVES):
            continue
        page = _page(raw, kind, objects)
        if page is None:
            complete = False
        else:
            pages.append(page)
    if not pages:
        raise ScanFormatError(path, _NAME, "no page of it can be read; the file is cut or damaged")
    _refuse_impossible_sizes(path, raw, pages)
    return Pages(pages, complete)


def _page(raw: bytes, kind: int, objects: dict[int, tuple[int, int]]) -> Page | None:
    """Read the header of one page; None when it is damaged."""
    try:
        start = objects[_PAGE_HEADER][0]
        _, string_count = _unpack(raw, "<2H", start)
        numbers = _unpack(raw, "<13I", start + 4)
        scales = [float(value) for value in _unpack(raw, "<11f", start + 56)]
        _, grid_x, grid_y, object_count = _unpack(raw, "<4I", start + 100)
        more = _objects(raw, start + _OBJECTS_OFFSET, object_count)
    except (struct.error, KeyError):
        return None
    columns, rows = numbers[5], numbers[6]
    if _PAGE_DATA not in objects or not (columns and rows) or not np.isfinite(scales).all():
        return None
    return Page(
        kind=kind,
        page_type=numbers[0],
        line_type=numbers[2],
        columns=columns,
        rows=rows,
        direction="backward" if numbers[8] == _BACKWARD else "forward",
        x_scale=scales[0],
        y_scale=scales[1],
        z_scale=scales[2],
        x_offset=scales[4],
        y_offset=scales[5],
        z_offset=scales[6],
        bias=scales[8],
        current=scales[9],
        angle=scales[10],
        grid=(grid_y, grid_x),
        strings=_strings(raw, more.get(_STRINGS), string_count),
        objects={**more, **objects},
    )


def _strings(raw: bytes, place: tuple[int, int] | None, count: int) -> list[str]:
    """Read a page's texts, as many as are intact."""
    strings: list[str] = []
    offset = place[0] if place else len(raw)
    for _ in range(min(count, 64)):
        try:
            (length,) = _unpack(raw, "<H", offset)
            _checked(raw, offset + 2, length, 2)
        except struct.error:
            break
        strings.append(raw[offset + 2 : offset + 2 + 2 * length].decode("utf-16-le", "replace"))
        offset += 2 + 2 * length
    return strings


def _refuse_impossible_sizes(path: Path, raw: bytes, pages: list[Page]) -> None:
    """Refuse pages that declare more data than the file can hold."""
    declared = sum(4 * page.columns * page.rows for page in pages)
    present = sum(min(4 * page.columns * page.rows, page.objects[_PAGE_DATA][1]) for page in pages)
    # Pages share no data, so they hold no more than the file; a cut file may declare more.
    if present > 2 * len(raw) + _ALWAYS_ALLOWED_BYTES or declared > max(
        _ALWAYS_ALLOWED_BYTES, 16 * len(raw)
    ):
        reason = f"its pages declare {declared} bytes of data, more than this file can hold"
        raise ScanFormatError(path, _NAME, reason)


def physical_values(raw: bytes, page: Page) -> tuple[np.ndarray, str]:
    """Return the page's ``(rows, columns)`` in the project's unit, NaN where the file is cut."""
    offset, size = page.objects[_PAGE_DATA]
    wanted = page.rows * page.columns
    stored = max(0, min(wanted, size // 4, (len(raw) - offset) // 4))
    kind = "<f4" if page.kind == CURVES and page.line_type in _FLOAT_LINE_TYPES else "<i4"
    factor, unit = in_project_units(page.text(9))
    values = np.full(wanted, np.nan, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # only damaged files overflow
        # Full precision before the offset is added: Z offsets are large compared with steps.
        numbers = np.frombuffer(raw, kind, count=stored, offset=offset).astype(np.float64)
        values[:stored] = (numbers * page.z_scale + page.z_offset) * factor
    page.complete = page.complete and stored == wanted
    return values.reshape(page.rows, page.columns), unit


def curve_positions_nm(raw: bytes, page: Page) -> np.ndarray | None:
    """Return ``(curve, 2)``: x, y of every curve in nm, or None when not recorded."""
    offset, _ = page.objects.get(_CURVE_POSITIONS, (len(raw), 0))
    try:
        _checked(raw, offset, page.rows, 28)
    except struct.error:
        return None
    table = np.frombuffer(raw, "<f4", count=7 * page.rows, offset=offset).reshape(-1, 7)
    with np.errstate(invalid="ignore"):  # damaged files hold signalling NaN
        positions = table[:, 1:3].astype(np.float64) * 1e9
    # A microscope's scanner does not reach metres; such numbers are not positions.
    return positions if np.isfinite(positions).all() and np.abs(positions).max() < 1e9 else None


def _objects(raw: bytes, offset: int, count: int) -> dict[int, tuple[int, int]]:
    end = offset + 12 * _checked(raw, offset, count, 12)
    found: dict[int, tuple[int, int]] = {}
    for identity, start, size in struct.iter_unpack("<3I", raw[offset:end]):
        if size and start < len(raw):
            found.setdefault(identity, (start, size))
    return found


def _unpack(raw: bytes, form: str, offset: int) -> tuple[Any, ...]:
    """Unpack and check that the bytes lie inside the file; raises struct.error otherwise."""
    if offset < 0 or offset + struct.calcsize(form) > len(raw):
        raise struct.error("outside the file")
    return struct.unpack_from(form, raw, offset)


def _checked(raw: bytes, offset: int, count: int, item_bytes: int) -> int:
    if count < 0 or offset < 0 or offset + count * item_bytes > len(raw):
        raise struct.error("outside the file")
    return count
