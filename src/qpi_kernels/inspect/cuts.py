"""Cuts along straight lines through images and stacks: E(q) and E(x)."""

from __future__ import annotations

from typing import Literal

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
    image_of,
    leading_coords,
)
from qpi_kernels.inspect.energy_mean import without_energy_mean
from qpi_kernels.interpolation import kaiser_sinc_weights
from qpi_kernels.result import KernelResult

__all__ = ["Interpolation", "cut_stack", "line_cut"]

Interpolation = Literal["linear", "sinc"]

_MAX_POINTS = 1_000_000
# A point counts if at least so much of its pixels' weight was measured.
_MIN_WEIGHT = 0.5
# Errors on a wave of 8, 6, 4 px: 0.02, 0.3, 4 % an axis.
_HALF_WIDTH, _KAISER_BETA = 3, 8.0


def line_cut(
    image: xr.DataArray | KernelResult,
    start: tuple[float, float],
    stop: tuple[float, float],
    *,
    width: float = 0.0,
    step: float | None = None,
    interpolation: Interpolation | None = None,
) -> xr.DataArray:
    """Interpolate an image, or every image of a stack, along a line.

    Parameters
    ----------
    image : xarray.DataArray or KernelResult
        The kernel of a result, ``(..., y, x)`` or ``(..., q_y, q_x)``. Cut magnitudes, not
        complex transforms: their phase turns from pixel to pixel.
    start, stop : tuple of float
        (y, x) or (q_y, q_x) in the image's units; both ends are points of the cut.
    width : float
        Averaged over so much across the line, in the same unit; 0 is the line alone.
    step : float, optional
        Distance of the points, at most; the smaller step of the axes if left out.
    interpolation : {"linear", "sinc"}, optional
        Bilinear, which lowers a wave of 8 px by up to 8 % an axis, or with a windowed sinc over
        7 x 7 px, by 0.02 %, which goes over to bilinear beside NaN and the image's edge.
        By default sinc of an image and linear of a Fourier transform, whose speckle is no
        smoother than its pixels and whose magnitude must not become negative.

    Returns
    -------
    xarray.DataArray
        ``(..., distance)`` from the start in the image's unit, with the coordinates of the points
        ``y`` and ``x`` (or ``q_y`` and ``q_x``) along it. NaN outside the image and where most of
        what would be averaged is NaN.

    Raises
    ------
    InspectionError
        If the dims or coordinates do not fit, the line has no length, or no point of it lies in
        the image.
    """
    image = image_of(image)
    dims = image_dims(image)
    image = image.compute()  # once, where it is lazy
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
    places = _snapped((points - first) / steps)
    if not ((places > -0.5) & (places < np.array(shape) - 0.5)).all(axis=-1).any():
        last = [axis_values(image, axis)[-1] for axis in dims]
        reach = " and ".join(
            f"{axis} from {min(ends):.4g} to {max(ends):.4g}"
            for axis, *ends in zip(dims, first.tolist(), last, strict=True)
        )
        raise InspectionError(
            f"the line from {tuple(start)} to {tuple(stop)} does not meet the image, which has "
            f"{reach} {axis_unit(image, dims[1])}"
        )
    values = _renormalised(image, *_bilinear(places, shape))
    if interpolation == "sinc" or (interpolation is None and dims == ("y", "x")):
        fine = _weighted(image, *_sinc(places, shape))
        values = np.where(np.isfinite(fine), fine, values)
    unit = axis_unit(image, dims[1])
    name = "scattering vector" if dims[0] == "q_y" else "distance"
    lead = image.dims[:-2]
    coords = leading_coords(image)
    coords["distance"] = xr.Variable(
        "distance", along * length, {"units": unit, "long_name": f"{name} along the cut"}
    )
    for axis, positions in zip(dims, line.T, strict=True):
        coords[axis] = xr.Variable("distance", positions, dict(image[axis].attrs))
    attrs = {**image.attrs, "cut_width": float(width)}
    attrs |= {"cut_start": tuple(ends[0].tolist()), "cut_stop": tuple(ends[1].tolist())}
    return xr.DataArray(
        values, dims=(*lead, "distance"), coords=coords, name=image.name or "cut", attrs=attrs
    )


def cut_stack(
    stack: xr.DataArray | KernelResult,
    start: tuple[float, float],
    stop: tuple[float, float],
    *,
    width: float = 0.0,
    step: float | None = None,
    interpolation: Interpolation | None = None,
    subtract_energy_mean: bool = False,
) -> xr.DataArray:
    """Cut a stack of biases along a line: E(x) of a map, E(q) of its Fourier transform.

    Parameters
    ----------
    stack : xarray.DataArray or KernelResult
        ``(bias, y, x)`` or ``(bias, q_y, q_x)``.
    start, stop, width, step, interpolation
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
    stack = image_of(stack)
    if stack.ndim != 3:
        raise InspectionError(f"a stack has three dims (bias, y, x), not {stack.dims}")
    cut = line_cut(stack, start, stop, width=width, step=step, interpolation=interpolation)
    return without_energy_mean(cut) if subtract_energy_mean else cut


Weights = tuple[scipy.sparse.csr_array, NDArray[np.int64]]
"""A sparse matrix (points, pixels) and the flat indices of the pixels that it needs."""


def _snapped(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move points that are a pixel but for rounding onto it."""
    nearest = np.rint(points)
    return np.where(np.abs(points - nearest) < 1e-6, nearest, points)


def _bilinear(points: NDArray[np.float64], shape: tuple[int, int]) -> Weights:
    """Build the bilinear average over the lanes of each point, (points, lanes, 2) in pixels.

    The weights of a point add up to the share of its lanes inside the image.
    """
    limits = np.array(shape) - 1
    inside = np.asarray(((points >= 0) & (points <= limits)).all(axis=-1))
    lower = np.clip(np.floor(points), 0, np.maximum(limits - 1, 0)).astype(np.int64)
    share = points - lower
    pair = np.arange(2)
    along = [np.abs(1 - pair - share[..., axis, None]) for axis in range(2)]
    return _average(lower, along, inside, shape)


def _sinc(points: NDArray[np.float64], shape: tuple[int, int]) -> Weights:
    """Build the average over lanes by a windowed sinc; no weights where a lane lacks a pixel."""
    nearest = np.rint(points).astype(np.int64)
    lower = nearest - _HALF_WIDTH
    reached = (lower >= 0) & (nearest + _HALF_WIDTH < shape)
    whole = np.broadcast_to(np.all(reached, axis=(1, 2))[:, None], points.shape[:2])
    along = [
        kaiser_sinc_weights(
            (points - nearest)[..., axis].ravel(), _HALF_WIDTH, _KAISER_BETA
        ).reshape(*points.shape[:2], -1)
        for axis in range(2)
    ]
    return _average(lower, along, whole, shape)


def _average(
    lower: NDArray[np.int64],
    along: list[NDArray[np.float64]],
    used: NDArray[np.bool_],
    shape: tuple[int, int],
) -> Weights:
    """Build the average over lanes of products of weights along both axes.

    Parameters
    ----------
    lower : array, (points, lanes, 2)
        First pixel of each.
    along : two arrays, (points, lanes, taps)
        Weights of the pixels from the first on, along rows and along columns.
    used : array of bool, (points, lanes)
        Lanes that count; the others have no weight.
    shape : tuple of int
        Of the image.
    """
    taps = np.arange(along[0].shape[-1])
    weight = along[0][..., :, None] * along[1][..., None, :] * used[..., None, None]
    rows, columns = lower[..., 0, None] + taps, lower[..., 1, None] + taps
    flat = rows[..., :, None] * shape[1] + columns[..., None, :]
    lines = np.broadcast_to(np.arange(len(lower))[:, None, None, None], flat.shape)
    kept = np.abs(weight) > 1e-12
    pixels, index = np.unique(flat[kept], return_inverse=True)
    matrix = scipy.sparse.csr_array(
        (weight[kept] / lower.shape[1], (lines[kept], index)), shape=(len(lower), len(pixels))
    )
    return matrix, pixels


def _needed(image: xr.DataArray, pixels: NDArray[np.int64]) -> NDArray[np.inexact]:
    """Return the values of some pixels of every plane, (pixels, planes)."""
    planes = np.reshape(image.values, (-1, image.shape[-2] * image.shape[-1]))
    kind = np.result_type(image.dtype, np.float32)
    return np.asarray(np.take(planes, pixels, axis=1).T, kind)


def _weighted(
    image: xr.DataArray, weights: scipy.sparse.csr_array, pixels: NDArray[np.int64]
) -> NDArray[np.inexact]:
    """Apply weights to every plane; NaN where a pixel is NaN or a point has no weights."""
    needed = _needed(image, pixels)
    made = weights.astype(needed.real.dtype) @ needed
    made[np.diff(weights.indptr) == 0] = np.nan
    return _planes(made, image)


def _renormalised(
    image: xr.DataArray, weights: scipy.sparse.csr_array, pixels: NDArray[np.int64]
) -> NDArray[np.inexact]:
    """Apply weights to every plane, leaving out NaN and lanes outside; NaN where much is."""
    needed = _needed(image, pixels)
    weights = weights.astype(needed.real.dtype)
    finite = np.isfinite(needed)
    if finite.all():
        total = np.asarray(weights.sum(axis=1))[:, None]
        made = weights @ needed
    else:
        total = weights @ finite.astype(needed.real.dtype)
        made = weights @ np.where(finite, needed, 0)
    known = total >= _MIN_WEIGHT
    return _planes(np.where(known, made / np.where(known, total, 1), np.nan), image)


def _planes(made: NDArray[np.inexact], image: xr.DataArray) -> NDArray[np.inexact]:
    """Reshape the points of all planes to the image's leading dims."""
    kind = np.result_type(image.dtype, np.float32)
    return np.ascontiguousarray(made.T, kind).reshape(*image.shape[:-2], len(made))
