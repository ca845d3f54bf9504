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
    r"""Widen a kernel's standard deviation, and its drawn errors, by what positions leave open.

    To first order positions that are off by :math:`d_i` change the map by
    :math:`-\sum_i d_i \cdot \nabla A(r - r_i)`. What all defects of a kind have in common shifts
    their kernel, and no data tell; the rest enters each pixel with the mean over N defects, so the
    variance is :math:`\sum_a (\partial_a A)^2 (\sigma_a^2 / N + \sigma_0^2)`. Each drawn error is
    that of another mean position, the same for all biases of a kind.

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
        The same with a larger `std`, with `draws` as large where it has any, and with its
        quality's expected error and the reasons that tell it.
    """
    shown, std = denoised(result).kernel, result.std
    kinds = list(result.defects.kinds)
    if "kind" in shown.dims:
        kinds = shown["kind"].values.tolist()
    spread = xr.DataArray(
        [_spread(result.defects, kind, position_error, shift_error) for kind in kinds],
        dims=("kind", "axis"),
        coords={"kind": kinds},
    )
    if "kind" not in shown.dims:
        spread = spread.isel(kind=0, drop=True)
    change = spread * xr.concat(
        [shown.copy(data=_slope(shown.values.astype(float), axis)) for axis in (-2, -1)], "axis"
    )
    variance = np.square(std.values) + (change**2).sum("axis").transpose(*std.dims).values
    widened = std.copy(data=np.sqrt(variance).astype(std.dtype))
    errors = {
        kind: relative_error(_of_kind(result.kernel, kind), _of_kind(widened, kind))
        for kind in kinds
    }
    return replace(
        result,
        std=widened,
        draws=None if result.draws is None else _widened_draws(result.draws, spread, change),
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


def _spread(
    defects: Defects,
    kind: str,
    position_error: NDArray[np.float64],
    shift_error: Mapping[str, float],
) -> NDArray[np.float64]:
    """Estimate the standard deviation of a kind's mean row and column, (2,)."""
    chosen = position_error[defects.kind == kind]
    own = np.square(chosen).mean(axis=0) / max(len(chosen), 1)
    return np.asarray(np.sqrt(own + shift_error.get(kind, 0.0) ** 2))


def _of_kind(kernels: xr.DataArray, kind: str) -> NDArray[np.floating]:
    """Choose the kernels of a kind, or all where there is one kind only."""
    return (kernels.sel(kind=kind) if "kind" in kernels.dims else kernels).values


def _widened_draws(draws: xr.DataArray, spread: xr.DataArray, change: xr.DataArray) -> xr.DataArray:
    """Add to each drawn error the change that a drawn mean position of each kind makes."""
    count, kinds = draws.sizes["draw"], spread.sizes.get("kind", 1)
    random = np.random.default_rng(0).standard_normal((kinds, count, 2))
    # Few draws scatter much: rows and columns get their power, and nothing in common.
    drawn = xr.DataArray(np.sqrt(count) * np.linalg.qr(random).Q, dims=("kind", "draw", "axis"))
    numbers = drawn if "kind" in spread.dims else drawn.isel(kind=0)
    moved = (numbers * change).sum("axis").transpose(*draws.dims)
    return draws.copy(data=(draws.values + moved.values).astype(draws.dtype))


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
