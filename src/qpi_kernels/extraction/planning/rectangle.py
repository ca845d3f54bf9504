"""Choice of a rectangle to scan, from the defects that a topograph shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qpi_kernels.defects import Defects
from qpi_kernels.extraction.parameters import ExtractionError

__all__ = ["ScanRectangle", "choose_rectangle"]

# Sides that are tried, over the window's; and steps between places, of a side.
_SIDES, _STEP = np.array([1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0, 16.0]), 1 / 16
# Fewer defects than this could all be of a wrong kind, or moved.
_MIN_DEFECTS = 5.0


@dataclass(frozen=True)
class ScanRectangle:
    """A rectangle of a topograph.

    Parameters
    ----------
    row, col : int
        Its first pixel.
    rows, columns : int
        Its size, in pixels.
    shown : float
        Defects that show a kernel pixel within it, on average over the kernel.
    """

    row: int
    col: int
    rows: int
    columns: int
    shown: float

    @property
    def corners(self) -> NDArray[np.float64]:
        """Corners (row, col) of the rectangle, (4, 2), for a layer of shapes."""
        top, left = self.row - 0.5, self.col - 0.5
        bottom, right = top + self.rows, left + self.columns
        return np.array([[top, left], [top, right], [bottom, right], [bottom, left]])

    def within(self, defects: Defects) -> Defects:
        """Give defects positions in the rectangle's pixels."""
        return defects.moved(defects.positions - (self.row, self.col))


def choose_rectangle(
    defects: Defects | ArrayLike,
    shape: tuple[int, int],
    kernel_shape: tuple[int, int],
    *,
    size: tuple[int, int] | None = None,
    allowed: ArrayLike | None = None,
) -> ScanRectangle:
    r"""Choose where to scan: the rectangle in which a pixel tells most of the kernel.

    The time for a wanted error goes as pixels over :math:`N (1 - \gamma)`, with N the defects that
    show a kernel pixel, and :math:`\gamma` the share of the kernel's pixels in those of the map
    (Marchenko and Pastur 1967).

    Parameters
    ----------
    defects : Defects or array, (N, 2)
        Positions (row, col), in pixels of the topograph.
    shape, kernel_shape : tuple of int
        (rows, columns) of the topograph, and of the kernel window in its pixels.
    size : tuple of int, optional
        (rows, columns) of the rectangle; the best of several squares when left out.
    allowed : array of bool, (rows, columns), optional
        True on a clean terrace; others count as not scanned.

    Raises
    ------
    ExtractionError
        If there are no defects, or the size does not fit into the topograph.
    """
    table = defects if isinstance(defects, Defects) else Defects(defects)
    if not len(table):
        raise ExtractionError("there are no defects to plan a map about; mark at least one")
    if size is None:
        largest = min(side / window for side, window in zip(shape, kernel_shape, strict=True))
        sides = [*_SIDES[largest > _SIDES], largest]
        sizes = [
            (
                min(round(one * kernel_shape[0]), shape[0]),
                min(round(one * kernel_shape[1]), shape[1]),
            )
            for one in sides
        ]
        sizes.append((shape[0], shape[1]))
    else:
        sizes = [size]
    if any(a > b or a < 1 for one in sizes for a, b in zip(one, shape, strict=True)):
        raise ExtractionError(f"a rectangle of {sizes[0]} does not fit into {shape}")
    weight = np.ones(shape) if allowed is None else np.asarray(allowed).astype(float)
    best: tuple[float, ScanRectangle] | None = None
    for one in sizes:
        rectangle = _best_place(table, shape, kernel_shape, one, weight)
        gamma = np.prod(kernel_shape) / np.prod(one)
        if gamma >= 1:
            continue
        score = rectangle.shown * (1 - gamma) / np.prod(one)
        score *= min(1.0, rectangle.shown / _MIN_DEFECTS)
        # A larger one that is as good also tells more.
        if best is None or score >= 0.98 * best[0]:
            best = (max(score, best[0] if best else 0.0), rectangle)
    if best is None:
        return _best_place(table, shape, kernel_shape, sizes[-1], weight)
    return best[1]


def _best_place(
    defects: Defects,
    shape: tuple[int, int],
    window: tuple[int, int],
    size: tuple[int, int],
    weight: NDArray[np.float64],
) -> ScanRectangle:
    """Find the place of a rectangle in which the windows of defects cover most."""
    starts, overlaps = [], []
    for axis in range(2):
        step = max(1, round(size[axis] * _STEP))
        last = shape[axis] - size[axis]
        start = np.unique(np.append(np.arange(0, last + 1, step), last))
        first = defects.positions[:, axis] - window[axis] / 2
        low = np.maximum(start[:, None], first[None, :])
        high = np.minimum(start[:, None] + size[axis], first[None, :] + window[axis])
        starts.append(start)
        overlaps.append(np.clip(high - low, 0, None) / window[axis])
    shown = np.einsum("yd,xd,d->yx", *overlaps, np.square(defects.strength))
    shown *= _mean_within(weight, starts, size)
    row, col = np.unravel_index(int(shown.argmax()), shown.shape)
    return ScanRectangle(
        int(starts[0][row]), int(starts[1][col]), size[0], size[1], float(shown[row, col])
    )


def _mean_within(
    weight: NDArray[np.float64], starts: list[NDArray[np.intp]], size: tuple[int, int]
) -> NDArray[np.float64]:
    """Average a map over rectangles at all places, by its summed-area table."""
    table = np.pad(weight.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    top, left = starts[0][:, None], starts[1][None, :]
    bottom, right = top + size[0], left + size[1]
    total = table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]
    return np.asarray(total / np.prod(size))
