"""The yardstick: the best that a ridge could do, if the kernel were known."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from qpi_kernels.extraction.problem import Problem
from qpi_kernels.linalg.lanczos import Lanczos
from qpi_kernels.metrics import affine_invariant_nrmse

__all__ = ["tuned_ridge"]

_RIDGES = np.logspace(-5, 3, 65)
_CHECK_EVERY = 20
_MAX_ITERATIONS = 300
_SETTLED = 1e-3


def tuned_ridge(problem: Problem, truth: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Solve least squares with the ridge of the smallest error, which only the truth can tell.

    One Krylov space serves all ridges, see `Lanczos`.

    Parameters
    ----------
    problem : Problem
        One plane, one kind of defect, no symmetry.
    truth : array, (h, w)
        The kernel.

    Returns
    -------
    kernel : array, (h, w)
        In the units of the observation.
    ridge : float
        Its strength, as a number of defects that show nothing.
    """
    shape = problem.parameters.kernel_shape

    def normal(numbers: torch.Tensor) -> torch.Tensor:
        return problem.normal.apply(numbers.view(-1, 1, *shape)).flatten(1)

    planes = problem.planes(0, 1)
    signal = problem.background.remove(planes.values)
    lanczos = Lanczos(normal, problem.model.adjoint(signal).flatten(1))
    ridges = _RIDGES * len(problem.defects)
    before = np.inf
    while True:
        lanczos.step()
        finished = lanczos.iterations >= min(_MAX_ITERATIONS, truth.size)
        if lanczos.iterations % _CHECK_EVERY and not finished:
            continue
        data = lanczos.tridiagonal()
        coordinates = [data.coordinates(ridges[index : index + 1]) for index in range(len(ridges))]
        kernels = torch.cat([lanczos.combine(one) for one in coordinates]).view(-1, *shape)
        found = np.asarray((kernels * planes.scale).cpu().numpy(), np.float64)
        errors = affine_invariant_nrmse(truth, found)
        best = int(np.argmin(errors))
        if finished or abs(errors[best] - before) <= _SETTLED * errors[best]:
            return found[best], float(ridges[best])
        before = errors[best]
