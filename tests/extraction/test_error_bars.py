"""Standard deviations against true errors, from both sides; maps made without the forward model.

A standard deviation that is 1.4 times too large or too small moves the mean squared score to 0.51
or 1.96, out of the bands below.
"""

import numpy as np
import pytest

from qpi_kernels import Defects, extract

WINDOW = (21, 21)


def packet(rows, cols):
    """A wave packet in closed form, small at the window's edge."""
    return np.cos(0.9 * cols + 0.4 * rows + 0.6) * np.exp(-(rows**2 + cols**2) / 18)


def truth():
    rows, cols = (np.indices(WINDOW).T - np.array(WINDOW) // 2).T
    return packet(rows, cols)


def observed(positions, size, sigma, seed, strengths=None):
    """Sum the packets at their exact positions and add white noise."""
    rows, cols = np.indices((size, size), dtype=float)
    strengths = np.ones(len(positions)) if strengths is None else strengths
    clean = sum(
        strength * packet(rows - row, cols - col)
        for (row, col), strength in zip(positions, strengths, strict=True)
    )
    return clean + sigma * np.random.default_rng(seed).standard_normal(clean.shape)


def squared_scores(result):
    return np.square((result.kernel.values - truth()) / result.std.values)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sigma", [0.05, 0.5])
def test_least_squares(sigma, dtype):
    means, rough = [], []
    for seed in range(4):
        positions = np.random.default_rng(seed).uniform(0, 95, (30, 2))
        image = observed(positions, 96, sigma, seed).astype(dtype)
        result = extract(image, positions, kernel_shape=WINDOW, method="least_squares")
        means.append(squared_scores(result).mean())
        rough.append(np.abs(result.kernel.values - truth()).max() / sigma)
    assert 0.75 < np.mean(means) < 1.35
    assert max(rough) < 2


def test_least_squares_of_defects_of_unlike_strength():
    means = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        positions, strengths = rng.uniform(0, 95, (30, 2)), rng.uniform(0.3, 1.7, 30)
        image = observed(positions, 96, 0.2, seed, strengths)
        defects = Defects(positions, strength=strengths)
        result = extract(image, defects, kernel_shape=WINDOW, method="least_squares")
        means.append(squared_scores(result).mean())
    assert 0.75 < np.mean(means) < 1.35


def test_least_squares_with_a_mask():
    """Half of the map is missing: the error is that of the other half."""
    means = []
    for seed in range(4):
        positions = np.random.default_rng(seed).uniform(0, 95, (60, 2))
        image = observed(positions, 96, 0.2, seed)
        mask = np.ones(image.shape, bool)
        mask[:, 50:] = False
        result = extract(image, positions, kernel_shape=WINDOW, mask=mask, method="least_squares")
        means.append(squared_scores(result).mean())
    assert 0.75 < np.mean(means) < 1.35


def test_the_average_of_separate_defects():
    means = []
    for seed in range(4):
        grid = np.stack(np.meshgrid(*2 * [np.arange(16, 192, 32)]), axis=-1).reshape(-1, 2)
        positions = grid + np.random.default_rng(seed).integers(-4, 5, grid.shape)
        image = observed(positions, 192, 0.3, seed)
        result = extract(image, positions, kernel_shape=WINDOW, method="average", background="none")
        scores = squared_scores(result)
        means.append(scores.mean())
        assert np.mean(result.std.values) == pytest.approx(0.3 / 6, rel=0.05)
    # Student's t with 35 degrees of freedom has a variance of 35/33.
    assert 0.85 < np.mean(means) < 1.3
