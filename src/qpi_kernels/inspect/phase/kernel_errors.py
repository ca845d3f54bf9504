"""Kernel, its standard deviation, and how well the place of its defect is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.inspect.axes import InspectionError, aligned, ascending, axis_step
from qpi_kernels.inspect.error_correlation import ErrorCorrelation, error_correlation
from qpi_kernels.result import KernelResult

__all__ = ["KernelErrors", "kernel_errors"]


@dataclass(frozen=True, eq=False)
class KernelErrors:
    """A kernel about its defect and what is uncertain about it.

    Parameters
    ----------
    kernel : DataArray
        ``(..., y, x)`` with y = x = 0 at the defect, coordinates ascending.
    std : DataArray or None
        Its standard deviation, as wide, without the share of the position that is in
        `position_std`.
    position_std : DataArray
        Standard deviation along each axis of the place of the defect, which all defects of a kind
        have in common, in the unit of y and x; a number, or one for each ``kind``.
    correlation : ErrorCorrelation, optional
        How errors of pixels go together; they are independent when left out.
    """

    kernel: xr.DataArray
    std: xr.DataArray | None
    position_std: xr.DataArray
    correlation: ErrorCorrelation | None = None


def kernel_errors(
    kernel: KernelResult | xr.DataArray,
    std: xr.DataArray | None,
    position_std_nm: float | Mapping[str, float] | None,
    draws: xr.DataArray | None = None,
) -> KernelErrors:
    """Collect kernel, standard deviation and position error.

    Parameters
    ----------
    kernel : KernelResult or DataArray
        ``(..., y, x)``.
    std : DataArray, optional
        Standard deviation where `kernel` is an array.
    position_std_nm : float or mapping of kind to float, optional
        Left out, that of a result whose positions were refined, else 0.
    draws : DataArray, optional
        Errors drawn from the posterior where `kernel` is an array.

    Raises
    ------
    InspectionError
        If something is no labelled array, shapes differ, the defect is not in the window, or the
        position error is negative.
    """
    refined = None
    if isinstance(kernel, KernelResult):
        refined = kernel.provenance.get("refinement", {}).get("shift_error_px")
        if std is None:
            std, draws = kernel.std, kernel.draws if draws is None else draws
        kernel = kernel.kernel
    for given in (kernel, std):
        if given is not None and not isinstance(given, xr.DataArray):
            raise InspectionError(
                "kernel and std must be DataArrays with y and x in nm from the defect, or the "
                f"kernel a KernelResult, not {type(given).__name__}"
            )
    if kernel.dims[-2:] != ("y", "x"):
        raise InspectionError(f"the kernel's last two dims must be y and x, not {kernel.dims}")
    for axis in ("y", "x"):
        if not float(kernel[axis].min()) <= 0 <= float(kernel[axis].max()):
            raise InspectionError("y = x = 0, the defect, must lie in the window of the kernel")
    if std is not None and std.shape != kernel.shape:
        raise InspectionError(
            f"std has shape {std.shape}, the kernel {kernel.shape}: they must be alike"
        )
    correlation = None
    if std is not None:
        std = ascending(aligned(std, kernel))
        if draws is not None:
            correlation = error_correlation(ascending(draws), std)
    kernel = ascending(kernel)
    step = axis_step(kernel, "x")
    known = position_std_nm
    if known is None:
        known = {name: float(value) * step for name, value in (refined or {}).items()} or 0.0
    position = _by_kind(known, kernel)
    if not bool((position >= 0).all()):
        raise InspectionError("the position error must not be negative")
    if std is not None and position_std_nm is None and refined:
        std = _without_shift(kernel, std, position / step)
    return KernelErrors(kernel, std, position, correlation)


def _by_kind(known: float | Mapping[str, float], kernel: xr.DataArray) -> xr.DataArray:
    """Give each kind of a kernel its number."""
    if not isinstance(known, Mapping):
        return xr.DataArray(float(known))
    if "kind" not in kernel.dims:
        return xr.DataArray(float(max(known.values())))
    names = [str(name) for name in kernel["kind"].values]
    values = [float(known.get(name, 0.0)) for name in names]
    return xr.DataArray(values, dims="kind", coords={"kind": kernel["kind"]})


def _without_shift(kernel: xr.DataArray, std: xr.DataArray, shift_px: xr.DataArray) -> xr.DataArray:
    """Take out what a refinement added to each pixel for the shift that all defects share."""
    slopes: NDArray[np.float64] = np.square(
        np.stack(np.gradient(kernel.values.astype(float), axis=(-2, -1)))
    ).sum(axis=0)
    share = kernel.copy(data=slopes) * shift_px**2
    rest = np.square(std.values) - share.transpose(*kernel.dims).values
    return std.copy(data=np.sqrt(np.maximum(rest, 0.0)))
