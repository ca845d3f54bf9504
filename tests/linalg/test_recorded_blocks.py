"""Block Krylov spaces of devices: beside dense algebra and beside blocks that shrink."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from qpi_kernels.bench.gpu.pretended_device import counted_traffic
from qpi_kernels.linalg.block_lanczos import BlockLanczos
from qpi_kernels.linalg.recorded_blocks import RecordedBlocks

VALUES = np.concatenate([[100.0, 60.0, 59.0, 30.0], np.geomspace(1e-3, 1, 96)])


def operator(values: np.ndarray, dtype: torch.dtype) -> torch.Tensor:
    """Make a symmetric matrix of some eigenvalues."""
    generator = np.random.default_rng(0)
    vectors, _ = np.linalg.qr(generator.standard_normal((len(values), len(values))))
    return torch.from_numpy(vectors * values @ vectors.T).to(dtype)


def starts(count: int, size: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(1)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_is_the_space_of_blocks_that_shrink(dtype: torch.dtype) -> None:
    matrix, start = operator(VALUES, dtype), starts(4, 100, dtype)
    spaces = [kind(lambda rows: rows @ matrix, start) for kind in (BlockLanczos, RecordedBlocks)]
    pairs = []
    for space in spaces:
        for _ in range(8):
            space.step()
        pairs.append(space.ritz_pairs())
    exact = 1e-4 if dtype == torch.float32 else 1e-10
    assert pairs[1].values == pytest.approx(pairs[0].values, rel=exact, abs=exact)
    assert pairs[1].residuals == pytest.approx(pairs[0].residuals, rel=0.05, abs=1e-4)
    vectors = pairs[1].vectors.T @ spaces[1].basis.double().numpy()
    away = vectors @ matrix.double().numpy() - pairs[1].values[:, None] * vectors
    assert np.linalg.norm(away, axis=1) == pytest.approx(pairs[1].residuals, rel=1e-3, abs=1e-4)
    unit = (spaces[1].basis @ spaces[1].basis.T).double().numpy()
    assert np.abs(unit - np.eye(len(unit))).max() < (1e-5 if dtype == torch.float32 else 1e-12)
    expected = start.double().numpy()
    made = spaces[1].start.T @ spaces[1].basis[:4].double().numpy()
    assert made == pytest.approx(expected, abs=1e-5 if dtype == torch.float32 else 1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_space_ends_where_nothing_new_comes(dtype: torch.dtype) -> None:
    """One vector depends on another, one is zero, and the space is full after a few blocks."""
    matrix, start = operator(np.repeat([1.0, 5.0], 10), dtype), starts(2, 20, dtype)
    start = torch.cat([start, start[:1], torch.zeros_like(start[:1])])
    space = RecordedBlocks(lambda rows: rows @ matrix, start)
    for _ in range(40):
        space.step()
    pairs = space.ritz_pairs()
    assert space.exhausted
    assert pairs.values == pytest.approx([1, 1, 5, 5], rel=1e-5)
    assert pairs.residuals == pytest.approx(np.zeros(4), abs=1e-4)
    basis = space.basis.double().numpy()
    assert len(basis) == 160
    assert (np.abs(basis).max(axis=1) > 0).sum() == 4
    made = space.start.T @ basis[:4]
    assert made == pytest.approx(start.double().numpy(), abs=1e-5)


def test_nothing_spans_nothing() -> None:
    space = RecordedBlocks(lambda rows: rows, torch.zeros(3, 7))
    space.step()
    pairs = space.ritz_pairs()
    assert space.exhausted
    assert not len(pairs.values)
    assert not space.start.any()


def test_the_whole_space_is_found() -> None:
    """Vectors without number: more rows than dimensions, and faint directions."""
    values = np.geomspace(1e-6, 1, 30)
    matrix = operator(values, torch.float64)
    space = RecordedBlocks(lambda rows: rows @ matrix, starts(8, 30, torch.float64))
    for _ in range(6):
        space.step()
    assert space.ritz_pairs().values == pytest.approx(values, rel=1e-6)
    assert space.exhausted


def test_an_iteration_does_not_wait(pretended: str) -> None:
    matrix = operator(VALUES, torch.float32).to(pretended)
    space = RecordedBlocks(lambda rows: rows @ matrix, starts(8, 100, torch.float32).to(pretended))
    with counted_traffic() as traffic:
        for _ in range(3):
            space.step()
    assert traffic.synchronisations == 0
    with counted_traffic() as traffic:
        pairs = space.ritz_pairs()
    assert traffic.synchronisations == 1
    assert pairs.values[-1] == pytest.approx(100, rel=1e-5)
