"""Multi-atom averaging: cut the map out around every defect and average."""

from __future__ import annotations

import numpy as np
import torch

from qpi_kernels.defects import Defects
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.extraction.result_builder import ResultBuilder
from qpi_kernels.extraction.symmetrisation import Symmetrisation
from qpi_kernels.forward import ForwardModel
from qpi_kernels.progress import Event
from qpi_kernels.result import KernelResult

__all__ = ["DefectAverage"]


class DefectAverage:
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
        self._builder = ResultBuilder(problem)
        self._plane = 0
        self._result: KernelResult | None = None
        mask = problem.mask_tensor.to(problem.dtype)
        strengths = problem.defects
        self._weight = problem.model.adjoint(mask)
        squared = Defects(strengths.positions, strengths.kind, np.square(strengths.strength))
        self._squared_weight = ForwardModel(
            squared,
            problem.image_shape,
            problem.parameters.kernel_shape,
            dtype=problem.dtype,
            device=problem.device,
        ).adjoint(mask)
        self._symmetrisation = Symmetrisation(problem)

    @property
    def done(self) -> bool:
        """Whether `result` is ready."""
        return self._result is not None

    @property
    def result(self) -> KernelResult:
        """The finished result."""
        if self._result is None:
            raise RuntimeError("the extraction is not finished; call step() until done")
        return self._result

    def step(self) -> Event:
        """Average one plane."""
        problem, start = self._problem, self._plane
        planes = problem.planes(start, start + 1)
        image = problem.background.remove(planes.values)
        seen = self._squared_weight.clamp(min=0.0)
        known = seen > 1e-3 * float(np.square(problem.defects.strength).max())
        divisor = torch.where(known, seen, 1.0)
        kernel = torch.where(known, problem.model.adjoint(image) / divisor, 0.0)
        second = torch.where(known, problem.model.adjoint(image**2) / self._weight_divisor(), 0.0)
        count = torch.where(known, self._weight**2 / divisor, 1.0)
        spread = (second - kernel**2).clamp(min=0.0)
        std = (spread / (count - 1).clamp(min=0.5)).sqrt()
        kernel, std = (
            self._symmetrisation.apply(array.flatten(-2)).view(array.shape)
            for array in (kernel, std)
        )
        size = kernel[0].numel()
        self._builder.add(
            start,
            planes,
            kernel,
            std=std,
            ridge=np.zeros(1),
            freedom=np.array([float(size)]),
            solution_size=size,
        )
        self._plane += 1
        if self._plane == problem.plane_count:
            self._result = self._builder.result()
        return Event("Averaging over the defects", self._plane, problem.plane_count)

    def _weight_divisor(self) -> torch.Tensor:
        return torch.where(self._weight.abs() > 1e-3, self._weight, 1.0)
