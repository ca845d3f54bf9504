"""Estimate of how widely clicks and strengths scatter, from fitted shifts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["prior_width"]

_EXPECTED_FACTOR = 3.0


def prior_width(
    shift: NDArray[np.float64],
    error: NDArray[np.float64],
    width: float,
    expected: float,
) -> float:
    r"""Estimate the prior width of the largest marginal likelihood.

    The fitted shifts are posterior means under the present width :math:`\tau_0` with posterior
    standard deviation :math:`e`. Without that prior the data alone give
    :math:`u_i = d_i / (1 - e_i^2/\tau_0^2)` with variance :math:`v_i = 1/(e_i^{-2} - \tau_0^{-2})`;
    the width minimises

    .. math:: \sum_i \log(\tau^2 + v_i) + u_i^2 / (\tau^2 + v_i)

    and has a log-normal prior of a factor of three about the expected one, so that few or unclear
    shifts do not upset it.

    Parameters
    ----------
    shift, error : array
        Posterior means and standard deviations.
    width : float
        The prior width of that fit.
    expected : float
        The expected width.

    Returns
    -------
    float
        Between 0.01 and 4 times the expected width.
    """
    informative = np.maximum(1.0 - np.square(error / width), 1e-6).ravel()
    alone = shift.ravel() / informative
    variance = np.square(error).ravel() / informative
    widths = expected * np.geomspace(0.01, 4.0, 61)
    total = np.square(widths)[:, None] + variance
    cost = (np.log(total) + np.square(alone) / total).sum(axis=1)
    cost += np.square(np.log(widths / expected) / np.log(_EXPECTED_FACTOR))
    return float(widths[cost.argmin()])
