"""Kernel and standard deviation in the form that the fits take."""

from __future__ import annotations

import numpy as np
import xarray as xr

from qpi_kernels.inspect.dispersion.errors import DispersionError
from qpi_kernels.result import KernelResult

__all__ = ["kernel_stack", "unusable_planes"]

_MIN_SIDE = 9
_VOLTS = {"V": 1.0, "eV": 1.0, "mV": 1e-3, "meV": 1e-3}
# Nobody tunnels there: the numbers are millivolts without a unit.
_MAX_BIAS_V = 50.0


def kernel_stack(
    kernel: KernelResult | xr.DataArray,
    std: xr.DataArray | None,
    *,
    kind: str | None = None,
    bias_range: tuple[float, float] | None = None,
) -> tuple[xr.DataArray, xr.DataArray | None]:
    """Return kernel and standard deviation with dims (bias, y, x), biases ascending.

    Parameters
    ----------
    kernel : KernelResult or DataArray
        ``(bias, y, x)`` or ``(y, x)``, with ``kind`` in front where there are several.
    std : DataArray, optional
        Its standard deviation, where `kernel` is an array.
    kind : str, optional
        Which of several kinds.
    bias_range : (float, float), optional
        Lowest and highest bias in V.

    Raises
    ------
    DispersionError
        If the dims do not fit, lengths are not in nm or biases not in V (mV are converted), a kind
        must be chosen, or no bias is left.
    """
    if isinstance(kernel, KernelResult):
        std = kernel.std if std is None else std
        kernel = kernel.kernel
    images = [_plain(kernel, kind)]
    if std is not None:
        if std.shape != kernel.shape:
            raise DispersionError(
                f"std has shape {std.shape}, the kernel {kernel.shape}: they must be alike"
            )
        images.append(_plain(std.assign_coords(kernel.coords), kind))
    if bias_range is not None:
        low, high = sorted(bias_range)
        images = [one.sel(bias=slice(low, high)) for one in images]
        if not images[0].sizes["bias"]:
            raise DispersionError(f"there is no bias from {low:g} to {high:g} V")
    return images[0], images[1] if len(images) > 1 else None


def unusable_planes(kernel: xr.DataArray, std: xr.DataArray | None) -> list[str]:
    """Say for each bias why its plane holds nothing to fit; nothing where it does."""
    reasons = []
    for number, plane in enumerate(kernel.values):
        finite = np.isfinite(plane).all()
        if std is not None:
            finite = finite and np.isfinite(std.values[number]).all()
        if not finite:
            reasons.append("it holds values that are not finite")
        else:
            reasons.append("" if np.ptp(plane) > 0 else "it is constant")
    return reasons


def _plain(image: xr.DataArray, kind: str | None) -> xr.DataArray:
    """Choose a kind, add a missing bias dim, and order the biases."""
    if "kind" in image.dims:
        names = [str(one) for one in image["kind"].values]
        if kind is None and len(names) > 1:
            raise DispersionError(
                f"the kernel has the kinds {', '.join(names)}: each has its own waves, choose one "
                f"with kind={names[0]!r}"
            )
        if kind is not None and kind not in names:
            raise DispersionError(f"there is no kind {kind!r}: choose of {', '.join(names)}")
        image = image.isel(kind=0 if kind is None else names.index(kind))
    if "bias" not in image.dims:
        if "bias" not in image.coords:
            image = image.assign_coords(bias=np.nan)
        image = image.expand_dims("bias")
    if set(image.dims) != {"bias", "y", "x"}:
        raise DispersionError(
            f"the kernel's dims must be y and x, or bias, y and x, not {image.dims}"
        )
    for axis in ("y", "x"):
        unit = image[axis].attrs.get("units")
        if unit != "nm":
            raise DispersionError(
                f"the kernel's {axis} is in {unit!r}: give the map a pixel pitch in nm, wave "
                f"numbers are in rad/nm (of coordinates in nm without unit: "
                f"kernel[{axis!r}].attrs['units'] = 'nm')"
            )
        if image.sizes[axis] < _MIN_SIDE:
            raise DispersionError(f"the kernel must have at least {_MIN_SIDE} pixels a side")
    return _in_volts(image).transpose("bias", "y", "x").sortby("bias")


def _in_volts(image: xr.DataArray) -> xr.DataArray:
    """Convert biases to V."""
    unit = image["bias"].attrs.get("units", "V")
    if unit not in _VOLTS:
        raise DispersionError(
            f"the biases are in {unit!r}: give them in V, kernel['bias'].attrs['units'] = 'V'"
        )
    volts = image["bias"].values.astype(float) * _VOLTS[unit]
    if np.abs(volts).max() > _MAX_BIAS_V:
        raise DispersionError(
            f"there is a bias of {np.abs(volts).max():g} V: if these are mV, say so by "
            "kernel['bias'].attrs['units'] = 'mV'"
        )
    return image.assign_coords(bias=("bias", volts, {**image["bias"].attrs, "units": "V"}))
