"""The ranking by prediction is that by the true error, which only a simulation knows."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from qpi_kernels import extract
from qpi_kernels.extraction import compare_models
from qpi_kernels.simulate.kernel_sampler import KernelSampler
from shared.planted import friedel_rings, on_window, planted_map

SIZE, SHAPE = 72, (21, 21)
ALTERNATIVES = {
    "average": {"method": "average"},
    "least squares": {"method": "least_squares"},
    "fourfold": {"method": "least_squares", "symmetry": "C4v"},
    "bayes": {},
}


def drawn(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw a map, its marks and its kernel: rings of the tests' own, with artefacts in turn."""
    random = np.random.default_rng(seed)
    kernel = friedel_rings(
        wave=random.uniform(0.6, 1.4),
        decay=random.uniform(1.5, 2.0),
        fold=int(random.choice([2, 3, 4, 6])),
        contrast=random.uniform(0.1, 0.6),
    )
    places = random.uniform(-2, SIZE + 1, (int(random.integers(8, 25)), 2))
    signal = planted_map(kernel, places, (SIZE, SIZE))
    noise = random.normal(size=signal.shape)
    artefact = seed % 3
    if artefact == 1:
        frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(SIZE)] * 2, indexing="ij")) * SIZE
        noise = np.fft.ifft2(np.fft.fft2(noise) / np.maximum(frequency, 1) ** 0.7).real
    noise *= signal.std() / noise.std() / random.choice([1, 2, 5])
    if artefact == 2:
        noise += 0.5 * signal.std() * random.normal(size=(SIZE, 1))
    return signal + noise, places, on_window(kernel, SHAPE)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_ranking_is_that_of_the_true_error() -> None:
    correlations = []
    for seed in range(9):
        observation, places, truth = drawn(seed)
        fields = dict(kernel_shape=SHAPE, background="rows" if seed % 3 == 2 else "plane")
        found = compare_models(observation, places, ALTERNATIVES, folds=3, **fields)
        errors = [
            float(np.square(extract(observation, places, **own | fields).kernel - truth).mean())
            for own in ALTERNATIVES.values()
        ]
        scores = [found.scores[name].r_squared for name in ALTERNATIVES]
        correlations.append(scipy.stats.spearmanr(scores, [-one for one in errors]).statistic)
    assert np.mean(correlations) > 0.9


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_windows_chosen_by_prediction_lose_little() -> None:
    """The error in the chosen window is near that of the best window, over all of the kernel."""
    losses = []
    for seed in range(6):
        random = np.random.default_rng(100 + seed)
        kernel = friedel_rings(decay=[1.0, 1.6, 2.4][seed % 3])
        places = random.uniform(0, 95, (20, 2))
        signal = planted_map(kernel, places, (96, 96))
        observation = signal + 0.4 * signal.std() * random.normal(size=signal.shape)
        truth = on_window(kernel, (48, 48))

        def error(shape, observation=observation, places=places, truth=truth) -> float:
            """Measure the error over a window that holds all of the kernel."""
            result = extract(observation, places, kernel_shape=shape, prior="smooth")
            side = result.kernel.shape[0]
            margin = 24 - side // 2
            whole = np.zeros_like(truth)
            whole[margin : margin + side, margin : margin + side] = result.kernel
            return float(np.sqrt(np.square(whole - truth).sum() / np.square(truth).sum()))

        best = min(error((side, side)) for side in (8, 12, 16, 24, 32, 48))
        losses.append(error("auto") / best)
    assert np.median(losses) < 1.3


def test_kernels_of_the_simulator_are_ranked_too() -> None:
    """A sixfold kernel of the simulator: the right symmetry first, the average last."""
    truth = KernelSampler(["triangular_lattice"], shape=(20, 20), seed=3).kernel(0).values
    random = np.random.default_rng(0)
    places = random.integers(0, 63, (14, 2))
    padded = np.zeros((104, 104))
    for row, column in places:
        padded[row + 10 : row + 30, column + 10 : column + 30] += truth
    signal = padded[20:84, 20:84]
    observation = signal + signal.std() * random.normal(size=signal.shape)
    alternatives = {
        "average": {"method": "average"},
        "free": {"method": "least_squares"},
        "twofold": {"method": "least_squares", "symmetry": "C2"},
    }
    found = compare_models(observation, places, alternatives, kernel_shape=(20, 20), folds=3)
    assert found.ranking == ["twofold", "free", "average"]
