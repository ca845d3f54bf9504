"""Maps for the accuracy benchmark, whose kernel is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from qpi_kernels.bench.accuracy.kernels import KernelSource
from qpi_kernels.bench.accuracy.parameters import Cell
from qpi_kernels.defects import Defects
from qpi_kernels.forward import ForwardModel

__all__ = ["AccuracyProblem", "accuracy_problem"]

_JITTER_PX = {"jitter-0.5px": 0.5, "jitter-1px": 1.0}
_MISSED = 0.2


@dataclass(frozen=True, eq=False)
class AccuracyProblem:
    """A map and the truth about it."""

    observation: NDArray[np.float64]
    """(rows, columns), the map with white noise."""
    kernel: NDArray[np.float64]
    """(h, w), its largest absolute value is 1."""
    marked: Defects
    """Defects given to extraction; the map may have others."""
    noise: float
    """Standard deviation of the noise."""
    name: str
    """Family of the kernel, or its number among the user's own."""

    @property
    def limit(self) -> float | None:
        r"""Error that no unbiased estimate without prior knowledge stays below, on average.

        The Cramer-Rao bound for white noise and N defects,
        :math:`\sigma / \sqrt{N (1 - k^2/n^2)}`, over the kernel's standard deviation: to be
        compared with `qpi_kernels.metrics.affine_invariant_nrmse`. None where it is infinite.
        """
        fill = self.kernel.size / self.observation.size
        if fill >= 1:
            return None
        error = self.noise / np.sqrt(len(self.marked) * (1 - fill))
        return float(error / self.kernel.std())


def accuracy_problem(cell: Cell, number: int, source: KernelSource) -> AccuracyProblem:
    """Simulate a map.

    Problems of the same number in other cells have the same kernel, the same positions as shares
    of the map's side (fewer defects are the first of more), and the same unit noise where the map
    is as large: cells are compared on like problems.

    Parameters
    ----------
    cell : Cell
        What kind of map.
    number : int
        Seed of kernel, positions, marks and noise.
    source : KernelSource
        Where the kernel comes from.
    """
    kernel, name = source.kernel(number, cell.kernel_px)
    shape = (cell.image_px, cell.image_px)
    places, unit_noise, mistakes = (np.random.default_rng([number, stream]) for stream in range(3))
    positions = cell.image_px * places.uniform(size=(cell.defects, 2)) - 0.5
    model = ForwardModel(Defects(positions), shape, kernel.shape)
    clean = model.apply(torch.from_numpy(kernel)[None]).numpy()
    noise = float(clean.std() / np.sqrt(cell.snr))
    observation = clean + noise * unit_noise.standard_normal(shape)
    return AccuracyProblem(observation, kernel, _marked(positions, cell, mistakes), noise, name)


def _marked(positions: NDArray[np.float64], cell: Cell, mistakes: np.random.Generator) -> Defects:
    """Mark the defects as exactly, or as badly, as the cell says."""
    if cell.annotation == "exact":
        return Defects(positions)
    if cell.annotation == "missed-20%":
        missed = round(_MISSED * len(positions))
        return Defects(positions[mistakes.permutation(len(positions))[missed:]])
    moved = mistakes.standard_normal(positions.shape)
    return Defects(positions + _JITTER_PX[cell.annotation] * moved)
