"""The grid of a network: maps of any size are resampled to it, and its kernels back."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch

from qpi_kernels.defects.activation import activation_map
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.interpolation import resampling_matrix
from qpi_kernels.models import KernelModel
from qpi_kernels.models.kernel_estimates import kernel_estimates
from qpi_kernels.models.networks import observation_channels
from qpi_kernels.quality import Reason

__all__ = ["ModelGrid", "model_grid"]


class ModelGrid(ABC):
    """Resampling between a problem and a model's grid, to coarser pixels where needed, never finer.

    Parameters
    ----------
    problem : Problem
        The checked input; `channels` takes all its defects for one kind.
    model : KernelModel
        The model of the grid.
    """

    def __init__(self, problem: Problem, model: KernelModel) -> None:
        self._problem = problem
        self._grid = model.grid

    @property
    def _size(self) -> str:
        """The grid's rows and columns, for the quality."""
        return f"{self._grid[0]} x {self._grid[1]}"

    @property
    @abstractmethod
    def scale(self) -> float:
        """Pixels of the map per pixel of the grid, at least 1."""

    @abstractmethod
    def channels(self, images: torch.Tensor) -> torch.Tensor:
        """Make a network's input of images (plane, rows, columns) with NaN where missing."""

    @abstractmethod
    def reason(self) -> Reason:
        """Return what was resampled, for the quality."""

    def kernels(self, values: torch.Tensor) -> torch.Tensor:
        """Resample kernels (..., 64, 64) on the grid to the problem's window."""
        return _resampled(values, self._problem.parameters.kernel_shape, 1 / self.scale)

    def on_grid(self, kernels: torch.Tensor) -> torch.Tensor:
        """Resample kernels (..., h, w) on the problem's window to the grid."""
        return _resampled(kernels, self._grid, self.scale)


def model_grid(problem: Problem, model: KernelModel) -> ModelGrid:
    """Choose the grid that fits the input of the model's networks."""
    return (
        _KernelFrame(problem, model) if model.inputs == "estimates" else _WholeMap(problem, model)
    )


class _KernelFrame(ModelGrid):
    """The grid holds the kernel's window; the map keeps its pixels and may have any size."""

    @property
    def scale(self) -> float:
        window = max(self._problem.parameters.kernel_shape)
        # An odd window with one pixel more than the grid needs no resampling.
        return 1.0 if window <= min(self._grid) + 1 else window / min(self._grid)

    def channels(self, images: torch.Tensor) -> torch.Tensor:
        """Estimate the kernel on the grid from images of any size."""
        rows, columns = (round(side * self.scale) for side in self._grid)
        observation, activation = self._with_margin(images, (rows, columns))
        estimates = kernel_estimates(observation, activation, (rows, columns))
        return _resampled(estimates, self._grid, self.scale)

    def _with_margin(
        self, images: torch.Tensor, window: tuple[int, int]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Pad images and activation where defects outside send waves in."""
        defects = self._problem.defects
        shape = np.array(images.shape[-2:])
        outside = np.maximum(-defects.positions, defects.positions - (shape - 1)).max(axis=0)
        margin = np.clip(np.ceil(outside), 0, np.array(window) // 2 + 1).astype(int)
        down, across = (int(side) for side in margin)
        padded = torch.nn.functional.pad(images, (across, across, down, down), value=torch.nan)
        activation = activation_map(
            defects.positions,
            defects.strength,
            (padded.shape[-2], padded.shape[-1]),
            (-down, -across),
        )
        marks = torch.from_numpy(activation).to(images).expand(len(images), 1, -1, -1)
        return padded[:, None], marks

    def reason(self) -> Reason:
        code = "network_window" if self.scale == 1 else "window_resampled"
        return Reason(code=code, number=self.scale, place=self._size)


class _WholeMap(ModelGrid):
    """The grid holds the whole map, as in arXiv 2506.05325, and a kernel as large as that."""

    @property
    def scale(self) -> float:
        return max(1.0, max(self._problem.image_shape) / min(self._grid))

    def channels(self, images: torch.Tensor) -> torch.Tensor:
        """Resample images and activation to the grid."""
        counted = images.isfinite()
        weight = _resampled(counted.to(images), self._grid, self.scale)
        values = _resampled(torch.where(counted, images, 0.0), self._grid, self.scale)
        known = weight > 0.5
        observation = torch.where(known, values / torch.where(known, weight, 1.0), torch.nan)
        defects = self._problem.defects
        middle = np.array(self._problem.image_shape) // 2
        positions = np.array(self._grid) // 2 + (defects.positions - middle) / self.scale
        activation = activation_map(positions, defects.strength, self._grid)
        marks = torch.from_numpy(activation).to(images).expand(len(images), 1, -1, -1)
        return observation_channels(observation[:, None], marks, "maps")

    def reason(self) -> Reason:
        code = "network_map" if self.scale == 1 else "map_resampled"
        return Reason(code=code, number=self.scale, place=self._size)


def _resampled(images: torch.Tensor, shape: tuple[int, int], scale: float) -> torch.Tensor:
    """Resample images to another shape, with ``scale`` of their pixels per new one."""
    rows, columns = (
        torch.from_numpy(resampling_matrix(size, out_size, scale)).to(images)
        for size, out_size in zip(images.shape[-2:], shape, strict=True)
    )
    return rows @ images @ columns.T
