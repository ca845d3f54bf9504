"""Multi-atom averaging: the mean of the map's cut-outs around every defect."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import torch

from qpi_kernels.extraction.problem import Problem
from qpi_kernels.extraction.result_builder import ResultBuilder
from qpi_kernels.forward import ForwardModel
from qpi_kernels.progress import Event, GeneratorStepper
from qpi_kernels.result import KernelResult

__all__ = ["DefectAverage"]


class DefectAverage(GeneratorStepper[KernelResult]):
    r"""Defect-centred average, as a stepper: one bias per step.

    .. math:: A(u) = \frac{\sum_i s_i W(r_i + u)\, Y(r_i + u)}{\sum_i s_i^2 W(r_i + u)}

    with the background removed from ``Y`` beforehand and sub-pixel positions interpolated. Known
    as multi-atom averaging (MAHAEM: Sharma et al. 2021, Nature Communications 12, 6037). It equals
    the kernel only where neighbours' waves average out. ``std`` is the standard error of the mean
    over the defects, which counts those waves as noise.

    Parameters
    ----------
    problem : Problem
        The checked input.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem

    def _run(self) -> Generator[Event, None, KernelResult]:
        """Average the planes one after the other."""
        problem, count = self._problem, self._problem.plane_count
        mask = problem.mask_tensor.to(problem.dtype)
        weight = problem.model.adjoint(mask)
        squared_weight = _squared_strengths(problem).adjoint(mask)
        builder = ResultBuilder(problem)
        for index in range(count):
            planes = problem.planes(index, index + 1)
            image = problem.background.remove(planes.values)
            kernel, std = self._average(image, weight, squared_weight)
            size = kernel[0].numel()
            builder.add(
                index,
                planes,
                kernel,
                std=std,
                ridge=np.zeros(1),
                freedom=np.array([float(size)]),
                solution_size=size,
            )
            yield Event("Averaging over the defects", index + 1, count)
        return builder.result()

    def _average(
        self, image: torch.Tensor, weight: torch.Tensor, squared_weight: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Average a plane (1, rows, columns): mean and its standard error, (1, kind, h, w).

        Parameters
        ----------
        image : tensor, (1, rows, columns)
            Without background.
        weight, squared_weight : tensor, (kind, h, w)
            Sums of the strengths, and of their squares, of the defects that show each pixel.
        """
        problem = self._problem
        coverage = squared_weight.clamp(min=0.0)
        known = coverage > 1e-3 * float(np.square(problem.defects.strength).max())
        divisor = torch.where(known, coverage, 1.0)
        kernel = torch.where(known, problem.model.adjoint(image) / divisor, 0.0)
        sum_of_weights = torch.where(weight.abs() > 1e-3, weight, 1.0)
        second = torch.where(known, problem.model.adjoint(image**2) / sum_of_weights, 0.0)
        count = torch.where(known, weight**2 / divisor, 1.0)
        spread = (second - kernel**2).clamp(min=0.0)
        std = (spread / (count - 1).clamp(min=0.5)).sqrt()
        symmetrise = problem.symmetrisation.symmetrise
        return symmetrise(kernel), symmetrise(std)


def _squared_strengths(problem: Problem) -> ForwardModel:
    """Make the forward model of the same defects with their strengths squared."""
    defects = problem.defects
    return ForwardModel(
        defects.with_strength(np.square(defects.strength)),
        problem.image_shape,
        problem.parameters.kernel_shape,
        dtype=problem.dtype,
        device=problem.device,
    )
