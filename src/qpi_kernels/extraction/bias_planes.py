"""The choice of a stack's planes by bias, one for commands, docks and scripts."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qpi_kernels.extraction.parameters import ExtractionError

__all__ = ["BiasRangeError", "planes_in_range"]

# Relative; for a stack of one plane, which has no step.
_ROUNDING = 1e-3


class BiasRangeError(ExtractionError):
    """No plane has a bias in the range; the message says which there are."""


def planes_in_range(
    biases: ArrayLike, first: float = -np.inf, last: float = np.inf
) -> NDArray[np.intp]:
    """Choose the planes whose bias lies in a range, or less than half a step beyond its ends.

    Files and forms round biases; half a step (the smallest of the stack) keeps the plane meant.

    Parameters
    ----------
    biases : array, (bias,)
        Bias of each plane, in V, in any order.
    first, last : float
        Ends of the range in V, in either order.

    Returns
    -------
    array of int, (plane,)
        Indices of the planes, rising.

    Raises
    ------
    BiasRangeError
        If there is no such plane.

    Examples
    --------
    >>> planes_in_range([-0.2, -0.1, 0.0, 0.1], -0.12, 0.04)
    array([1, 2])
    """
    values = np.asarray(biases, float)
    low, high = min(first, last), max(first, last)
    steps = np.diff(np.unique(values))
    # Less than half, so that a bias between two planes never chooses both by rounding.
    margin = 0.499999 * steps.min() if steps.size else _ROUNDING * np.abs(values).max()
    planes = np.flatnonzero((values >= low - margin) & (values <= high + margin))
    if not planes.size:
        raise BiasRangeError(
            f"no plane has a bias from {low:g} to {high:g} V; this stack goes from "
            f"{values.min():g} to {values.max():g} V"
        )
    return planes
