"""Edges of atomic steps: where two sides of an edge differ lastingly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.prepare.levelling.medians import filled

__all__ = ["find_step_edges"]

_SMOOTHING_PX = 1.5
# Distances from an edge at which its two sides are read.
_NEAR_PX = np.array([2.5, 3.5, 4.5])
_FAR_PX = np.array([6.0, 8.0, 10.0, 12.0])
# Near and far differences agree to this share: ramps have less near, bumps and rings less far.
_AGREEMENT = 0.6
# A difference of the sides in standard deviations of what it is anywhere, and in units of the
# range that each side has in itself.
_STRONG, _WEAK = 6.0, 3.0
_ROUGHNESS = 1.5
_MIN_STRONG_SHARE = 0.3
# Half of a normal distribution lies within so many standard deviations, and a quarter; between
# close steps hardly more than a quarter of the image is away from them.
_HALF_WITHIN, _QUARTER_WITHIN = 0.6745, 0.3186
# Among narrow terraces only the direction along the steps is free of them; on rough surfaces the
# differences along the slope are so much larger than across it.
_ALONG_FACTOR = 3.0
# Wide edges are seen in images binned to fewer pixels, from about 256 down to so many.
_BINNINGS = (1, 2, 4)
_SIDE, _MIN_SIDE = 256, 48
_GAP = 11
_ALONG_BORDER = 0.9


def find_step_edges(
    plane: NDArray[np.float64], length: float | NDArray[np.float64], least: float = 0.0
) -> NDArray[np.bool_]:
    """Find the edges of steps in an image whose rows are level.

    Candidates are ridges of the Gaussian gradient, as in J. Canny, IEEE Trans. Pattern Anal. 8,
    679 (1986). Of them a step is where the two sides, read at several distances along the normal,
    differ by about the same near and far: on a ramp, an adsorbate or a ring they do not.

    Parameters
    ----------
    plane : array, (rows, columns)
        Rows aligned and tilt removed; NaN where a pixel does not count.
    length : float or array, (2,)
        Shortest extent of an edge in px, or of one along rows' and columns' axes.
    least : float
        Least height of a step, above what rounding leaves.

    Returns
    -------
    array of bool, (rows, columns)
        Lines of one to four pixels' width; gaps up to 10 px are closed.
    """
    from scipy import ndimage

    edges = np.zeros(plane.shape, bool)
    if min(plane.shape) < 2 * _FAR_PX[0]:
        return edges
    full = filled(plane)
    for size in np.array(_BINNINGS) * max(min(plane.shape) // _SIDE, 1):
        if size > 1 and min(plane.shape) < size * _MIN_SIDE:
            break
        found = _edges(_binned(full, size), length / size, least)
        rows, columns = (np.arange(side) // size for side in plane.shape)
        last = np.array(found.shape) - 1
        edges |= found[np.minimum(rows, last[0])[:, None], np.minimum(columns, last[1])]
    closed = ndimage.minimum_filter(ndimage.maximum_filter(edges, _GAP), _GAP)
    return np.asarray(edges | closed)


def _binned(plane: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Average squares of pixels; what is left over at the lower and right edge is cut."""
    rows, columns = (side // size for side in plane.shape)
    cut = plane[: rows * size, : columns * size]
    return np.asarray(cut.reshape(rows, size, columns, size).mean(axis=(1, 3)))


def _edges(
    plane: NDArray[np.float64], length: float | NDArray[np.float64], least: float
) -> NDArray[np.bool_]:
    """Find edges at one binning."""
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(plane, _SMOOTHING_PX, mode="nearest")
    down, right = np.gradient(smooth)
    steep = np.hypot(down, right)
    none = np.zeros(plane.shape, bool)
    rows, columns = np.nonzero(steep > 2 * np.median(steep))
    if not rows.size:
        return none
    normal = np.stack([down[rows, columns], right[rows, columns]]) / steep[rows, columns]
    places = np.stack([rows, columns]).astype(float)
    beside = [_read(steep, places + sign * normal) for sign in (-1, 1)]
    ridge = steep[rows, columns] >= np.maximum(*beside)
    rows, columns, places, normal = rows[ridge], columns[ridge], places[:, ridge], normal[:, ridge]
    # Along a border nothing tells a step from the turning point of the scan.
    height, clear = _difference_of_sides(smooth, places, normal)
    for sign in (1, -1):
        side = places + sign * _FAR_PX[0] * normal
        last = np.array(plane.shape)[:, None] - 1
        outside = (side < 0) | (side > last)
        clear &= ~(outside & (np.abs(normal) > _ALONG_BORDER)).any(axis=0)
    usual = max(_usual_difference(smooth, down, right), least / _WEAK)
    weak, strong = none.copy(), none.copy()
    weak[rows, columns] = clear & (height > _WEAK * usual)
    strong[rows, columns] = clear & (height > _STRONG * usual)
    return _long_edges(weak, strong, length)


def _difference_of_sides(
    smooth: NDArray[np.float64], places: NDArray[np.float64], normal: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Read both sides of each place; return their difference, and if it is that of a step."""
    distances = np.concatenate([_NEAR_PX, _FAR_PX])[:, None]
    above, below = (
        _read(smooth, places[:, None, :] + sign * distances * normal[:, None, :])
        for sign in (1, -1)
    )
    count = _NEAR_PX.size
    near = above[:count].mean(axis=0) - below[:count].mean(axis=0)
    far = np.median(above[count:], axis=0) - np.median(below[count:], axis=0)
    rough = np.ptp(above[count:], axis=0) + np.ptp(below[count:], axis=0)
    clear = (near > _AGREEMENT * far) & (far > _AGREEMENT * near)
    return far, clear & (far > _ROUGHNESS * rough / 2)


def _usual_difference(
    smooth: NDArray[np.float64], down: NDArray[np.float64], right: NDArray[np.float64]
) -> float:
    """Estimate the standard deviation of the difference of sides over the whole image."""
    rows, columns = (np.arange(side // 16, side, max(side // 48, 1)) for side in smooth.shape)
    grid = np.stack(np.meshgrid(rows, columns, indexing="ij")).reshape(2, -1)
    at = tuple(grid)
    steep = np.maximum(np.hypot(down[at], right[at]), 1e-300)
    normal = np.stack([down[at], right[at]]) / steep
    far, _ = _difference_of_sides(smooth, grid.astype(float), normal)
    along, _ = _difference_of_sides(smooth, grid.astype(float), np.stack([-normal[1], normal[0]]))
    half, quarter = np.quantile(np.abs(far), [0.5, 0.25])
    side = _ALONG_FACTOR * np.median(np.abs(along))
    return float(min(half / _HALF_WITHIN, quarter / _QUARTER_WITHIN, side / _HALF_WITHIN))


def _read(values: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Read between pixels, the nearest beyond the image."""
    from scipy import ndimage

    return np.asarray(ndimage.map_coordinates(values, places, order=1, mode="nearest"))


def _long_edges(
    weak: NDArray[np.bool_], strong: NDArray[np.bool_], length: float | NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Keep connected edges, with gaps of up to four pixels, that are long and strong enough."""
    from scipy import ndimage

    labels, count = ndimage.label(ndimage.maximum_filter(weak, 5), np.ones((3, 3)))
    labels = np.where(weak, labels, 0)
    pixels = np.bincount(labels.ravel(), minlength=count + 1)
    share = np.bincount(labels[strong], minlength=count + 1) / np.maximum(pixels, 1)
    keep = share >= _MIN_STRONG_SHARE
    for label, region in enumerate(ndimage.find_objects(labels, count), start=1):
        sides = (0, 0) if region is None else tuple(part.stop - part.start for part in region)
        keep[label] &= bool((np.array(sides) >= length).any())
    keep[0] = False
    return np.asarray(keep[labels])
