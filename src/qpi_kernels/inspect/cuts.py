"""Cuts along straight lines through images and stacks: E(q) and E(x)."""

from __future__ import annotations

import numpy as np
import scipy.sparse
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.inspect.axes import (
    InspectionError,
    axis_step,
    axis_unit,
    axis_values,
    image_dims,
)

__all__ = ["cut_stack", "line_cut"]

_MAX_POINTS = 1_000_000
# A point counts if at least so much of its pixels' weight was measured.
_LEAST_WEIGHT = 0.5


def line_cut(
    image: xr.DataArray,
    start: tuple[float, float],
    stop: tuple[float, float],
    *,
    width: float = 0.0,
    step: float | None = None,
) -> xr.DataArray:
    """Interpolate an image, or every image of a stack, along a line.

    Parameters
    ----------
    image : xarray.DataArray
        ``(..., y, x)`` or ``(..., q_y, q_x)``. Cut magnitudes, not complex transforms: their
        phase turns from pixel to pixel.
    start, stop : tuple of float
        (y, x) or (q_y, q_x) in the image's units; both ends are points of the cut.
    width : float
        Averaged over so much across the line, in the same unit; 0 is the line alone.
    step : float, optional
        Distance of the points, at most; the smaller step of the axes if left out.

    Returns
    -------
    xarray.DataArray
        ``(..., distance)`` from the start in the image's unit, with the coordinates of the points
        ``y`` and ``x`` (or ``q_y`` and ``q_x``) along it. Bilinear; NaN outside the image and
        where most of what would be averaged is NaN.

    Raises
    ------
    InspectionError
        If the dims or coordinates do not fit, or the line is shorter than its step.
    """
    dims = image_dims(image)
    steps = np.array([axis_step(image, axis) for axis in dims])
    first = np.array([axis_values(image, axis)[0] for axis in dims])
    finest = float(np.abs(steps).min())
    ends = np.array([start, stop], np.float64)
    if ends.shape != (2, 2) or not np.isfinite(ends).all():
        raise InspectionError(f"start and stop must be (y, x), not {start} and {stop}")
    length = float(np.linalg.norm(ends[1] - ends[0]))
    spacing = finest if step is None else step
    if not spacing > 0 or not 0 <= width < np.inf:
        raise InspectionError("step must be positive and width not negative")
    if not length > 0:
        raise InspectionError("the line has no length: start and stop are the same")
    number = int(np.ceil(length / spacing * (1 - 1e-9))) + 1
    lanes = 2 * round(width / finest / 2) + 1
    if number * lanes > _MAX_POINTS:
        raise InspectionError(f"{number} x {lanes} points are too many; use a larger step")
    along = np.linspace(0.0, 1.0, number)
    line = ends[0] + along[:, None] * (ends[1] - ends[0])
    normal = np.array([ends[0, 1] - ends[1, 1], ends[1, 0] - ends[0, 0]]) / length
    across = np.linspace(-0.5, 0.5, lanes) * width if lanes > 1 else np.zeros(1)
    points = line[:, None, :] + across[None, :, None] * normal
    shape = (image.sizes[dims[0]], image.sizes[dims[1]])
    weights, pixels = _bilinear((points - first) / steps, shape)
    values = _interpolated(image, weights, pixels)
    unit = axis_unit(image, dims[1])
    name = "scattering vector" if dims[0] == "q_y" else "distance"
    lead = image.dims[:-2]
    coords = {key: coord for key, coord in image.coords.items() if set(coord.dims) <= set(lead)}
    coords["distance"] = xr.Variable(
        "distance", along * length, {"units": unit, "long_name": f"{name} along the cut"}
    )
    for axis, positions in zip(dims, line.T, strict=True):
        coords[axis] = xr.Variable("distance", positions, dict(image[axis].attrs))
    attrs = {**image.attrs, "cut_start": tuple(ends[0]), "cut_stop": tuple(ends[1])}
    attrs["cut_width"] = float(width)
    return xr.DataArray(
        values, dims=(*lead, "distance"), coords=coords, name=image.name or "cut", attrs=attrs
    )


def cut_stack(
    stack: xr.DataArray,
    start: tuple[float, float],
    stop: tuple[float, float],
    *,
    width: float = 0.0,
    step: float | None = None,
    subtract_energy_mean: bool = False,
) -> xr.DataArray:
    """Cut a stack of biases along a line: E(x) of a map, E(q) of its Fourier transform.

    Parameters
    ----------
    stack : xarray.DataArray
        ``(bias, y, x)`` or ``(bias, q_y, q_x)``.
    start, stop, width, step
        As for `line_cut`.
    subtract_energy_mean : bool
        Subtract at each point the mean over the biases: what does not disperse, such as Bragg
        peaks, charge density waves and pickup, vanishes.

    Returns
    -------
    xarray.DataArray
        ``(bias, distance)``.

    Raises
    ------
    InspectionError
        As `line_cut`, and if there is no third axis.
    """
    if stack.ndim != 3:
        raise InspectionError(f"a stack has three dims (bias, y, x), not {stack.dims}")
    cut = line_cut(stack, start, stop, width=width, step=step)
    if not subtract_energy_mean:
        return cut
    less: xr.DataArray = cut - cut.mean(str(cut.dims[0]))
    return less.assign_attrs(cut.attrs)


def _bilinear(
    points: NDArray[np.float64], shape: tuple[int, int]
) -> tuple[scipy.sparse.csr_array, NDArray[np.int64]]:
    """Build the average over the lanes of each point as a sparse matrix on the pixels it needs.

    Parameters
    ----------
    points : array, (points, lanes, 2)
        (row, col) in pixels.
    shape : tuple of int
        Of the image.

    Returns
    -------
    weights : sparse array, (points, pixels)
        Rows add up to the share of the lanes inside the image.
    pixels : array, (pixels,)
        Flat indices.
    """
    limits = np.array(shape) - 1
    nearest = np.rint(points)
    points = np.where(np.abs(points - nearest) < 1e-6, nearest, points)
    inside = ((points >= 0) & (points <= limits)).all(axis=-1)
    lower = np.clip(np.floor(points), 0, np.maximum(limits - 1, 0)).astype(np.int64)
    share = points - lower
    lines = np.broadcast_to(np.arange(len(points))[:, None], inside.shape)
    flat, weight, line = [], [], []
    for row in (0, 1):
        for column in (0, 1):
            part = np.abs(1 - row - share[..., 0]) * np.abs(1 - column - share[..., 1])
            part = np.where(inside, part, 0.0) / points.shape[1]
            used = part > 0
            flat.append(((lower[..., 0] + row) * shape[1] + lower[..., 1] + column)[used])
            weight.append(part[used])
            line.append(lines[used])
    pixels, index = np.unique(np.concatenate(flat), return_inverse=True)
    matrix = scipy.sparse.csr_array(
        (np.concatenate(weight), (np.concatenate(line), index)), shape=(len(points), len(pixels))
    )
    return matrix, pixels


def _interpolated(
    image: xr.DataArray, weights: scipy.sparse.csr_array, pixels: NDArray[np.int64]
) -> NDArray[np.inexact]:
    """Apply the weights to every plane; renormalise them where some pixels are NaN."""
    kind = np.result_type(image.dtype, np.float32)
    planes = np.reshape(image.values, (-1, image.shape[-2] * image.shape[-1]))
    needed = np.take(planes, pixels, axis=1).T.astype(kind, copy=False)
    real = np.float64 if kind in (np.float64, np.complex128) else np.float32
    weights = weights.astype(real)
    finite = np.isfinite(needed)
    if finite.all():
        total = np.broadcast_to(np.asarray(weights.sum(axis=1))[:, None], (weights.shape[0], 1))
        made = weights @ needed
    else:
        total = weights @ finite.astype(real)
        made = weights @ np.where(finite, needed, 0)
    known = total >= _LEAST_WEIGHT
    made = np.where(known, made / np.where(known, total, 1), np.nan)
    return np.ascontiguousarray(made.T.astype(kind, copy=False)).reshape(
        *image.shape[:-2], weights.shape[0]
    )
