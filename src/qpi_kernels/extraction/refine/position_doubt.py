"""The doubt that fitted positions leave about a kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.defects import Defects
from qpi_kernels.extraction.quality_report import ERROR_CODES, error_reasons, relative_error
from qpi_kernels.extraction.refine.denoised_kernel import denoised
from qpi_kernels.extraction.refine.shifted_kernel import slope_matrix
from qpi_kernels.quality import Quality, lowest_trust
from qpi_kernels.result import KernelResult

__all__ = ["with_position_doubt"]

# Pixels that a kernel is extended by beyond its window, for derivatives at its rim.
_BEYOND_PX = 16


def with_position_doubt(
    result: KernelResult, position_error: NDArray[np.float64], shift_error: Mapping[str, float]
) -> KernelResult:
    r"""Widen a kernel's standard deviation by what the defects' positions leave open.

    To first order positions that are off by :math:`d_i` change the map by
    :math:`-\sum_i d_i \cdot \nabla A(r - r_i)`. What all defects of a kind have in common shifts
    their kernel, and no data tell; the rest enters each pixel with the mean over N defects, so the
    variance is :math:`\sum_a (\partial_a A)^2 (\sigma_a^2 / N + \sigma_0^2)`.

    Parameters
    ----------
    result : KernelResult
        With the kernel of these positions.
    position_error : array, (N, 2)
        Standard deviation of each row and column, in px.
    shift_error : mapping of str to float
        Standard deviation of the shift that the defects of a kind have in common, in px.

    Returns
    -------
    KernelResult
        The same with a larger `std`, and with its quality's expected error and the reasons that
        tell it.
    """
    defects = result.defects
    kernels, shown, std = result.kernel, denoised(result).kernel, result.std
    if "kind" not in kernels.dims:
        (kind,) = defects.kinds
        widened = _widened(
            shown, std, _variance(defects, kind, position_error), shift_error.get(kind, 0.0)
        )
        errors = {kind: relative_error(kernels.values, widened.values)}
        return replace(result, std=widened, quality=_judged(result.quality, errors))
    parts = {
        kind: _widened(
            shown.sel(kind=kind),
            std.sel(kind=kind),
            _variance(defects, kind, position_error),
            shift_error.get(kind, 0.0),
        )
        for kind in kernels["kind"].values.tolist()
    }
    errors = {
        kind: relative_error(kernels.sel(kind=kind).values, part.values)
        for kind, part in parts.items()
    }
    widened = xr.concat(list(parts.values()), dim=kernels["kind"]).transpose(*std.dims)
    return replace(
        result,
        std=widened.assign_attrs(std.attrs),
        quality=_judged(result.quality, errors),
    )


def _judged(quality: Quality, errors: dict[str, float]) -> Quality:
    """Put the errors of the widened standard deviation in place of those before."""
    others = [reason for reason in quality.reasons if reason.code not in ERROR_CODES]
    reasons = [*error_reasons(errors), *others]
    return quality.model_copy(
        update={
            "expected_error": max(errors.values()),
            "reasons": reasons,
            "trust": lowest_trust(reasons),
        }
    )


def _variance(
    defects: Defects, kind: str, position_error: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Average the variance of the positions of a kind over its defects, (2,)."""
    chosen = position_error[defects.kind == kind]
    return np.asarray(np.square(chosen).mean(axis=0) / max(len(chosen), 1))


def _widened(
    kernel: xr.DataArray, std: xr.DataArray, variance: NDArray[np.float64], shift: float
) -> xr.DataArray:
    """Add the variance that shifts make to that of one kind."""
    slopes = np.stack([_slope(kernel.values.astype(float), axis) for axis in (-2, -1)])
    added = np.tensordot(variance + shift**2, np.square(slopes), axes=1)
    return std.copy(data=np.sqrt(np.square(std.values) + added).astype(std.dtype))


def _slope(kernels: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Differentiate band-limited kernels (..., h, w), which go on beyond their window."""
    size = kernels.shape[axis]
    along = np.moveaxis(kernels, axis, -1)
    # Differences of neighbouring pixels are too flat for short waves.
    extent = size + 2 * _BEYOND_PX
    matrix = slope_matrix(extent, 0.0, 0)[_BEYOND_PX : _BEYOND_PX + size]
    beyond = [(0, 0)] * (along.ndim - 1) + [(_BEYOND_PX, _BEYOND_PX)]
    extended = np.pad(along, beyond, mode="reflect", reflect_type="odd")
    return np.moveaxis(extended @ matrix.T, -1, axis)
