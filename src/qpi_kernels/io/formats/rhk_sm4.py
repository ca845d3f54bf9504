"""RHK ``.sm4`` files: images, point spectra and spectroscopic maps.

Layout (little-endian, learnt from two real files of format 005.004 and other readers): a file
header with an object table, a page index header and the page index array. A page has a header
(sizes, scales, bias, set-point, angle), strings (label, units, date) and data, int32 for images
and I(V) curves. Physical value = raw x z scale + z offset.

* Images are stored row by row in the order of scanning: x scale < 0 means from right to left, so
  columns are mirrored; y scale < 0 means from the top downwards, else rows are flipped. Forward and
  backward pages have the same order.
* x and y offset are the position of the first stored pixel; the sense of the angle is *not
  verified* (0 in both files).
* A lock-in channel (``LIA ...``) is taken as dI/dV. It stays in the unit of its page.
* A page of curves becomes a map when the recorded positions form a rectangular grid, or when
  grid x times grid y is the number of curves; several curves at one position are averaged and
  the channel's ``derived`` says so. Maps are read in source only: no real file was at hand.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from qpi_kernels.io.curve_grid import CurveGrid, grid_of_positions
from qpi_kernels.io.physical_units import credible_pitch, in_project_units, quantity_of
from qpi_kernels.io.registry import ScanFormat
from qpi_kernels.io.scan import Channel, Direction, ScanFormatError, scan_dataset

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["FORMAT", "read"]

_NAME = "RHK .sm4"
_PAGE_INDEX_HEADER, _PAGE_INDEX_ARRAY, _PAGE_HEADER, _PAGE_DATA = 1, 2, 3, 4
_CURVE_POSITIONS, _STRINGS = 8, 10
_IMAGE, _CURVES = 0, 1
_TOPOGRAPHY = 1
_FLOAT_LINE_TYPES = {1, 6, 9, 10, 11, 13, 18, 19, 21, 22}  # read in source
_BACKWARD = 1
_OBJECTS_OFFSET = 180
_ALWAYS_ALLOWED_BYTES = 64 * 2**20

Pages = Literal["maps", "images", "spectra"]


def read(
    path: str | Path, *, pages: Pages | None = None, size: tuple[int, int] | None = None
) -> xr.Dataset:
    """Read an RHK file.

    One data set has one grid, so of a file with pages of several kinds and sizes one group is
    read: the spectroscopic maps if there are any (with the images of the same size), else the
    images, else the point spectra; among images the most numerous size, at a tie the larger.

    Parameters
    ----------
    path : path-like
        The ``.sm4`` file.
    pages : {"maps", "images", "spectra"}, optional
        Read this kind instead.
    size : tuple of int, optional
        Read the images or maps of this ``(rows, columns)``.

    Returns
    -------
    xarray.Dataset
        Images ``(y, x)``, maps ``(bias, y, x)`` or spectra ``(spectrum, bias)`` with the bias in V
        in recorded order. The header entry ``pages left out`` names what was not read.

    Raises
    ------
    ScanFormatError
        For damaged files, and when the file holds nothing of the requested kind.
    """
    path = Path(path)
    raw = path.read_bytes()
    found = _pages(path, raw)
    groups = _groups(path, raw, found)
    wanted = [
        group
        for group in groups
        if (pages is None or group.kind == pages) and (size is None or group.size == tuple(size))
    ]
    if not wanted:
        there = "; ".join(str(group) for group in groups) or "no image, map or bias spectrum"
        raise ScanFormatError(path, _NAME, f"no such pages; the file holds {there}")
    ranks = {"maps": 2, "images": 1, "spectra": 0}
    chosen = max(wanted, key=lambda g: (ranks[g.kind], len(g.channels), math.prod(g.size)))
    companions = [
        group
        for group in groups
        if chosen.kind == "maps" and group.kind == "images" and group.size == chosen.size
    ]
    return _as_dataset(path, chosen, companions, groups, complete=found.complete)


def _as_dataset(
    path: Path, chosen: _Group, companions: list[_Group], groups: list[_Group], *, complete: bool
) -> xr.Dataset:
    kept = [chosen, *companions]
    page = chosen.pages[0]
    left_out = "; ".join(str(group) for group in groups if group not in kept)
    header = page.summary() | ({"pages left out": left_out} if left_out else {})
    return scan_dataset(
        [channel for group in kept for channel in group.channels],
        source=path,
        format=_NAME,
        pixel_nm=chosen.pixel_nm,
        bias=page.bias_axis() if page.kind == _CURVES else page.bias,
        offset_nm=chosen.centre_nm,
        scan_angle_deg=page.angle,
        setpoint=f"{page.current * 1e12:.4g} pA" if page.current else "",
        complete=complete and all(p.complete for group in kept for p in group.pages),
        header=header,
        spectrum_positions_nm=chosen.positions_nm,
    )


@dataclass
class _Page:
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
        return self.strings[position].strip() if position < len(self.strings) else ""

    @property
    def label(self) -> str:
        return self.text(0) or f"page type {self.page_type}"

    @property
    def is_bias_spectrum(self) -> bool:
        return self.kind == _CURVES and (
            self.line_type == 7 or self.text(7).lower() in ("v", "volt")
        )

    def bias_axis(self) -> np.ndarray:
        return self.x_offset + self.x_scale * np.arange(self.columns)

    def summary(self) -> dict[str, str]:
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
class _Found:
    pages: list[_Page]
    complete: bool


@dataclass(eq=False)
class _Group:
    kind: Pages
    size: tuple[int, int]
    pages: list[_Page]
    channels: list[Channel]
    pixel_nm: tuple[float, float] | None = None
    centre_nm: tuple[float, float] = (0.0, 0.0)
    positions_nm: np.ndarray | None = None

    def __str__(self) -> str:
        labels = ", ".join(dict.fromkeys(page.label for page in self.pages))
        return f"{self.kind} {self.size[0]} x {self.size[1]} ({labels})"


def _unpack(raw: bytes, form: str, offset: int) -> tuple[Any, ...]:
    """Unpack and check that the bytes lie inside the file; raises struct.error otherwise."""
    if offset < 0 or offset + struct.calcsize(form) > len(raw):
        raise struct.error("outside the file")
    return struct.unpack_from(form, raw, offset)


def _objects(raw: bytes, offset: int, count: int) -> dict[int, tuple[int, int]]:
    end = offset + 12 * _checked(raw, offset, count, 12)
    found: dict[int, tuple[int, int]] = {}
    for identity, start, size in struct.iter_unpack("<3I", raw[offset:end]):
        if size and start < len(raw):
            found.setdefault(identity, (start, size))
    return found


def _checked(raw: bytes, offset: int, count: int, item_bytes: int) -> int:
    if count < 0 or offset < 0 or offset + count * item_bytes > len(raw):
        raise struct.error("outside the file")
    return count


def _pages(path: Path, raw: bytes) -> _Found:
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
    pages: list[_Page] = []
    complete = True
    for _ in range(page_count):
        try:
            kind, _, object_count, _ = _unpack(raw, "<4I", offset + 16)
            objects = _objects(raw, offset + 32, object_count)
            offset += 32 + 12 * object_count
        except struct.error:
            complete = False
            break
        if kind not in (_IMAGE, _CURVES):
            continue
        page = _page(raw, kind, objects)
        if page is None:
            complete = False
        else:
            pages.append(page)
    if not pages:
        raise ScanFormatError(path, _NAME, "no page of it can be read; the file is cut or damaged")
    _refuse_impossible_sizes(path, raw, pages)
    return _Found(pages, complete)


def _page(raw: bytes, kind: int, objects: dict[int, tuple[int, int]]) -> _Page | None:
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
    return _Page(
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


def _refuse_impossible_sizes(path: Path, raw: bytes, pages: list[_Page]) -> None:
    declared = sum(4 * page.columns * page.rows for page in pages)
    present = sum(min(4 * page.columns * page.rows, page.objects[_PAGE_DATA][1]) for page in pages)
    # Pages do not share data, so they cannot hold more than the file; a cut file may declare more.
    if present > 2 * len(raw) + _ALWAYS_ALLOWED_BYTES or declared > max(
        _ALWAYS_ALLOWED_BYTES, 16 * len(raw)
    ):
        reason = f"its pages declare {declared} bytes of data, more than this file can hold"
        raise ScanFormatError(path, _NAME, reason)


def _physical(raw: bytes, page: _Page) -> tuple[np.ndarray, str]:
    """Return the page's ``(rows, columns)`` in the project's unit, NaN where the file is cut."""
    offset, size = page.objects[_PAGE_DATA]
    wanted = page.rows * page.columns
    stored = max(0, min(wanted, size // 4, (len(raw) - offset) // 4))
    kind = "<f4" if page.kind == _CURVES and page.line_type in _FLOAT_LINE_TYPES else "<i4"
    factor, unit = in_project_units(page.text(9))
    values = np.full(wanted, np.nan, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # only damaged files overflow
        # Full precision before the offset is added: Z offsets are large compared with steps.
        numbers = np.frombuffer(raw, kind, count=stored, offset=offset).astype(np.float64)
        values[:stored] = (numbers * page.z_scale + page.z_offset) * factor
    page.complete = page.complete and stored == wanted
    return values.reshape(page.rows, page.columns), unit


def _groups(path: Path, raw: bytes, found: _Found) -> list[_Group]:
    images: dict[tuple[int, int], list[_Page]] = {}
    curves: dict[tuple[int, int, float, float], list[_Page]] = {}
    for page in found.pages:
        if page.kind == _IMAGE:
            images.setdefault((page.rows, page.columns), []).append(page)
        elif page.is_bias_spectrum:
            key = (page.rows, page.columns, page.x_offset, page.x_scale)
            curves.setdefault(key, []).append(page)
    groups = [_image_group(raw, size, pages) for size, pages in images.items()]
    groups += [_curve_group(raw, pages) for pages in curves.values()]
    return groups


def _image_group(raw: bytes, size: tuple[int, int], pages: list[_Page]) -> _Group:
    channels = []
    for page in pages:
        data, unit = _physical(raw, page)
        if page.y_scale > 0:
            data = data[::-1]
        if page.x_scale < 0:
            data = data[:, ::-1]
        channels.append(_channel(page, np.ascontiguousarray(data), unit, page.direction))
    page = pages[0]
    unit_factor, length_unit = in_project_units(page.text(7))
    pitch = credible_pitch(abs(page.y_scale) * unit_factor, abs(page.x_scale) * unit_factor)
    group = _Group("images", size, pages, channels)
    if length_unit == "nm" and pitch:
        group.pixel_nm = pitch
        group.centre_nm = (
            (page.x_offset + (page.columns - 1) / 2 * page.x_scale) * unit_factor,
            (page.y_offset + (page.rows - 1) / 2 * page.y_scale) * unit_factor,
        )
    return group


def _channel(
    page: _Page, data: np.ndarray, unit: str, direction: Direction, derived: str = ""
) -> Channel:
    quantity = quantity_of(page.label, unit)
    if page.page_type == _TOPOGRAPHY and unit == "nm":
        quantity = "topography"
    return Channel(page.label, data, unit, quantity, direction, derived)


def _curve_group(raw: bytes, pages: list[_Page]) -> _Group:
    first = pages[0]
    positions = _positions_nm(raw, first)
    grid = _grid(first, positions)
    if grid is None:
        channels = [_channel(page, *_physical(raw, page), "none") for page in pages]
        if positions is None:
            positions = np.full((first.rows, 2), np.nan)
        size = (first.rows, first.columns)
        return _Group("spectra", size, pages, channels, positions_nm=positions)
    channels = []
    derived = f"mean of {grid.repeats} sweeps per point" if grid.repeats > 1 else ""
    for page in pages:
        data, unit = _physical(raw, page)
        cube = grid.cube(data)
        channels.append(_channel(page, cube, unit, "none", derived))
    return _Group(
        "maps", grid.size, pages, channels, pixel_nm=grid.pixel_nm, centre_nm=grid.centre_nm
    )


def _positions_nm(raw: bytes, page: _Page) -> np.ndarray | None:
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


def _grid(page: _Page, positions: np.ndarray | None) -> CurveGrid | None:
    found = None if positions is None else grid_of_positions(positions)
    if found is not None:
        return found
    rows, columns = page.grid
    if min(rows, columns) < 2 or rows * columns != page.rows:
        return None
    index = np.arange(page.rows)
    return CurveGrid(index // columns, index % columns, (rows, columns), 1, None, (0.0, 0.0))


FORMAT = ScanFormat(
    _NAME, (".sm4",), lambda head: head[2:16] == "STiMage".encode("utf-16-le"), read
)
