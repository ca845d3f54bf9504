"""The lines of a file in the public layout, checked: sizes, pixel axis, pixels, scatterers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "UNUSED",
    "DatasetFormatError",
    "even_pitch",
    "lines_of",
    "read_axis",
    "read_pixels",
    "read_scatterers",
    "read_sizes",
]

UNUSED = 1000.0
_MAX_SIDE = 4096
_MAX_SCATTERERS = 100_000


class DatasetFormatError(ValueError):
    """A file or folder is not a data set we can read, or is damaged.

    Parameters
    ----------
    path : path-like
        The file or folder.
    reason : str
        What is wrong and what to do.
    line : int, optional
        The line in a text file, from 1.
    """

    def __init__(self, path: str | Path, reason: str, line: int | None = None) -> None:
        self.path = Path(path)
        self.reason = " ".join(str(reason).split())
        self.line = line
        place = self.path.name if line is None else f"{self.path.name}, line {line}"
        super().__init__(f"{place}: {self.reason}")

    def __reduce__(self) -> tuple[type[DatasetFormatError], tuple[Path, str, int | None]]:
        return type(self), (self.path, self.reason, self.line)


def lines_of(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines with their numbers, from 1.

    Raises
    ------
    DatasetFormatError
        If anything follows an empty line.
    """
    empty = 0
    with path.open("rb") as file:
        for line, text in enumerate(file, start=1):
            stripped = text.removeprefix(b"\xef\xbb\xbf").strip()
            if not stripped.strip(b", "):
                empty = empty or line
            elif empty:
                raise DatasetFormatError(path, "empty; delete this line", empty)
            else:
                yield line, stripped


def read_sizes(path: Path, line: int, text: bytes) -> tuple[int, int]:
    """Read resolution and largest number of scatterers; further cells do not matter."""
    numbers = _numbers(path, line, text.split(b",", 2)[:2])
    side, most = numbers if len(numbers) == 2 else (np.nan, np.nan)
    whole = side % 1 == 0 and most % 1 == 0
    if not (whole and 2 <= side <= _MAX_SIDE and 1 <= most <= _MAX_SCATTERERS):
        reason = (
            "must hold the resolution and the largest number of scatterers, such as '64,20'; "
            "remove the file if it is not of the public layout"
        )
        raise DatasetFormatError(path, reason, line)
    return int(side), int(most)


def read_axis(path: Path, line: int, text: bytes, side: int) -> NDArray[np.float64]:
    """Read the pixel coordinates in Angstrom; further cells must be empty, zero or NaN."""
    numbers = _numbers(path, line, text.split(b","))
    axis_A = numbers[:side]
    if len(axis_A) < side or np.nan_to_num(numbers[side:]).any():
        reason = f"must hold {side} pixel coordinates, the resolution in line 1; correct line 1"
        raise DatasetFormatError(path, reason, line)
    try:
        even_pitch(axis_A)
    except ValueError as error:
        raise DatasetFormatError(path, str(error), line) from None
    return axis_A


def even_pitch(axis_A: NDArray[np.float64]) -> float:
    """Return the pitch of a pixel axis.

    Raises
    ------
    ValueError
        If its steps are not even (to a hundredth, for printed coordinates are rounded) or it does
        not grow.
    """
    if len(axis_A) > 1:
        pitch = float(axis_A[-1] - axis_A[0]) / (len(axis_A) - 1)
        even = np.linspace(axis_A[0], axis_A[-1], len(axis_A))
        if pitch > 0 and np.abs(axis_A - even).max() <= 0.01 * pitch:
            return pitch
    raise ValueError("pixel coordinates must grow in even steps; correct them")


def read_pixels(path: Path, line: int, text: bytes, count: int) -> NDArray[np.float64]:
    """Read the pixels that start a line."""
    values = _numbers(path, line, text.split(b",", count)[:count])
    finite = int(np.isfinite(values).sum())
    if finite < count:
        reason = f"holds {finite} of {count} finite pixels; copy the file again or delete the line"
        raise DatasetFormatError(path, reason, line)
    return values


def read_scatterers(
    path: Path, line: int, text: bytes, pixels: int, most: int
) -> NDArray[np.float64]:
    """Read (x, y) in Angstrom, (most, 2), NaN where unused, without reading the pixels before."""
    cells = text.count(b",") + 1
    if cells < pixels:
        reason = f"holds {cells} cells, fewer than {pixels} pixels; copy the file again"
        raise DatasetFormatError(path, reason, line)
    numbers = _numbers(path, line, text.rsplit(b",", cells - pixels)[1:])
    numbers[numbers == UNUSED] = np.nan
    if not np.isnan(numbers[2 * most :]).all():
        reason = f"holds more than {most} scatterers; correct the second number of line 1"
        raise DatasetFormatError(path, reason, line)
    positions = np.full((most, 2), np.nan)
    positions.flat[: len(numbers)] = numbers[: 2 * most]
    if (np.isnan(positions[:, 0]) != np.isnan(positions[:, 1])).any() or np.isinf(positions).any():
        reason = "a scatterer lacks x or y; copy the file again or delete the line"
        raise DatasetFormatError(path, reason, line)
    return positions


def _numbers(path: Path, line: int, cells: list[bytes]) -> NDArray[np.float64]:
    """Convert cells, NaN where they are empty."""
    try:
        return np.array([float(cell) if cell.strip() else np.nan for cell in cells], np.float64)
    except ValueError as error:
        reason = f"{error}; remove the file if it is not of the public layout, or copy it again"
        raise DatasetFormatError(path, reason, line) from None
