"""Determinants, eigenvectors and draws of an operator from random vectors: dense algebra."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from qpi_kernels.linalg.probe_space import ProbeSpace

SIZE = 300


def matrix_of(values: np.ndarray) -> torch.Tensor:
    """Make a symmetric matrix of some eigenvalues."""
    generator = np.random.default_rng(0)
    vectors, _ = np.linalg.qr(generator.standard_normal((SIZE, SIZE)))
    return torch.from_numpy(vectors * values @ vectors.T)


def space_of(matrix: torch.Tensor, probes: int, blocks: int, seed: int = 1) -> ProbeSpace:
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(probes, len(matrix), generator=generator, dtype=torch.float64)
    space = ProbeSpace(lambda rows: rows @ matrix, drawn)
    for _ in range(blocks):
        space.step()
    return space


@pytest.mark.parametrize("ridge", [1e-3, 0.1])
def test_determinants_are_known_where_few_directions_stand_out(ridge: float) -> None:
    """Eigenvalues that are found count exactly."""
    values = np.concatenate([np.logspace(2, -1, 40), np.logspace(-5, -6, SIZE - 40)])
    spectrum = space_of(matrix_of(values), probes=8, blocks=12).spectrum()
    assert spectrum.size == pytest.approx(SIZE)
    at = np.array([ridge])
    expected = np.log1p(values / ridge).sum()
    assert spectrum.log_determinant(at)[0] == pytest.approx(expected, rel=2e-3)
    determined = (values / (values + ridge)).sum()
    assert spectrum.determined(at)[0] == pytest.approx(determined, rel=5e-3)


def test_eigenvalues_of_many_vectors_count_as_many() -> None:
    values = np.repeat([1.0, 3.0], [SIZE - 2, 2])
    spectrum = space_of(matrix_of(values), probes=8, blocks=4).spectrum()
    found = spectrum.log_determinant(np.array([0.1]))[0]
    assert found == pytest.approx(np.log1p(values / 0.1).sum(), rel=1e-3)


def test_determinants_of_flat_spectra_are_those_of_the_probes() -> None:
    values = np.linspace(0.5, 2.0, SIZE)
    spectrum = space_of(matrix_of(values), probes=8, blocks=6).spectrum()
    found = spectrum.log_determinant(np.array([0.1]))[0]
    assert found == pytest.approx(np.log1p(values / 0.1).sum(), rel=0.02)


def test_draws_have_the_covariance_of_the_inverse() -> None:
    values = np.logspace(2, -3, SIZE)
    matrix = matrix_of(values)
    found = []
    for seed in range(40):
        space = space_of(matrix, probes=8, blocks=20, seed=seed)
        found.append(space.draws(0.05).numpy())
    drawn = np.concatenate(found)
    inverse = torch.linalg.inv(matrix + 0.05 * torch.eye(SIZE, dtype=torch.float64)).numpy()
    direction = np.random.default_rng(1).standard_normal(SIZE)
    expected = direction @ inverse @ direction
    assert np.square(drawn @ direction).mean() == pytest.approx(expected, rel=0.3)
    assert np.square(drawn).mean() == pytest.approx(np.trace(inverse) / SIZE, rel=0.03)


def test_changes_vanish_as_the_space_grows() -> None:
    space = space_of(matrix_of(np.logspace(2, -3, SIZE)), probes=4, blocks=0)
    before = (np.inf, np.inf)
    while not space.exhausted and space.iterations < 60:
        for _ in range(6):
            space.step()
        now = space.changes(1.0)
        assert now[0] <= before[0] + 1e-12
        before = now
    assert max(before) < 1e-6
    values, vectors = space.eigenvectors(10.0)
    assert len(values) == (np.logspace(2, -3, SIZE) > 10).sum()
    assert len(vectors) == len(values)
    assert space.found(1e-9) > 100
