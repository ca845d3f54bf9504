"""The magnitude of a map's or a kernel's Fourier transform."""

from __future__ import annotations

import numpy as np
import scipy.fft
import xarray as xr

__all__ = ["fourier_magnitude"]


def fourier_magnitude(image: xr.DataArray, *, padding: int = 1) -> xr.DataArray:
    r"""Transform an image to scattering vectors.

    .. math:: |\tilde{Y}(q)| = \Delta x \Delta y
              \left| \sum_r w(r)\, (Y(r) - \bar{Y})\, e^{-i q r} \right|

    with a Hann window w, so that the edges do not show as a cross.

    Parameters
    ----------
    image : xarray.DataArray
        ``(y, x)`` or ``(..., y, x)`` with coordinates in nm (or pixels). NaN counts as the mean.
    padding : int
        Zeros are added up to so many times the size: finer steps in q, no more resolution.

    Returns
    -------
    xarray.DataArray
        Dims ``q_y`` and ``q_x`` in place of ``y`` and ``x``, in rad per unit of length, ascending;
        zero is at index ``n//2``. A wave of wavelength l shows at ``2 pi / l``.
    """
    values = image.values - np.nanmean(image.values, axis=(-2, -1), keepdims=True)
    values = np.nan_to_num(values, copy=False)
    shape = values.shape[-2:]
    # Without the zeros at its ends, a window wastes no pixel.
    window = np.multiply.outer(*(np.hanning(size + 2)[1:-1] for size in shape))
    padded = [padding * size for size in shape]
    spectrum = scipy.fft.fft2((values * window).astype(values.dtype), s=padded)
    magnitude = np.abs(scipy.fft.fftshift(spectrum, axes=(-2, -1)))
    coords = {name: image.coords[name] for name in image.coords if name not in ("y", "x")}
    for axis, size in zip(("y", "x"), padded, strict=True):
        pitch = float(image[axis][1] - image[axis][0])
        magnitude *= abs(pitch)
        q = 2 * np.pi * scipy.fft.fftshift(scipy.fft.fftfreq(size, pitch))
        coords[f"q_{axis}"] = (f"q_{axis}", q, {"units": f"1/{image[axis].attrs.get('units', '')}"})
    return xr.DataArray(
        magnitude,
        dims=(*image.dims[:-2], "q_y", "q_x"),
        coords=coords,
        name="fourier_magnitude",
        attrs={"long_name": "|FFT|"},
    )
