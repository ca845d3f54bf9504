"""Cores of defects: round, isolated spots that stand out of noise, rows and waves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.defects.blobs import (
    WINDOW_CORES,
    BlobFilter,
    core_sigma,
    masked_mean,
    refined_peaks,
)

__all__ = ["BRIGHT", "DARK", "Spots", "find_spots", "line_background", "strongest_first"]

BRIGHT, DARK = 1, -1
_BACKGROUND_SIZES = 6.0
_DIRECTIONS = 16
# Least share of the information on a spot that the mask leaves, and at a masked pixel.
_MIN_SHARE, _MIN_SHARE_IN_HOLE = 0.35, 0.6
# A streak loses its height without two neighbouring scan lines, but not without two columns.
_STREAK_WITHOUT_LINES, _STREAK_WITHOUT_COLUMNS = 0.2, 0.5
# Share of the information from which a spot counts as measured whole.
_WHOLE = 0.9
# A peak's position and roundness are those within this many core widths.
_FITTED_CORES = 0.75
_STRONGEST = 400


@dataclass(frozen=True)
class Spots:
    """Spots of one core size, strongest first."""

    size: float
    positions: NDArray[np.float64]
    score: NDArray[np.float64]
    polarity: NDArray[np.int64]
    isolation: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.score)

    def __getitem__(self, index: NDArray[Any] | slice) -> Spots:
        return replace(
            self,
            positions=self.positions[index],
            score=self.score[index],
            polarity=self.polarity[index],
            isolation=self.isolation[index],
        )


def strongest_first(parts: list[Spots]) -> Spots:
    """Join spots of one size, sorted by their score."""
    joined = Spots(
        parts[0].size,
        np.concatenate([part.positions for part in parts]),
        np.concatenate([part.score for part in parts]),
        np.concatenate([part.polarity for part in parts]),
        np.concatenate([part.isolation for part in parts]),
    )
    return joined[np.argsort(-joined.score, kind="stable")]


def find_spots(
    values: NDArray[np.float64],
    valid: NDArray[np.bool_],
    size: float,
    *,
    threshold: float,
    isolation: float,
) -> Spots:
    """Find the round, isolated spots of one core size, strongest first.

    Parameters
    ----------
    values, valid : array, (y, x)
        The plane with its gaps filled (`filled_lines`), and where it counts.
    size : float
        Diameter of a core, px.
    threshold : float
        Least score: response over its robust standard deviation.
    isolation : float
        Least contrast towards the worst direction over the median of all.

    Returns
    -------
    Spots
    """
    from scipy import ndimage
    from skimage.feature import peak_local_max

    # Where the feedback recovers from what was masked, the next pixel still shows it.
    valid = valid & ~ndimage.binary_dilation(~valid, np.ones((1, 3), bool))
    flat = np.where(valid, values - line_background(values, valid, size), 0.0)
    filtered = BlobFilter.of(flat, valid, size)
    scale = _noise(filtered.response, valid, core_sigma(size))
    score = filtered.response / scale
    allowed = filtered.share >= np.where(valid, _MIN_SHARE, _MIN_SHARE_IN_HOLE)
    smooth, share = masked_mean(flat, valid, core_sigma(size) / np.sqrt(2.0))
    smooth[share < _MIN_SHARE] = np.nan
    parts: list[Spots] = []
    for sign in (BRIGHT, DARK):
        peaks = peak_local_max(  # type: ignore[no-untyped-call]
            np.where(allowed, sign * score, 0.0),
            min_distance=max(1, int(size / 2)),
            threshold_abs=threshold,
            exclude_border=False,
        ).reshape(-1, 2)[:_STRONGEST]
        whole = filtered.share[tuple(peaks.T)] >= _WHOLE
        offset, round_enough = refined_peaks(
            sign * filtered.response, peaks, max(1, round(_FITTED_CORES * core_sigma(size)))
        )
        isolated = _isolation(sign * smooth, peaks, size)
        keep = (round_enough | ~whole) & (isolated >= isolation)
        peaks, offset, isolated = peaks[keep], offset[keep], isolated[keep]
        fitted, streak = _fitted(sign * flat, valid, peaks, size)
        strength = np.minimum(fitted / scale[peaks[:, 0], 0], sign * score[tuple(peaks.T)])
        # The less of a spot was measured, the more it must stand out.
        strength *= np.minimum(filtered.share[tuple(peaks.T)], 1.0)
        keep = (strength >= threshold) & ~streak
        parts.append(
            Spots(
                size,
                (peaks + offset)[keep],
                strength[keep],
                np.full(int(keep.sum()), sign),
                isolated[keep],
            )
        )
    return strongest_first(parts)


def line_background(
    filled: NDArray[np.float64], valid: NDArray[np.bool_], size: float
) -> NDArray[np.float64]:
    """Take a running median along each scan line, continued with the local slope at its ends."""
    from scipy import ndimage

    half = max(2, min(int(_BACKGROUND_SIZES * size / 2), filled.shape[1] - 1))
    steps = np.arange(1.0, half + 1)
    quarter = half // 2
    ends = []
    for end in (filled[:, :half], filled[:, ::-1][:, :half]):
        rise = np.median(end[:, -quarter:] - end[:, :quarter], axis=1) / (half - quarter)
        # One scan line alone tells its slope poorly, but neighbours share it.
        rise = ndimage.median_filter(rise, 2 * int(size) + 1, mode="nearest")
        ends.append(end - 2 * rise[:, None] * (steps - 0.5))
    padded = np.hstack([ends[0][:, ::-1], filled, ends[1]])
    # As many masked pixels above all values as below them leave the median of the others.
    counted = np.pad(valid, ((0, 0), (half, half)), mode="symmetric")
    above = np.cumsum(~counted, axis=1) % 2 == 0
    padded = np.where(counted, padded, np.where(above, np.inf, -np.inf))
    # Lines end to end: the margins keep them apart, and scipy is 20 times faster in 1-D.
    median = ndimage.median_filter(padded.ravel(), size=2 * half + 1, mode="nearest")
    return np.where(valid, median.reshape(padded.shape)[:, half:-half], filled)


def _noise(
    response: NDArray[np.float64], valid: NDArray[np.bool_], sigma: float
) -> NDArray[np.float64]:
    """Estimate a robust standard deviation, of the map or of the scan lines nearby if larger."""
    from scipy import ndimage

    size = np.where(valid, np.abs(response), np.nan)
    usable = valid.mean(axis=1) > 0.1
    lines = np.zeros(len(response))
    lines[usable] = np.nanmedian(size[usable], axis=1) if usable.any() else 0.0
    lines = ndimage.maximum_filter1d(lines, 2 * int(np.ceil(sigma)) + 1)
    # The floor keeps a map without any noise from giving infinite scores.
    floor = 1e-3 * float(np.nanmax(size)) or 1.0
    return np.asarray(np.maximum(1.4826 * np.maximum(lines, np.nanmedian(size)), floor)[:, None])


def _isolation(
    smooth: NDArray[np.float64], peaks: NDArray[np.intp], size: float
) -> NDArray[np.float64]:
    """Compare the worst contrast of all directions with the median, one core size away."""
    from scipy import ndimage

    angle = np.arange(_DIRECTIONS) * (2 * np.pi / _DIRECTIONS)
    ring = ndimage.map_coordinates(
        smooth,
        [peaks[:, :1] + size * np.sin(angle), peaks[:, 1:] + size * np.cos(angle)],
        order=1,
        mode="constant",
        cval=np.nan,
    )
    # Directions that leave the image do not count; a quarter of them remains beside a corner.
    contrast = smooth[tuple(peaks.T)][:, None] - ring
    result = np.full(len(peaks), -1.0)
    for index, inside in enumerate(np.isfinite(contrast)):
        if inside.sum() >= _DIRECTIONS // 4 and (median := np.median(contrast[index, inside])) > 0:
            result[index] = contrast[index, inside].min() / median
    return result


def _fitted(
    flat: NDArray[np.float64], valid: NDArray[np.bool_], peaks: NDArray[np.intp], size: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Fit a core over a free plane: its response, and True where it is a streak.

    A slope beside a mask or an edge looks like a spot when only a level is free. A streak of one
    or two scan lines looks like a spot, too, but is lost when these lines are left out.
    """
    sigma = core_sigma(size)
    reach = int(np.ceil(2.5 * WINDOW_CORES * sigma))
    steps = np.arange(-reach, reach + 1)
    rows, cols = (grid.astype(np.float64) for grid in np.meshgrid(steps, steps, indexing="ij"))
    window = np.exp(-(rows**2 + cols**2) / (2 * (WINDOW_CORES * sigma) ** 2))
    core = np.exp(-(rows**2 + cols**2) / (2 * sigma**2))
    basis = np.stack([core, np.ones_like(core), rows / reach, cols / reach])
    padded, counted = np.pad(flat, reach), np.pad(valid.astype(np.float64), reach)
    near = np.abs(steps[:-1] + 0.5) <= max(size / 2, 1)
    response, streak = np.zeros(len(peaks)), np.zeros(len(peaks), bool)
    for index, (row, col) in enumerate(peaks):
        cut = np.s_[row : row + 2 * reach + 1, col : col + 2 * reach + 1]
        weighted = basis * (window * counted[cut])
        terms = weighted[:, None] * basis, weighted * padded[cut]
        whole, information = _heights(*(term.sum((-2, -1))[None] for term in terms))
        response[index] = whole[0] * np.sqrt(information[0])
        without_lines, without_columns = (
            _least_height([term.sum(axis) for term in terms], near, information[0])
            for axis in (-1, -2)
        )
        streak[index] = (
            without_lines < _STREAK_WITHOUT_LINES * whole[0]
            and without_columns > _STREAK_WITHOUT_COLUMNS * whole[0]
        )
    return response, streak


def _least_height(
    sums: list[NDArray[np.float64]], near: NDArray[np.bool_], information: float
) -> float:
    """Fit the height without each two neighbouring lines, from the sums of every line."""
    normal, data = (np.moveaxis(term, -1, 0) for term in sums)
    heights, left = _heights(
        (normal.sum(0) - normal[:-1] - normal[1:])[near],
        (data.sum(0) - data[:-1] - data[1:])[near],
    )
    # Lines that hold all that is known about the spot can not be left out.
    known = left > 0.1 * information
    return float(heights[known].min()) if known.any() else 0.0


def _heights(
    normal: NDArray[np.float64], data: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Solve normal equations for the first coefficient and the information on it."""
    ridge = 1e-9 * np.eye(normal.shape[-1]) * np.trace(normal, axis1=1, axis2=2)[:, None, None]
    inverse = np.linalg.inv(normal + ridge + 1e-12 * np.eye(normal.shape[-1]))
    return (inverse[:, 0] * data).sum(1), 1.0 / inverse[:, 0, 0]
