"""Solutions in the Krylov space of several right-hand sides, beside those of dense algebra."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from qpi_kernels.linalg.joint_lanczos import JointLanczos
from qpi_kernels.linalg.lanczos import Lanczos

RIDGE = np.array([0.5, 0.1, 2.0, 0.3, 1.0])


def problem(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Make an operator and right-hand sides: two that depend, a faint one and one that is zero."""
    random = np.random.default_rng(4)
    vectors, _ = np.linalg.qr(random.standard_normal((80, 80)))
    matrix = vectors * np.geomspace(1e-3, 50, 80) @ vectors.T
    start = random.standard_normal((5, 80))
    start[1] = -3 * start[0]
    start[2] *= 1e-6
    start[3] = 0.0
    return torch.from_numpy(matrix).to(dtype), torch.from_numpy(start).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_all_right_hand_sides_are_solved(dtype: torch.dtype) -> None:
    matrix, start = problem(dtype)
    space = JointLanczos(lambda rows: rows @ matrix, start)
    for _ in range(24):
        space.step()
    data = space.tridiagonal()
    found = space.combine(data.coordinates(RIDGE)).double().numpy()
    dense = matrix.double().numpy()
    for row, (ridge, one) in enumerate(zip(RIDGE, start.double().numpy(), strict=True)):
        expected = np.linalg.solve(dense + ridge * np.eye(80), one)
        error = np.linalg.norm(found[row] - expected)
        assert error <= (3e-4 if dtype == torch.float32 else 1e-6) * np.linalg.norm(expected)
    assert data.weights.sum(axis=1) == pytest.approx([1, 1, 1, 0, 1], rel=1e-4)
    squares = (data.norm**2 * (data.weights / (data.values + RIDGE[:, None])).sum(axis=1))[:3]
    assert squares == pytest.approx((found * start.double().numpy()).sum(axis=1)[:3], rel=1e-3)


def test_the_residual_is_as_stated() -> None:
    matrix, start = problem(torch.float64)
    space = JointLanczos(lambda rows: rows @ matrix, start)
    for _ in range(6):
        space.step()
    coordinates = space.tridiagonal().coordinates(RIDGE)
    found = space.combine(coordinates)
    left = start - found @ matrix - torch.from_numpy(RIDGE)[:, None] * found
    length = left.norm(dim=1) / start.norm(dim=1).clamp(min=1e-300)
    assert space.tridiagonal().residual(coordinates) == pytest.approx(length.numpy(), rel=1e-6)
    assert length[0] > 1e-3


def test_together_they_take_fewer_iterations() -> None:
    matrix, start = problem(torch.float64)
    start = torch.cat([start[:1], start[4:], torch.flip(start[:1], [1])])
    residuals = []
    for kind in (Lanczos, JointLanczos):
        space = kind(lambda rows: rows @ matrix, start)
        for _ in range(12):
            space.step()
        data = space.tridiagonal()
        residuals.append(data.residual(data.coordinates(RIDGE[:3])).max())
    assert residuals[1] < 0.2 * residuals[0]


def test_nothing_has_the_solution_zero() -> None:
    space = JointLanczos(lambda rows: rows, torch.zeros(3, 7))
    space.step()
    data = space.tridiagonal()
    assert not space.combine(data.coordinates(np.ones(3))).any()
    assert not data.residual(data.coordinates(np.ones(3))).any()
    assert space.iterations == 1
