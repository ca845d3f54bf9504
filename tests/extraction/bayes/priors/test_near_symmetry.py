"""Approximate symmetry: measured on a kernel, and given to the kernels of a prior."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from qpi_kernels import extract
from qpi_kernels.extraction.bayes.priors.covariance_roots import WhiteRoot
from qpi_kernels.extraction.bayes.priors.near_symmetry import (
    NearlySymmetricRoot,
    NearSymmetry,
    measure_near_symmetry,
)
from shared.planted import shift_and_add, with_noise

Array = NDArray[Any]
SIDE = 33
LIKE = torch.zeros(1, dtype=torch.float64)


def petals(fold: int, turn: float = 0.4, side: int = SIDE) -> Array:
    """Rings with lobes, the first at an angle: exactly of one fold, with mirrors."""
    rows, columns = np.indices((side, side)) - side // 2
    radius, angle = np.hypot(rows, columns), np.arctan2(-rows, columns) - turn
    lobes = 0.4 + np.cos(fold * angle) * (1 - np.exp(-((radius / 6) ** 4)))
    return np.asarray(np.cos(0.7 * radius + 0.3) * np.exp(-radius / 7) * lobes)


def measured(kernel: Array, noise: float = 0.01, seed: int = 0) -> NearSymmetry:
    rng = np.random.default_rng(seed)
    level = noise * np.sqrt(np.mean(kernel**2))
    draws = level * rng.normal(size=(8, *kernel.shape))
    return measure_near_symmetry(kernel + draws[0], draws, np.ones(kernel.shape), LIKE)


@pytest.mark.parametrize(
    ("fold", "near"), [(2, {"two"}), (3, {"three"}), (4, {"two", "four"}), (6, {"two", "three"})]
)
def test_the_fold_of_a_kernel_and_its_mirror_are_found(fold: int, near: set[str]) -> None:
    found = measured(petals(fold))
    for name in ("two", "three", "four"):
        assert (getattr(found, name) < 0.03) == (name in near), name
    assert found.mirror < 0.03
    between = 180 / fold
    away = (found.mirror_deg - np.rad2deg(0.4) + between / 2) % between - between / 2
    assert abs(away) < 1.5


def test_a_kernel_without_symmetry_has_none() -> None:
    kernel = np.random.default_rng(3).normal(size=(SIDE, SIDE))
    assert measured(kernel).steps == []
    assert measured(petals(6), noise=40.0) == NearSymmetry()


@pytest.mark.parametrize("share", [0.003, 0.05])
@pytest.mark.parametrize("fold", [2, 4])
def test_kernels_of_the_prior_have_its_shares_and_no_other_size(fold: int, share: float) -> None:
    shape = (24, 24)
    root = NearlySymmetricRoot(
        WhiteRoot(shape), NearSymmetry.of_fold(fold, share, square=True), shape, LIKE
    )
    numbers = torch.from_numpy(np.random.default_rng(1).normal(size=(60, root.size)))
    kernels = root.apply(numbers)
    assert float(kernels.square().mean()) == pytest.approx(1.0, rel=0.1)
    middle = kernels[:, 1:, 1:]
    turns = [torch.rot90(middle, 4 * turn // fold, (1, 2)) for turn in range(fold)]
    changed = middle - torch.stack(turns).mean(dim=0)
    found = float(changed.square().mean() / middle.square().mean())
    assert found == pytest.approx(share, rel=0.15)


@pytest.mark.parametrize("shape", [(20, 20), (21, 16)])
def test_the_adjoint_is_the_transpose(shape: tuple[int, int]) -> None:
    shares = NearSymmetry(0.02, 0.05, 0.1 if shape[0] == shape[1] else 0.51, 0.03, 31.0)
    assert len(shares.steps) == (4 if shape[0] == shape[1] else 3)
    root = NearlySymmetricRoot(WhiteRoot(shape), shares, shape, LIKE)
    rng = np.random.default_rng(0)
    numbers = torch.from_numpy(rng.normal(size=(2, root.size)))
    kernels = torch.from_numpy(rng.normal(size=(2, *shape)))
    left = float((root.apply(numbers) * kernels).sum())
    assert left == pytest.approx(float((numbers * root.adjoint(kernels)).sum()), rel=1e-10)


def test_a_six_fold_kernel_of_atoms_is_found_with_half_the_error() -> None:
    side, window = 96, (33, 33)
    rows, columns = np.indices(window) - 16
    truth = np.zeros(window)
    for i in range(-5, 6):
        for j in range(-5, 6):
            x, y = 5.0 * (i + j / 2), 5.0 * j * 0.75**0.5
            height = np.cos(0.9 * np.hypot(x, y)) * np.exp(-np.hypot(x, y) / 8)
            truth += height * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 2 / 0.8**2)
    places = np.random.default_rng(2).integers(0, side, (25, 2))
    image = with_noise(shift_and_add(truth, places, (side, side)), 1.0, 4)
    found = extract(image, places.astype(float), kernel_shape=window)
    plain = extract(image, places.astype(float), kernel_shape=window, method="least_squares")
    error, least = (np.std(one.kernel.values - truth) for one in (found, plain))
    assert error < 0.55 * least
    covered = np.abs(found.kernel.values - truth) < 1.96 * found.std.values
    assert 0.88 < covered.mean() < 0.995


def test_a_strong_core_does_not_speak_for_what_is_around_it() -> None:
    rows, columns = np.indices((SIDE, SIDE)) - SIDE // 2
    core = np.exp(-(rows**2 + columns**2) / 2)
    around = np.random.default_rng(5).normal(size=core.shape) * 0.02
    kernel, noise = core + around, np.zeros((1, SIDE, SIDE))
    envelope = np.hypot(core, 0.02)
    of_core = measure_near_symmetry(kernel, noise, envelope, LIKE)
    assert max(of_core.two, of_core.four) < 0.15
    of_all = measure_near_symmetry(kernel, noise, envelope, LIKE, at_all_distances=True)
    assert of_all.two == pytest.approx(1 / 2, abs=0.06)
    assert of_all.four == pytest.approx(3 / 4, abs=0.06)
