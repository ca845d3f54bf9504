"""Kernels of families that the library lacks: repeatable, unlike, and of any size."""

from __future__ import annotations

import numpy as np
import pytest

from qpi_kernels.bench.speed.foreign_kernels import FOREIGN_FAMILIES, foreign_kernel


@pytest.mark.parametrize("family", FOREIGN_FAMILIES)
def test_a_seed_gives_a_kernel_and_another_seed_another(family: str) -> None:
    kernel = foreign_kernel(family, 32, 1)
    assert kernel.shape == (32, 32)
    np.testing.assert_allclose(np.square(kernel).mean(), 1.0)
    np.testing.assert_array_equal(kernel, foreign_kernel(family, 32, 1))
    assert abs((kernel * foreign_kernel(family, 32, 2)).mean()) < 0.9


@pytest.mark.parametrize("family", FOREIGN_FAMILIES)
def test_the_kernel_is_strongest_around_the_defect(family: str) -> None:
    power = np.square(foreign_kernel(family, 32, 0))
    assert power[8:24, 8:24].sum() > 0.5 * power.sum()


def test_a_kernel_of_a_larger_window_is_the_same_kernel() -> None:
    small, large = (foreign_kernel("two centres", side, 0) for side in (32, 64))
    np.testing.assert_allclose(large[::2, ::2], small, rtol=1e-2, atol=0.05)
