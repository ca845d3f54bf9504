"""Prediction of blocks of pixels that a fit has not seen."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.extraction.blind.alternating_fit import AlternatingFit
from qpi_kernels.progress import Event, portion

__all__ = ["BlockErrors", "predict_blocks"]

_BLOCK_PX, _FOLDS, _SHARE = 8, 2, 0.25
# Sweeps with the blocks left out, and those of them whose predictions are averaged.
_SWEEPS, _AVERAGED = 6, 4
_SEED = 0


@dataclass(frozen=True, eq=False)
class BlockErrors:
    """Errors of the prediction of blocks that were left out.

    Parameters
    ----------
    squares : array, (block,)
        Mean squared error of each.
    pixels : array of int, (block,)
        Number of pixels of each, over all planes.
    """

    squares: NDArray[np.float64]
    pixels: NDArray[np.int64]

    def gain_over(self, other: BlockErrors) -> NDArray[np.float64]:
        """Compare with other predictions of the same blocks, as gain in log-likelihood of each.

        Each block has a noise level of its own, so that no block that neither predicts, such as
        one upon a defect, decides alone.
        """
        return np.asarray(0.5 * self.pixels * np.log(other.squares / self.squares), np.float64)

    def significance_over(self, other: BlockErrors) -> float:
        """Return the gain over other predictions of the same blocks, in standard errors."""
        gain = self.gain_over(other)
        size = float(np.linalg.norm(gain))
        return float(gain.sum()) / size if size else 0.0


def predict_blocks(fit: AlternatingFit) -> Generator[Event, None, BlockErrors]:
    """Fit a map anew without some blocks, beginning with the points of a fit, and predict them.

    Kernels, strengths, positions and kinds are drawn without the blocks; what a defect shows in
    them follows from what it shows beside them.

    Parameters
    ----------
    fit : AlternatingFit
        Of all pixels.

    Returns
    -------
    generator
        Yields events and returns the errors.
    """
    model = fit.model
    labels, blocks = _blocks(model.image_shape), _block_numbers(model.image_shape)
    squares, pixels = [], []
    for fold in range(_FOLDS):
        out = (labels == fold) & model.mask.numpy()
        work = _predicted(fit, out)
        predicted = yield from portion(work, fold / _FOLDS, (fold + 1) / _FOLDS)
        error = (model.values.numpy() - predicted)[:, out]
        numbers = np.unique(blocks[out], return_inverse=True)[1]
        count = np.bincount(numbers) * len(error)
        squares.append(np.bincount(numbers, np.square(error).sum(axis=0)) / count)
        pixels.append(count)
    return BlockErrors(np.concatenate(squares), np.concatenate(pixels))


def _predicted(
    fit: AlternatingFit, out: NDArray[np.bool_]
) -> Generator[Event, None, NDArray[np.float64]]:
    """Average the predictions of some sweeps over the maps without the pixels left out."""
    model = fit.model.without(out)
    kinds = len(fit.kernels)
    again = yield from AlternatingFit.of_points(model, fit.sampler.points, kinds, _SEED)
    total = np.zeros(tuple(model.values.shape))
    for sweep in range(_SWEEPS):
        yield from again.sweep()
        if sweep >= _SWEEPS - _AVERAGED:
            total += again.predicted.numpy()
    return total / _AVERAGED


def _block_numbers(shape: tuple[int, int]) -> NDArray[np.int64]:
    """Assign each pixel of an image the number of its block."""
    row, col = (np.arange(size) // _BLOCK_PX for size in shape)
    return row[:, None] * (int(col[-1]) + 1) + col


def _blocks(shape: tuple[int, int]) -> NDArray[np.int64]:
    """Draw which blocks are left out in each fold, -1 for those that never are."""
    numbers = _block_numbers(shape)
    count = int(numbers.max()) + 1
    each = int(_SHARE * count)
    fold = np.full(count, -1)
    order = np.random.default_rng(_SEED).permutation(count)
    for index in range(_FOLDS):
        fold[order[index * each : (index + 1) * each]] = index
    chosen: NDArray[np.int64] = fold[numbers]
    return chosen
