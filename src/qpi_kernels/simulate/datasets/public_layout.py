"""The public data set's CSV layout: one file per kernel, an image and its scatterers per line.

The layout of ``QPI-Dataset/QPI-Dataset-100kernels`` (arXiv 2506.05325), as its README and its
pre-processing scripts tell it:

===========  ====================================================================================
line 1       resolution, largest number of scatterers
line 2       pixel coordinates in Angstrom, as many as the resolution
line 3       the kernel's resolution^2 pixels, then its scatterer, (0, 0)
line 4, ...  an observation's resolution^2 pixels, then x1, y1, x2, y2, ... in Angstrom; 1000 where
             a scatterer is unused
===========  ====================================================================================

The first index of an image is x, so images are transposed here to our (y, x): row 0 has the
smallest y. The public files do not say which way y points on a screen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qpi_kernels.io.atomic_write import replacing
from qpi_kernels.simulate.datasets.public_lines import (
    UNUSED,
    DatasetFormatError,
    even_pitch,
    lines_of,
    read_axis,
    read_pixels,
    read_scatterers,
    read_sizes,
)

__all__ = [
    "DatasetFormatError",
    "PublicCsv",
    "kernel_number",
    "pixel_positions",
    "public_csv_path",
    "read_public_csv",
    "write_public_csv",
]

_FOLDER = "64X64 vp coords"
_NAME = re.compile(r"kernel\s*number\s*\{?(\d+)\}?", re.IGNORECASE)
# What the published pre-processing scripts write under names that begin in the same way.
_DERIVED = re.compile(r"(observation|activation|obs_summary)$")
_HEADER_LINES = 3
_DIGITS = 8


@dataclass(frozen=True, eq=False)
class PublicCsv:
    """One kernel's file in the public layout; its observations are read on demand."""

    path: Path
    """The file."""
    number: int
    """The kernel's number, from the file's name."""
    axis: NDArray[np.float64]
    """(side,), pixel coordinates in Angstrom, of x and y alike."""
    kernel: NDArray[np.float32]
    """(y, x), the single-scatterer image."""
    positions: NDArray[np.float64]
    """(sample, defect, 2), scatterers as (x, y) in Angstrom, NaN where unused."""

    def read_observations(self) -> NDArray[np.float32]:
        """Read the observations, (sample, y, x).

        Raises
        ------
        DatasetFormatError
            If a pixel is not a finite number.
        """
        side, samples = len(self.axis), len(self.positions)
        if not samples:
            return np.zeros((0, side, side), np.float32)
        try:
            flat = np.loadtxt(
                self.path,
                np.float32,
                comments=None,
                delimiter=",",
                skiprows=_HEADER_LINES,
                max_rows=samples,
                usecols=range(side**2),
                encoding="latin-1",
                ndmin=2,
            )
        except ValueError as error:
            raise self._damage() from error
        if flat.shape != (samples, side**2) or not np.isfinite(flat).all():
            raise self._damage()
        return _images(flat, side)

    def _damage(self) -> DatasetFormatError:
        """Find the line over which the fast reader stumbled."""
        for line, text in lines_of(self.path):
            if line > _HEADER_LINES:
                try:
                    read_pixels(self.path, line, text, len(self.axis) ** 2)
                except DatasetFormatError as error:
                    return error
        return DatasetFormatError(self.path, "was changed while in use; open the data set again")


def kernel_number(path: Path) -> int | None:
    """Return X of a file named ``Kernel number{X} ....csv``, None for any other name."""
    found = _NAME.match(path.stem)
    if not found or path.suffix.lower() != ".csv" or _DERIVED.search(path.stem):
        return None
    return int(found.group(1))


def public_csv_path(folder: str | Path, number: int, *, noisy: bool = False) -> Path:
    """Name a kernel's file as the public data set does; noisy images lie in a parallel folder."""
    images = f"{_FOLDER} noisy" if noisy else _FOLDER
    return Path(folder) / images / f"Kernel number{number} coords.csv"


def read_public_csv(path: str | Path) -> PublicCsv:
    """Read one kernel's file, all but the observations' pixels.

    The geometry is taken from the file. Cells behind the two numbers of line 1 and behind the
    coordinates of line 2 may be empty; empty scatterer cells count as unused.

    Parameters
    ----------
    path : path-like
        Named ``Kernel number{X} ....csv``.

    Returns
    -------
    PublicCsv
        The file's contents.

    Raises
    ------
    DatasetFormatError
        If the name or the content is not of this layout, or the file is damaged.
    """
    path = Path(path)
    number = kernel_number(path)
    if number is None:
        reason = "not named like the public data set; rename it to 'Kernel number1 ....csv'"
        raise DatasetFormatError(path, reason)
    lines = lines_of(path)
    side, most = read_sizes(path, *_next(path, lines, "resolution"))
    axis = read_axis(path, *_next(path, lines, "pixel coordinates"), side)
    line, text = _next(path, lines, "kernel")
    kernel = read_pixels(path, line, text, side**2).astype(np.float32)
    centre = read_scatterers(path, line, text, side**2, most)
    if (np.abs(np.nan_to_num(centre)) > 1e-3).any():
        reason = "the kernel's only scatterer must lie at (0, 0); correct its coordinates"
        raise DatasetFormatError(path, reason, line)
    positions, cells = [], []
    for line, text in lines:
        positions.append(read_scatterers(path, line, text, side**2, most))
        cells.append(text.count(b","))
    if len(cells) > 1 and cells[-1] < cells[-2] and len(set(cells[:-1])) == 1:
        reason = "shorter than all lines before it, so the file was cut off; copy it again"
        raise DatasetFormatError(path, reason, line)
    stacked = np.array(positions).reshape(-1, most, 2)
    return PublicCsv(path, number, axis, _images(kernel, side)[0], stacked)


def _next(path: Path, lines: Iterator[tuple[int, bytes]], content: str) -> tuple[int, bytes]:
    try:
        return next(lines)
    except StopIteration:
        reason = f"ends before the {content}; copy the file again"
        raise DatasetFormatError(path, reason) from None


def _images(flat: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Turn lines of pixels, in which x is the slow index, into images (y, x)."""
    return np.ascontiguousarray(flat.reshape(-1, side, side).transpose(0, 2, 1))


def pixel_positions(
    positions_A: NDArray[np.float64], axis_A: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Turn (x, y) in Angstrom, (..., 2), into sub-pixel (row, col) of images (y, x)."""
    return np.asarray((positions_A[..., ::-1] - axis_A[0]) / even_pitch(axis_A))


def write_public_csv(
    path: str | Path,
    *,
    kernel: ArrayLike,
    observations: ArrayLike,
    positions_A: ArrayLike,
    axis_A: ArrayLike,
    max_scatterers: int,
) -> Path:
    """Write one kernel's file.

    The kernel is written to nine significant digits, so that a float32 comes back as it was; an
    observation to within 1e-7 of its largest magnitude; a position without loss. Lines 1 and 2
    are filled up with empty cells, since the published scripts read the file as one table.

    Parameters
    ----------
    path : path-like
        See `public_csv_path`. Missing folders are made; an existing file is replaced only once
        the new one is complete.
    kernel : array, (y, x)
        The single-scatterer image, whose scatterer lies at coordinate (0, 0).
    observations : array, (sample, y, x)
        Images.
    positions_A : array, (sample, defect, 2)
        Scatterers as (x, y) in Angstrom, NaN where unused.
    axis_A : array, (side,)
        Evenly spaced pixel coordinates, of x and y alike.
    max_scatterers : int
        Room for so many scatterers in each line.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ValueError
        If shapes disagree, a pixel is not finite, the axis is not even, or an observation has too
        many scatterers or one with a coordinate of 1000.
    """
    path = Path(path)
    axis, points = np.asarray(axis_A, np.float64), np.asarray(positions_A, np.float64)
    even_pitch(axis)
    side = len(axis)
    stack = np.concatenate([np.asarray(kernel)[None], np.asarray(observations)]).astype(np.float64)
    if stack.shape[1:] != (side, side) or len(points) != len(stack) - 1:
        raise ValueError(
            f"kernel with observations {stack.shape} and positions {points.shape} do not fit an "
            f"axis of {side} pixels; give ({side}, {side}), (sample, {side}, {side}) and "
            "(sample, defect, 2)"
        )
    if not np.isfinite(stack).all():
        raise ValueError("images must be finite; leave out the samples that are not")
    flat = stack.transpose(0, 2, 1).reshape(len(stack), -1)
    cells = side**2 + 2 * max_scatterers
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial, partial.open("w", encoding="ascii", newline="\n") as file:
        file.write(f"{side},{max_scatterers}" + "," * (cells - 2) + "\n")
        file.write(",".join(map(repr, axis.tolist())) + "," * (cells - side) + "\n")
        centre = _scatterer_text(np.zeros((1, 2)), max_scatterers)
        file.write(",".join(["%.9g"] * side**2) % tuple(flat[0].tolist()) + f",{centre}\n")
        for pixels, scatterers in zip(flat[1:], points, strict=True):
            file.write(f"{_pixel_text(pixels)},{_scatterer_text(scatterers, max_scatterers)}\n")
    return path


def _pixel_text(pixels: NDArray[np.float64]) -> str:
    """Write whole numbers with one exponent for all: twice as fast as writing floats."""
    peak = float(np.abs(pixels).max())
    exponent = int(np.floor(np.log10(peak))) + 1 - _DIGITS if peak else 0
    numbers = np.rint(pixels / 10.0**exponent).astype(np.int64).tolist()
    return ",".join([f"%de{exponent}"] * len(numbers)) % tuple(numbers)


def _scatterer_text(scatterers: NDArray[np.float64], most: int) -> str:
    """Write the scatterers of an observation, padded with unused ones."""
    used = scatterers[~np.isnan(scatterers).all(axis=1)]
    if len(used) > most or not np.isfinite(used).all() or (used == UNUSED).any():
        raise ValueError(
            f"an observation may have up to {most} scatterers, with finite coordinates other than "
            f"{UNUSED:g}, the mark of an unused one"
        )
    unused = [f"{UNUSED:g}"] * (2 * (most - len(used)))
    return ",".join([*map(repr, used.ravel().tolist()), *unused])
