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
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from qpi_kernels.io.curve_grid import CurveGrid, grid_of_positions
from qpi_kernels.io.layouts.rhk_pages import (
    CURVES,
    IMAGE,
    Page,
    Pages,
    curve_positions_nm,
    physical_values,
    read_pages,
)
from qpi_kernels.io.physical_units import credible_pitch, in_project_units, quantity_of
from qpi_kernels.io.registry import ScanFormat
from qpi_kernels.io.scan import Channel, Direction, ScanFormatError, scan_dataset

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["FORMAT", "read"]

_NAME = "RHK .sm4"
_TOPOGRAPHY = 1

PageKind = Literal["maps", "images", "spectra"]


def read(
    path: str | Path, *, pages: PageKind | None = None, size: tuple[int, int] | None = None
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
    found = read_pages(path, raw)
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
    """Assemble the scan of the chosen group and its companions."""
    kept = [chosen, *companions]
    page = chosen.pages[0]
    left_out = "; ".join(str(group) for group in groups if group not in kept)
    header = page.summary() | ({"pages left out": left_out} if left_out else {})
    return scan_dataset(
        [channel for group in kept for channel in group.channels],
        source=path,
        format=_NAME,
        pixel_nm=chosen.pixel_nm,
        bias=page.bias_axis() if page.kind == CURVES else page.bias,
        offset_nm=chosen.centre_nm,
        scan_angle_deg=page.angle,
        setpoint=f"{page.current * 1e12:.4g} pA" if page.current else "",
        complete=complete and all(p.complete for group in kept for p in group.pages),
        header=header,
        spectrum_positions_nm=chosen.positions_nm,
    )


@dataclass(eq=False)
class _Group:
    kind: PageKind
    size: tuple[int, int]
    pages: list[Page]
    channels: list[Channel]
    pixel_nm: tuple[float, float] | None = None
    centre_nm: tuple[float, float] = (0.0, 0.0)
    positions_nm: np.ndarray | None = None

    def __str__(self) -> str:
        labels = ", ".join(dict.fromkeys(page.label for page in self.pages))
        return f"{self.kind} {self.size[0]} x {self.size[1]} ({labels})"


def _groups(path: Path, raw: bytes, found: Pages) -> list[_Group]:
    """Sort the pages into groups that share a grid."""
    images: dict[tuple[int, int], list[Page]] = {}
    curves: dict[tuple[int, int, float, float], list[Page]] = {}
    for page in found.pages:
        if page.kind == IMAGE:
            images.setdefault((page.rows, page.columns), []).append(page)
        elif page.is_bias_spectrum:
            key = (page.rows, page.columns, page.x_offset, page.x_scale)
            curves.setdefault(key, []).append(page)
    groups = [_image_group(raw, size, pages) for size, pages in images.items()]
    groups += [_curve_group(raw, pages) for pages in curves.values()]
    return groups


def _image_group(raw: bytes, size: tuple[int, int], pages: list[Page]) -> _Group:
    """Read images of one size, in display order."""
    channels = []
    for page in pages:
        data, unit = physical_values(raw, page)
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
    page: Page, data: np.ndarray, unit: str, direction: Direction, derived: str = ""
) -> Channel:
    quantity = quantity_of(page.label, unit)
    if page.page_type == _TOPOGRAPHY and unit == "nm":
        quantity = "topography"
    return Channel(page.label, data, unit, quantity, direction, derived)


def _curve_group(raw: bytes, pages: list[Page]) -> _Group:
    """Read curves that share an axis, as a map where their positions form a grid."""
    first = pages[0]
    positions = curve_positions_nm(raw, first)
    grid = _grid(first, positions)
    if grid is None:
        channels = [_channel(page, *physical_values(raw, page), "none") for page in pages]
        if positions is None:
            positions = np.full((first.rows, 2), np.nan)
        size = (first.rows, first.columns)
        return _Group("spectra", size, pages, channels, positions_nm=positions)
    channels = []
    derived = f"mean of {grid.repeats} sweeps per point" if grid.repeats > 1 else ""
    for page in pages:
        data, unit = physical_values(raw, page)
        cube = grid.cube(data)
        channels.append(_channel(page, cube, unit, "none", derived))
    return _Group(
        "maps", grid.size, pages, channels, pixel_nm=grid.pixel_nm, centre_nm=grid.centre_nm
    )


def _grid(page: Page, positions: np.ndarray | None) -> CurveGrid | None:
    """Find the grid of a page's curves by position, else by its declared size."""
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
