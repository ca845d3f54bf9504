"""The sweep axis of a Nanonis grid: linear, from a recorded channel, or from segments."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from qpi_kernels.io.layouts.nanonis_header import ChannelName, Header

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["name_sweep", "sweep_axis"]


def name_sweep(
    dataset: xr.Dataset, header: Header, signal: ChannelName, axis: np.ndarray
) -> xr.Dataset:
    """Call the first axis ``sweep``, with the swept signal and its unit, unless that is the bias.

    Parameters
    ----------
    dataset : xarray.Dataset
        From `scan_dataset` without a bias.
    header : Header
        Its ``Bias>Bias (V)`` is the bias at which another signal was swept.
    signal : ChannelName
        The swept signal.
    axis : array
        Its values in ``signal.unit``.

    Returns
    -------
    xarray.Dataset
        With the coordinate ``sweep``, and the scalar ``bias`` where the header tells it.
    """
    attributes = {"long_name": signal.label, "units": signal.unit}
    dataset = dataset.rename(bias="sweep").assign_coords(sweep=("sweep", axis, attributes))
    bias = header.number("Bias>Bias (V)")
    return dataset if bias is None else dataset.assign_coords(bias=((), bias, {"units": "V"}))


def sweep_axis(
    header: Header,
    points: int,
    limits: np.ndarray | None,
    recorded: Callable[[], np.ndarray | None],
) -> np.ndarray:
    """Find the values of the sweep signal.

    Parameters
    ----------
    header : Header
        ``Filetype`` and ``Bias Spectroscopy>Sweep mode`` other than ``Linear`` mean segments.
    points : int
        Points of one sweep.
    limits : array or None
        ``(points measured, 2)`` float32: start and end of the sweep at every measured grid point.
    recorded : callable
        Gives the recorded channel of the sweep signal, averaged over the grid, or None. Only
        asked when start and end are not enough.

    Returns
    -------
    array
        ``(points,)`` float64 in recorded order, which may fall.

    Raises
    ------
    ScanFormatError
        If the axis cannot be known.
    """
    if _is_linear(header):
        ends = _ends(header, points, limits)
        if ends is not None:
            return np.linspace(*ends, points)
        values = recorded()
        if values is None:
            raise header.error("it does not tell where the sweep starts and ends")
        return values
    segments = _segments(header, points)
    if segments is not None:
        return segments
    values = recorded()
    if values is None:
        raise header.error(
            "the sweep has several segments, but neither their table in the header fits its "
            f"{points} points nor was the bias recorded; export it with the channel Bias (V)"
        )
    return values


def _is_linear(header: Header) -> bool:
    modes = (
        header.entries.get("Filetype", ""),
        header.entries.get("Bias Spectroscopy>Sweep mode", ""),
    )
    return all(mode.strip().lower() in ("", "linear") for mode in modes)


def _ends(header: Header, points: int, limits: np.ndarray | None) -> tuple[float, float] | None:
    """Return start and end of a linear sweep, the same at every point of the grid."""
    if limits is None:
        start = header.number("Bias Spectroscopy>Sweep Start (V)")
        end = header.number("Bias Spectroscopy>Sweep End (V)")
    else:
        # The shortest decimal a float32 stands for: 0.2 V, not 0.20000000298.
        start, end = (float(str(value)) for value in limits[0])
        if not np.isfinite(limits).all():
            raise header.error("start or end of a sweep is not a number")
        step = abs(end - start) / max(points - 1, 1)
        if np.abs(limits - limits[0]).max() > 0.5 * step:
            raise header.error("the sweep's start or end differs between grid points")
    if start is None or end is None or (start == end and points > 1):
        return None
    return start, end


def _segments(header: Header, points: int) -> np.ndarray | None:
    """Join the segments of a multi-line sweep; None unless they give the right number of points.

    The settings of the spectroscopy module may be left from another experiment, the file's own
    table comes first. Whether a point shared by two segments is stored once or twice differs.
    """
    keys = [key for key in header.entries if "Segment Start (V)" in key and "Steps" in key]
    for key in sorted(keys, key=lambda key: ">" in key):
        table = _segment_table(key, header.entries[key])
        if table is None:
            continue
        pieces = [np.linspace(start, end, steps) for start, end, steps in table]
        for shared_once in (False, True):
            axis = pieces[0]
            for piece in pieces[1:]:
                joins = shared_once and np.isclose(axis[-1], piece[0], rtol=1e-6, atol=1e-9)
                axis = np.concatenate([axis, piece[1:] if joins else piece])
            if axis.size == points:
                return axis
    return None


def _segment_table(key: str, text: str) -> list[tuple[float, float, int]] | None:
    """Read rows of ``start, end, ..., steps, ...`` whose columns the key names."""
    names = [name.strip() for name in key.rpartition(" : ")[2].split(",")]
    steps_column = next(i for i, name in enumerate(names) if name.startswith("Steps"))
    table = []
    for row in text.split(";"):
        cells = row.split(",")
        try:
            start, end, steps = float(cells[0]), float(cells[1]), int(cells[steps_column])
        except (ValueError, IndexError):
            return None
        if not (np.isfinite([start, end]).all() and 1 <= steps <= 1_000_000):
            return None
        table.append((start, end, steps))
    return table
