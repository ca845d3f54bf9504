"""How widely clicks and strengths scatter, from what was found."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["prior_width"]

_USUAL_FACTOR = 3.0


def prior_width(
    shift: NDArray[np.float64],
    error: NDArray[np.float64],
    width: float,
    expected: float,
) -> float:
    r"""Prior width of the largest marginal likelihood.

    The found shifts are posterior means under the present width :math:`\tau_0` with posterior
    standard deviation :math:`e`. Taking that prior out again gives what the data alone say,
    :math:`u_i = d_i / (1 - e_i^2/\tau_0^2)` with variance :math:`v_i = 1/(e_i^{-2} - \tau_0^{-2})`;
    the width minimises

    .. math:: \sum_i \log(\tau^2 + v_i) + u_i^2 / (\tau^2 + v_i)

    and is itself expected within a factor of three of what is usual (log-normal), so that few or
    unclear shifts can not upset it.

    Parameters
    ----------
    shift, error : array
        Posterior means and standard deviations.
    width : float
        The width under which they were found.
    expected : float
        What is usual.

    Returns
    -------
    float
        Between 0.01 and 4 times what is usual.
    """
    told = np.maximum(1.0 - np.square(error / width), 1e-6).ravel()
    alone = shift.ravel() / told
    variance = np.square(error).ravel() / told
    widths = expected * np.geomspace(0.01, 4.0, 61)
    total = np.square(widths)[:, None] + variance
    cost = (np.log(total) + np.square(alone) / total).sum(axis=1)
    cost += np.square(np.log(widths / expected) / np.log(_USUAL_FACTOR))
    return float(widths[cost.argmin()])
