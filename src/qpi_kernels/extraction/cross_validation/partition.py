"""`Partition`: the blocks of a map that are left out, and in which fold each is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.spatial
from numpy.typing import NDArray

from qpi_kernels.defects import Defects
from qpi_kernels.extraction.parameters import ExtractionError
from qpi_kernels.predictive_score import LeftOut

__all__ = ["Partition", "partition_blocks", "partition_defects"]

_MIN_BLOCKS = 4
# Share of a kernel window's sides that counts as the surroundings of its defect.
_CORE = 0.5


@dataclass(frozen=True, eq=False)
class Partition:
    """A division of pixels into blocks, each left out in one fold.

    Parameters
    ----------
    labels : array of int, (rows, columns)
        Number of the block of each pixel; -1 for pixels that are never left out.
    folds : array of int, (block,)
        Fold in which each block is left out, from 0.
    left_out : str
        ``blocks`` or ``defects``.
    side_px : int
        Side of a block.
    """

    labels: NDArray[np.int64]
    folds: NDArray[np.int64]
    left_out: LeftOut
    side_px: int

    @property
    def count(self) -> int:
        """Number of folds."""
        return int(self.folds.max()) + 1

    def held_out(self, fold: int) -> NDArray[np.bool_]:
        """Mark the pixels that are left out in a fold, (rows, columns)."""
        return np.asarray((self.labels >= 0) & (self.folds[self.labels] == fold))


def partition_blocks(
    scored: NDArray[np.bool_], side_px: int, folds: int, seed: int = 0
) -> Partition:
    """Divide pixels into square blocks, and the blocks at random into folds.

    Each row of neighbouring blocks has all folds in it, so that no part of the map is left out
    as a whole.

    Parameters
    ----------
    scored : array of bool, (rows, columns)
        Pixels that are to be predicted.
    side_px : int
        Side of a block.
    folds : int
        Number of folds.
    seed : int
        Of the random choice.

    Raises
    ------
    ExtractionError
        If there are fewer than four blocks.
    """
    rows, columns = np.indices(scored.shape) // side_px
    labels = _numbered(np.where(scored, rows * (columns.max() + 1) + columns, -1))
    blocks = int(labels.max(initial=-1)) + 1
    if blocks < _MIN_BLOCKS:
        raise ExtractionError(
            f"there are {blocks} blocks of {side_px} pixels to predict, too few to compare; "
            "take a smaller block_px"
        )
    return Partition(labels, _shuffled_folds(blocks, folds, seed), "blocks", side_px)


def partition_defects(
    scored: NDArray[np.bool_],
    defects: Defects,
    kernel_shape: tuple[int, int],
    folds: int,
    seed: int = 0,
) -> Partition:
    """Leave out the surroundings of defects, the central half of their windows.

    A pixel belongs to the nearest defect. The defects keep their place in the model, for their
    waves go on beyond the surroundings.

    Parameters
    ----------
    scored, folds, seed
        As in `partition_blocks`.
    defects : Defects
        In pixels of the map.
    kernel_shape : tuple of int
        (h, w) of the kernel window.

    Raises
    ------
    ExtractionError
        If the surroundings of fewer than two defects lie in the map.
    """
    pixels = np.argwhere(scored)
    _, nearest = scipy.spatial.cKDTree(defects.positions).query(pixels)
    distance = np.abs(pixels - defects.positions[nearest])
    near = (distance <= _CORE * np.array(kernel_shape) / 2).all(axis=1)
    labels = np.full(scored.shape, -1)
    labels[tuple(pixels[near].T)] = nearest[near]
    labels = _numbered(labels)
    blocks = int(labels.max(initial=-1)) + 1
    if blocks < 2:
        raise ExtractionError(
            "leaving defects out takes two or more of them within the map; leave out blocks instead"
        )
    side = round(_CORE * max(kernel_shape))
    return Partition(labels, _shuffled_folds(blocks, folds, seed), "defects", side)


def _numbered(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Renumber the labels that occur from 0 on, and keep -1."""
    found, numbers = np.unique(labels, return_inverse=True)
    return np.asarray(numbers.reshape(labels.shape) - (found[0] == -1), np.int64)


def _shuffled_folds(blocks: int, folds: int, seed: int) -> NDArray[np.int64]:
    """Draw the fold of each block: all folds within each group of neighbouring numbers."""
    random, folds = np.random.default_rng(seed), min(folds, blocks)
    groups = [random.permutation(folds) for _ in range(-(-blocks // folds))]
    return np.concatenate(groups)[:blocks].astype(np.int64)
