"""Errors that a result keeps: drawn from posteriors, independent from plane to plane."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from qpi_kernels import extract
from qpi_kernels.extraction.bayes.bias_transform import BiasTransform
from qpi_kernels.extraction.bayes.error_draws import error_draws


def test_planes_drawn_from_the_same_numbers_become_independent():
    numbers = torch.from_numpy(np.random.default_rng(0).standard_normal((8, 1, 21, 21)))
    variances = torch.stack([torch.full((1, 21, 21), size) for size in (4.0, 0.25, 1.0)])
    draws = error_draws([numbers, 3 * numbers, numbers], None, variances.double())
    assert draws.shape == (3, 8, 1, 21, 21)
    power = draws.square().mean(dim=(1, 2, 3, 4))
    assert torch.allclose(power, torch.tensor([4.0, 0.25, 1.0], dtype=torch.float64))
    for one, other in ((0, 1), (0, 2), (1, 2)):
        correlation = np.corrcoef(draws[one].ravel(), draws[other].ravel())[0, 1]
        assert abs(correlation) < 0.6  # of eight draws, each with a sign of its own


def test_combinations_are_taken_apart():
    rng = np.random.default_rng(1)
    angle = 0.4
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    transform = BiasTransform("turned", matrix, np.array([1.0, 2.0]))
    strong = torch.from_numpy(rng.standard_normal((8, 1, 15, 15)))
    draws = error_draws([strong, 0 * strong], transform, torch.ones(2, 1, 15, 15).double())
    # Only the first combination has errors: those of both planes are one and the same.
    ratio = (draws[1] / draws[0]).numpy()
    assert np.allclose(ratio, ratio.flat[0])


def test_a_result_of_bayes_keeps_errors_of_its_standard_deviation():
    rng = np.random.default_rng(2)
    kernel = gaussian_filter(rng.standard_normal((2, 11, 11)), (0, 1.5, 1.5))
    positions = rng.uniform(6, 42, (12, 2)).round().astype(int)
    maps = np.zeros((2, 48, 48))
    for row, column in positions:
        maps[:, row - 5 : row + 6, column - 5 : column + 6] += kernel
    maps += 0.5 * maps.std() * rng.standard_normal(maps.shape)
    result = extract(maps, positions.astype(float), kernel_shape=(11, 11), method="bayes")
    assert result.draws is not None
    assert result.draws.dims == ("draw", *result.kernel.dims)
    drawn = np.sqrt(np.square(result.draws).mean(("draw", "y", "x")))
    told = np.sqrt(np.square(result.std).mean(("y", "x")))
    np.testing.assert_allclose(drawn, told, rtol=1e-3)
