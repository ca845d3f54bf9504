"""Averages over a point group: the same on every device, and each the transpose of the other."""

from __future__ import annotations

import pytest
import torch

from qpi_kernels.extraction import symmetrisation as module
from qpi_kernels.extraction.symmetrisation import Symmetrisation

SHAPE = (9, 8)


def average(symmetry: str, device: torch.device) -> Symmetrisation:
    return Symmetrisation(symmetry, SHAPE, 2, dtype=torch.float64, device=device)


@pytest.mark.parametrize("symmetry", ["C2", "C4v@15", "C6"])
def test_every_device_gives_the_numbers_of_the_cpu(
    symmetry: str, pretended: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_NUMBERS", 9 * 8 * 300)
    vectors = torch.randn(3, 2 * 9 * 8, generator=torch.Generator().manual_seed(0)).double()
    here, there = average(symmetry, torch.device("cpu")), average(symmetry, torch.device(pretended))
    for name in ("apply", "adjoint"):
        expected = getattr(here, name)(vectors)
        torch.testing.assert_close(getattr(there, name)(vectors.to(pretended)).cpu(), expected)


def test_the_adjoint_is_the_transpose(device: str) -> None:
    group = average("C6", torch.device(device))
    first, second = torch.randn(2, 1, 144, generator=torch.Generator().manual_seed(1)).double()
    first, second = first.to(device), second.to(device)
    torch.testing.assert_close(
        (group.apply(first) * second).sum(), (first * group.adjoint(second)).sum()
    )
