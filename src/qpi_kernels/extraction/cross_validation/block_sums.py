"""`BlockSums`: misfit and likelihood of predictions, summed over each left-out block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.extraction.cross_validation.partition import Partition

__all__ = ["BlockSums"]

Images = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BlockSums:
    """Sums over the pixels of each block, and over the planes of a stack.

    Parameters
    ----------
    pixels : array, (block,)
        Number of predicted pixels.
    misfit : array, (block,)
        Squared errors of the prediction, over the noise variance of each plane.
    variance : array, (block,)
        Squared deviations from the background alone, over the same.
    log_likelihood : array, (block,)
        Logarithm of the predictive density, in units of each plane's noise.
    within : array, (2, block)
        Number of pixels within one and two predictive standard deviations.
    """

    pixels: NDArray[np.float64]
    misfit: NDArray[np.float64]
    variance: NDArray[np.float64]
    log_likelihood: NDArray[np.float64]
    within: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        partition: Partition,
        held_out: NDArray[np.bool_],
        noise: NDArray[np.float64],
        errors: Images,
        deviations: Images,
        predictive_variance: Images,
    ) -> BlockSums:
        """Sum over the blocks that are left out in a fold; others get zero.

        Parameters
        ----------
        partition : Partition
            The blocks.
        held_out : array of bool, (rows, columns)
            Pixels of the fold.
        noise : array, (plane,)
            Noise variance of each plane.
        errors, deviations : array, (plane, rows, columns)
            Observation less prediction, and less the background alone.
        predictive_variance : array, (plane, rows, columns)
            Of an error: that of the noise and of the predicted kernels.
        """
        labels = partition.labels[held_out]
        blocks = len(partition.folds)
        sums: NDArray[np.float64] = np.zeros((6, blocks))
        planes = zip(noise, errors, deviations, predictive_variance, strict=True)
        for scale, error, deviation, variance in planes:
            square = error[held_out] ** 2 / scale
            spread = variance[held_out] / scale
            chi_square = square / spread
            values: Sequence[NDArray[np.float64]] = (
                np.ones(len(labels)),
                square,
                deviation[held_out] ** 2 / scale,
                -0.5 * (chi_square + np.log(2 * np.pi * spread)),
                (chi_square <= 1).astype(np.float64),
                (chi_square <= 4).astype(np.float64),
            )
            sums += [np.bincount(labels, weights=one, minlength=blocks) for one in values]
        return cls(sums[0], sums[1], sums[2], sums[3], sums[4:])

    def __add__(self, other: BlockSums) -> BlockSums:
        return BlockSums(
            self.pixels + other.pixels,
            self.misfit + other.misfit,
            self.variance + other.variance,
            self.log_likelihood + other.log_likelihood,
            self.within + other.within,
        )
