"""What the quality says: noise, misfit and words, against data made without the forward model."""

from functools import partial

import numpy as np
import pytest

from qpi_kernels import Defects
from qpi_kernels import extract as extract_by

WINDOW = (48, 48)

extract = partial(extract_by, method="least_squares")


def packet(rows, cols, fold=0):
    """A wave packet in closed form; ``fold`` turns it into a sum of that many."""
    angles = 2 * np.pi * np.arange(max(fold, 1)) / max(fold, 1) + 0.3
    waves = sum(np.cos(0.7 * (np.cos(a) * cols + np.sin(a) * rows) + 0.6) for a in angles)
    return waves * np.exp(-(rows**2 + cols**2) / 72)


def observed(positions, size, snr=10.0, seed=0, strengths=None, **shape):
    """Sum the packets at their exact positions, add white noise; return that and its sigma."""
    rows, cols = np.indices((size, size), dtype=float)
    strengths = np.ones(len(positions)) if strengths is None else strengths
    clean = sum(
        strength * packet(rows - row, cols - col, **shape)
        for (row, col), strength in zip(positions, strengths, strict=True)
    )
    sigma = clean.std() / np.sqrt(snr)
    return clean + sigma * np.random.default_rng(seed).standard_normal(clean.shape), sigma


def scattered(count, size, seed=0):
    return np.random.default_rng(seed).uniform(0, size - 1, (count, 2))


@pytest.mark.parametrize(
    "positions", [[(48.4, 47.7)], [(48.4, 47.7), (20, 70.2)], scattered(12, 96), scattered(200, 96)]
)
def test_noise_and_chi_squared_are_right_for_one_defect_and_for_many(positions):
    image, sigma = observed(positions, 96)
    quality = extract(image, positions, kernel_shape=WINDOW).quality
    assert quality.noise_sigma[0] == pytest.approx(sigma, rel=0.07)
    assert quality.reduced_chi2[0] == pytest.approx(1.0, abs=0.15)
    assert not any("residual" in line for line in quality.verdict)


def test_a_fit_that_follows_every_pixel_is_not_judged_by_its_residual():
    positions = scattered(10, 32)
    image, _ = observed(positions, 32, snr=100.0)
    quality = extract(image, positions, kernel_shape=(40, 40)).quality
    assert np.isnan(quality.reduced_chi2[0])
    assert not quality.well_posed
    assert not any("residual" in line for line in quality.verdict)


def test_a_wrongly_imposed_symmetry_is_named():
    positions = scattered(25, 160)
    image, _ = observed(positions, 160, fold=3)
    right, wrong = (
        extract(image, positions, kernel_shape=WINDOW, symmetry=name).quality.verdict
        for name in ("C3", "C4")
    )
    assert not any("imposed" in line for line in right)
    assert any("imposed symmetry C4" in line for line in wrong)


def test_chance_neighbours_are_no_duplicates():
    crowd = scattered(500, 160)
    image, _ = observed(crowd, 160)
    quality = extract(image, crowd, kernel_shape=(32, 32)).quality
    assert quality.well_posed
    assert not any("duplicates" in line for line in quality.verdict)
    few = scattered(20, 160)
    image, _ = observed(few, 160)
    twice = extract(image, np.concatenate([few, few[:5]]), kernel_shape=(32, 32)).quality
    assert any("each other: 5," in line for line in twice.verdict)


def test_a_weak_kind_is_not_taken_for_an_unseen_one():
    positions = scattered(60, 160)
    weak = np.arange(60) % 3 == 0
    strength = np.where(weak, 0.1, 1.0)
    image, _ = observed(positions, 160, snr=1000.0, strengths=strength)
    table = Defects(positions, kind=np.where(weak, "weak", "strong"), strength=strength)
    words = extract(image, table, kernel_shape=(32, 32)).quality.verdict
    assert not any("not shown by any defect" in line for line in words)


def test_ordered_defects_are_remarked_upon():
    ordered = np.stack(np.meshgrid(*2 * [np.arange(12.0, 192, 24)]), axis=-1).reshape(-1, 2)
    image, _ = observed(ordered, 192)
    words = extract(image, ordered, kernel_shape=WINDOW).quality.verdict
    assert any("ordered" in line for line in words)
    random = scattered(64, 192)
    image, _ = observed(random, 192)
    words = extract(image, random, kernel_shape=WINDOW).quality.verdict
    assert not any("ordered" in line for line in words)


def test_a_solution_that_is_exact_at_the_last_iteration_has_converged():
    positions = scattered(14, 40)
    image, _ = observed(positions, 40)
    quality = extract(image, positions, kernel_shape=(3, 3), tolerance=1e-13).quality
    assert quality.iterations == 9
    assert quality.converged


@pytest.mark.parametrize(
    ("given", "found"), [("f2", "f4"), (">f4", "f4"), ("f8", "f8"), ("g", "f8"), ("i2", "f8")]
)
def test_results_are_ordinary_floats(given, found):
    positions = scattered(8, 48)
    image, _ = observed(positions, 48)
    result = extract((100 * image).astype(given), positions, kernel_shape=(9, 9))
    for array in (result.kernel, result.std, result.residual, result.reconstruction):
        assert array.dtype == np.dtype(found)
        assert array.dtype.isnative


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 3), (3, 3)])
@pytest.mark.parametrize("background", ["none", "plane", "rows"])
def test_slivers_of_an_image_give_finite_kernels(shape, background):
    image = np.random.default_rng(0).standard_normal(shape)
    result = extract(image, [(0, 0)], kernel_shape=(8, 8), background=background)
    assert np.isfinite(result.kernel).all()
    assert np.isfinite(result.std).all()
    assert not result.quality.well_posed


def test_an_imposed_symmetry_is_not_scored():
    image = np.random.default_rng(0).standard_normal((48, 48))
    scores = extract(image, [(20, 20), (30, 15)], kernel_shape=(15, 15), symmetry="C6v").quality
    assert set(scores.symmetry_scores) == {"C4"}


def test_a_kernel_below_its_error_is_called_so():
    image = np.random.default_rng(0).standard_normal((64, 64))
    quality = extract(image, [(20, 20), (40, 35)], kernel_shape=(15, 15)).quality
    assert not quality.well_posed
    assert any("exceeds the kernel" in line for line in quality.verdict)
    assert quality.verdict[0].endswith("no signal above the expected error.")
