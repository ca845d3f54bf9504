"""A standard orientation of maps, so that a turned map is searched as the map itself is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TypeVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.extraction.background_choice import PixelLabels
from qpi_kernels.extraction.blind.parameters import BlindParameters
from qpi_kernels.extraction.problem import Problem

__all__ = ["Orientation"]

Number = TypeVar("Number", bound=np.generic)

# A weight without symmetry: no two of the eight orientations of a map have the same mean of it.
_ROW_WEIGHT, _PRODUCT_WEIGHT = 0.37, 0.21


@dataclass(frozen=True)
class Orientation:
    """One of the eight orientations of a map on square pixels.

    Parameters
    ----------
    transposed : bool
        Swap rows and columns, first of all.
    flipped : tuple of bool
        Reverse rows, columns.
    """

    transposed: bool = False
    flipped: tuple[bool, bool] = (False, False)

    @classmethod
    def standard(cls, problem: Problem[BlindParameters]) -> Orientation:
        """Choose the orientation in which the map's energy lies most to the lower right.

        The choice is the map's own: it is the same however the map was turned before.

        Parameters
        ----------
        problem : Problem
            The checked input.
        """
        values = problem.planes(0, problem.plane_count).values.cpu().double()
        energy = (values - values.sum((1, 2), keepdim=True) / problem.mask.sum()).square()
        shown = energy.sum(dim=0).numpy() * problem.mask
        return max(
            (
                cls(transposed, (rows, columns))
                for transposed, rows, columns in product((False, True), repeat=3)
            ),
            key=lambda orientation: _skewness(orientation.turn(shown)),
        )

    def turn(self, images: NDArray[Number]) -> NDArray[Number]:
        """Rotate and flip images (..., rows, columns) into this orientation."""
        turned = np.swapaxes(images, -2, -1) if self.transposed else images
        for axis, flip in zip((-2, -1), self.flipped, strict=True):
            turned = np.flip(turned, axis) if flip else turned
        return np.ascontiguousarray(turned)

    def turn_problem(self, problem: Problem[BlindParameters]) -> Problem[BlindParameters]:
        """Rotate and flip the input of an extraction, its scan lines included."""
        lines, terraces = problem.labels.lines, problem.labels.terraces
        if lines is None and self.transposed and problem.background_kind.startswith("rows"):
            rows = np.arange(problem.image_shape[0])[:, None]
            lines = np.broadcast_to(rows, problem.image_shape)
        labels = PixelLabels(
            terraces=None if terraces is None else self.turn(terraces),
            lines=None if lines is None else self.turn(lines),
        )
        height, width = problem.parameters.kernel_shape
        shape = (width, height) if self.transposed else (height, width)
        return replace(
            problem,
            observation=xr.DataArray(
                self.turn(np.asarray(problem.observation.values)), dims=problem.observation.dims
            ),
            mask=self.turn(problem.mask),
            labels=labels,
            parameters=problem.parameters.model_copy(update={"kernel_shape": shape}),
        )

    def positions_before(
        self, positions: NDArray[np.float64], image_shape: tuple[int, int]
    ) -> NDArray[np.float64]:
        """Return where positions (row, col) of a turned image lie in the image before.

        Parameters
        ----------
        positions : array, (N, 2)
            In pixels of the turned image.
        image_shape : tuple of int
            (rows, columns) of the image before.
        """
        shape = image_shape[::-1] if self.transposed else image_shape
        last = np.array(shape) - 1.0
        before = np.where(self.flipped, last - positions, positions)
        return before[:, ::-1] if self.transposed else before


def _skewness(energy: NDArray[np.generic]) -> float:
    """Weigh an image by how far to the right, and less so how far below, its energy lies."""
    row, col = (np.linspace(-1, 1, size) for size in energy.shape)
    image = np.asarray(energy, np.float64)
    along, across = image.sum(axis=0), image.sum(axis=1)
    return float(along @ col + _ROW_WEIGHT * (across @ row) + _PRODUCT_WEIGHT * (row @ image @ col))
