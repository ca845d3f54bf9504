"""Kernels and standard deviations of a GPU are the CPU's, whatever the method."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from qpi_kernels.bench.gpu.equality import equality_row, equality_tasks
from qpi_kernels.bench.speed.problems import Task

TASKS = dict(equality_tasks(True, learned=True))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("make", TASKS.values(), ids=TASKS)
def test_a_gpu_finds_the_cpus_kernel(make: Callable[[], Task]) -> None:
    row = equality_row("on a GPU", make, "cuda", "cpu", limit=120.0)
    assert not row.missed, row.numbers
