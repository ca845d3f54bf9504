"""`BiasTransform`: combinations of biases whose kernels have little to do with each other."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.fft
import torch
from numpy.typing import NDArray

from qpi_kernels.extraction.bayes.posterior import Posterior
from qpi_kernels.extraction.bayes.selection.family_selection import (
    PLANES_AT_ONCE,
    FamilySelection,
    likely_families,
)
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.progress import Event

__all__ = ["BiasTransform", "fits_memory", "have_similar_noise", "select_bias_transform"]

# There are a few copies of the stack at a time.
_MAX_BYTES = 2**30
# Of a plane's rms: noise of what is only rounding, and largest ratio between two planes' noise.
_MIN_NOISE, _MAX_NOISE_RATIO = 1e-9, 3.0
# Gain of combinations over what families may still leave unexplained, at which they are taken: what
# is beside a family's kernels is fitted later, and better in planes as they are.
_MIN_GAIN = 0.2


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

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        """Combine planes (bias, ...) to combinations of noise 1."""
        return _weighted_sums(self.matrix / self.noise, planes)

    def inverse(self, combinations: torch.Tensor) -> torch.Tensor:
        """Take combinations (combination, ...) apart to planes."""
        return _weighted_sums(self.matrix.T * self.noise[:, None], combinations)

    def inverse_variance(self, variances: torch.Tensor) -> torch.Tensor:
        """Turn the variances of independent combinations to those of planes."""
        return _weighted_sums(np.square(self.matrix.T * self.noise[:, None]), variances)

    def inverse_mean(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        """Average a number of each combination over the combinations that a plane is made of."""
        return np.asarray(np.square(self.matrix.T) @ numbers)


def fits_memory(problem: Problem) -> bool:
    """Tell that there is memory for all planes."""
    rows, columns = problem.image_shape
    return 8 * problem.plane_count * rows * columns < _MAX_BYTES


def have_similar_noise(white: Sequence[Posterior]) -> bool:
    """Tell from least squares that no plane is dead and none has far more noise than another.

    A dead plane has no noise to divide by; one of far more noise would spoil its neighbours.
    """
    noise = np.sqrt([posterior.noise_variance for posterior in white])
    return bool(noise.min() > _MIN_NOISE and noise.max() < _MAX_NOISE_RATIO * noise.min())


def select_bias_transform(
    planes: torch.Tensor, white: Sequence[Posterior], families: FamilySelection
) -> Generator[Event, None, tuple[BiasTransform | None, list[dict[str, float]]]]:
    """Choose combinations of biases by the evidence of simulated kernels.

    Candidates are the planes themselves, and cosines along the bias, in whose last ones kernels
    that change slowly do not show, and the first of which take up noise that all planes share.

    Parameters
    ----------
    planes : tensor, (bias, rows, columns)
        Without background.
    white : sequence of Posterior
        Of each plane, under the white prior.
    families : FamilySelection
        Simulated kernels, prepared for white noise.

    Returns
    -------
    generator
        Yields events and returns the transform, None for the planes themselves, with the costs of
        the families for each plane or combination.
    """
    noise = np.sqrt([posterior.noise_variance for posterior in white])
    kernels = torch.stack([posterior.kernels for posterior in white])
    single = np.eye(len(planes))
    cosines = scipy.fft.dct(single, axis=0, norm="ortho")
    total: list[float] = []
    each: list[list[dict[str, float]]] = []
    done = 0
    for matrix in (single, cosines):
        transform, costs = BiasTransform("", matrix, noise), list[dict[str, float]]()
        parts = (torch.split(transform.forward(one), PLANES_AT_ONCE) for one in (planes, kernels))
        for combinations, start in zip(*parts, strict=True):
            costs += families.costs(combinations, start)
            done += len(combinations)
            yield Event("Comparing combinations of biases", done, 2 * len(planes))
        each.append(costs)
        total.append(likely_families(costs)[1])
    # Of the planes as they are, not over their noise.
    shift = 2 * families.samples * np.log(noise)
    planes_alone = [
        {name: cost + float(more) for name, cost in costs.items()}
        for costs, more in zip(each[0], shift, strict=True)
    ]
    possible = sum(one.volume - one.cost for one in white) + total[0] + float(shift.sum())
    if total[0] - total[1] <= _MIN_GAIN * possible:
        return None, planes_alone
    return BiasTransform("cosines along the bias", cosines, noise), each[1]


def _weighted_sums(weights: NDArray[np.float64], values: torch.Tensor) -> torch.Tensor:
    """Multiply the first dimension of values by a matrix."""
    sums: torch.Tensor = torch.tensordot(torch.from_numpy(weights).to(values), values, dims=1)
    return sums
