"""dI/dV computed from I(V) where the instrument recorded no lock-in channel."""

from __future__ import annotations

import numpy as np

__all__ = ["DERIVED", "differentiate"]

DERIVED = "numerical derivative of Current along the bias axis (central differences)"


def differentiate(current: np.ndarray, bias: np.ndarray, axis: int = 0) -> np.ndarray:
    """Differentiate a current with respect to bias.

    Central differences of second order on the true axis, one-sided at its ends
    (`numpy.gradient`). Each stretch on which the bias runs one way is differentiated by itself,
    so segments that meet, turn back or share a bias do not mix.

    Parameters
    ----------
    current : array
        Current in A, any shape.
    bias : array
        Bias in V along `axis`, rising or falling, steps may differ.
    axis : int
        The bias axis of `current`.

    Returns
    -------
    array
        dI/dV in S, float32, shaped like `current`; NaN for a stretch of a single point.
    """
    bias = np.asarray(bias, float)
    values = np.moveaxis(current, axis, 0)
    result = np.full(values.shape, np.nan, np.float32)
    for first, stop in _one_way_stretches(bias):
        if stop - first >= 2:
            result[first:stop] = np.gradient(values[first:stop], bias[first:stop], axis=0)
    return np.moveaxis(result, 0, axis)


def _one_way_stretches(bias: np.ndarray) -> list[tuple[int, int]]:
    """Split a bias axis into stretches ``(first, stop)`` that run one way."""
    stretches = []
    first = 0
    direction = 0.0
    for index in range(1, bias.size):
        step = float(np.sign(bias[index] - bias[index - 1]))
        if step == 0 or (direction and step != direction):
            stretches.append((first, index))
            # A turning point belongs to both stretches only when it was recorded twice.
            first, direction = index, 0.0
        else:
            direction = step
    stretches.append((first, bias.size))
    return stretches
