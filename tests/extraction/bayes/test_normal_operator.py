"""The quick normal operator: its diagonal, its square root, and how near it is to the exact one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from qpi_kernels.defects import Defects
from qpi_kernels.extraction.bayes.convolution_normal import (
    ConvolutionNormal,
    choose_normal_operator,
)
from qpi_kernels.extraction.bayes.parameters import BayesParameters
from qpi_kernels.extraction.problem import Problem

WINDOW = (9, 12)


def problem(side: int, kinds: int = 1, masked: bool = False) -> Problem:
    rng = np.random.default_rng(0)
    defects = Defects(
        rng.uniform(0, side - 1, (12 * kinds, 2)),
        kind=[f"k{index % kinds}" for index in range(12 * kinds)],
        strength=rng.uniform(0.5, 1.5, 12 * kinds),
    )
    mask = np.ones((side, side), bool)
    mask[: side // 3, side // 2 :] = not masked
    parameters = BayesParameters(kernel_shape=WINDOW, background="none")
    return Problem.check(np.zeros((side, side)), defects, mask, parameters)


@pytest.mark.parametrize(("kinds", "masked"), [(1, False), (2, False), (2, True)])
def test_diagonal_is_the_coverage(kinds: int, masked: bool) -> None:
    given = problem(60, kinds, masked)
    quick = ConvolutionNormal(given.model, given.coverage)
    unit = torch.eye(kinds * WINDOW[0] * WINDOW[1]).to(given.coverage)
    dense = quick.apply(unit.view(-1, kinds, *WINDOW)).flatten(1)
    # The spectrum is cut where the window of lags makes it negative.
    torch.testing.assert_close(
        dense.diagonal().view(kinds, *WINDOW), given.coverage, rtol=0.15, atol=0.05
    )
    torch.testing.assert_close(dense, dense.T)
    assert torch.linalg.eigvalsh(dense.cpu()).min() > -1e-9


@pytest.mark.parametrize("kinds", [1, 2])
def test_it_is_near_the_exact_one_on_a_large_map(kinds: int) -> None:
    given = problem(150, kinds)
    assert isinstance(choose_normal_operator(given, given.normal), ConvolutionNormal)
    kernels = torch.randn(4, kinds, *WINDOW, dtype=torch.float64).to(given.device)
    quick = ConvolutionNormal(given.model, given.coverage)
    near, exact = (one.apply(kernels) for one in (quick, given.normal))
    assert float((near - exact).norm() / exact.norm()) < 0.15


@pytest.mark.parametrize("background", ["none", "plane", "rows"])
def test_the_short_way_for_white_noise_is_the_operator_itself(background: str) -> None:
    given = problem(40, kinds=2, masked=True)
    parameters = given.parameters.model_copy(update={"background": background})
    normal = replace(given, parameters=parameters).normal
    kernels = torch.randn(3, 2, *WINDOW, dtype=torch.float64).to(given.device)
    torch.testing.assert_close(normal.apply(kernels), normal.adjoint(normal.forward(kernels)))


@pytest.mark.parametrize(
    ("background", "masked", "on_kernels"),
    [("none", False, True), ("plane", False, True), ("rows", False, False), ("plane", True, False)],
)
def test_on_large_maps_without_holes_and_rows_it_does_without_the_map(
    background: str, masked: bool, on_kernels: bool
) -> None:
    given = problem(200, kinds=2, masked=masked)
    mask = given.mask if masked else np.ones_like(given.mask)
    parameters = given.parameters.model_copy(update={"background": background, "device": "cpu"})
    normal = replace(given, parameters=parameters, mask=mask).normal
    assert (normal.rectangle is not None) == on_kernels
    kernels = torch.randn(3, 2, *WINDOW, dtype=torch.float64)
    torch.testing.assert_close(normal.apply(kernels), normal.adjoint(normal.forward(kernels)))
