"""The posterior against dense algebra in plain numpy: no operator of the library takes part."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from qpi_kernels.defects import Defects
from qpi_kernels.extraction.bayes.estimator import BayesExtraction
from qpi_kernels.extraction.bayes.parameters import BayesParameters
from qpi_kernels.extraction.bayes.priors import discrepancy
from qpi_kernels.extraction.bayes.priors.library_priors import WHITE_PRIOR
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.models.kernel_prior import KernelPrior
from qpi_kernels.progress import drive
from qpi_kernels.result import KernelResult
from shared.intervals import assert_calibrated
from shared.planted import shift_and_add

Array = NDArray[np.float64]

SIDE, WINDOW, COMPONENTS = 40, (9, 8), 12
# Waves repeat after an even number of pixels.
PERIOD = (10, 8)
# Amplitude of smooth waves beside the components of the narrow prior, see docs/bayes.md.
REST = 0.05
POSITIONS = np.random.default_rng(2).integers(0, SIDE, (12, 2))


@pytest.fixture(scope="module")
def prior() -> KernelPrior:
    """Return a prior of few random components, and smooth waves that fade outwards."""
    pixels = np.prod(WINDOW)
    rotation, _ = np.linalg.qr(np.random.default_rng(7).normal(size=(pixels, COMPONENTS)))
    spread = np.logspace(0, -1.5, COMPONENTS)
    return KernelPrior(
        basis=rotation.T.reshape(COMPONENTS, *WINDOW).astype(np.float32),
        spread=(spread / np.linalg.norm(spread)).astype(np.float32),
        profile=np.exp(-np.arange(7) / 3).astype(np.float32),
        spectrum=np.exp(-np.arange(6) / 2).astype(np.float32),
        description={},
    )


def components(prior: KernelPrior) -> Array:
    """Return the components times their spread, (components, pixels)."""
    return (prior.basis * prior.spread[:, None, None]).reshape(COMPONENTS, -1).astype(float)


def smooth_waves(prior: KernelPrior) -> Array:
    """Return white noise filtered with the prior's spectrum, times its envelope: a matrix."""
    rows, cols = (np.arange(size) - size // 2 for size in WINDOW)
    radius = np.hypot(rows[:, None], cols[None, :])
    profile, spectrum = (
        np.maximum(one, 0.1 * one.mean()) for one in (prior.profile, prior.spectrum)
    )
    envelope = np.interp(radius, np.arange(len(profile)), profile)
    waves = np.hypot(*np.meshgrid(*map(np.fft.fftfreq, PERIOD), indexing="ij")) * WINDOW[1]
    power = np.interp(waves, np.arange(len(spectrum)), spectrum)
    units = np.eye(int(np.prod(PERIOD))).reshape(-1, *PERIOD)
    filtered = np.fft.ifft2(np.fft.fft2(units) * np.sqrt(power)).real[:, : WINDOW[0], : WINDOW[1]]
    return (filtered * envelope).reshape(len(units), -1)


def hidden_level(prior: KernelPrior) -> Array:
    """Return a constant and two slopes, twice the prior's level: what a background may hide."""
    means = components(prior).mean(axis=1)
    rows, cols = np.meshgrid(*(np.linspace(-1, 1, size) for size in WINDOW), indexing="ij")
    shapes = np.stack([np.ones(WINDOW), 0.25 * rows, 0.25 * cols]).reshape(3, -1)
    return 2.0 * np.linalg.norm(means) * shapes


class DensePosterior:
    """Kernels under a Gaussian prior of covariance C, whose width maximises the evidence."""

    def __init__(self, covariance: Array, image: Array) -> None:
        units = np.eye(int(np.prod(WINDOW))).reshape(-1, *WINDOW)
        matrix = np.stack([shift_and_add(unit, POSITIONS, image.shape).ravel() for unit in units])
        shown, data = matrix.T @ covariance @ matrix, image.ravel()
        values, vectors = np.linalg.eigh(shown)
        values, squares = values.clip(0), (vectors.T @ data) ** 2

        def cost(ridge: float) -> float:
            power = (squares * ridge / (values + ridge)).sum()
            return float(data.size * np.log(power) + np.log1p(values / ridge).sum())

        ridges = np.logspace(-4, 3, 701)
        costs = [cost(ridge) for ridge in ridges]
        ridge = ridges[np.argmin(costs)]
        inverse = (vectors / (values + ridge)) @ vectors.T
        gain = covariance @ matrix @ inverse
        self.cost = min(costs)
        self.determined = (values / (values + ridge)).sum()
        self.noise = np.sqrt((squares * ridge / (values + ridge)).mean())
        self.kernel = (gain @ data).reshape(WINDOW)
        variance = self.noise**2 / ridge * np.diag(covariance - gain @ matrix.T @ covariance)
        self.std = np.sqrt(variance).reshape(WINDOW)


def draw(prior: KernelPrior, seed: int, noise: float = 0.05) -> tuple[Array, Array]:
    """Draw a kernel from the prior, and its map."""
    rng = np.random.default_rng(seed)
    roots = np.concatenate([components(prior), REST * smooth_waves(prior)])
    kernel = (rng.normal(size=len(roots)) @ roots).reshape(WINDOW)
    clean = shift_and_add(kernel, POSITIONS, (SIDE, SIDE))
    return kernel, clean + noise * rng.normal(size=clean.shape)


def bayes(image: Array, prior: KernelPrior, **choice: object) -> KernelResult:
    """Extract with a prior of our own."""
    parameters = BayesParameters(kernel_shape=WINDOW, background="none", **choice)
    problem = Problem.check(image, Defects(POSITIONS.astype(float)), None, parameters)
    return drive(BayesExtraction(problem, prior))


@pytest.mark.parametrize("seed", [0, 1])
def test_kernel_std_noise_and_evidence_are_those_of_dense_algebra(
    prior: KernelPrior, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The algebra of a prior as it is: all says beforehand that it lacks nothing.
    monkeypatch.setattr(discrepancy, "_PRIOR_NUMBERS", 1e12)
    _, image = draw(prior, seed)
    known, rest = components(prior), REST * smooth_waves(prior)
    level = hidden_level(prior)
    dense = DensePosterior(known.T @ known + rest.T @ rest + level.T @ level, image)
    white = DensePosterior(np.eye(known.shape[1]), image)
    found = bayes(image, prior)
    (chosen,) = found.provenance["priors"]
    assert chosen["prior"] == "simulated kernels, strictly"
    assert np.abs((found.kernel.values - dense.kernel) / dense.std).max() < 0.1
    # `noise_sigma` is estimated otherwise; chi-squared relates it to the residual.
    residual = found.quality.noise_sigma[0] * found.quality.reduced_chi2[0] ** 0.5
    assert residual == pytest.approx(dense.noise, rel=0.01)
    # Eight draws, averaged over neighbouring pixels.
    assert found.std.values.mean() == pytest.approx(dense.std.mean(), rel=0.15)
    share = dense.determined / np.prod(WINDOW)
    assert found.quality.determined[0] == pytest.approx(share, rel=0.1)
    gap = (white.cost - dense.cost) / 2
    # Four random probes of the determinant.
    assert chosen["log_evidence_gap"][WHITE_PRIOR] == pytest.approx(gap, abs=2.0)


def test_kernels_drawn_from_the_prior_are_as_far_off_as_their_std_says(prior: KernelPrior) -> None:
    truth, images = zip(*(draw(prior, seed) for seed in range(100, 110)), strict=True)
    results = [bayes(image, prior) for image in images]
    kernels, stds = ([getattr(one, name).values for one in results] for name in ("kernel", "std"))
    assert_calibrated(kernels, stds, truth)
