"""Tour of the tip through chosen pixels, and its table."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import scipy.spatial
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from qpi_kernels.io.atomic_write import replacing

__all__ = ["plan_tour", "save_tour", "tour_length"]

# Neighbours of a pixel to which a tour may be joined, and passes over it.
_NEIGHBOURS, _MAX_PASSES = 8, 12


def plan_tour(measured: ArrayLike) -> NDArray[np.int64]:
    """Order pixels so that the tip's way from one to the next is short.

    Nearest neighbour, then 2-opt: two steps that cross are exchanged for two that do not.

    Parameters
    ----------
    measured : array of bool, (rows, columns)
        True where to measure.

    Returns
    -------
    array, (pixel, 2)
        (row, col) in the order of the tour.
    """
    points = np.argwhere(np.asarray(measured).astype(bool))
    if len(points) < 4:
        return points
    order = _nearest_neighbours(points)
    return points[_two_opt(points.astype(float), order)]


def tour_length(tour: ArrayLike) -> float:
    """Sum the steps of a tour, in pixels."""
    steps = np.diff(np.asarray(tour, float), axis=0)
    return float(np.hypot(steps[:, 0], steps[:, 1]).sum())


def save_tour(tour: ArrayLike, path: str | Path, image: xr.DataArray) -> Path:
    """Write a tour as a CSV table, one line for each pixel in the order of the tour.

    Columns are ``x_nm`` and ``y_nm``, the coordinates of the image (pixels where it has none in
    nm), and ``row`` and ``col``.

    Parameters
    ----------
    tour : array, (pixel, 2)
        From `plan_tour`.
    path : path-like
        The file; an existing one is replaced once the new one is complete.
    image : xarray.DataArray, (..., y, x)
        Of the planned map's pixels.
    """
    target = Path(path)
    unit = image["x"].attrs.get("units", "nm") if "x" in image.coords else "px"
    y, x = (
        np.asarray(image[axis].values if axis in image.coords else np.arange(image.sizes[axis]))
        for axis in ("y", "x")
    )
    with replacing(target) as partial, Path(partial).open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow([f"x_{unit}", f"y_{unit}", "row", "col"])
        for row, col in np.asarray(tour):
            table.writerow([f"{x[col]:.6g}", f"{y[row]:.6g}", int(row), int(col)])
    return target


def _nearest_neighbours(points: NDArray[np.int64]) -> list[int]:
    """Go from the first pixel always to the nearest one left."""
    left = np.ones(len(points), bool)
    tree, names = scipy.spatial.cKDTree(points), np.arange(len(points))
    order, here = [0], 0
    left[0] = False
    for done in range(1, len(points)):
        if done % 256 == 0:
            # Without those that are done, or queries would have to look ever farther.
            names = np.flatnonzero(left)
            tree = scipy.spatial.cKDTree(points[names])
        count = min(8, len(names))
        while True:
            found = names[np.atleast_1d(tree.query(points[here], count)[1])]
            found = found[left[found]]
            if len(found) or count == len(names):
                break
            count = min(4 * count, len(names))
        here = int(found[0])
        left[here] = False
        order.append(here)
    return order


def _two_opt(points: NDArray[np.float64], order: list[int]) -> NDArray[np.intp]:
    """Reverse stretches of a tour as long as that shortens it, between neighbours only."""
    tour = np.asarray(order)
    place = np.empty_like(tour)
    place[tour] = np.arange(len(tour))
    count = min(_NEIGHBOURS + 1, len(points))
    near = scipy.spatial.cKDTree(points).query(points, count)[1][:, 1:]
    position = [complex(*point) for point in points]
    for _ in range(_MAX_PASSES):
        shorter = False
        for here in range(len(tour)):
            at = int(place[here])
            if at == len(tour) - 1:
                continue
            after = int(tour[at + 1])
            step = abs(position[here] - position[after])
            for other in near[here]:
                there = int(place[other])
                gap = abs(position[here] - position[other])
                if gap >= step:
                    break
                if there == len(tour) - 1:
                    continue
                beyond = int(tour[there + 1])
                gain = step + abs(position[other] - position[beyond])
                gain -= gap + abs(position[after] - position[beyond])
                if gain > 1e-9:
                    low, high = min(at, there) + 1, max(at, there) + 1
                    tour[low:high] = tour[low:high][::-1]
                    place[tour[low:high]] = np.arange(low, high)
                    shorter = True
                    break
        if not shorter:
            break
    return tour
