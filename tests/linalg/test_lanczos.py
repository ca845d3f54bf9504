"""Lanczos iterations in single precision, also beyond the dimension of the problem."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from qpi_kernels.linalg.lanczos import Lanczos


@pytest.mark.parametrize("decades", [0.5, 3, 6, 9])
def test_the_basis_stays_orthonormal_where_the_space_is_exhausted(decades: float) -> None:
    random = np.random.default_rng(4)
    rotation, _ = np.linalg.qr(random.standard_normal((60, 60)))
    values = np.logspace(0, -decades, 60)
    matrix = torch.from_numpy((rotation * values) @ rotation.T).float()
    start = torch.from_numpy(random.standard_normal((3, 60))).float()
    lanczos = Lanczos(lambda rows: rows @ matrix, start)
    for _ in range(150):
        lanczos.step()
    found = lanczos.tridiagonal()
    assert np.isfinite(found.values).all()
    assert found.values.max() <= 1.01 * values[0]
    for number in range(3):
        basis = lanczos._basis[:150, number]
        used = basis[basis.norm(dim=-1) > 0]
        overlap = used @ used.T - torch.eye(len(used))
        assert overlap.abs().max() < 1e-3
