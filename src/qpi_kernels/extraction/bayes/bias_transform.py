"""`BiasTransform`: combinations of biases whose kernels have little to do with each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.fft
import torch
from numpy.typing import NDArray

from qpi_kernels.extraction.bayes.covariance_roots import WhiteRoot
from qpi_kernels.extraction.bayes.family_selection import FamilySelection, likely_families
from qpi_kernels.extraction.bayes.normal_operator import choose_normal_operator
from qpi_kernels.extraction.bayes.parameters import PriorParameters
from qpi_kernels.extraction.bayes.posterior import Posterior, PosteriorSolver, kind_sizes
from qpi_kernels.extraction.bayes.progress_estimate import ProgressEstimator
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.models.kernel_prior import KernelPrior
from qpi_kernels.progress import Event

__all__ = ["BiasTransform", "BiasTransformSelection"]

# There are a few copies of the stack at a time.
_MAX_BYTES = 2**30
# Of a plane's rms: noise of what is only rounding, and largest ratio between two planes' noise.
_DEAD, _UNEQUAL = 1e-9, 3.0


@dataclass(frozen=True, eq=False)
class BiasTransform:
    r"""Orthogonal combinations of planes, each over its noise.

    If the prior covariance of kernels is a product, :math:`C_E \otimes K` of bias and place, and
    the noise of all planes is white and independent, the eigenvectors of :math:`C_E` decouple
    them: each combination is an extraction of its own with the prior :math:`\Lambda_j K`. Its
    strength is found from the evidence, so :math:`\Lambda` needs no model: combinations
    in which no kernel shows, such as fast changes along the bias, shrink to nothing.

    Parameters
    ----------
    name : str
        In plain words.
    matrix : array, (combination, bias)
        Orthogonal.
    noise : array, (bias,)
        Standard deviation of each plane's noise, in its scaled units.
    """

    name: str
    matrix: NDArray[np.float64]
    noise: NDArray[np.float64]

    def combine(self, planes: torch.Tensor) -> torch.Tensor:
        """From planes (bias, ...) to combinations of noise 1."""
        weights = torch.from_numpy(self.matrix / self.noise).to(planes)
        return _mixed(weights, planes)

    def part(self, values: torch.Tensor) -> torch.Tensor:
        """From combinations (combination, ...) back to planes."""
        weights = torch.from_numpy(self.matrix.T * self.noise[:, None]).to(values)
        return _mixed(weights, values)

    def part_variance(self, variances: torch.Tensor) -> torch.Tensor:
        """From the variances of independent combinations to those of planes."""
        weights = np.square(self.matrix.T * self.noise[:, None])
        return _mixed(torch.from_numpy(weights).to(variances), variances)

    def part_mean(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        """From a number of each combination to its mean over what a plane is made of."""
        return np.asarray(np.square(self.matrix.T) @ numbers)


class BiasTransformSelection:
    """Chooses among rotations by the evidence of simulated kernels.

    Candidates are the planes themselves, and cosines along the bias, in whose last ones kernels
    that change slowly do not show.

    Parameters
    ----------
    problem : Problem
        Several planes.
    library : KernelPrior
        Simulated kernels.
    phases : ProgressEstimator
        Counts the steps.
    """

    def __init__(
        self, problem: Problem[PriorParameters], library: KernelPrior, phases: ProgressEstimator
    ) -> None:
        self._problem = problem
        self._library = library
        self._phases = phases
        self._quick = choose_normal_operator(problem)
        self.chosen: BiasTransform | None = None

    @staticmethod
    def worthwhile(problem: Problem) -> bool:
        """Whether there are several planes, and memory for all of them."""
        rows, columns = problem.image_shape
        return problem.plane_count > 1 and 8 * problem.plane_count * rows * columns < _MAX_BYTES

    def run(self, left: torch.Tensor) -> Iterator[Event]:
        """Find what is `chosen`, None for the planes themselves, for planes without background."""
        self._phases.plan({"probe": 1, "solve": len(left), "screen": 1})
        found: list[Posterior] = []
        yield from self._least_squares(left, found)
        noise = np.sqrt([one.noise_variance for one in found])
        # A dead plane has no noise; one of far more noise would be spoilt by its neighbours'.
        if not (noise.min() > _DEAD and noise.max() < _UNEQUAL * noise.min()):
            return
        screen = FamilySelection(self._problem, self._library, self._quick, kind_sizes(found))
        self._phases.begin("screen")
        for _ in screen.prepare():
            yield self._phases.step("Comparing families of simulated kernels")
        kernels = torch.stack([one.kernels for one in found])
        single = np.eye(len(left))
        cosines = scipy.fft.dct(single, axis=0, norm="ortho")
        total = []
        for matrix in (single, cosines):
            costs = []
            rotation = BiasTransform("", matrix, noise)
            for plane, start in zip(rotation.combine(left), rotation.combine(kernels), strict=True):
                costs.append(screen.costs(plane, start))
                yield self._phases.step("Comparing combinations of biases")
            total.append(likely_families(costs)[1])
        if total[1] < total[0]:
            self.chosen = BiasTransform("cosines along the bias", cosines, noise)

    def _least_squares(self, left: torch.Tensor, found: list[Posterior]) -> Iterator[Event]:
        nothing = WhiteRoot(self._problem.parameters.kernel_shape)
        solver = PosteriorSolver(self._problem, nothing, self._quick)
        self._phases.begin("probe")
        for _ in solver.probe():
            yield self._phases.step("Probing how well the defects determine the kernel")
        for plane in left:
            self._phases.begin("solve")
            for _ in solver.solve(plane):
                yield self._phases.step("Comparing combinations of biases")
            found.append(solver.posterior)


def _mixed(weights: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    mixed: torch.Tensor = torch.tensordot(weights, values, dims=1)
    return mixed
