"""Kernel, its standard deviation, and how well the place of its defect is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

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
    kernel, std = ascending(kernel), None if std is None else ascending(aligned(std, kernel))
    step = axis_step(kernel, "x")
    known = position_std_nm
    if known is None:
        known = {name: float(value) * step for name, value in (refined or {}).items()} or 0.0
    position = _by_kind(known, kernel)
    if not bool((position >= 0).all()):
        raise InspectionError("the position error must not be negative")
    taken_out = position_std_nm is None and bool(refined)
    correlation = None
    if std is not None and draws is not None:
        drawn = ascending(draws)
        correlation = error_correlation(_without_moves(kernel, drawn) if taken_out else drawn, std)
    if std is not None and taken_out:
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


def _slopes(kernel: xr.DataArray) -> xr.DataArray:
    """Differentiate a kernel along rows and columns, (axis, ..., y, x)."""
    along = np.stack(np.gradient(kernel.values.astype(float), axis=(-2, -1)))
    return xr.DataArray(along, dims=("axis", *kernel.dims))


def _without_moves(kernel: xr.DataArray, draws: xr.DataArray) -> xr.DataArray:
    """Take out of drawn errors what looks like a move of the kernel, one for all biases."""
    slopes = _slopes(kernel)
    within = [dim for dim in kernel.dims if dim != "kind"]
    other = slopes.rename(axis="other")
    kinds = [dim for dim in kernel.dims if dim == "kind"]
    gram = xr.dot(slopes, other, dim=within).transpose(*kinds, "axis", "other")
    shares = xr.dot(slopes, draws.drop_vars(draws.coords), dim=within)
    inverse = gram.copy(data=np.linalg.pinv(gram.values, hermitian=True))
    moves = xr.dot(inverse, shares.rename(axis="other"), dim="other")
    moved = xr.dot(moves, slopes, dim="axis").transpose(*draws.dims)
    return draws.copy(data=draws.values - moved.values)


def _without_shift(kernel: xr.DataArray, std: xr.DataArray, shift_px: xr.DataArray) -> xr.DataArray:
    """Take out what a refinement added to each pixel for the shift that all defects share."""
    share = kernel.copy(data=(_slopes(kernel) ** 2).sum("axis").values) * shift_px**2
    rest = np.square(std.values) - share.transpose(*kernel.dims).values
    return std.copy(data=np.sqrt(np.maximum(rest, 0.0)))
