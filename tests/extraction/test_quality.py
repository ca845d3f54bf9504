"""What the quality says: noise, misfit and words, against data made without the forward model."""

from functools import partial

import numpy as np
import pytest
import torch

from qpi_kernels import Defects
from qpi_kernels import extract as extract_by
from qpi_kernels.extraction.parameters import ExtractionError
from qpi_kernels.extraction.predicted_share import predicted_share
from qpi_kernels.extraction.quality_report import error_reasons

WINDOW = (48, 48)

extract = partial(extract_by, method="least_squares")


def codes(quality):
    return {reason.code for reason in quality.reasons}


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
    assert "residual_structure" not in codes(quality)


def test_a_fit_that_follows_every_pixel_is_not_judged_by_its_residual():
    positions = scattered(10, 32)
    image, _ = observed(positions, 32, snr=100.0)
    quality = extract(image, positions, kernel_shape=(32, 32)).quality
    assert np.isnan(quality.reduced_chi2[0])
    assert quality.trust == "undetermined"
    assert "window_exceeds_map" in codes(quality)
    assert not codes(quality) & {"residual_structure", "little_explained"}


def test_a_wrongly_imposed_symmetry_is_named():
    positions = scattered(25, 160)
    image, _ = observed(positions, 160, fold=3)
    right, wrong = (
        extract(image, positions, kernel_shape=WINDOW, symmetry=name).quality
        for name in ("C3", "C4")
    )
    assert "symmetry_doubtful" not in codes(right)
    (doubt,) = (reason for reason in wrong.reasons if reason.code == "symmetry_doubtful")
    assert doubt.place == "C4"
    assert doubt.number > doubt.threshold


def test_chance_neighbours_are_no_duplicates():
    crowd = scattered(500, 160)
    image, _ = observed(crowd, 160)
    quality = extract(image, crowd, kernel_shape=(32, 32)).quality
    assert quality.trust == "good"
    assert "duplicates" not in codes(quality)
    few = scattered(20, 160)
    image, _ = observed(few, 160)
    twice = extract(image, np.concatenate([few, few[:5]]), kernel_shape=(32, 32)).quality
    (found,) = (reason for reason in twice.reasons if reason.code == "duplicates")
    assert found.number == 5


def test_a_weak_kind_is_not_taken_for_an_unseen_one():
    positions = scattered(60, 160)
    weak = np.arange(60) % 3 == 0
    strength = np.where(weak, 0.1, 1.0)
    image, _ = observed(positions, 160, snr=1000.0, strengths=strength)
    table = Defects(positions, kind=np.where(weak, "weak", "strong"), strength=strength)
    assert "unseen" not in codes(extract(image, table, kernel_shape=(32, 32)).quality)


def test_ordered_defects_are_remarked_upon():
    ordered = np.stack(np.meshgrid(*2 * [np.arange(12.0, 192, 24)]), axis=-1).reshape(-1, 2)
    image, _ = observed(ordered, 192)
    assert "ordered" in codes(extract(image, ordered, kernel_shape=WINDOW).quality)
    random = scattered(64, 192)
    image, _ = observed(random, 192)
    assert "ordered" not in codes(extract(image, random, kernel_shape=WINDOW).quality)


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


@pytest.mark.parametrize("shape", [(3, 3), (3, 40), (40, 3), (4, 5)])
@pytest.mark.parametrize("background", ["none", "plane", "rows"])
def test_slivers_of_an_image_give_finite_kernels_that_are_not_trusted(shape, background):
    image = np.random.default_rng(0).standard_normal(shape)
    result = extract(image, [(1, 1)], kernel_shape=(3, 3), background=background)
    assert np.isfinite(result.kernel).all()
    assert np.isfinite(result.std).all()
    assert result.quality.trust != "good"


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 3)])
def test_a_window_larger_than_the_image_is_refused(shape):
    image = np.random.default_rng(0).standard_normal(shape)
    with pytest.raises(ExtractionError, match="larger than the image"):
        extract(image, [(0, 0)], kernel_shape=(3, 3))


def test_a_result_is_undetermined_only_if_every_kind_is_below_its_error():
    some = error_reasons({"strong": 0.2, "weak": 1.5})
    assert [(one.place, one.trust) for one in some] == [("weak", "uncertain")]
    every = error_reasons({"faint": 1.1, "weak": 1.5})
    assert [one.trust for one in every] == ["undetermined", "undetermined"]


def test_an_imposed_symmetry_is_not_scored():
    image = np.random.default_rng(0).standard_normal((48, 48))
    scores = extract(image, [(20, 20), (30, 15)], kernel_shape=(15, 15), symmetry="C6v").quality
    assert set(scores.symmetry_scores) == {"C4"}


def test_a_kernel_below_its_error_is_called_so():
    image = np.random.default_rng(0).standard_normal((64, 64))
    quality = extract(image, [(20, 20), (40, 35)], kernel_shape=(15, 15)).quality
    assert quality.trust == "undetermined"
    assert "error_exceeds_kernel" in codes(quality)


def steps(size):
    """Terraces with a bent step edge, in closed form."""
    rows, cols = np.indices((size, size))
    return 3.0 * (cols > 60 + 10 * np.sin(rows / 20)) + 1.5 * (rows > 0.7 * size)


def trust_in(image, positions, method="least_squares"):
    return extract_by(image, positions, kernel_shape=(32, 32), method=method).quality


@pytest.mark.parametrize("method", ["least_squares", "average"])
@pytest.mark.parametrize("snr", [1.0, 0.3])
def test_noise_alone_does_not_take_the_trust_away(method, snr):
    positions = scattered(200, 160)
    image, _ = observed(positions, 160, snr=snr)
    quality = trust_in(image, positions, method)
    assert quality.trust == "good"
    assert 0.5 * snr / (1 + snr) < quality.predicted[0] < 1.2 * snr / (1 + snr)


@pytest.mark.parametrize("method", ["least_squares", "average"])
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("case", ["wrong marks", "white noise", "terraces"])
def test_a_kernel_that_is_not_there_is_undetermined(case, seed, method):
    image, _ = observed(scattered(40, 128), 128)
    if case == "white noise":
        image = np.random.default_rng(seed).standard_normal((128, 128))
    elif case == "terraces":
        image = steps(128) + 0.05 * np.random.default_rng(seed).standard_normal((128, 128))
    quality = trust_in(image, scattered(40, 128, seed=100 + seed), method)
    assert quality.trust == "undetermined"
    (reason,) = (one for one in quality.reasons if one.code == "not_explained")
    assert reason.number <= reason.threshold < 0.25


@pytest.mark.parametrize("method", ["least_squares", "average"])
def test_a_kernel_beside_structure_is_uncertain(method):
    positions = scattered(40, 128)
    image, _ = observed(positions, 128)
    quality = trust_in(image + image.std() * steps(128), positions, method)
    assert quality.trust == "uncertain"
    assert "residual_structure" in codes(quality)


def test_a_prediction_that_enlarges_the_misfit_is_undetermined():
    """As kernels of a coloured-noise model did: explained -263 %, and were called uncertain."""
    rng = np.random.default_rng(0)
    signal = torch.from_numpy(rng.standard_normal((64, 64)))
    reach = torch.ones(64, 64, dtype=torch.bool)
    both, residuals = torch.stack([signal, signal]), torch.stack([1.9 * signal, 0.7 * signal])
    share, chance = predicted_share(both, residuals, reach, reach, np.array([50.0, 50.0]), 1000)
    assert share[0] < -2
    assert chance[0] > 0
    assert share[1] > chance[1]


def test_chance_is_exceeded_rarely_and_not_never():
    """The share of noise that a fit explains scatters as the limit says: three deviations."""
    rng = np.random.default_rng(3)
    everywhere = torch.ones(40, 40, dtype=torch.bool)
    basis, _ = np.linalg.qr(rng.standard_normal((1600, 200)))
    noise = rng.standard_normal((200, 1600))
    left = noise - noise @ basis @ basis.T
    noisy, remaining = (torch.from_numpy(one).view(-1, 40, 40) for one in (noise, left))
    found = predicted_share(noisy, remaining, everywhere, everywhere, np.full(200, 200.0), 200)
    ratios = found.share / found.chance
    assert abs(np.mean(ratios)) < 0.1
    assert 0.2 < np.std(ratios) < 0.45
