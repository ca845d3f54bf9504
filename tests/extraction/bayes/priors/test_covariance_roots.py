"""Priors as maps from unit numbers: transposes, and the covariance that they claim."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from qpi_kernels.extraction.bayes.priors.covariance_roots import (
    ComponentRoot,
    CovarianceRoot,
    PixelRoot,
    SumRoot,
    WaveRoot,
    WhiteRoot,
)

SHAPE = (12, 15)


def smooth(device: str) -> WaveRoot:
    profile = np.exp(-np.arange(12) / 4.0)
    spectrum = np.exp(-0.5 * ((np.arange(14) - 5) / 2.0) ** 2)
    like = torch.zeros((), dtype=torch.float64, device=device)
    return WaveRoot.round(SHAPE, profile, spectrum, period=15.0, scale=1.0, like=like)


def components(device: str) -> ComponentRoot:
    return ComponentRoot(drawn(0, (7, *SHAPE), device))


def drawn(seed: int, shape: tuple[int, ...], device: str) -> torch.Tensor:
    """Draw normal numbers on the CPU, the same for every device."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(device)


FACTORS: dict[str, Callable[[str], CovarianceRoot]] = {
    "white": lambda _: WhiteRoot(SHAPE),
    "smooth": smooth,
    "components": components,
    "pixels": lambda device: PixelRoot(
        np.linspace(0, 2, SHAPE[0] * SHAPE[1]).reshape(SHAPE), drawn(0, (1,), device)
    ),
    "sum": lambda device: SumRoot(
        [(1.0, components(device)), (0.3, smooth(device)), (0.01, WhiteRoot(SHAPE))]
    ),
}


@pytest.mark.parametrize("name", FACTORS)
def test_adjoint(name: str, device: str) -> None:
    factor = FACTORS[name](device)
    numbers = drawn(1, (3, factor.size), device)
    kernels = drawn(2, (3, *SHAPE), device)
    one = (factor.apply(numbers) * kernels).sum()
    other = (numbers * factor.adjoint(kernels)).sum()
    assert float(one) == pytest.approx(float(other), rel=1e-10)


def test_pixels_have_the_deviations_given(device: str) -> None:
    deviations = np.linspace(0, 2, SHAPE[0] * SHAPE[1]).reshape(SHAPE)
    factor = PixelRoot(deviations, drawn(0, (1,), device))
    spread = factor.apply(drawn(5, (4000, factor.size), device)).std(dim=0).cpu().numpy()
    np.testing.assert_allclose(spread, deviations, rtol=0.06)
    np.testing.assert_allclose(factor.variance.cpu().numpy(), deviations**2)


def test_smooth_kernels_have_the_profile(device: str) -> None:
    factor = smooth(device)
    spread = factor.apply(drawn(2, (4000, factor.size), device)).std(dim=0)
    ratio = spread[6, 7] / spread[6, 11]
    assert float(ratio) == pytest.approx(np.exp(1.0), rel=0.1)


def test_parts_of_a_sum_are_independent(device: str) -> None:
    factor = SumRoot([(2.0, components(device)), (0.5, WhiteRoot(SHAPE))])
    variance = factor.apply(drawn(3, (6000, factor.size), device)).var(dim=0)
    units = torch.eye(7, dtype=torch.float64, device=device)
    expected = 4.0 * components(device).apply(units).square().sum(0) + 0.25
    torch.testing.assert_close(variance, expected, rtol=0.15, atol=0.0)
