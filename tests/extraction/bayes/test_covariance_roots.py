"""Priors as maps from unit numbers: transposes, and the covariance that they claim."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from qpi_kernels.extraction.bayes.covariance_roots import (
    ComponentRoot,
    CovarianceRoot,
    SmoothRoot,
    SumRoot,
    WhiteRoot,
)

SHAPE = (12, 15)
LIKE = torch.zeros((), dtype=torch.float64)


def smooth() -> SmoothRoot:
    profile = np.exp(-np.arange(12) / 4.0)
    spectrum = np.exp(-0.5 * ((np.arange(14) - 5) / 2.0) ** 2)
    return SmoothRoot(SHAPE, profile, spectrum, period=15.0, scale=1.0, like=LIKE)


def components() -> ComponentRoot:
    generator = torch.Generator().manual_seed(0)
    return ComponentRoot(torch.randn(7, *SHAPE, generator=generator, dtype=torch.float64))


FACTORS: dict[str, CovarianceRoot] = {
    "white": WhiteRoot(SHAPE),
    "smooth": smooth(),
    "components": components(),
    "sum": SumRoot([(1.0, components()), (0.3, smooth()), (0.01, WhiteRoot(SHAPE))]),
}


@pytest.mark.parametrize("name", FACTORS)
def test_adjoint(name: str) -> None:
    factor = FACTORS[name]
    generator = torch.Generator().manual_seed(1)
    numbers = torch.randn(3, factor.size, generator=generator, dtype=torch.float64)
    kernels = torch.randn(3, *SHAPE, generator=generator, dtype=torch.float64)
    one = (factor.apply(numbers) * kernels).sum()
    other = (numbers * factor.adjoint(kernels)).sum()
    assert float(one) == pytest.approx(float(other), rel=1e-10)


def test_smooth_kernels_have_the_profile() -> None:
    generator = torch.Generator().manual_seed(2)
    factor = smooth()
    drawn = factor.apply(torch.randn(4000, factor.size, generator=generator, dtype=torch.float64))
    spread = drawn.std(dim=0)
    ratio = spread[6, 7] / spread[6, 11]
    assert float(ratio) == pytest.approx(np.exp(1.0), rel=0.1)


def test_parts_of_a_sum_are_independent() -> None:
    generator = torch.Generator().manual_seed(3)
    parts = [(2.0, components()), (0.5, WhiteRoot(SHAPE))]
    factor = SumRoot(parts)
    drawn = factor.apply(torch.randn(6000, factor.size, generator=generator, dtype=torch.float64))
    expected = 4.0 * components().apply(torch.eye(7, dtype=torch.float64)).square().sum(0) + 0.25
    torch.testing.assert_close(drawn.var(dim=0), expected, rtol=0.15, atol=0.0)
