"""`trace_lag`: how far trace and retrace are shifted against each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.prepare.prepared import PreparationError

__all__ = ["TraceLag", "trace_lag"]

_MIN_CORRELATION = 0.2
_ROUNDS = 12
_SETTLED_PX = 1e-3


@dataclass(frozen=True, eq=False)
class TraceLag:
    """The lag along the fast axis.

    Parameters
    ----------
    lag_px : array, (columns,)
        A feature at column ``x + lag/2`` of the trace is at ``x - lag/2`` of the retrace.
    correlation_before, correlation_after : float
        Pearson correlation of the two images without and with the lag.
    """

    lag_px: NDArray[np.float64]
    correlation_before: float
    correlation_after: float


def trace_lag(
    trace: NDArray[np.float64], retrace: NDArray[np.float64], max_lag_px: int, order: int
) -> TraceLag:
    """Fit a polynomial lag between two images of the same rows, both in display order.

    The whole-pixel lag with the largest correlation is refined by Gauss-Newton steps on the
    polynomial. Rows are freed of their mean and slope and scaled to unit power first, so that tip
    streaks do not decide.

    Parameters
    ----------
    trace, retrace : array, (rows, columns)
        NaN where a pixel does not count.
    max_lag_px : int
        Largest lag looked for.
    order : int
        Order of the polynomial along the columns.

    Returns
    -------
    TraceLag

    Raises
    ------
    PreparationError
        If the images have too little in common at any lag.
    """
    one, other = _flat_rows(trace), _flat_rows(retrace)
    columns = one.shape[1]
    reach = min(max_lag_px, columns // 2)
    lags = np.arange(-reach, reach + 1)
    scores = np.array([_shifted_correlation(one, other, lag) for lag in lags])
    if not np.isfinite(scores).any() or np.nanmax(scores) < _MIN_CORRELATION:
        raise PreparationError(
            "align traces: trace and retrace have too little in common; check that the retrace is "
            "of the same channel and not mirrored"
        )
    position = np.linspace(-1.0, 1.0, columns)
    basis = np.polynomial.legendre.legvander(position, order)
    weights = np.zeros(order + 1)
    weights[0] = float(lags[np.nanargmax(scores)])
    for _ in range(_ROUNDS):
        ahead, slope_ahead = _read_rows(one, basis @ weights / 2)
        behind, slope_behind = _read_rows(other, -(basis @ weights) / 2)
        counted = np.isfinite(ahead) & np.isfinite(behind)
        difference = np.where(counted, ahead - behind, 0.0)
        spread = 3 * 1.4826 * float(np.median(np.abs(difference[counted])))
        trusted = counted & (np.abs(difference) <= spread)
        # Beside a pixel that does not count a value is known, but not its slope.
        trusted &= np.isfinite(slope_ahead) & np.isfinite(slope_behind)
        # d(ahead - behind)/d(lag) = (slope_ahead + slope_behind) / 2
        slope = np.where(trusted, (slope_ahead + slope_behind) / 2, 0.0)
        force = np.where(trusted, slope * difference, 0.0).sum(axis=0)
        normal = np.einsum("xi,x,xj->ij", basis, np.square(slope).sum(axis=0), basis)
        change = np.linalg.lstsq(normal, basis.T @ force, rcond=1e-9)[0]
        weights = weights - np.clip(change, -2.0, 2.0)
        if np.abs(change).max() < _SETTLED_PX:
            break
    lag = basis @ weights
    after = _correlation(_read_rows(one, lag / 2)[0], _read_rows(other, -lag / 2)[0])
    rough = float(np.nanmax(scores))
    if np.abs(lag).max() > reach + 1 or after < rough - 0.02:
        lag, after = np.full(columns, float(lags[np.nanargmax(scores)])), rough
    return TraceLag(lag, _correlation(one, other), after)


def _flat_rows(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Subtract the mean and slope of every row and scale it to unit power, so that none rules."""
    position = np.linspace(-1.0, 1.0, image.shape[1])
    counted = np.isfinite(image)
    filled = np.where(counted, image, 0.0)
    number = np.maximum(counted.sum(axis=1, keepdims=True), 1)
    level = filled.sum(axis=1, keepdims=True) / number
    middle = (counted * position).sum(axis=1, keepdims=True) / number
    away = np.where(counted, position - middle, 0.0)
    power = np.maximum((away**2).sum(axis=1, keepdims=True), 1e-12)
    slope = (away * np.where(counted, image - level, 0.0)).sum(axis=1, keepdims=True) / power
    flat = np.where(counted, image - level - slope * (position - middle), np.nan)
    power = np.nan_to_num(np.square(flat)).sum(axis=1, keepdims=True) / number
    return flat / np.sqrt(np.where(power > 0, power, 1.0))


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Correlate where both are numbers; NaN where they share fewer than 16."""
    both = np.isfinite(one) & np.isfinite(other)
    if both.sum() < 16:
        return float("nan")
    a, b = one[both] - one[both].mean(), other[both] - other[both].mean()
    power = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / power if power > 0 else float("nan")


def _shifted_correlation(one: NDArray[np.float64], other: NDArray[np.float64], lag: int) -> float:
    """Correlate ``one[x + lag]`` with ``other[x]``."""
    columns = one.shape[1]
    first, last = max(0, -lag), min(columns, columns - lag)
    return _correlation(one[:, first + lag : last + lag], other[:, first:last])


def _read_rows(
    image: NDArray[np.float64], shift: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read all rows at columns ``x + shift(x)`` by linear interpolation, with the slope there."""
    columns = image.shape[1]
    at = np.arange(columns) + shift
    left = np.clip(np.floor(at).astype(np.int64), 0, columns - 2)
    share = at - left
    inside = (at >= 0) & (at <= columns - 1)
    slope = image[:, left + 1] - image[:, left]
    value = np.where(inside, image[:, left] + share * slope, np.nan)
    smooth = np.gradient(image, axis=1)
    return value, np.where(
        inside, (1 - share) * smooth[:, left] + share * smooth[:, left + 1], np.nan
    )
