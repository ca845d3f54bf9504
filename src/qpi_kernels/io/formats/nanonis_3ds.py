"""Nanonis spectroscopy grids (.3ds): one sweep per point of a map."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qpi_kernels.io.layouts.nanonis_grid import (
    EAGER_BLOCK_BYTES,
    Grid,
    parameter_image,
    read_grid,
    recorded_axis,
    survey,
)
from qpi_kernels.io.layouts.nanonis_header import (
    ChannelName,
    Header,
    read_header_text,
)
from qpi_kernels.io.layouts.nanonis_sweep import name_sweep, sweep_axis
from qpi_kernels.io.numeric_didv import DERIVED, differentiate
from qpi_kernels.io.registry import ScanFormat
from qpi_kernels.io.scan import Channel, scan_dataset

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["FORMAT", "read"]

_NAME = "Nanonis .3ds"
_LAZY_ABOVE_BYTES = 512 * 1024 * 1024
_LAZY_BLOCK_BYTES = 64 * 1024 * 1024


def read(path: str | Path, *, lazy: bool | None = None) -> xr.Dataset:
    """Read a Nanonis grid.

    After a text header every grid point has a record of parameters and of all channels' sweeps,
    big-endian float32, x fastest, lowest y first; the result is flipped so that row 0 is the top.
    The grid's angle is clockwise: a real grid at 45 degrees records where its points lie.

    Parameters
    ----------
    path : path-like
        The file.
    lazy : bool, optional
        True gives dask arrays that read the file when computed, False reads at once; by default
        data of more than 512 MiB are lazy.

    Returns
    -------
    xarray.Dataset
        See `qpi_kernels.io.open_scan`: cubes ``(bias, y, x)`` on the bias axis as recorded (it
        may fall and need not be even), and the topography ``(y, x)``. Without a lock-in channel
        dI/dV is computed from the current and its attribute ``derived`` says so. Points that were
        not measured are NaN. If another signal than the bias was swept, the first dimension is
        called ``sweep`` and its coordinate tells the signal and its unit.

    Raises
    ------
    ScanFormatError
        If the header is damaged, no complete point was recorded, or the sweep axis is unknown.
    """
    path = Path(path)
    text, data_start = read_header_text(path, b":HEADER_END:", _NAME)
    header = Header(path, _NAME, _entries(text))
    grid = read_grid(header, data_start)
    parameters, measured = survey(grid)
    if not measured.any():
        raise header.error("no grid point was measured")
    lazy = lazy if lazy is not None else grid.announced_bytes > _LAZY_ABOVE_BYTES

    signal = ChannelName.parse(header.text("Sweep Signal"))
    sweeps_bias = signal.plain.startswith("bias")
    axis = sweep_axis(
        header,
        grid.points,
        _sweep_limits(grid, parameters, measured),
        lambda: recorded_axis(header, grid, measured, signal),
    )
    cubes = _lazy_cubes(grid, measured) if lazy else _eager_cubes(grid, measured)
    channels = _channels(header, grid, cubes, sweeps_bias)
    if sweeps_bias:
        channels += _derived_channels(channels, axis * signal.scale)
    channels += _topography(grid, channels, parameters, measured)

    centre_x, centre_y, width, height, angle = header.numbers("Grid settings", 5)
    dataset = scan_dataset(
        channels,
        source=path,
        format=_NAME,
        pixel_nm=header.pixel_nm((width, height), (grid.columns, grid.rows)),
        bias=axis * signal.scale if sweeps_bias else None,
        offset_nm=(1e9 * centre_x, 1e9 * centre_y),
        scan_angle_deg=angle,
        setpoint=header.setpoint,
        complete=bool(measured.all()),
        header=header.entries,
    )
    return dataset if sweeps_bias else name_sweep(dataset, header, signal, axis * signal.scale)


def _entries(text: str) -> dict[str, str]:
    entries = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals:
            entries[key.strip()] = value.strip().strip('"')
    return entries


def _sweep_limits(grid: Grid, parameters: np.ndarray, measured: np.ndarray) -> np.ndarray | None:
    start = parameter_image(grid, parameters, "sweep start")
    end = parameter_image(grid, parameters, "sweep end")
    if start is None or end is None:
        return None
    return np.stack([start[measured], end[measured]], axis=1)


def _eager_cubes(grid: Grid, measured: np.ndarray) -> list[Any]:
    """Read all channels in one go through the file, block by block."""
    shape = (grid.points, grid.rows, grid.columns)
    cubes = [np.empty(shape, np.float32) for _ in grid.channels]
    names = [ChannelName.parse(text) for text in grid.channels]
    for first, stop in grid.blocks(EAGER_BLOCK_BYTES):
        records = grid.read_rows(first, stop, slice(None))
        records[~measured[first:stop]] = np.nan
        for channel, (cube, name) in enumerate(zip(cubes, names, strict=True)):
            sweeps = records[..., grid.sweep_values(channel)]
            if name.scale != 1:
                sweeps = name.scaled(sweeps)
            cube[:, first:stop] = sweeps.transpose(2, 0, 1)
    return list(cubes)


def _lazy_cubes(grid: Grid, measured: np.ndarray) -> list[Any]:
    """Describe all channels as dask arrays whose blocks of rows are read when needed."""
    # dask takes a fifth of a second to import and most files never need it.
    import dask.array
    from dask.delayed import delayed

    dask_array: Any = dask.array
    read_sweeps = delayed(grid.read_sweeps, pure=False)
    mask = delayed(measured)
    cubes = []
    for channel in range(len(grid.channels)):
        blocks = [
            dask_array.from_delayed(
                read_sweeps(channel, first, stop, mask),
                (grid.points, stop - first, grid.columns),
                np.float32,
            )
            for first, stop in grid.blocks(_LAZY_BLOCK_BYTES)
        ]
        cubes.append(dask_array.concatenate(blocks, axis=1))
    return cubes


def _channels(header: Header, grid: Grid, cubes: list[Any], sweeps_bias: bool) -> list[Channel]:
    """Name the cubes; Z during a sweep is no topograph, dI/dV needs a bias sweep."""
    names = [ChannelName.parse(text) for text in grid.channels]
    both_ways = any(name.direction == "backward" for name in names)
    channels = []
    for name, cube in zip(names, cubes, strict=True):
        quantity = name.quantity(header.entries)
        # Z during a sweep is no topograph, and dI/dV against another signal no spectrum.
        if quantity == "topography" or (quantity == "didv" and not sweeps_bias):
            quantity = "other"
        direction = name.direction if both_ways else "none"
        channels.append(Channel(name.label, cube, name.unit, quantity, direction))
    return channels


def _derived_channels(channels: list[Channel], bias: np.ndarray) -> list[Channel]:
    """Differentiate the current unless dI/dV was recorded."""
    if bias.size < 2 or any(channel.quantity == "didv" for channel in channels):
        return []
    derived = []
    for channel in channels:
        if channel.quantity == "current" and not ChannelName.parse(channel.label).is_single_sweep:
            didv = _differentiated(channel.data, bias)
            derived.append(Channel("dI/dV", didv, "S", "didv", channel.direction, DERIVED))
    return derived


def _differentiated(current: Any, bias: np.ndarray) -> Any:
    """Differentiate a cube block by block, or lazily."""
    if not isinstance(current, np.ndarray):
        compute: Callable[..., Any] = current.map_blocks
        return compute(differentiate, bias, dtype=np.float32)
    didv = np.empty_like(current)
    rows_per_block = max(1, EAGER_BLOCK_BYTES // (current[:, :1].nbytes or 1))
    for first in range(0, current.shape[1], rows_per_block):
        rows = slice(first, first + rows_per_block)
        didv[:, rows] = differentiate(current[:, rows], bias)
    return didv


def _topography(
    grid: Grid, channels: list[Channel], parameters: np.ndarray, measured: np.ndarray
) -> list[Channel]:
    """Return the height at which each sweep began: the parameter Z, or the Z channel's start."""
    height = parameter_image(grid, parameters, "z")
    if height is not None:
        image = ChannelName.parse("Z (m)").scaled(np.where(measured, height, np.nan))
        return [Channel("Z", image, "nm", "topography")]
    for channel in channels:
        if ChannelName.parse(channel.label).plain == "z" and channel.direction != "backward":
            derived = "Z channel at the first point of the sweep"
            start = channel.data[0]
            return [Channel("Z", start, channel.units, "topography", derived=derived)]
    return []


FORMAT = ScanFormat(_NAME, (".3ds",), lambda head: head.startswith(b"Grid dim="), read)
