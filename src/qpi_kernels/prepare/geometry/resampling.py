"""Resampling: the one place where images are evaluated between their pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.ndimage
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.prepare.geometry.frame import Frame
from qpi_kernels.prepare.moved_report.labels import move_labels
from qpi_kernels.prepare.moved_report.noise_covariance import (
    known_covariance,
    resampled_covariance,
    turned_covariance,
    with_covariance,
)
from qpi_kernels.prepare.prepared import PreparationError, Prepared, Sampled

__all__ = ["map_planes", "read_at", "resample"]

# A quintic spline keeps 0.91 of a wave at 3/4 of the Nyquist frequency half-way between pixels, a
# cubic one 0.76 (measured).
_ORDER = 5
_INVERSION_ROUNDS = 30
_INVERSION_TOLERANCE_PX = 1e-4
# A new pixel counts if all but so much of its bilinear neighbourhood does.
_TOLERATED_SHARE = 1e-3


def resample(
    scan: Prepared, frame: Frame, displacement: NDArray[np.float64] | None = None
) -> Prepared:
    """Move pixels, and mask, defects, other channels and labels with them.

    Whole-pixel moves copy values. All others are read with a quintic spline from the image before
    the *first* of consecutive moves: drift correction followed by a rotation interpolates the
    image once. Other channels are read anew in every move.
    NaN stays NaN, and what lies beyond the old image becomes NaN and does not count. The entry
    ``resampling`` of the report tells what covariance this gives to white noise.

    Parameters
    ----------
    scan : Prepared
        What came before.
    frame : Frame
        The new pixels in the old image.
    displacement : array, (2, rows, columns), optional
        Rows, then columns, in old pixels: the new image at ``r`` shows the old one at
        ``frame.to_old(r) + displacement(r)``.

    Returns
    -------
    Prepared
        With coordinates, place and angle of the new frame; defects keep their place on the sample.

    Raises
    ------
    PreparationError
        If there are defects and a displacement folds the image over; without defects a fold is not
        looked for.
    """
    whole = frame.of_pixels() if displacement is None else None
    if whole is not None:
        positions = whole.grid()
        image, sampled, coloured = _picked(scan.image, whole), None, None
        channels = {name: _picked(channel, whole) for name, channel in scan.channels.items()}
        mask = _pick(scan.mask, whole.grid(), False)
    else:
        positions = frame.grid() if displacement is None else frame.grid() + displacement
        source, at, known = _source(scan, positions)
        coloured = resampled_covariance(at, _ORDER)
        read = read_at(source, at).where(xr.DataArray(known, dims=("y", "x")))
        image = frame.place(scan.image, read)
        sampled = Sampled(image, source, at, known & _within(source.shape[-2:], at))
        channels = {
            name: frame.place(channel, read_at(channel, positions))
            for name, channel in scan.channels.items()
        }
        mask = _bilinear(scan.mask.astype(float), positions) > 1 - _TOLERATED_SHARE
    report = move_labels(scan.report, positions, scan.mask.shape)
    before = known_covariance(scan.report)
    if before is not None and (coloured is None or source is scan.image):
        coloured = turned_covariance(before, positions, coloured)
    report = with_covariance(report, coloured)
    defects = scan.defects
    if defects is not None and len(defects):
        new = _new_positions(defects.positions, frame, displacement)
        defects = defects.moved(new)
    return replace(
        scan,
        image=image,
        mask=mask,
        defects=defects,
        report=report,
        channels=channels,
        sampled=sampled,
    )


def map_planes(
    function: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    image: xr.DataArray,
    shape: tuple[int, int] | None = None,
) -> xr.DataArray:
    """Apply a function to every plane in float64, lazily for dask.

    Parameters
    ----------
    function : callable
        From an array ``(y, x)`` to one of the same shape, or of ``shape``.
    image : xarray.DataArray
        ``(y, x)`` or ``(bias, y, x)``.
    shape : tuple of int, optional
        Size of the new planes; coordinates of y and x are dropped if it is given.

    Returns
    -------
    xarray.DataArray
        In the image's own precision (for integers float32, of more than 16 bits float64), with its
        attributes.
    """
    # float32 holds integers of 16 bits to the last digit, float64 those of 32.
    floating = np.float64 if image.dtype.itemsize > 2 else np.float32
    dtype = image.dtype if image.dtype.kind == "f" else np.dtype(floating)

    def plane(values: NDArray[Any]) -> NDArray[Any]:
        return function(np.asarray(values, np.float64)).astype(dtype)

    lazy = hasattr(image.data, "dask")
    chunked = image.chunk({"y": -1, "x": -1}) if lazy else image
    new = shape or image.shape[-2:]
    made: xr.DataArray = xr.apply_ufunc(
        plane,
        chunked,
        input_core_dims=[["y", "x"]],
        output_core_dims=[["y", "x"]],
        exclude_dims={"y", "x"} if shape else set(),
        vectorize=True,
        dask="parallelized",
        output_dtypes=[dtype],
        dask_gufunc_kwargs={"output_sizes": dict(zip(("y", "x"), new, strict=True))},
        keep_attrs=True,
    )
    if shape:
        return made
    return made.assign_coords(
        {name: image.coords[name] for name in ("y", "x") if name in image.coords}
    )


def _source(
    scan: Prepared, positions: NDArray[np.float64]
) -> tuple[xr.DataArray, NDArray[np.float64], NDArray[np.bool_]]:
    """Find the image to read from, the positions in it, and where the moves between reach."""
    before = scan.sampled
    if before is None or before.image is not scan.image:
        return scan.image, positions, np.ones(positions.shape[1:], bool)
    # The displacement is smooth, so linear interpolation of the rest is exact enough.
    whole = np.indices(before.positions.shape[1:], float)
    residual = np.stack([_bilinear(part, positions) for part in before.positions - whole])
    known = _bilinear(before.known.astype(float), positions) > 1 - _TOLERATED_SHARE
    return before.source, positions + residual, known


def read_at(image: xr.DataArray, positions: NDArray[np.float64]) -> xr.DataArray:
    """Read every plane between its pixels with a quintic spline.

    Parameters
    ----------
    image : xarray.DataArray
        ``(y, x)`` or ``(bias, y, x)``.
    positions : array, (2, rows, columns)
        Rows, then columns, in pixels of the image.

    Returns
    -------
    xarray.DataArray
        Without coordinates of y and x; NaN beyond the image and beside what was not measured.
        Positions that are all whole are copied.
    """
    whole = np.rint(positions)
    if np.abs(positions - whole).max() < 1e-9:
        rows, columns = whole.shape[1:]
        return map_planes(lambda plane: _pick(plane, whole, np.nan), image, (rows, columns))

    def read(plane: NDArray[np.float64]) -> NDArray[np.float64]:
        """Read one plane, filled from its nearest numbers so that the spline is defined."""
        measured = np.isfinite(plane)
        if not measured.any():
            return np.full(positions.shape[1:], np.nan)
        filled = plane
        if not measured.all():
            nearest = scipy.ndimage.distance_transform_edt(
                ~measured, return_distances=False, return_indices=True
            )
            filled = plane[tuple(nearest)]
        level = float(filled.mean())  # so that float64 keeps picometres on a tall topograph
        read = scipy.ndimage.map_coordinates(filled - level, positions, order=_ORDER, mode="mirror")
        counted = _bilinear(measured.astype(float), positions) > 1 - _TOLERATED_SHARE
        return np.where(counted, read + level, np.nan)

    rows, columns = positions.shape[1:]
    return map_planes(read, image, (rows, columns))


def _bilinear(values: NDArray[np.float64], positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interpolate linearly, extended by its edge within 1e-6 px and 0 beyond the image."""
    at = np.clip(positions, 0, np.array(values.shape)[:, None, None] - 1)
    read = scipy.ndimage.map_coordinates(values, at, order=1, mode="nearest")
    return np.where(_within(values.shape, positions), read, 0.0)


def _within(shape: tuple[int, ...], positions: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Find the positions that lie in an image, to 1e-6 px."""
    limits = np.array(shape)[:, None, None] - 1
    inside = (positions > -1e-6) & (positions < limits + 1e-6)
    return np.asarray(inside.all(axis=0))


def _picked(image: xr.DataArray, frame: Frame) -> xr.DataArray:
    """Copy whole pixels of every plane."""
    (row_step, across), (down, column_step) = frame.matrix
    limits = frame.to_old(np.array(frame.shape) - 1)
    inside = ((limits >= 0) & (limits < image.shape[-2:])).all() and (frame.offset >= 0).all()
    if across == down == 0 and row_step > 0 and column_step > 0 and inside:
        rows, columns = (
            slice(int(first), int(last) + 1, int(step))
            for first, last, step in zip(frame.offset, limits, (row_step, column_step), strict=True)
        )
        cut = image.isel(y=rows, x=columns)
        placed = frame.place(image, cut)
        # The old coordinates to the bit, where there are any.
        return placed.assign_coords({name: cut.coords[name] for name in cut.coords})
    return frame.place(image, read_at(image, frame.grid()))


def _pick(plane: NDArray[Any], grid: NDArray[np.float64], outside: Any) -> NDArray[Any]:
    """Copy pixels at whole positions; beyond the image stands ``outside``."""
    rows, columns = grid.astype(np.int64)
    inside = (rows >= 0) & (rows < plane.shape[0]) & (columns >= 0) & (columns < plane.shape[1])
    new = np.full(rows.shape, outside, plane.dtype)
    new[inside] = plane[rows[inside], columns[inside]]
    return new


def _new_positions(
    old: NDArray[np.float64], frame: Frame, displacement: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Solve ``frame.to_old(r) + displacement(r) = old`` for r by fixed-point iteration."""
    new = frame.to_new(old)
    if displacement is None:
        return new
    limits = np.array(displacement.shape[1:])[:, None] - 1
    for _ in range(_INVERSION_ROUNDS):
        at = np.clip(new.T, 0, limits)  # defects beyond the image move like its edge
        moved = np.stack(
            [scipy.ndimage.map_coordinates(part, at, order=1) for part in displacement], axis=1
        )
        better = frame.to_new(old - moved)
        change = float(np.abs(better - new).max())
        new = better
        if change < _INVERSION_TOLERANCE_PX:
            return new
    raise PreparationError(
        "the displacement folds the image over, so that defects have no one new place; use a "
        "smoother one"
    )
