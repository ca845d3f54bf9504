"""`Grid`: the records of a Nanonis ``.3ds`` file, one per point of the map."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qpi_kernels.io.layouts.nanonis_header import ChannelName, Header, refuse_mostly_missing

__all__ = ["EAGER_BLOCK_BYTES", "Grid", "parameter_image", "read_grid", "recorded_axis", "survey"]

# Small enough that turning (y, x, point) into (point, y, x) stays within the processor's cache.
EAGER_BLOCK_BYTES = 512 * 1024
_MAX_POINTS = 10_000_000


@dataclass(frozen=True)
class Grid:
    """Places of the records of a grid in its file.

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


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(";") if name.strip())


def read_grid(header: Header, header_stop: int) -> Grid:
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


def survey(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
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
    for first, stop in grid.blocks(EAGER_BLOCK_BYTES):
        records = grid.read_rows(first, stop, slice(None))
        parameters[first:stop] = records[..., : grid.parameter_count]
        measured[first:stop] = ((records != 0) & ~np.isnan(records)).any(axis=-1)
    return parameters, measured


def parameter_image(grid: Grid, parameters: np.ndarray, name: str) -> np.ndarray | None:
    """Return a parameter as ``(rows, columns)`` by its name without unit."""
    for index, text in enumerate(grid.parameters):
        if ChannelName.parse(text).label.lower() == name:
            return parameters[..., index]
    return None


def recorded_axis(
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
    for first, stop in grid.blocks(EAGER_BLOCK_BYTES):
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
