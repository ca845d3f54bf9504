"""Offsets of rows from robust differences between rows at short and long range."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.prepare.levelling.medians import robust_std, row_medians

__all__ = ["RowOffsets", "find_row_offsets"]

# Differences beyond so many standard deviations are of another terrace and do not count.
_CUT = 3.0
_ROUNDS = 3
# Distances between compared rows; each group starts from the offsets that the last one gave.
_LAGS = ((1,), (2, 3, 5, 8), (13, 21, 34))
# Columns that are left after averaging along the rows.
_BINS = 96
_MIN_SHARE = 0.1
_MIN_PIXELS = 8
# Neighbours with fewer pairs than this share of the usual number do not tie rows together.
_WEAK_SHARE = 0.5
# Makes the matrix of differences, which leave a constant free, positive definite.
_GROUND = 1e-10
# A lasting jump must exceed so many standard deviations of the jumps found elsewhere.
_SIGNIFICANT = 6.0
# A jump within two rows is a change of the tip unless it has so much of the relief; a step along
# the rows to within one pixel is rare, and as high as what else the image shows.
_STEP_SHARE = 0.5
_SUDDEN_SHARE = 0.6
# Within so many rows before and behind, or 2 % of them, it has most of its height; creep has not.
_NEAR_ROWS = 4


@dataclass(frozen=True, eq=False)
class RowOffsets:
    """Offsets of the rows of an image.

    Parameters
    ----------
    offsets : array, (rows,)
        To be subtracted; their median is 0. Rows without enough pixels take those beside them.
    jump_rows : array of int
        First rows behind lasting jumps over the whole width, which the offsets leave in place.
    jump_heights : array
        Heights of these jumps in units of the image.
    """

    offsets: NDArray[np.float64]
    jump_rows: NDArray[np.int64]
    jump_heights: NDArray[np.float64]

    def with_jumps(self) -> NDArray[np.float64]:
        """Return the offsets that would level the jumps, too."""
        behind = np.arange(self.offsets.size)[:, None] >= self.jump_rows
        return self.offsets + behind @ self.jump_heights


def find_row_offsets(
    plane: NDArray[np.float64],
    keep_jumps: bool = True,
    terraces: NDArray[np.int64] | None = None,
    before: RowOffsets | None = None,
) -> RowOffsets:
    """Estimate the offset of every row, without the steps of the surface.

    Rows are compared with rows 1, 2, 3, 5, ... below. From the differences of their pixels, a
    redescending location takes the pixels that lie on the same terrace in both rows, and the
    weighted least squares of all comparisons gives the offsets: near comparisons follow jumps,
    far ones keep errors from adding up.

    Parameters
    ----------
    plane : array, (rows, columns)
        NaN where a pixel does not count.
    keep_jumps : bool
        Keep jumps of the whole width that last, for a step along the rows makes one; row
        artefacts come back.
    terraces : array of int, (rows, columns), optional
        Labels; only pixels of the same terrace are compared.
    before : RowOffsets, optional
        Where neighbouring rows have hardly any pixels of the same terrace, their difference here
        counts.

    Returns
    -------
    RowOffsets
        Zero everywhere if fewer than two rows have enough pixels.
    """
    count = np.isfinite(plane).sum(axis=1)
    enough = max(_MIN_PIXELS, _MIN_SHARE * plane.shape[1])
    places = np.flatnonzero(count >= min(enough, plane.shape[1]))
    none = np.zeros(0, np.int64), np.zeros(0)
    if places.size < 2:
        return RowOffsets(np.zeros(len(plane)), *none)
    rows = _binned(plane[places])
    labels, steps = None, np.zeros(places.size - 1)
    if terraces is not None:
        labels = _binned(np.where(terraces > 0, terraces, np.nan)[places])
    if before is not None:
        steps = np.diff(before.with_jumps()[places])
    offsets = _tied_offsets(rows, labels, steps)
    jump_rows, heights = none
    if keep_jumps:
        jump_rows, heights = _lasting_jumps(offsets, places, _relief(rows - offsets[:, None]))
    kept = np.zeros_like(offsets)
    for first, height in zip(jump_rows, heights, strict=True):
        kept[first:] += height
    offsets = offsets - kept
    offsets = offsets - np.median(offsets)
    everywhere = np.interp(np.arange(len(plane)), places, offsets)
    return RowOffsets(everywhere, places[jump_rows], heights)


def _tied_offsets(
    rows: NDArray[np.float64], labels: NDArray[np.float64] | None, steps: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Solve for the offsets that agree best with the differences at all distances."""
    from scipy.linalg import solveh_banded

    size = len(rows)
    normal, right = np.zeros((1, size)), np.zeros(size)  # lower bands, as LAPACK has them
    offsets = np.zeros(size)
    blocks = np.zeros(size, np.int64)
    for lags in _LAGS:
        for lag in (lag for lag in lags if lag <= max(size // 2, 1)):
            difference = rows[lag:] - rows[:-lag]
            if labels is not None:
                difference = _within(
                    difference, labels[lag:] == labels[:-lag], steps if lag == 1 else None
                )
            expected = row_medians(difference)
            if lag == 1:
                pairs = np.isfinite(difference).sum(axis=1)
                weak = pairs < _WEAK_SHARE * np.median(pairs)
                blocks = np.concatenate([[0], np.cumsum(weak)])
            else:  # medians only across rows that neighbours do not tie together
                tied = blocks[lag:] == blocks[:-lag]
                expected = np.where(tied, offsets[lag:] - offsets[:-lag], expected)
            found, weight = _locations(difference, expected)
            normal = np.pad(normal, ((0, lag + 1 - len(normal)), (0, 0)))
            normal[0, :-lag] += weight
            normal[0, lag:] += weight
            normal[lag, :-lag] -= weight
            right[:-lag] -= weight * found
            right[lag:] += weight * found
        grounded = normal.copy()
        grounded[0] *= 1 + _GROUND
        offsets = solveh_banded(grounded, right, lower=True)
        offsets -= offsets.mean()
    return offsets


def _within(
    difference: NDArray[np.float64], same: NDArray[np.bool_], steps: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Leave out pairs on different terraces, and rows with hardly any others; or set those."""
    kept = np.where(same, difference, np.nan)
    few = np.isfinite(kept).mean(axis=1) < _MIN_SHARE
    kept[few] = np.nan if steps is None else steps[few, None]
    return kept


def _locations(
    difference: NDArray[np.float64], expected: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Locate the differences near an expected value in every row, and weigh each result."""
    expected = np.where(np.isfinite(expected), expected, 0.0)
    away = difference - expected[:, None]
    usual = row_medians(np.abs(away))
    if not np.isfinite(usual).any():
        return expected, np.zeros(len(expected))
    scale = 1.4826 * float(np.nanmedian(usual))
    if not scale > 0:
        return expected, np.ones(len(expected))
    measured = np.isfinite(away)
    away = np.where(measured, away, np.inf)
    location = np.zeros(len(expected))
    total = np.zeros(len(expected))
    for _ in range(_ROUNDS):
        part = ((away - location[:, None]) / (_CUT * scale)) ** 2
        weight = np.where(part < 1, (1 - np.minimum(part, 1)) ** 2, 0.0)
        total = weight.sum(axis=1)
        values = np.where(weight > 0, away, 0.0)
        shift = np.einsum("rc,rc->r", weight, values)
        location = np.where(total > 1, shift / np.maximum(total, 1), 0.0)
    return expected + location, np.maximum(total, 1e-3) / scale**2


def _binned(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average pixels along the rows: less noise, fewer atoms, the same offsets."""
    size = max(round(plane.shape[1] / _BINS), 1)
    padded = np.pad(plane, ((0, 0), (0, -plane.shape[1] % size)), constant_values=np.nan)
    groups = padded.reshape(len(plane), -1, size)
    measured = np.isfinite(groups)
    count = measured.sum(axis=2)
    total = np.where(measured, groups, 0.0).sum(axis=2)
    return np.where(count > size / 2, total / np.maximum(count, 1), np.nan)


def _lasting_jumps(
    offsets: NDArray[np.float64], places: NDArray[np.int64], relief: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Find jumps that the rows before and after agree on; a row artefact comes back."""
    size = offsets.size
    reach = min(max(size // 10, 6), 32)
    jump = _differences_of_sides(offsets, reach)
    tilt = float(np.nanmedian(jump)) / reach if np.isfinite(jump).any() else 0.0
    jump = jump - tilt * reach
    scale = np.maximum(robust_std(jump), _scatter(offsets, reach))
    rest = np.nan_to_num(np.abs(jump))
    rest[rest <= np.maximum(_SIGNIFICANT * scale, 1e-9 * relief)] = 0.0
    found: list[int] = []
    while rest.any():
        first = int(rest.argmax())
        rest[max(first - reach, 0) : first + reach] = 0.0
        row, share, sudden = _where(offsets - tilt * np.arange(size), first, reach)
        high = abs(jump[first]) > _STEP_SHARE * relief
        if share > _SUDDEN_SHARE and (high or not sudden):
            found.append(row)
    rows = np.array(sorted(found), np.int64)
    if not rows.size:
        return rows, np.zeros(0)
    above = (np.arange(size)[:, None] >= rows).astype(float)
    tilt = (places - places.mean())[:, None] / size
    fit, error = _robust_fit(np.column_stack([above, np.ones(size), tilt]), offsets)
    if abs(fit[-1]) < 3 * error[-1]:  # a tilt that is not there would cost the height precision
        fit, _ = _robust_fit(np.column_stack([above, np.ones(size)]), offsets)
    return rows, fit[: rows.size]


def _scatter(offsets: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Estimate the standard deviation of `_differences_of_sides` from the rows around each."""
    from scipy import ndimage

    rough = np.abs(np.diff(offsets, prepend=offsets[0])) / np.sqrt(2)
    around = ndimage.uniform_filter1d(rough, 2 * reach, mode="nearest")
    # The mean absolute deviation is 0.80 and the error of a median 1.25 standard deviations.
    return np.asarray(around / 0.80 * 1.25 * np.sqrt(2 / reach))


def _where(offsets: NDArray[np.float64], about: int, reach: int) -> tuple[int, float, bool]:
    """Place a jump; return its share within some rows, and if most of it takes only two."""
    first, last = max(about - reach, 0), min(about + reach, offsets.size)
    rows = np.arange(max(about - reach // 2, 1), min(about + reach // 2, offsets.size - 1))
    costs = [
        sum(
            float(np.abs(side - np.median(side)).sum())
            for side in (offsets[first:row], offsets[row:last])
        )
        for row in rows
    ]
    row = int(rows[np.argmin(costs)])
    height = np.median(offsets[row:last]) - np.median(offsets[first:row])
    quiet = np.median([offsets[:-2], offsets[1:-1], offsets[2:]], axis=0)  # no single rows
    beside = np.arange(max(row - 4, 0), min(row + 3, quiet.size - 2))
    rise = (quiet[beside + 2] - quiet[beside]) * np.sign(height)
    near = max(_NEAR_ROWS, offsets.size // 50)
    rises = [
        np.median(offsets[row + inner : row + outer])
        - np.median(offsets[max(row - outer, 0) : max(row - inner, 1)])
        for inner, outer in ((near, 2 * near), (reach // 2, reach))
        if row + inner < offsets.size
    ]
    share = float(rises[0] / rises[1]) if len(rises) == 2 and rises[1] else 0.0
    return row, share, bool(rise.max(initial=0.0) > _SUDDEN_SHARE * abs(height))


def _robust_fit(
    model: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit by Huber's weights; return coefficients and their standard errors."""
    fit, scale, weight = np.zeros(model.shape[1]), 0.0, np.ones(values.size)
    for _ in range(10):
        root = np.sqrt(weight)
        fit = np.asarray(np.linalg.lstsq(model * root[:, None], values * root, rcond=None)[0])
        away = np.abs(values - model @ fit)
        scale = 1.4826 * float(np.median(away))
        if not scale > 0:
            break
        weight = 1.5 * scale / np.maximum(away, 1.5 * scale)
    covariance = np.linalg.pinv(model.T @ (model * weight[:, None]))
    error: NDArray[np.float64] = scale * np.sqrt(np.maximum(covariance.diagonal(), 0.0))
    return fit, error


def _relief(rows: NDArray[np.float64]) -> float:
    """Measure the height between the lowest and the highest percent, without a tilt."""
    tilt = np.nanmedian(np.diff(rows, axis=1)) if rows.shape[1] > 1 else 0.0
    low, high = np.nanpercentile(rows - tilt * np.arange(rows.shape[1]), [1, 99])
    return float(high - low)


def _differences_of_sides(offsets: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Subtract the median before each row from the one behind it, both of so many rows."""
    jump = np.full(offsets.size, np.nan)
    if offsets.size < 2 * reach:
        return jump
    windows = np.lib.stride_tricks.sliding_window_view(offsets, reach)
    medians = np.median(windows, axis=1)
    jump[reach : offsets.size - reach + 1] = medians[reach:] - medians[:-reach]
    return jump
