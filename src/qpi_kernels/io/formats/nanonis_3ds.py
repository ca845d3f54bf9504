"""Nanonis spectroscopy grids (.3ds): one sweep per point of a map."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qpi_kernels.io.nanonis_header import (
    ChannelName,
    Header,
    read_header_text,
    refuse_mostly_missing,
    setpoint_text,
)
from qpi_kernels.io.nanonis_sweep import sweep_axis
from qpi_kernels.io.numeric_didv import DERIVED, differentiate
from qpi_kernels.io.registry import ScanFormat
from qpi_kernels.io.scan import Channel, scan_dataset

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["FORMAT", "read"]

_NAME = "Nanonis .3ds"
_LAZY_ABOVE_BYTES = 512 * 1024 * 1024
# Small enough that turning (y, x, point) into (point, y, x) stays within the processor's cache.
_EAGER_BLOCK_BYTES = 512 * 1024
_LAZY_BLOCK_BYTES = 64 * 1024 * 1024
_MAX_POINTS = 10_000_000


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
    grid = _grid(header, data_start)
    parameters, measured = _survey(grid)
    if not measured.any():
        raise header.error("no grid point was measured")
    lazy = lazy if lazy is not None else grid.announced_bytes > _LAZY_ABOVE_BYTES

    signal = ChannelName.parse(header.text("Sweep Signal"))
    sweeps_bias = signal.plain.startswith("bias")
    axis = sweep_axis(
        header,
        grid.points,
        _sweep_limits(grid, parameters, measured),
        lambda: _recorded_axis(header, grid, measured, signal),
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
        setpoint=setpoint_text(
            header.number("Z-Controller>Setpoint"),
            header.entries.get("Z-Controller>Setpoint unit", ""),
            header.entries.get("Z-Controller>Controller status", ""),
        ),
        complete=bool(measured.all()),
        header=header.entries,
    )
    if sweeps_bias:
        return dataset
    attributes = {"long_name": signal.label, "units": signal.unit}
    dataset = dataset.rename(bias="sweep").assign_coords(
        sweep=("sweep", axis * signal.scale, attributes)
    )
    bias = header.number("Bias>Bias (V)")
    return dataset if bias is None else dataset.assign_coords(bias=((), bias, {"units": "V"}))


@dataclass(frozen=True)
class Grid:
    """Where the records of a grid lie in its file.

    Parameters
    ----------
    path : Path
        The file.
    data_start : int
        Position of the first record.
    rows, columns : int
        Size of the grid.
    parameters : tuple of str
        Names of the parameters that start each record.
    channels : tuple of str
        Names of the channels that follow, each a sweep.
    points : int
        Points of a sweep.
    parameter_count : int
        Number of parameters, named or not.
    records : int
        Complete records in the file; an aborted grid has fewer than points.
    """

    path: Path
    data_start: int
    rows: int
    columns: int
    parameters: tuple[str, ...]
    channels: tuple[str, ...]
    points: int
    parameter_count: int
    records: int

    @property
    def record_values(self) -> int:
        """Number of float32 values per record."""
        return self.parameter_count + len(self.channels) * self.points

    @property
    def announced_bytes(self) -> int:
        """Size of the whole grid."""
        return 4 * self.rows * self.columns * self.record_values

    def sweep_values(self, channel: int) -> slice:
        """Return where in a record a channel's sweep lies."""
        first = self.parameter_count + channel * self.points
        return slice(first, first + self.points)

    def blocks(self, block_bytes: int) -> Iterator[tuple[int, int]]:
        """Yield first and last-plus-one display rows of blocks of about this size."""
        step = max(1, block_bytes // (4 * self.columns * self.record_values))
        for first in range(0, self.rows, step):
            yield first, min(first + step, self.rows)

    def read_rows(self, first: int, stop: int, values: slice) -> np.ndarray:
        """Read the chosen values of all records of some display rows (row 0 on top).

        Returns
        -------
        array
            ``(rows, columns, values)`` float32 in native order, NaN for records the file lacks.
            The map of the file is closed again, so its pages do not count as memory in use.
        """
        record_bytes = 4 * self.record_values
        first_record = (self.rows - stop) * self.columns
        count = (stop - first) * self.columns
        present = min(max(self.records - first_record, 0), count)
        width = len(range(*values.indices(self.record_values)))
        block = np.empty((count, width), np.float32)
        block[present:] = np.nan
        if present:
            stored = np.memmap(
                self.path,
                ">f4",
                mode="r",
                offset=self.data_start + first_record * record_bytes,
                shape=(present, self.record_values),
            )
            block[:present] = stored[:, values]
        return block.reshape(stop - first, self.columns, width)[::-1]

    def read_sweeps(self, channel: int, first: int, stop: int, measured: np.ndarray) -> np.ndarray:
        """Read one channel of some display rows as ``(points, rows, columns)`` in its unit."""
        block = self.read_rows(first, stop, self.sweep_values(channel))
        block[~measured[first:stop]] = np.nan
        name = ChannelName.parse(self.channels[channel])
        return name.scaled(block.transpose(2, 0, 1))


def _entries(text: str) -> dict[str, str]:
    entries = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals:
            entries[key.strip()] = value.strip().strip('"')
    return entries


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(";") if name.strip())


def _grid(header: Header, header_stop: int) -> Grid:
    """Check the announced layout against the size of the file."""
    columns, rows = header.image_size("Grid dim")
    (parameter_count,) = header.counts("# Parameters (4 byte)", 1)
    (points,) = header.counts("Points", 1)
    (sweep_bytes,) = header.counts("Experiment size (bytes)", 1)
    channels = _names(header.text("Channels"))
    if not channels or not 0 < points <= _MAX_POINTS:
        raise header.error(f"the header lists {len(channels)} channels of {points} points")
    if sweep_bytes != 4 * points * len(channels):
        raise header.error(
            f"an experiment of {sweep_bytes} bytes does not hold {len(channels)} channels "
            f"of {points} points"
        )
    with header.path.open("rb") as file:
        file.seek(header_stop)
        line_end = file.read(2)
        if line_end != b"\r\n":
            raise header.error("the line end after :HEADER_END: is missing")
        present = file.seek(0, 2) - header_stop - 2
    record_bytes = 4 * parameter_count + sweep_bytes
    records = present // record_bytes
    if records == 0:
        raise header.error(
            f"{present} bytes of data follow the header, less than one grid point ({record_bytes})"
        )
    if records > rows * columns:
        raise header.error(
            f"{records} points of data follow but the header announces {columns} x {rows}"
        )
    refuse_mostly_missing(header, rows * columns * record_bytes, present)
    names = _names(header.text("Fixed parameters")) + _names(header.text("Experiment parameters"))
    return Grid(
        path=header.path,
        data_start=header_stop + 2,
        rows=rows,
        columns=columns,
        parameters=names[:parameter_count],
        channels=channels,
        points=points,
        parameter_count=parameter_count,
        records=records,
    )


def _survey(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Read every point's parameters and tell the measured points from blank ones.

    A record of nothing but zeros (parameters included: a sweep from 0 V to 0 V at x = y = z = 0)
    was never written.

    Returns
    -------
    parameters : array
        ``(rows, columns, parameters)`` float32, row 0 on top.
    measured : array of bool
        ``(rows, columns)``.
    """
    size = (grid.rows, grid.columns)
    parameters = np.empty((*size, grid.parameter_count), np.float32)
    measured = np.empty(size, bool)
    for first, stop in grid.blocks(_EAGER_BLOCK_BYTES):
        records = grid.read_rows(first, stop, slice(None))
        parameters[first:stop] = records[..., : grid.parameter_count]
        measured[first:stop] = ((records != 0) & ~np.isnan(records)).any(axis=-1)
    return parameters, measured


def _parameter(grid: Grid, parameters: np.ndarray, name: str) -> np.ndarray | None:
    """Return a parameter as ``(rows, columns)`` by its name without unit."""
    for index, text in enumerate(grid.parameters):
        if ChannelName.parse(text).label.lower() == name:
            return parameters[..., index]
    return None


def _sweep_limits(grid: Grid, parameters: np.ndarray, measured: np.ndarray) -> np.ndarray | None:
    start = _parameter(grid, parameters, "sweep start")
    end = _parameter(grid, parameters, "sweep end")
    if start is None or end is None:
        return None
    return np.stack([start[measured], end[measured]], axis=1)


def _recorded_axis(
    header: Header, grid: Grid, measured: np.ndarray, signal: ChannelName
) -> np.ndarray | None:
    """Average the recorded sweep signal over the grid, if it was recorded and is the same."""
    names = [ChannelName.parse(text) for text in grid.channels]
    matching = [
        index
        for index, name in enumerate(names)
        if name.plain == signal.plain and name.direction == "forward"
    ]
    if not matching:
        return None
    values = grid.sweep_values(matching[0])
    total = np.zeros(grid.points)
    low, high = np.full(grid.points, np.inf), np.full(grid.points, -np.inf)
    for first, stop in grid.blocks(_EAGER_BLOCK_BYTES):
        block = grid.read_rows(first, stop, values)[measured[first:stop]]
        total += block.sum(axis=0, dtype=float)
        low = np.minimum(low, block.min(axis=0, initial=np.inf))
        high = np.maximum(high, block.max(axis=0, initial=-np.inf))
    axis: np.ndarray = total / measured.sum()
    steps = np.abs(np.diff(axis))
    step = float(np.median(steps)) if steps.size else 0.0
    if not np.isfinite(axis).all() or (steps.size and (high - low).max() > max(step, 1e-9)):
        raise header.error(
            f"the recorded {signal.label} differs between grid points, so they share no axis"
        )
    return axis


def _eager_cubes(grid: Grid, measured: np.ndarray) -> list[Any]:
    """Read all channels in one go through the file, block by block."""
    shape = (grid.points, grid.rows, grid.columns)
    cubes = [np.empty(shape, np.float32) for _ in grid.channels]
    names = [ChannelName.parse(text) for text in grid.channels]
    for first, stop in grid.blocks(_EAGER_BLOCK_BYTES):
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
    if not isinstance(current, np.ndarray):
        compute: Callable[..., Any] = current.map_blocks
        return compute(differentiate, bias, dtype=np.float32)
    didv = np.empty_like(current)
    rows_per_block = max(1, _EAGER_BLOCK_BYTES // (current[:, :1].nbytes or 1))
    for first in range(0, current.shape[1], rows_per_block):
        rows = slice(first, first + rows_per_block)
        didv[:, rows] = differentiate(current[:, rows], bias)
    return didv


def _topography(
    grid: Grid, channels: list[Channel], parameters: np.ndarray, measured: np.ndarray
) -> list[Channel]:
    """Return the height at which each sweep began: the parameter Z, or the Z channel's start."""
    height = _parameter(grid, parameters, "z")
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
