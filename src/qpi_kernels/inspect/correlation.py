"""Autocorrelation of maps with holes."""

from __future__ import annotations

import numpy as np
import scipy.fft
import xarray as xr
from numpy.typing import ArrayLike

from qpi_kernels.inspect.axes import (
    InspectionError,
    axis_step,
    axis_unit,
    counted_pixels,
    image_dims,
    image_of,
    leading_coords,
)
from qpi_kernels.result import KernelResult

__all__ = ["autocorrelation"]

_MIN_OVERLAP = 0.1


def autocorrelation(
    image: xr.DataArray | KernelResult, *, mask: ArrayLike | xr.DataArray | None = None
) -> xr.DataArray:
    r"""Correlate an image, or each image of a stack, with itself.

    .. math:: C(d) = \frac{\sum_r m(r)\, m(r+d)\, \delta f(r)\, \delta f(r+d)}
                     {\sum_r m(r)\, m(r+d)} \Big/ C(0)

    with the deviation from the mean of the pixels that count, m. Nothing is periodic.

    Parameters
    ----------
    image : xarray.DataArray or KernelResult
        The kernel of a result, or ``(..., y, x)``. NaN does not count.
    mask : array of bool, (y, x), optional
        True where a pixel counts.

    Returns
    -------
    xarray.DataArray
        ``(..., y, x)``, the shifts in the image's unit, ``2 n - 1`` of them, zero at the middle,
        index ``n - 1``; 1 there. NaN where less than a tenth of the pixels overlap.

    Raises
    ------
    InspectionError
        If dims, coordinates or mask do not fit.
    """
    image = image_of(image)
    if image_dims(image) != ("y", "x"):
        raise InspectionError("correlate an image (y, x), not its Fourier transform")
    image = image.compute()  # once, where it is lazy
    counted = counted_pixels(image, mask)
    weight = counted.astype(np.float64)
    total = weight.sum(axis=(-2, -1), keepdims=True)
    values = np.where(counted, image.values, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = (values - values.sum(axis=(-2, -1), keepdims=True) / total) * weight
        pairs = np.rint(_correlated(weight))
        made = np.where(pairs >= _MIN_OVERLAP * total, _correlated(values) / pairs, np.nan)
        middle = (image.shape[-2] - 1, image.shape[-1] - 1)
        made /= made[..., middle[0], middle[1]][..., None, None]
    coords = leading_coords(image)
    for axis, at in zip("yx", middle, strict=True):
        shifts = (np.arange(2 * at + 1) - at) * axis_step(image, axis)
        attrs = {"units": axis_unit(image, axis), "long_name": f"shift along {axis}"}
        coords[axis] = xr.Variable(axis, shifts, attrs)
    return xr.DataArray(
        made,
        dims=image.dims,
        coords=coords,
        name="autocorrelation",
        attrs={"units": "1", "long_name": "autocorrelation"},
    )


def _correlated(values: np.ndarray) -> np.ndarray:
    """Correlate planes with themselves, (..., 2 h - 1, 2 w - 1), zero shift in the middle."""
    height, width = values.shape[-2:]
    shape = [scipy.fft.next_fast_len(2 * n - 1, real=True) for n in (height, width)]
    spectrum = scipy.fft.rfft2(values, s=shape)
    made = scipy.fft.irfft2(spectrum.real**2 + spectrum.imag**2, s=shape)
    made = np.roll(made, (height - 1, width - 1), axis=(-2, -1))
    return np.asarray(made[..., : 2 * height - 1, : 2 * width - 1])
