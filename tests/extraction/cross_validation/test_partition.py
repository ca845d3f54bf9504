"""Every scored pixel is left out once, in blocks that fit the noise's correlation."""

from __future__ import annotations

import numpy as np
import pytest

from qpi_kernels import Defects
from qpi_kernels.extraction import ExtractionError
from qpi_kernels.extraction.cross_validation.block_size import choose_block_size, correlation_length
from qpi_kernels.extraction.cross_validation.partition import partition_blocks, partition_defects


def test_every_scored_pixel_is_left_out_once() -> None:
    scored = np.random.default_rng(0).random((37, 45)) > 0.3
    partition = partition_blocks(scored, 8, 5)
    times = sum(partition.held_out(fold).astype(int) for fold in range(partition.count))
    assert np.array_equal(times, scored.astype(int))
    assert partition.count == 5


def test_blocks_are_squares_and_folds_are_even() -> None:
    partition = partition_blocks(np.ones((48, 48), bool), 8, 4, seed=3)
    labels = partition.labels
    assert len(np.unique(labels[:8, :8])) == len(np.unique(labels[40:, 40:])) == 1
    assert labels[0, 7] != labels[0, 8]
    assert np.bincount(partition.folds).tolist() == [9, 9, 9, 9]
    other = partition_blocks(np.ones((48, 48), bool), 8, 4, seed=4)
    assert not np.array_equal(other.folds, partition.folds)


def test_too_few_blocks_are_refused() -> None:
    with pytest.raises(ExtractionError, match="smaller block_px"):
        partition_blocks(np.ones((16, 16), bool), 16, 5)


def test_defects_are_left_out_with_the_pixels_nearest_to_them() -> None:
    defects = Defects([(10, 10), (10, 16), (40, 40), (-30, 5)])
    partition = partition_defects(np.ones((50, 50), bool), defects, (16, 16), 5)
    assert len(partition.folds) == partition.count == 3
    labels = partition.labels
    assert labels[10, 12] == labels[10, 10] != labels[10, 14] == labels[10, 16]
    assert labels[36, 40] == labels[40, 40]
    assert labels[35, 40] == labels[25, 25] == -1
    with pytest.raises(ExtractionError, match="two or more"):
        partition_defects(np.ones((50, 50), bool), defects[2:], (16, 16), 5)


def test_correlation_length_follows_the_noise() -> None:
    random, mask = np.random.default_rng(1), np.ones((96, 96), bool)
    white = random.normal(size=(96, 96))
    assert correlation_length(white, mask) == pytest.approx(0.9, abs=0.05)
    assert choose_block_size(white[None], mask) == 4
    # Sums of five neighbours are correlated as a triangle that ends at five pixels.
    summed = np.lib.stride_tricks.sliding_window_view(white, 5, axis=1).sum(axis=-1)
    mask = random.random(summed.shape) > 0.2
    assert correlation_length(summed, mask) == pytest.approx(4.5, abs=0.3)
    assert choose_block_size(summed[None], mask) in (9, 10)
    assert correlation_length(summed.T, mask.T) == pytest.approx(correlation_length(summed, mask))
    lines = np.repeat(random.normal(size=(96, 1)), 96, axis=1)
    assert choose_block_size(lines[None], np.ones((96, 96), bool)) == 12
