"""Axes of images and of their Fourier transforms: steps, units, pixel edges."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from qpi_kernels.result import KernelResult

__all__ = [
    "ImageTypeError",
    "InspectionError",
    "aligned",
    "ascending",
    "axis_step",
    "axis_unit",
    "axis_values",
    "counted_pixels",
    "image_dims",
    "image_of",
    "leading_coords",
    "nearest_plane",
    "pixel_edges",
    "printed_unit",
]

_EVEN = 1e-3
# Of a step: coordinates that were written and read again.
_SAME = 0.1
_PRINTED = {"^-1": "⁻¹", "^-2": "⁻²", "^2": "²", "m_e": "mₑ"}
_PAIRS = (("y", "x"), ("q_y", "q_x"))


class InspectionError(ValueError):
    """An image can not be inspected as asked; the message says what to change."""


class ImageTypeError(InspectionError, TypeError):
    """Something is neither a labelled image nor a result; the message says how to label it."""


def image_of(given: Any) -> xr.DataArray:
    """Return an image as it is, and the kernel of a result.

    Raises
    ------
    ImageTypeError
        If it is neither.
    """
    if isinstance(given, KernelResult):
        return given.kernel
    if isinstance(given, xr.DataArray):
        return given
    raise ImageTypeError(
        f"an image is an xarray.DataArray with the axes y and x in nm, or a KernelResult, not "
        f'{type(given).__name__}; of an array make xr.DataArray(values, dims=("y", "x"), '
        'coords={"y": ("y", y_nm, {"units": "nm"}), "x": ("x", x_nm, {"units": "nm"})}), of which '
        "a kernel has y = x = 0 in its middle"
    )


def leading_coords(image: xr.DataArray) -> dict[Hashable, Any]:
    """Return the coordinates of an image that do not lie along its last two dims."""
    own = set(image.dims[-2:])
    return {name: coord for name, coord in image.coords.items() if not own & set(coord.dims)}


def nearest_plane(biases: ArrayLike | xr.DataArray, bias: float) -> int:
    """Return the index of the bias, or plane number, that is nearest to one."""
    return int(np.abs(np.asarray(biases, float) - bias).argmin())


def image_dims(image: xr.DataArray) -> tuple[str, str]:
    """Return the last two dims of an image, ``y, x`` or ``q_y, q_x``.

    Raises
    ------
    InspectionError
        If the last two dims are others.
    """
    for pair in _PAIRS:
        if image.dims[-2:] == pair:
            return pair
    raise InspectionError(
        f"the last two dims must be (y, x) or (q_y, q_x), not {image.dims}; use transpose()"
    )


def axis_values(image: xr.DataArray, axis: str) -> NDArray[np.float64]:
    """Return the coordinates of an axis; pixels count from 0 where there are none."""
    return np.asarray(image[axis].values, np.float64)


def axis_step(image: xr.DataArray, axis: str) -> float:
    """Return the signed step of an axis' coordinates.

    Raises
    ------
    InspectionError
        If the coordinates are not even, or there is only one.
    """
    values = axis_values(image, axis)
    if values.size < 2:
        raise InspectionError(f"axis {axis} has {values.size} pixel; at least two are needed")
    step = float(values[-1] - values[0]) / (values.size - 1)
    if not np.abs(np.diff(values) - step).max() <= _EVEN * abs(step) or step == 0:
        raise InspectionError(f"the coordinates of axis {axis} are not even; resample the image")
    return step


def ascending(image: xr.DataArray) -> xr.DataArray:
    """Turn an image so that its coordinates y and x ascend."""
    return image.isel({axis: slice(None, None, -1) for axis in "yx" if axis_step(image, axis) < 0})


def aligned(values: xr.DataArray, image: xr.DataArray) -> xr.DataArray:
    """Put a mask or an error in the order of its image's coordinates.

    Parameters
    ----------
    values : xarray.DataArray
        ``(..., y, x)``. An axis without coordinates is taken to be that of the image.
    image : xarray.DataArray
        ``(..., y, x)``.

    Raises
    ------
    InspectionError
        If the coordinates are not those of the image.
    """
    order: dict[str, NDArray[np.intp]] = {}
    for axis in image_dims(image):
        if axis not in values.coords or axis not in image.coords:
            continue
        own, wanted = axis_values(values, axis), axis_values(image, axis)
        nearest = np.abs(own[:, None] - wanted).argmin(axis=0)
        step = np.ptp(wanted) / max(len(wanted) - 1, 1)
        if len(own) != len(wanted) or np.abs(own[nearest] - wanted).max() > _SAME * step:
            raise InspectionError(
                f"the coordinates of axis {axis} of a mask or an error are not those of the "
                f"image: {own.min():.4g} to {own.max():.4g} in {len(own)} pixels, not "
                f"{wanted.min():.4g} to {wanted.max():.4g} in {len(wanted)}; give an array "
                "without coordinates where pixels agree one by one"
            )
        order[axis] = nearest
    return values.isel(order)


def axis_unit(image: xr.DataArray, axis: str) -> str:
    """Return the unit of an axis, ``px`` where it is not known."""
    return str(image[axis].attrs.get("units") or "px")


def printed_unit(unit: str) -> str:
    """Write a unit as it is printed: ``nm^2`` as nm², ``m_e`` as mₑ."""
    for written, printed in _PRINTED.items():
        unit = unit.replace(written, printed)
    return unit


def pixel_edges(axis: xr.DataArray) -> tuple[float, float]:
    """Return where an image's first pixel begins and its last one ends along an axis.

    Parameters
    ----------
    axis : xarray.DataArray
        Coordinates of pixel centres, such as ``image["q_x"]``. Of a Fourier transform the edges
        are not at plus and minus the Nyquist frequency where the number of pixels is even.

    Returns
    -------
    first, last : float
        In the unit of the axis: what matplotlib's and pyqtgraph's extents want.
    """
    values = np.asarray(axis.values, np.float64)
    half = axis_step(axis, str(axis.dims[0])) / 2
    return float(values[0] - half), float(values[-1] + half)


def counted_pixels(image: xr.DataArray, mask: ArrayLike | xr.DataArray | None) -> NDArray[np.bool_]:
    """Mark the pixels that were measured and are not masked, in the image's shape.

    Parameters
    ----------
    image : xarray.DataArray
        ``(..., y, x)``; NaN does not count.
    mask : array of bool, optional
        ``(y, x)`` or the image's shape; True where a pixel counts. One with coordinates is put in
        the image's order.

    Raises
    ------
    InspectionError
        If the mask has another shape or coordinates.
    """
    counted: NDArray[np.bool_] = np.isfinite(image.values)
    if mask is None:
        return counted
    if isinstance(mask, xr.DataArray) and mask.dims[-2:] == image.dims[-2:]:
        mask = aligned(mask, image)
    given = np.asarray(mask)
    if given.shape not in (image.shape, image.shape[-2:]) or given.dtype != np.bool_:
        raise InspectionError(
            f"the mask must be boolean with the shape {image.shape[-2:]} of the image, not "
            f"{given.dtype} with {given.shape}"
        )
    return np.asarray(counted & given)
