"""Defects that were overlooked are proposed, marks on nothing are flagged, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from qpi_kernels import Defects, extract
from qpi_kernels.extraction.refine.defect_review import (
    marked_defects,
    proposed_defects,
    spurious_defects,
)
from qpi_kernels.forward import ForwardModel
from qpi_kernels.result import KernelResult
from qpi_kernels.simulate import KernelSampler

SIZE, WINDOW = 96, 24


def scene(count: int, seed: int, kinds: int = 1, snr: float = 10.0) -> tuple[Defects, NDArray]:
    """Defects some pixels apart, and their map."""
    rng = np.random.default_rng(seed)
    positions = np.empty((0, 2))
    while len(positions) < count:
        tried = rng.uniform(2, SIZE - 3, (1, 2))
        if not len(positions) or cdist(tried, positions).min() > 6:
            positions = np.concatenate([positions, tried])
    defects = Defects(positions, ["a", "b"] * (count // 2) if kinds == 2 else None)
    library = KernelSampler(shape=(WINDOW, WINDOW), seed=11)
    kernels = np.stack([library.kernel(index).values for index in range(kinds)])
    kernels /= np.abs(kernels).max(axis=(-2, -1), keepdims=True)
    model = ForwardModel(defects, (SIZE, SIZE), (WINDOW, WINDOW))
    clean = model.apply(torch.from_numpy(kernels)).numpy()
    noise = clean.std() / np.sqrt(snr) * rng.standard_normal(clean.shape)
    return defects, clean + noise


def extracted(image: NDArray, defects: Defects) -> KernelResult:
    return extract(image, defects, kernel_shape=(WINDOW, WINDOW))


@pytest.mark.parametrize("kinds", [1, 2])
def test_a_fifth_missed_is_proposed(kinds: int) -> None:
    true, image = scene(20, seed=1, kinds=kinds)
    missed = np.arange(20) >= 16
    report = proposed_defects(extracted(image, true[~missed]))
    assert len(report) == 4
    away = cdist(report.defects.positions, true.positions[missed])
    assert away.min(axis=1).max() < 0.5
    np.testing.assert_array_equal(report.defects.kind, true.kind[missed][away.argmin(axis=1)])
    np.testing.assert_allclose(report.defects.strength, 1, atol=0.45)
    assert (report.z_score > 5).all()
    assert (report.index == -1).all()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_is_proposed_or_flagged_where_all_is_right(seed: int) -> None:
    true, image = scene(20, seed=seed)
    result = extracted(image, true)
    assert len(proposed_defects(result)) == 0
    assert len(spurious_defects(result)) == 0


def test_nothing_is_proposed_behind_a_mask_or_in_noise_of_rows() -> None:
    true, image = scene(16, seed=4)
    rows = 0.3 * image.std() * np.random.default_rng(5).standard_normal((SIZE, 1))
    assert len(proposed_defects(extracted(image + rows, true))) == 0
    missed = np.arange(16) == 15
    mask = np.ones((SIZE, SIZE), bool)
    row, col = np.rint(true.positions[15]).astype(int)
    mask[max(row - 14, 0) : row + 15, max(col - 14, 0) : col + 15] = False
    result = extract(image, true[~missed], kernel_shape=(WINDOW, WINDOW), mask=mask)
    assert len(proposed_defects(result, mask=mask)) == 0


def test_a_tenth_spurious_is_flagged() -> None:
    true, image = scene(20, seed=6)
    empty = np.array([[48.0, 30.0], [20.0, 70.0]])
    while cdist(empty, true.positions).min() < 4:
        empty = empty + 1.7
    marks = Defects.concatenate([true, Defects(empty, probability=0.5)])
    result = extracted(image, marks)
    report = spurious_defects(result)
    assert set(report.index) == {20, 21}
    assert np.abs(report.defects.strength).max() < 0.4
    assert report.defects.probability.tolist() == [0.5, 0.5]
    everything = marked_defects(result)
    np.testing.assert_array_equal(everything.defects.probability, marks.probability)
    assert (everything.z_score[:20] > 5).all()


def test_a_defect_too_faint_to_tell_is_not_called_spurious() -> None:
    true, image = scene(20, seed=7, snr=0.5)
    outside = Defects([[-WINDOW / 2, 40.0]])
    result = extracted(image, Defects.concatenate([true, outside]))
    assert 20 not in spurious_defects(result).index


def test_missed_and_spurious_at_once() -> None:
    true, image = scene(20, seed=8)
    empty = np.array([[48.0, 30.0], [20.0, 70.0]])
    while cdist(empty, true.positions).min() < 4:
        empty = empty + 1.7
    result = extracted(image, Defects.concatenate([true[:16], Defects(empty)]))
    proposed, flagged = proposed_defects(result), spurious_defects(result)
    assert cdist(true.positions[16:], proposed.defects.positions).min(axis=1).max() < 0.5
    assert len(proposed) == 4
    assert set(flagged.index) == {16, 17}
