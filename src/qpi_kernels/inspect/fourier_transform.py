"""Fourier transforms of maps and kernels in physical units."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import scipy.fft
import scipy.signal
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from qpi_kernels.inspect.axes import (
    InspectionError,
    ascending,
    axis_step,
    axis_unit,
    axis_values,
    counted_pixels,
    image_dims,
    image_of,
    leading_coords,
)
from qpi_kernels.result import KernelResult

__all__ = ["KERNEL_PADDING", "Scale", "Window", "fourier", "transform", "window_weights"]

Scale = Literal["amplitude", "psd", "complex"]
Window = Literal["none", "tukey", "hann", "hamming", "blackman"]

# Of kernels, wherever they are shown: of a few resolution steps in all, a ring's profile is smooth.
KERNEL_PADDING = 4

# Of a step: how far from its middle pixel the origin of a kernel may be.
_CENTRED = 1e-3
_WINDOWS: dict[str, Any] = {
    "none": "boxcar",
    "tukey": ("tukey", 0.5),
    "hann": "hann",
    "hamming": "hamming",
    "blackman": "blackman",
}
_LONG_NAMES = {
    "amplitude": "Fourier amplitude",
    "psd": "power spectral density",
    "complex": "Fourier transform",
}


def fourier(
    image: xr.DataArray | KernelResult,
    *,
    window: Window = "hann",
    scale: Scale = "amplitude",
    mask: ArrayLike | xr.DataArray | None = None,
    padding: int = 1,
) -> xr.DataArray:
    r"""Transform an image, or each image of a stack, to scattering vectors.

    .. math:: F(q) = \Delta x \Delta y \sum_r w(r)\, (f(r) - \bar f)\, e^{-i q r}, \qquad
              \bar f = \sum_r w f / \sum_r w

    where w is the window times the mask. With the weighted mean nothing is left at q = 0, even of
    a masked image on a large background.

    Parameters
    ----------
    image : xarray.DataArray or KernelResult
        The kernel of a result, or ``(..., y, x)`` with even coordinates in nm, or without any
        (pixels). NaN does not count.
    window : {"hann", "none", "tukey", "hamming", "blackman"}
        Periodic window about the pixel ``n//2``, which is a kernel's centre; tukey is flat over
        one half. Without a window the edges show as a cross.
    scale : {"amplitude", "psd", "complex"}
        ``amplitude``, :math:`2 |F| / (\Delta x \Delta y \sum w)`: a cosine of amplitude A reads A,
        in the unit of the image. ``psd``, :math:`|F|^2 / (\Delta x \Delta y \sum w^2)`: white noise
        reads :math:`\sigma^2 \Delta x \Delta y` for every window, mask and padding, and the
        variance is :math:`\int d^2q\, psd / (2 \pi)^2` (Parseval; with a window the weighted
        one). ``complex``:
        F itself, whose phase refers to the point y = x = 0: the centre of a kernel.
    mask : array of bool, (y, x), optional
        True where a pixel counts; pixel by pixel, or by its coordinates where it has any.
    padding : int
        Zeros are added up to so many times the size: finer steps in q, no more resolution.

    Returns
    -------
    xarray.DataArray
        Dims ``q_y`` and ``q_x`` in place of ``y`` and ``x``, in rad per unit of length, ascending;
        zero is at index ``n//2``, a wave of wavelength l shows at :math:`2 \pi / l`, and q_y has
        the sense of y: down the screen. The axes are those of the image's frame, also of one that
        was scanned at an angle. ``attrs``: ``units``, ``long_name``, ``scale``, ``window``,
        ``padding``, ``dq_y`` and ``dq_x`` (the resolution, the step without padding),
        ``correlated_pixels`` (how many pixels of the PSD of noise count as one) and ``centred`` (1
        of a kernel, whose y = x = 0 is its middle pixel ``n//2``, else 0). NaN where no pixel of
        an image counts.

    Raises
    ------
    InspectionError
        If the dims, coordinates, mask or a parameter do not fit.

    Notes
    -----
    Between the points of the grid a cosine reads less, by up to 15 % per axis with the Hann window
    (scalloping: Harris, Proc. IEEE 66, 51 (1978)); padding of 4 leaves 1 %.
    """
    if not (isinstance(padding, int) and padding >= 1):
        raise InspectionError(f"padding must be a whole number from 1 on, not {padding!r}")
    image = image_of(image)
    height, width = image.shape[-2:]
    shape = (padding * height, padding * width)
    made = transform(image, shape, window=window, scale=scale, mask=mask)
    return made.assign_attrs(padding=padding)


def transform(
    image: xr.DataArray,
    shape: tuple[int, int],
    *,
    window: Window,
    scale: Scale,
    mask: ArrayLike | xr.DataArray | None = None,
) -> xr.DataArray:
    """Transform an image that is padded with zeros to a shape; see `fourier`.

    Raises
    ------
    InspectionError
        As `fourier`.
    """
    if scale not in _LONG_NAMES:
        raise InspectionError(f"unknown scale {scale!r}; use {', '.join(_LONG_NAMES)}")
    if image_dims(image) != ("y", "x"):
        raise InspectionError("this is a Fourier transform already")
    if image.dtype.kind == "c":
        raise InspectionError("an image must hold real numbers; take its real part or magnitude")
    image = image.compute()  # once, where it is lazy
    marked = image.copy(data=counted_pixels(image, mask))
    # Coordinates that descend would turn q round.
    image, counted = ascending(image), ascending(marked).values
    steps = (axis_step(image, "y"), axis_step(image, "x"))
    kind = np.result_type(image.dtype, np.float32)
    values = np.where(counted, image.values, 0.0).astype(kind, copy=False)
    if (counted == counted.reshape(-1, *counted.shape[-2:])[0]).all():
        # One weight serves all planes.
        counted = counted.reshape(-1, *counted.shape[-2:])[0]
    weight = window_weights(window, image.shape[-2:]).astype(kind) * counted
    total = weight.sum(axis=(-2, -1), keepdims=True, dtype=np.float64)
    squares = np.square(weight, dtype=np.float64).sum(axis=(-2, -1), keepdims=True)
    # Where no pixel counts all becomes NaN.
    total, squares = (np.where(one > 0, one, np.nan) for one in (total, squares))
    mean = (weight * values).sum(axis=(-2, -1), keepdims=True, dtype=np.float64) / total
    weighted = weight * (values - mean.astype(kind))
    area = steps[0] * steps[1]
    if scale == "amplitude":
        made = _mirrored(np.abs(scipy.fft.rfft2(weighted, s=shape)), shape)
        made *= (2 / total).astype(kind)
    elif scale == "psd":
        half = scipy.fft.rfft2(weighted, s=shape)
        made = _mirrored(half.real**2 + half.imag**2, shape)
        made *= (area / squares).astype(kind)
    else:
        made = scipy.fft.fft2(weighted, s=shape)
        made *= np.asarray(area, kind) * _origin(image, shape, steps)
    correlated = _correlated_pixels(weight, squares, shape)
    return _labelled(scipy.fft.fftshift(made, axes=(-2, -1)), image, steps, scale).assign_attrs(
        window=window, correlated_pixels=correlated, centred=int(_is_centred(image))
    )


def window_weights(window: Window, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return a periodic window about the pixel ``n//2`` of each axis, (rows, columns).

    Raises
    ------
    InspectionError
        If there is no such window.
    """
    if window not in _WINDOWS:
        raise InspectionError(f"unknown window {window!r}; use {', '.join(_WINDOWS)}")
    # Every other sample of a window of twice the length: for odd n, too, the largest is at n//2.
    rows, columns = (
        scipy.signal.get_window(_WINDOWS[window], 2 * n, fftbins=True)[n % 2 :: 2] for n in shape
    )
    return np.asarray(np.outer(rows, columns))


def _is_centred(image: xr.DataArray) -> bool:
    """Tell whether the origin is the middle pixel, as of a kernel."""
    return all(
        abs(axis_values(image, axis)[image.sizes[axis] // 2])
        <= _CENTRED * abs(axis_step(image, axis))
        for axis in "yx"
    )


def _mirrored(half: NDArray[np.floating], shape: tuple[int, int]) -> NDArray[np.floating]:
    """Complete the magnitudes of one half of a real image's transform: those at q and -q are one.

    Parameters
    ----------
    half : array, (..., h, w//2 + 1)
        Zero first, as `scipy.fft.rfft2` gives it.
    shape : tuple of int
        (h, w) of the whole.
    """
    known = half.shape[-1]
    whole = np.empty((*half.shape[:-1], shape[1]), half.dtype)
    whole[..., :known] = half
    rest = half[..., 1 : shape[1] - known + 1][..., ::-1]
    whole[..., 0, known:] = rest[..., 0, :]
    whole[..., 1:, known:] = rest[..., :0:-1, :]
    return whole


def _origin(
    image: xr.DataArray, shape: tuple[int, int], steps: tuple[float, float]
) -> NDArray[np.complexfloating]:
    """Return the phase factors that refer a transform to the point y = x = 0."""
    factors = [
        np.exp(-1j * 2 * np.pi * scipy.fft.fftfreq(size, step) * axis_values(image, axis)[0])
        for axis, size, step in zip("yx", shape, steps, strict=True)
    ]
    outer = np.multiply.outer(*factors)
    return np.asarray(outer, np.result_type(image.dtype, np.complex64))


def _correlated_pixels(
    weight: NDArray[np.floating], squares: NDArray[np.float64], shape: tuple[int, int]
) -> float:
    """Count the pixels of a noise spectrum that window, mask and padding make one.

    The sum over all pixels of the squared correlation of two pixels of the transform.
    """
    fourth = np.square(np.square(weight, dtype=np.float64)).sum(axis=(-2, -1))
    pixels = math.prod(shape) * fourth / squares[..., 0, 0] ** 2
    return float(np.nanmedian(pixels)) if np.isfinite(pixels).any() else math.nan


def _labelled(
    made: NDArray[Any], image: xr.DataArray, steps: tuple[float, float], scale: Scale
) -> xr.DataArray:
    """Give a transform its axes, unit and name."""
    coords = leading_coords(image)
    units = [axis_unit(image, axis) for axis in "yx"]
    for axis, size, step, unit in zip("yx", made.shape[-2:], steps, units, strict=True):
        q = 2 * np.pi * scipy.fft.fftshift(scipy.fft.fftfreq(size, step))
        described = {"units": f"rad/{unit}", "long_name": f"q_{axis}"}
        coords[f"q_{axis}"] = (f"q_{axis}", q, described)
    unit = str(image.attrs.get("units") or "")
    area = f"{units[0]}^2" if units[0] == units[1] else f"{units[0]} {units[1]}"
    whole = f"({unit})" if set(unit) & set(" /^") else unit
    powers = {"amplitude": unit, "psd": f"{whole}^2 {area}", "complex": f"{whole} {area}"}
    attrs: dict[str, str | float] = {
        "units": powers[scale] if unit or scale == "amplitude" else area,
        "long_name": _LONG_NAMES[scale],
        "scale": scale,
    }
    for axis, step in zip("yx", steps, strict=True):
        attrs[f"dq_{axis}"] = 2 * np.pi / (image.sizes[axis] * step)
    return xr.DataArray(
        made, dims=(*image.dims[:-2], "q_y", "q_x"), coords=coords, name="fourier", attrs=attrs
    )
