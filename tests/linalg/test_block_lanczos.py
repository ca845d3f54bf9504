"""Block Krylov spaces: eigenvectors, solutions, and start vectors that depend on each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from qpi_kernels.linalg.block_lanczos import BlockLanczos


def operator(values: np.ndarray, dtype: torch.dtype) -> torch.Tensor:
    """Make a symmetric matrix of some eigenvalues."""
    generator = np.random.default_rng(0)
    vectors, _ = np.linalg.qr(generator.standard_normal((len(values), len(values))))
    return torch.from_numpy(vectors * values @ vectors.T).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_largest_eigenvalues_are_found(dtype: torch.dtype) -> None:
    values = np.concatenate([[100.0, 60.0, 59.0, 30.0], np.linspace(0, 1, 96)])
    matrix = operator(values, dtype)
    start = torch.randn(4, 100, generator=torch.Generator().manual_seed(1)).to(dtype)
    space = BlockLanczos(lambda rows: rows @ matrix, start)
    for _ in range(8):
        space.step()
    pairs = space.ritz_pairs()
    assert np.sort(pairs.values)[-4:] == pytest.approx(np.sort(values)[-4:], rel=1e-5)
    best = pairs.vectors[:, -1] @ space.basis.cpu().double().numpy()
    image = matrix.double().numpy() @ best
    away = np.linalg.norm(image - pairs.values[-1] * best)
    assert away < 1e-3
    assert pairs.residuals[-1] < 1e-3
    unit = (space.basis @ space.basis.T).double().numpy()
    assert np.abs(unit - np.eye(len(unit))).max() < (1e-5 if dtype == torch.float32 else 1e-12)


def test_residuals_of_unfinished_vectors_are_as_stated() -> None:
    matrix = operator(np.linspace(1, 10, 60), torch.float64)
    start = torch.randn(3, 60, generator=torch.Generator().manual_seed(2)).double()
    space = BlockLanczos(lambda rows: rows @ matrix, start)
    for _ in range(5):
        space.step()
    pairs = space.ritz_pairs()
    vectors = pairs.vectors.T @ space.basis.numpy()
    away = np.linalg.norm(vectors @ matrix.numpy() - pairs.values[:, None] * vectors, axis=1)
    assert away == pytest.approx(pairs.residuals, rel=1e-6, abs=1e-9)


def test_a_space_ends_where_nothing_new_comes() -> None:
    matrix = operator(np.repeat([1.0, 5.0], 10), torch.float64)
    start = torch.randn(2, 20, generator=torch.Generator().manual_seed(3)).double()
    space = BlockLanczos(lambda rows: rows @ matrix, torch.cat([start, start[:1]]))
    while not space.exhausted:
        space.step()
    assert len(space.basis) == 4
    assert np.sort(space.ritz_pairs().values) == pytest.approx([1, 1, 5, 5])
