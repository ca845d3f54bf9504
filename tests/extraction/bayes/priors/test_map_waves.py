"""Waves with the envelope and the spectrum of the map's own kernels, also those of atoms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from qpi_kernels import Defects, extract
from qpi_kernels.extraction.bayes.posterior import Posterior, PosteriorSample
from qpi_kernels.extraction.bayes.priors.library_priors import WHITE_PRIOR
from qpi_kernels.extraction.bayes.priors.map_waves import LOCAL_WAVES, MAP_WAVES, map_waves
from qpi_kernels.metrics import affine_invariant_nrmse
from qpi_kernels.result import KernelResult
from shared.intervals import assert_calibrated
from shared.planted import random_waves, shift_and_add, with_noise

Array = NDArray[Any]
SIDE, WINDOW = 64, (20, 20)


def marks(seed: int, count: int = 15) -> Array:
    """Draw whole pixels of a map."""
    return np.random.default_rng(seed).integers(0, SIDE, (count, 2))


def observed(kernel: Array, positions: Array, seed: int, snr: float = 1.0) -> Array:
    return with_noise(shift_and_add(kernel, positions, (SIDE, SIDE)), snr, seed)


def compared(
    kernel: Array, positions: Array, seed: int, snr: float = 1.0
) -> tuple[KernelResult, float]:
    """Extract a planted kernel, and compare its error with that of least squares."""
    image, places = observed(kernel, positions, seed, snr), positions.astype(float)
    found = extract(image, places, kernel_shape=WINDOW)
    plain = extract(image, places, kernel_shape=WINDOW, method="least_squares")
    errors = [affine_invariant_nrmse(kernel, one.kernel.values) for one in (found, plain)]
    return found, errors[0] / errors[1]


def test_waves_that_no_library_has_are_found_with_half_the_error_and_an_honest_std() -> None:
    truths, results, ratios, names = [], [], [], []
    for seed in range(10, 16):
        truth, positions = random_waves(WINDOW, seed), marks(seed + 50)
        found, ratio = compared(truth, positions, seed)
        # A family of clusters is hardly worse for some of them.
        names.append(found.provenance["priors"][0]["prior"])
        truths.append(truth)
        results.append(found)
        ratios.append(ratio)
    assert names.count(MAP_WAVES) >= 4
    assert max(ratios) < 0.8
    assert np.median(ratios) < 0.6
    kernels, stds = ([getattr(one, name).values for one in results] for name in ("kernel", "std"))
    assert_calibrated(kernels, stds, truths)


@pytest.mark.parametrize("snr", [1.0, 30.0])
def test_they_claim_nothing_of_a_kernel_of_noise(snr: float) -> None:
    truths, results = [], []
    for seed in range(3):
        truth, positions = np.random.default_rng(seed + 20).normal(size=WINDOW), marks(seed)
        found, ratio = compared(truth, positions, seed, snr)
        (chosen,) = found.provenance["priors"]
        assert chosen["prior"] == WHITE_PRIOR
        assert ratio < 1.02
        truths.append(truth)
        results.append(found)
    kernels, stds = ([getattr(one, name).values for one in results] for name in ("kernel", "std"))
    assert_calibrated(kernels, stds, truths)


def atoms(seed: int) -> Array:
    """Draw spots of any sign at the sites of an oblique lattice, which fade from the centre."""
    rng = np.random.default_rng(seed)
    rows, columns = np.indices(WINDOW) - WINDOW[0] // 2
    kernel = np.zeros(WINDOW)
    for first in range(-4, 5):
        for second in range(-4, 5):
            row, column = 7.3 * first + 1.1 * second, 6.9 * second - 2.2 * first
            height = rng.normal() * np.exp(-np.hypot(row, column) / 8)
            kernel += height * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 0.8)
    return kernel


def test_spots_at_atoms_are_sought_where_the_map_has_them() -> None:
    truths, results = [], []
    for seed in range(3):
        truth, positions = atoms(seed), marks(seed + 70)
        found, ratio = compared(truth, positions, seed, 10.0)
        assert found.provenance["priors"][0]["prior"] == LOCAL_WAVES
        # Waves at all places of like distance had 0.90 to 0.98.
        assert ratio < 0.85
        truths.append(truth)
        results.append(found)
    kernels, stds = ([getattr(one, name).values for one in results] for name in ("kernel", "std"))
    assert_calibrated(kernels, stds, truths)


@pytest.mark.parametrize("strength", [2.0, 10.0, 100.0])
def test_places_are_looked_at_where_they_promise_something(strength: float) -> None:
    everywhere = np.random.default_rng(4).normal(size=(1, *WINDOW))
    for kernels, expected in (
        (strength * everywhere, {MAP_WAVES}),
        (strength * 10 * atoms(0)[None], {MAP_WAVES, LOCAL_WAVES}),
    ):
        white, sample = least_squares_of(kernels, 0, "cpu")
        coverage = torch.ones_like(white.kernels)
        assert set(map_waves(white, sample, coverage)) == expected
        assert set(map_waves(white, sample, coverage, {MAP_WAVES})) == {MAP_WAVES}


def least_squares_of(kernels: Array, seed: int, device: str) -> tuple[Posterior, PosteriorSample]:
    """Add noise of deviation 1 to kernels, and draw as much again."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((9, *kernels.shape))
    found, drawn = (torch.from_numpy(one).to(device) for one in (kernels + noise[0], noise[1:]))
    white = Posterior(found, 0.0, 1.0, 1e-9, 1.0, 1.0, kernels.size, 1.0, 1, True)
    return white, PosteriorSample(drawn)


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_a_kind_that_hardly_shows_is_not_called_weaker_than_chance_may_hide(
    share: float, device: str
) -> None:
    for seed in range(12):
        kernels = np.stack([10 * random_waves(WINDOW, seed), share * random_waves(WINDOW, 99)])
        white, sample = least_squares_of(kernels, seed, device)
        root = map_waves(white, sample, torch.ones_like(white.kernels))[MAP_WAVES].root
        numbers = torch.randn(128, root.size, generator=torch.Generator().manual_seed(seed))
        strong, weak = root.apply(numbers.to(white.kernels)).unflatten(0, (64, 2)).std(dim=0)
        assert 2 < float(strong.square().mean().sqrt()) < 20
        # Noise of deviation 1 in 400 pixels hides an amplitude of (2 / 400)^(1/4) = 0.27.
        assert float(weak.min()) > 0.05
        assert float(weak.square().mean().sqrt()) < 1


def test_a_kind_behind_the_mask_is_left_open() -> None:
    truth, positions = random_waves(WINDOW, 12), marks(0, 30)
    image = observed(truth, positions, 0, 3.0)
    mask = np.ones(image.shape, bool)
    mask[:20] = False
    seen = positions[positions[:, 0] > 34].tolist()
    kinds = ["wave"] * len(seen) + ["masked"]
    points = np.array([*seen, [3, 3]], float)
    found = extract(image, Defects(points, kind=kinds), kernel_shape=WINDOW, mask=mask)
    assert np.isfinite(found.kernel.values).all()
    assert (found.std.values > 0).all()
    assert "unseen" in {reason.code for reason in found.quality.reasons}
