"""Achieved errors over planned ones, for whole and sparse maps of several kernels."""

import numpy as np
import pytest

from qpi_kernels.extraction import extract, plan
from shared.planned_maps import PIXEL_NM, SIZE, WINDOW, map_of, ring


def waves(seed):
    """A few plane waves under an envelope: no family of the library."""
    rng = np.random.default_rng(seed)
    rows, cols = np.indices((WINDOW, WINDOW)) - WINDOW // 2
    kernel = np.zeros((WINDOW, WINDOW))
    for _ in range(4):
        along, angle = rng.uniform(0.4, 1.4), rng.uniform(0, np.pi)
        kernel += np.cos(along * (rows * np.sin(angle) + cols * np.cos(angle)) + rng.uniform(0, 6))
    kernel *= np.exp(-np.hypot(rows, cols) / 4)
    return kernel / kernel.std()


@pytest.mark.slow
def test_errors_are_as_planned():
    ratios = []
    for number in range(14):
        rng = np.random.default_rng(100 + number)
        kernel = ring(wave=rng.uniform(0.35, 0.7)) if number % 2 else waves(number)
        where = rng.uniform(0, SIZE - 1, (int(rng.integers(8, 20)), 2))
        noise = float(rng.choice([0.2, 0.5, 1.0]))
        mask = rng.random((SIZE, SIZE)) < (1.0, 0.5, 0.3)[number % 3]
        planned = plan(where, (SIZE, SIZE), PIXEL_NM, (WINDOW, WINDOW), noise=noise, prior=kernel,
                       measured=mask, seed=number)  # fmt: skip
        observation = np.where(mask, map_of(kernel, where, noise, 900 + number), np.nan)
        found = extract(observation, where, kernel_shape=(WINDOW, WINDOW)).kernel.values
        ratios.append(np.sqrt(np.square(found - kernel).mean()) / planned.error)
    within = np.abs(np.array(ratios) - 1) < 0.2
    assert within.mean() > 0.8
    assert np.sqrt(np.square(ratios).mean()) < 1.1
