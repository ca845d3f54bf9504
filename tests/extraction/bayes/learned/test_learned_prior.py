"""The decoder as a prior: better than least squares on its families, out of the way elsewhere."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from qpi_kernels.defects import Defects
from qpi_kernels.devices import full_precision
from qpi_kernels.extraction import ExtractionError, extract, start_extraction
from qpi_kernels.extraction.bayes.convolution_normal import ConvolutionNormal
from qpi_kernels.extraction.bayes.learned import latent_map_estimate, simulated_latents
from qpi_kernels.extraction.bayes.learned.amount_fit import AmountFit
from qpi_kernels.extraction.bayes.learned.decoder import prepare_decoder
from qpi_kernels.extraction.bayes.learned.priors import LEARNED, load_learned_priors
from qpi_kernels.extraction.bayes.parameters import BayesParameters
from qpi_kernels.extraction.bayes.posterior_solver import PosteriorSolver
from qpi_kernels.extraction.bayes.priors.covariance_roots import ComponentRoot
from qpi_kernels.extraction.bayes.priors.library_priors import WHITE_PRIOR
from qpi_kernels.extraction.normal_operator import NormalOperators
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.forward import ForwardModel
from qpi_kernels.metrics import affine_invariant_nrmse
from qpi_kernels.models import load_model
from qpi_kernels.models.folder import KernelModel, write_model
from qpi_kernels.models.kernel_prior import bundled_prior
from qpi_kernels.models.networks import ObservationEncoder, make_kernel_vae
from qpi_kernels.models.presets import ModelPreset
from qpi_kernels.progress import Cancelled, CancelToken, drive, finish
from qpi_kernels.result import KernelResult
from qpi_kernels.simulate.kernel_sampler import KernelSampler
from shared.few_latents import keep_few_directions
from shared.intervals import assert_calibrated
from shared.planted import with_noise

SHAPE = (32, 32)
Array = NDArray[np.float64]


@pytest.fixture(autouse=True, scope="module")
def _forward_derivatives(device: str) -> None:
    if device == "pretended":
        pytest.skip("torch has no forward derivatives on a pretended device")


def kernels(count: int, seed: int = 77, shape: tuple[int, int] = SHAPE) -> Array:
    """Simulate kernels of the network's families that it has not seen, (count, h, w)."""
    library = KernelSampler(["warped_two_fold", "square_lattice"], shape=shape, seed=seed)
    made = np.stack([library.kernel(number).values for number in range(count)])
    return np.asarray(made / np.abs(made).max(axis=(1, 2), keepdims=True))


def observed(truth: Array, defects: Defects, snr: float, side: int = 96, seed: int = 1) -> Array:
    model = ForwardModel(defects, (side, side), truth.shape[-2:])
    return with_noise(model.apply(torch.from_numpy(truth)).numpy(), snr, seed)


def scattered(count: int, side: int = 96, kinds: int = 1) -> Defects:
    positions = np.random.default_rng(count).uniform(0, side - 1, (count, 2))
    return Defects(positions, kind=[f"kind {n % kinds}" for n in range(count)])


@pytest.fixture(scope="module")
def found() -> tuple[Array, Array, KernelResult]:
    """Extract once what several tests look at: kernel, map, result; a search takes seconds."""
    (truth,), defects = kernels(1), scattered(15)
    observation = observed(truth[None], defects, snr=1.0)
    return truth, observation, extract(observation, defects, kernel_shape=SHAPE, prior="learned")


def test_a_kernel_of_its_families_is_found_better(
    found: tuple[Array, Array, KernelResult],
) -> None:
    truth, observation, result = found
    plain = extract(observation, scattered(15), kernel_shape=SHAPE, method="least_squares")
    error, other = (affine_invariant_nrmse(truth, one.kernel.values) for one in (result, plain))
    assert error < 0.6 * other
    assert_calibrated(result.kernel, result.std, truth)


def test_the_result_names_the_prior_and_the_model(
    found: tuple[Array, Array, KernelResult],
) -> None:
    *_, result = found
    (chosen,) = result.provenance["priors"]
    gap = chosen["log_evidence_gap"]
    assert chosen["prior"] in LEARNED
    assert set(gap) == {WHITE_PRIOR, *LEARNED}
    assert min(gap.values()) == 0
    assert gap[WHITE_PRIOR] > 10
    assert result.provenance["model"]["sha256"] == load_model().digest
    (prior,) = (reason for reason in result.quality.reasons if reason.code == "prior")
    assert prior.place in LEARNED


@pytest.fixture(scope="module")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the folder of an untrained network, which is as quick as it is ignorant."""
    torch.manual_seed(0)
    preset = ModelPreset(
        name="small", channels=(8, 8, 8, 8), layers=1, groups=4, inputs="estimates"
    )
    networks = {
        "kernel_vae": make_kernel_vae(preset).eval(),
        "observation_encoder": ObservationEncoder.of_preset(preset).eval(),
    }
    model = KernelModel("two_step", preset.representation, networks)
    return str(write_model(tmp_path_factory.mktemp("models") / "small", model, "A card"))


@pytest.fixture
def few_simulations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show the network few simulated kernels: an untrained one learns nothing from more.

    Nor does it come nearer to a map in more steps.
    """
    monkeypatch.setattr(simulated_latents, "_SIMULATED", 16)
    monkeypatch.setattr(latent_map_estimate, "_MAX_STEPS", 3)


@pytest.mark.usefixtures("few_simulations")
def test_each_bias_is_searched_on_its_own_and_progress_goes_on(small_model: str) -> None:
    truth, defects = kernels(2), scattered(12)
    stack = np.stack([observed(one[None], defects, 5.0, seed=n) for n, one in enumerate(truth)])
    choice = dict(kernel_shape=SHAPE, prior="learned", model=small_model)
    run = start_extraction(stack, defects, **choice)
    fractions = []
    while not run.done:
        fractions.append(run.step().fraction)
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    for found, true in zip(run.result.kernel.values, truth, strict=True):
        assert np.corrcoef(found.ravel(), true.ravel())[0, 1] > 0.95
    for chosen in run.result.provenance["priors"]:
        assert set(chosen["log_evidence_gap"]) == {WHITE_PRIOR, *LEARNED}


def assert_left_to_the_data(model: str) -> None:
    strange = np.random.default_rng(5).normal(size=SHAPE)
    defects = scattered(30)
    observation = observed(strange[None], defects, snr=30.0)
    plain = extract(observation, defects, kernel_shape=SHAPE, method="least_squares")
    found = extract(observation, defects, kernel_shape=SHAPE, prior="learned", model=model)
    assert found.provenance["priors"][0]["prior"] == WHITE_PRIOR
    np.testing.assert_allclose(
        affine_invariant_nrmse(strange, found.kernel.values),
        affine_invariant_nrmse(strange, plain.kernel.values),
        rtol=0.02,
    )


@pytest.mark.usefixtures("few_simulations")
def test_a_kernel_that_it_can_not_make_is_left_to_the_data(small_model: str) -> None:
    assert_left_to_the_data(small_model)


@pytest.mark.slow
def test_a_kernel_that_the_bundled_one_can_not_make_is_left_to_the_data() -> None:
    assert_left_to_the_data("bundled")


def test_each_kind_has_its_own_kernel_in_an_oblong_window(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keep_few_directions(monkeypatch)
    shape = (20, 33)
    truth = kernels(2, shape=shape) * np.array([1.0, -0.3])[:, None, None]
    defects = scattered(40, kinds=2)
    choice = dict(kernel_shape=shape, symmetry="C2")
    observation = observed(truth, defects, snr=3.0)
    plain = extract(observation, defects, method="least_squares", **choice)
    found = extract(observation, defects, prior="learned", **choice)
    assert found.provenance["priors"][0]["prior"] in LEARNED
    for index, true in enumerate(truth):
        assert affine_invariant_nrmse(true, found.kernel.values[index]) < 0.7 * (
            affine_invariant_nrmse(true, plain.kernel.values[index])
        )
    assert_calibrated(found.kernel, found.std, truth)


@pytest.mark.usefixtures("few_simulations")
def test_the_level_of_a_kernel_is_open_under_all_its_priors(small_model: str) -> None:
    truth, defects = kernels(1), scattered(12)
    parameters = BayesParameters(kernel_shape=SHAPE, prior="learned", model=small_model)
    problem = Problem.check(observed(truth, defects, 5.0), defects, None, parameters)
    signal = problem.background.remove(problem.planes(0, 1).values)[0]
    operators = NormalOperators(problem.normal, problem.normal)
    priors = finish(load_learned_priors(problem, bundled_prior()))
    without = replace(priors, level=ComponentRoot(torch.zeros(1, *SHAPE).to(signal)))
    with_level, rest = (
        finish(one.fit(signal, torch.from_numpy(truth).to(signal), operators, ""))
        for one in (priors, without)
    )
    constant = torch.full((1, 1, *SHAPE), 1.0 / truth.size).to(signal)
    strict, broad = (
        float(with_level[name].root.adjoint(constant).square().sum())
        - float(rest[name].root.adjoint(constant).square().sum())
        for name in LEARNED
    )
    assert strict > 0
    assert strict == pytest.approx(broad, rel=1e-3)


@pytest.mark.slow
def test_waves_that_no_network_makes_are_fitted_to_the_map() -> None:
    side = 64
    rows, columns = np.meshgrid(*2 * [np.arange(side) - side // 2], indexing="ij")
    waves = sum(
        np.cos(q * (columns * np.cos(angle) + rows * np.sin(angle)) + phase)
        for q, angle, phase in ((0.5, 0.3, 1.0), (0.9, 1.4, 2.0), (1.2, 2.5, 4.0))
    )
    truth = waves * np.exp(-np.hypot(rows, columns) / 12)
    defects = scattered(20, side=128)
    observation = observed(truth[None], defects, snr=10.0, side=128)
    found = extract(observation, defects, kernel_shape=(side, side), prior="learned")
    assert affine_invariant_nrmse(truth, found.kernel.values) < 0.1
    assert_calibrated(found.kernel, found.std, truth)


@pytest.mark.usefixtures("few_simulations")
def test_a_stop_is_obeyed_while_the_network_is_asked(small_model: str) -> None:
    cancel = CancelToken()

    def stop(event: object) -> None:
        if "network's kernel" in str(event):
            cancel.cancel()

    defects = scattered(12)
    run = start_extraction(
        observed(kernels(1), defects, 5.0),
        defects,
        kernel_shape=SHAPE,
        prior="learned",
        model=small_model,
    )
    with pytest.raises(Cancelled):
        drive(run, stop, cancel)


@pytest.mark.slow
def test_a_window_larger_than_the_networks() -> None:
    truth, defects = kernels(1, seed=7, shape=(66, 66)), scattered(15)
    noisy = observed(truth, defects, snr=4.0)
    found = extract(noisy, defects, kernel_shape=(66, 66), prior="learned")
    plain = extract(noisy, defects, kernel_shape=(66, 66), method="least_squares")
    error, other = (affine_invariant_nrmse(truth[0], one.kernel.values) for one in (found, plain))
    assert error < 0.8 * other


def test_the_decoder_makes_kernels_of_a_window_larger_than_the_networks() -> None:
    truth, defects = kernels(2, seed=7, shape=(66, 66)), scattered(3)
    parameters = BayesParameters(kernel_shape=(66, 66))
    problem = Problem.check(observed(truth[:1], defects, 5.0), defects, None, parameters)
    decoder = finish(prepare_decoder(problem, load_model(device=problem.device)))
    numbers = decoder.numbers_of_kernels(torch.from_numpy(truth).to(problem.device))
    made = decoder.shapes(numbers).detach().cpu().numpy()
    assert decoder.grid.scale > 1
    for kernel, true in zip(made, truth, strict=True):
        assert affine_invariant_nrmse(true, kernel) < 0.4


def test_a_map_that_shows_nothing() -> None:
    found = extract(
        np.full((64, 64), 3.0), [(20, 20), (40, 30)], kernel_shape=SHAPE, prior="learned"
    )
    assert found.provenance["priors"][0]["prior"] == WHITE_PRIOR


def test_refused(tmp_path: Path) -> None:
    with pytest.raises(ExtractionError, match="two_step"):
        extract(
            np.ones((32, 32)),
            [(9, 9)],
            kernel_shape=(9, 9),
            prior="learned",
            model=str(tmp_path / "none"),
        )
    with pytest.raises(ExtractionError, match="prior"):
        extract(np.ones((32, 32)), [(9, 9)], kernel_shape=(9, 9), prior="guessed")


def checked(truth: Array) -> tuple[Problem, torch.Tensor]:
    defects = scattered(15)
    parameters = BayesParameters(kernel_shape=SHAPE, background="offset")
    problem = Problem.check(observed(truth[None], defects, 5.0), defects, None, parameters)
    return problem, problem.background.remove(problem.planes(0, 1).values)[0]


def test_the_misfit_is_that_of_the_map() -> None:
    """Exact at the expansion's point with an approximate operator, and everywhere with an exact."""
    truth = kernels(2)
    problem, left = checked(truth[0])
    shape, other = (torch.from_numpy(one[None]).to(problem.device) for one in truth)
    shown = problem.background.remove(problem.model.apply(shape[None]))[0]
    amount = (shown * left).sum() / shown.square().sum()
    expected = float((left - amount * shown).square().sum())
    for normal, about in (
        (problem.normal, other),
        (ConvolutionNormal(problem.model, problem.coverage), amount * shape),
    ):
        fit = AmountFit(left, NormalOperators(problem.normal, normal), problem.symmetrisation)
        misfit = fit.about(about)
        found = fit.fit(misfit, shape)
        assert found.misfit == pytest.approx(expected, rel=1e-8)
        assert float(found.amounts) == pytest.approx(float(amount), rel=1e-8)
        step = 1e-4 * other
        change = fit.fit(misfit, shape + step).misfit - fit.fit(misfit, shape - step).misfit
        assert change == pytest.approx(2 * float((found.gradient * step).sum()), rel=1e-3)


def test_tangents_are_those_of_the_shapes() -> None:
    problem, _ = checked(kernels(1)[0])
    decoder = finish(prepare_decoder(problem, load_model(device=problem.device)))
    numbers = decoder.numbers_of_kernels(torch.from_numpy(kernels(1)).to(problem.device))
    # All would take seconds; these are of two of the batches that they come in.
    tangents = torch.cat(list(islice(decoder.tangents(numbers[0]), 2)))
    assert tangents.shape[1:] == SHAPE
    for number in (3, len(tangents) - 2):
        step = torch.zeros_like(numbers)
        step[0, number] = 0.05
        with full_precision():  # in TF32, differences so small are rounding
            change = (decoder.shapes(numbers + step) - decoder.shapes(numbers - step))[0] / 0.1
        assert float((tangents[number] - change).norm()) < 0.05 * float(change.norm())


def test_a_prior_with_a_mean_is_the_dense_posterior() -> None:
    problem, left = checked(kernels(1)[0])
    rng = np.random.default_rng(3)
    columns = torch.from_numpy(rng.normal(size=(30, *SHAPE))).to(left)
    mean = torch.from_numpy(kernels(1)).to(left)
    normal = problem.normal
    solver = PosteriorSolver(
        problem, ComponentRoot(columns), NormalOperators(normal, normal), mean=mean
    )
    (posterior,) = finish(solver.solve(left[None]))
    shown = problem.background.remove(problem.model.apply(columns[:, None])).flatten(1)
    rest = left - problem.background.remove(problem.model.apply(mean[None]))[0]
    normal = shown @ shown.T + posterior.ridge * torch.eye(30).to(left)
    numbers = torch.linalg.solve(normal, shown @ rest.flatten())
    expected = mean[0] + torch.einsum("m,myx->yx", numbers, columns)
    torch.testing.assert_close(posterior.kernels[0], expected, rtol=1e-3, atol=1e-4)
    assert posterior.noise_variance >= 0.999 * posterior.ridge
