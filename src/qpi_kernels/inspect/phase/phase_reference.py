"""`phase_referenced`: signed transforms of a kernel, with errors of noise and position."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import scipy.fft
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.inspect.axes import axis_step
from qpi_kernels.inspect.error_correlation import ErrorCorrelation
from qpi_kernels.inspect.fourier_transform import Window, fourier, window_weights
from qpi_kernels.inspect.phase.kernel_errors import KernelErrors, kernel_errors
from qpi_kernels.result import KernelResult

__all__ = ["phase_referenced"]

Array = NDArray[np.float64]


def phase_referenced(
    kernel: KernelResult | xr.DataArray,
    *,
    std: xr.DataArray | None = None,
    position_std_nm: float | Mapping[str, float] | None = None,
    window: Window = "hann",
    padding: int = 1,
    draws: xr.DataArray | None = None,
) -> xr.Dataset:
    r"""Transform a kernel to scattering vectors with its sign, the phase origin at the defect.

    .. math:: A(q) = \Delta x \Delta y \sum_r w(r)\, (A(r) - \bar A)\, e^{-i q r}

    Only a kernel has a place to which phases refer; of a map of many defects the phases are those
    of their positions. An even kernel (A(r) = A(-r)) has a real transform.

    Parameters
    ----------
    kernel : KernelResult or DataArray
        ``(..., y, x)``, y = x = 0 at the defect.
    std : DataArray, optional
        Standard deviation of the kernel; a `KernelResult` has its own.
    position_std_nm : float or mapping of kind to float, optional
        Standard deviation along each axis of the shift that the positions of all defects of a kind
        have in common, in nm (the unit of y and x). Left out, that of a result with refined
        positions, else 0.
    window, padding
        As for `fourier`. The windows are even about the defect and turn no phase.
    draws : DataArray, (draw, ..., y, x), optional
        Errors drawn from the kernel's posterior, which tell how errors of pixels go together; a
        `KernelResult` of ``bayes`` has its own.

    Returns
    -------
    xarray.Dataset
        ``real_part`` and ``imaginary_part`` over ``q_y``, ``q_x`` in place of y, x, and their
        standard deviations ``real_part_std``, ``imaginary_part_std`` (NaN without `std` and
        position error); ``position_std_nm`` in attrs.

    Raises
    ------
    InspectionError
        If the arrays do not fit together, or the defect is not in the window.

    Notes
    -----
    Under a smooth prior neighbours err alike, and opposite pixels do: the error of noise is that of
    independent pixels times the root of the power that the draws have at q, and not smaller.
    Without draws pixels are taken as independent. Where waves reach beyond the kernel's window what
    neighbouring defects leave in it is in no error (docs/inspect.md).

    A shift d of the origin multiplies A(q) by :math:`e^{-i q d}`, taken as normally distributed.
    What the positions of single defects are off beside that damps A(q) by
    :math:`e^{-q^2 \sigma^2 / 2}`, which no error bar tells.
    """
    given = kernel_errors(kernel, std, position_std_nm, draws)
    signed = fourier(given.kernel, window=window, scale="complex", padding=padding)
    real, imaginary = signed.real, signed.imag
    q = np.hypot(signed["q_y"], signed["q_x"])
    spread = np.square(q * given.position_std)
    # Variance of the cosine and of the sine of a normally distributed angle.
    cosine = (1 + np.exp(-2 * spread)) / 2 - np.exp(-spread)
    sine = (1 - np.exp(-2 * spread)) / 2
    found = {"real_part": real, "imaginary_part": imaginary}
    pairs = {"real_part": (real, imaginary), "imaginary_part": (imaginary, real)}
    noise = (None, None) if given.std is None else _noise(given, window, padding)
    for (name, (own, other)), white in zip(pairs.items(), noise, strict=True):
        variance = cosine * np.square(own) + sine * np.square(other)
        if white is not None:
            variance = variance + xr.DataArray(white, dims=signed.dims, coords=signed.coords)
        elif not float(given.position_std.max()) > 0:
            variance = variance * np.nan
        found[f"{name}_std"] = np.sqrt(variance).transpose(*signed.dims)
    unit = signed.attrs["units"]
    titles = {name: f"{name.replace('_', ' ')} of the transform" for name in pairs}
    dataset = xr.Dataset(found).assign_attrs(
        window=window, padding=padding, position_std_nm=given.position_std.values.tolist()
    )
    for part, title in titles.items():
        for suffix, prefix in (("", ""), ("_std", "error of the ")):
            dataset[part + suffix].attrs = {
                **signed.attrs, "units": unit, "long_name": prefix + title,
            }  # fmt: skip
    return dataset


def _noise(given: KernelErrors, window: Window, padding: int) -> tuple[Array, Array]:
    r"""Compute the variance of real and imaginary part.

    Of independent pixels it is

    .. math:: \sum_r w^2 \sigma^2 \cos^2 q r
              = \tfrac12 \sum_r w^2 \sigma^2 (1 + \cos 2 q r)
    """
    std = given.std
    assert std is not None
    shape = std.shape[-2:]
    steps = [axis_step(std, axis) for axis in "yx"]
    weights = std.values.astype(float) * window_weights(window, shape)
    variance = np.square(weights)
    padded = [padding * size for size in shape]
    spectrum = scipy.fft.fft2(variance, s=padded)
    doubled = spectrum[
        ..., (2 * np.arange(padded[0]) % padded[0])[:, None], 2 * np.arange(padded[1]) % padded[1]
    ]
    # The first pixel is not the origin.
    phases = [
        np.exp(-2j * 2 * np.pi * scipy.fft.fftfreq(size, step) * float(std[axis][0]))
        for axis, size, step in zip("yx", padded, steps, strict=True)
    ]
    twice = (doubled * np.multiply.outer(*phases)).real
    whole = variance.sum(axis=(-2, -1), keepdims=True)
    area = (steps[0] * steps[1]) ** 2 / 2
    cosine, sine = (np.maximum(area * (whole + sign * twice), 0.0) for sign in (1, -1))
    if given.correlation is not None:
        gain = _correlated_sum(weights, given.correlation, padding) / np.maximum(whole, 1e-300)
        even = given.correlation.even[..., None, None]
        cosine = cosine * np.maximum(gain, 1.0) * (1 + np.maximum(even, 0.0))
        sine = sine * np.maximum(gain * (1 - even), 1.0)
    return scipy.fft.fftshift(cosine, axes=(-2, -1)), scipy.fft.fftshift(sine, axes=(-2, -1))


def _correlated_sum(weights: Array, correlation: ErrorCorrelation, padding: int) -> Array:
    r"""Compute the mean square of the transform of weighted errors, over the padded grid.

    .. math:: \sum_d \rho(d)\, e^{-i q d} \sum_r w(r) w(r + d)
    """
    size = correlation.lags.shape[-2:]
    pairs = scipy.fft.ifft2(np.square(np.abs(scipy.fft.fft2(weights, s=size)))).real
    lags = pairs * correlation.lags
    for axis in (-2, -1):
        middle = lags.shape[axis] // 2
        ahead, behind = np.split(lags, [middle], axis=axis)
        between = np.zeros_like(np.repeat(ahead, max(padding - 2, 0), axis=axis))
        lags = np.concatenate([ahead, between, behind], axis=axis)
    stride = 2 if padding == 1 else 1
    return np.asarray(np.maximum(scipy.fft.fft2(lags).real, 0.0)[..., ::stride, ::stride])
