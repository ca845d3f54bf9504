"""Networks behind `extract`: any map, right scale, the same answer each time."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from numpy.typing import NDArray

import qpi_kernels as qk
from qpi_kernels import models
from qpi_kernels.extraction import ExtractionError
from qpi_kernels.forward import ForwardModel
from qpi_kernels.models import KernelModel, write_model
from qpi_kernels.models.networks import ObservationEncoder, OneStepNetwork, make_kernel_vae
from qpi_kernels.models.presets import ModelPreset
from qpi_kernels.models.representation import KernelRepresentation
from qpi_kernels.progress import Cancelled, CancelToken, Event
from qpi_kernels.quality import Quality
from qpi_kernels.result import KernelResult
from shared.shift_and_add import shift_and_add

TINY = ModelPreset(name="compact", channels=(8, 8, 8, 8), layers=1, groups=4, inputs="estimates")


def codes(quality: Quality) -> set[str]:
    return {reason.code for reason in quality.reasons}


@pytest.fixture(scope="module")
def two_step(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Networks with random weights: their kernels mean nothing, but what is done with them does."""
    torch.manual_seed(0)
    networks = {
        "kernel_vae": make_kernel_vae(TINY),
        "observation_encoder": ObservationEncoder.of_preset(TINY),
    }
    model = KernelModel("two_step", KernelRepresentation(), networks)
    return str(write_model(tmp_path_factory.mktemp("models") / "two_step", model, "A card"))


@pytest.fixture(scope="module")
def one_step(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    networks = {"one_step": OneStepNetwork.of_preset(TINY)}
    model = KernelModel("one_step", KernelRepresentation(kind="min_max"), networks)
    return str(write_model(tmp_path_factory.mktemp("models") / "one_step", model, "A card"))


def some_map(
    shape: tuple[int, int] = (70, 66), count: int = 9
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    generator = np.random.default_rng(5)
    return generator.normal(size=shape), generator.uniform(-4, np.array(shape) + 3, (count, 2))


def kernel_of(result: KernelResult) -> NDArray[np.float64]:
    return np.asarray(result.kernel.values)


@pytest.mark.parametrize(
    ("shape", "kernel_shape"),
    [
        *(((64, 64), (21, 32)), ((40, 90), (21, 32)), ((150, 130), (21, 32))),
        *(((64, 64), (64, 64)), ((40, 90), (40, 64)), ((150, 130), (96, 64))),
    ],
)
def test_any_map_and_any_window(
    two_step: str, one_step: str, shape: tuple[int, int], kernel_shape: tuple[int, int]
) -> None:
    observation, positions = some_map(shape)
    for method, model in {"two_step": two_step, "one_step": one_step}.items():
        result = qk.extract(
            observation, positions, kernel_shape=kernel_shape, method=method, model=model, samples=3
        )
        assert result.kernel.shape == kernel_shape
        assert np.isfinite(kernel_of(result)).all()
        assert np.isfinite(result.std.values).all()
        assert (result.std.values > 0).mean() > 0.9
        assert result.quality.r_squared[0] >= -1e-6
        grids = {"network_window", "window_resampled", "network_map", "map_resampled"}
        assert len(codes(result.quality) & grids) == 1


def test_the_kernel_has_the_unit_of_the_map(two_step: str, one_step: str) -> None:
    observation, positions = some_map()
    for method, model in {"two_step": two_step, "one_step": one_step}.items():
        plain = qk.extract(observation, positions, method=method, model=model)
        assert abs(kernel_of(plain)).max() > 1e-3
        again = qk.extract(2e6 * observation + 3e6, positions, method=method, model=model)
        np.testing.assert_allclose(kernel_of(again), 2e6 * kernel_of(plain), rtol=1e-3, atol=20)


def test_no_other_scale_or_offset_fits_better(one_step: str) -> None:
    observation, positions = some_map((64, 64), 20)
    result = qk.extract(
        observation, positions, method="one_step", model=one_step, background="offset"
    )
    defects = qk.Defects(positions)
    model = ForwardModel(defects, (64, 64), (64, 64))
    least = np.square(result.residual.values).sum()
    for change in (
        1.02 * kernel_of(result),
        kernel_of(result) + 0.02 * abs(kernel_of(result)).max(),
    ):
        predicted = model.apply(torch.from_numpy(change)[None]).numpy()
        left = observation - predicted
        assert np.square(left - left.mean()).sum() > least


def test_twice_the_same_and_biases_apart(two_step: str) -> None:
    generator = np.random.default_rng(1)
    stack = generator.normal(size=(6, 64, 64))
    _, positions = some_map((64, 64))
    options = {"method": "two_step", "model": two_step, "kernel_shape": (40, 40)}
    together = qk.extract(stack, positions, **options)
    assert together.kernel.dims == ("bias", "y", "x")
    np.testing.assert_array_equal(
        kernel_of(together), kernel_of(qk.extract(stack, positions, **options))
    )
    alone = qk.extract(stack[5], positions, **options)
    np.testing.assert_allclose(kernel_of(together)[5], kernel_of(alone), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(together.std.values[5], alone.std.values, rtol=1e-2, atol=1e-5)


def test_masked_pixels_do_not_matter(two_step: str) -> None:
    observation, positions = some_map()
    mask = np.ones(observation.shape, bool)
    mask[20:30, 10:25] = False
    spoilt = np.where(mask, observation, 1e3)
    options = {"method": "two_step", "model": two_step, "mask": mask}
    np.testing.assert_allclose(
        kernel_of(qk.extract(spoilt, positions, **options)),
        kernel_of(qk.extract(observation, positions, **options)),
        rtol=1e-6,
    )


def test_symmetry_is_imposed(two_step: str) -> None:
    observation, positions = some_map()
    result = qk.extract(
        observation,
        positions,
        method="two_step",
        model=two_step,
        kernel_shape=(31, 31),
        symmetry="C2",
    )
    np.testing.assert_allclose(kernel_of(result), kernel_of(result)[::-1, ::-1], atol=1e-9)


def test_units_and_history_are_kept(two_step: str, tmp_path: Path) -> None:
    observation, positions = some_map()
    axes = {
        name: (name, 0.25 * np.arange(size), {"units": "nm"})
        for name, size in zip(("y", "x"), observation.shape, strict=True)
    }
    labelled = xr.DataArray(
        observation, dims=("y", "x"), coords=axes, attrs={"units": "nS"}, name="dI/dV"
    )
    result = qk.extract(labelled, positions, method="two_step", model=two_step)
    assert result.kernel.attrs["units"] == "nS"
    np.testing.assert_allclose(np.diff(result.kernel["x"]), 0.25)
    used = result.provenance["model"]
    assert used["source"] == two_step
    assert len(used["sha256"]) == 64
    again = KernelResult.load(result.save(tmp_path / "kernel.nc"))
    assert again.provenance["model"] == used


def test_what_can_not_be_done_is_said(two_step: str, tmp_path: Path) -> None:
    observation, positions = some_map()
    with pytest.raises(ExtractionError, match="use it with method='two_step'"):
        qk.extract(observation, positions, method="one_step", model=two_step)
    with pytest.raises(ExtractionError, match="no model folder"):
        qk.extract(observation, positions, method="two_step", model=str(tmp_path / "nothing"))
    kinds = qk.Defects(positions, ["a", "b", *["a"] * (len(positions) - 2)])
    with pytest.raises(ExtractionError, match="one kind of defect"):
        qk.extract(observation, kinds, method="two_step", model=two_step)


def test_progress_has_one_total_and_an_event_for_each_sample(two_step: str) -> None:
    observation, positions = some_map()
    events: list[Event] = []
    stack = np.stack([observation] * 6)
    qk.extract(
        stack, positions, method="two_step", model=two_step, samples=5, on_event=events.append
    )
    assert len({event.total for event in events}) == 1
    steps = [event.step for event in events]
    assert steps == sorted(steps)
    assert events[-1].fraction == 1.0
    assert sum("Decoding" in event.message for event in events) >= 2 * 5


def test_cancelling_does_not_wait_for_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    loading, cancel = threading.Event(), CancelToken()

    def load_slowly(*_: object, **__: object) -> None:
        loading.set()
        time.sleep(5)

    monkeypatch.setattr(models, "load_model", load_slowly)
    observation, positions = some_map()
    threading.Thread(target=lambda: (loading.wait(), cancel.cancel())).start()
    start = time.monotonic()
    with pytest.raises(Cancelled):
        qk.extract(observation, positions, method="two_step", cancel=cancel)
    assert time.monotonic() - start < 4


class KnownKernel(torch.nn.Module):
    """A network that always finds the same kernel, with the same small doubt."""

    inputs = "estimates"

    def __init__(self, kernel: NDArray[np.float64]) -> None:
        super().__init__()
        self.register_buffer("kernel", torch.from_numpy(kernel).float()[None, None])

    def encode(self, seen: torch.Tensor) -> DiagonalGaussianDistribution:
        latent = seen.new_zeros(len(seen), 2, 8, 8)
        latent[:, 1] = -12.0
        return DiagonalGaussianDistribution(latent)

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        return self.kernel.expand(len(latent), -1, -1, -1) + latent.mean()


def use(monkeypatch: pytest.MonkeyPatch, kernel: NDArray[np.float64], kind: str) -> None:
    """Have the known kernel found, as its representation shows it."""
    representation = KernelRepresentation.model_validate({"kind": kind})
    shown = representation.encode(torch.from_numpy(kernel)).numpy()
    load(monkeypatch, KernelModel("one_step", representation, {"one_step": KnownKernel(shown)}))


def load(monkeypatch: pytest.MonkeyPatch, model: KernelModel) -> None:
    """Have a model loaded, whatever is asked for, on the device that is asked for."""

    def load_model(*_: object, device: torch.device, **__: object) -> KernelModel:
        for network in model.networks.values():
            network.to(device)
        return model

    monkeypatch.setattr(models, "load_model", load_model)


class UncertainKernel(KnownKernel):
    """A network whose kernels scatter with its latent, 64 numbers, along as many patterns."""

    def __init__(self, kernel: NDArray[np.float64], patterns: NDArray[np.float64]) -> None:
        super().__init__(kernel)
        self.register_buffer("patterns", torch.from_numpy(patterns).float())

    def encode(self, seen: torch.Tensor) -> DiagonalGaussianDistribution:
        return DiagonalGaussianDistribution(seen.new_zeros(len(seen), 2, 8, 8))

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        return self.kernel + torch.einsum("vn,nyx->vyx", latent.flatten(1), self.patterns)[:, None]


def test_the_std_is_that_of_the_kernels_a_network_can_not_tell_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Six true kernels are drawn as the network's latent says, with errors 1.3 times its spread."""
    generator = np.random.default_rng(3)
    patterns = 0.002 * generator.normal(size=(64, 64, 64))
    latents = 1.3 * generator.normal(size=(6, 64))
    truths = rings() + np.einsum("pn,nyx->pyx", latents, patterns)
    positions = np.rint(generator.uniform(0, 95, (30, 2)))
    stack = np.stack([shift_and_add(truth, positions, (96, 96)) for truth in truths])
    # So soft that the representation is linear.
    representation = KernelRepresentation(kind="asinh", softness=10)
    scale = np.abs(rings()).max()
    network = UncertainKernel(rings() / scale, patterns / scale)
    model = KernelModel("one_step", representation, {"one_step": network}, std_factor=1.3)
    load(monkeypatch, model)
    result = qk.extract(
        stack, positions, method="one_step", kernel_shape=(64, 64), samples=100, background="none"
    )
    ratio = np.sqrt(np.mean(((result.kernel.values - truths) / result.std.values) ** 2))
    assert 1 / 1.18 < ratio < 1.18


def rings() -> NDArray[np.float64]:
    rows, columns = np.indices((64, 64)) - 32
    radius = np.hypot(rows, columns)
    return np.asarray(np.cos(0.9 * radius) * np.exp(-radius / 6) / (1 + radius) * 3)


@pytest.mark.parametrize("background", ["none", "offset", "plane"])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("kind", ["asinh", "min_max"])
@pytest.mark.parametrize("count", [1, 20])
def test_a_network_that_is_right_gives_the_kernel(
    monkeypatch: pytest.MonkeyPatch, background: str, sign: int, kind: str, count: int
) -> None:
    truth = sign * rings()
    generator = np.random.default_rng(8)
    positions = np.full((1, 2), 32.0) if count == 1 else generator.uniform(0, 63, (count, 2))
    clean = shift_and_add(truth, positions, (64, 64))
    observation = clean + 0.02 * generator.normal(size=(64, 64))
    use(monkeypatch, truth, kind)
    result = qk.extract(observation, positions, method="one_step", background=background)
    # An offset of the kernel can not always be told from the background: its far field is zero.
    assert np.abs(kernel_of(result) - truth).max() < 0.05 * abs(truth).max()
    assert result.quality.trust == "good"


@pytest.mark.parametrize(("noise", "mostly_noise"), [(0.0, False), (0.02, False), (3.0, True)])
def test_the_verdict_on_a_right_kernel(
    monkeypatch: pytest.MonkeyPatch, noise: float, mostly_noise: bool
) -> None:
    generator = np.random.default_rng(8)
    positions = generator.uniform(0, 63, (20, 2))
    model = ForwardModel(qk.Defects(positions), (64, 64), (64, 64))
    clean = model.apply(torch.from_numpy(rings())[None]).numpy()
    observation = clean + noise * clean.std() * generator.normal(size=(64, 64))
    # Not quite the kernel: no network is.
    use(monkeypatch, rings() + 0.01 * generator.normal(size=(64, 64)), "asinh")
    result = qk.extract(observation, positions, method="one_step")
    # A shape of training that the map can not confirm is not trusted.
    assert result.quality.trust == ("uncertain" if mostly_noise else "good")
    assert ("network_mostly_noise" in codes(result.quality)) == mostly_noise


@pytest.mark.parametrize(
    ("noise", "wrong", "code"),
    [(0.1, 0.2, "residual_structure"), (1.0, 0.4, "network_error"), (1.0, 0.0, None)],
)
def test_a_residual_that_refutes_the_expected_error_takes_the_trust_away(
    monkeypatch: pytest.MonkeyPatch, noise: float, wrong: float, code: str | None
) -> None:
    """The network expects an error of about 0.13; the map holds kernel and noise only."""
    generator = np.random.default_rng(8)
    positions = np.rint(generator.uniform(20, 107, (30, 2)))
    clean = shift_and_add(rings(), positions, (128, 128))
    observation = clean + noise * clean.std() * generator.normal(size=(128, 128))
    size = np.sqrt(np.square(rings()).mean())
    rows, columns = np.indices((64, 64)) - 32
    other = np.sin(0.5 * rows) * np.exp(-np.hypot(rows, columns) / 10)
    shown = rings() + wrong * size * other / np.sqrt(np.square(other).mean())
    patterns = 0.13 / 8 * size * generator.normal(size=(64, 64, 64))
    scale = np.abs(rings()).max()
    representation = KernelRepresentation(kind="asinh", softness=10)
    network = UncertainKernel(shown / scale, patterns / scale)
    model = KernelModel("one_step", representation, {"one_step": network})
    load(monkeypatch, model)
    quality = qk.extract(observation, positions, method="one_step", background="none").quality
    assert 0.08 < quality.expected_error < 0.2
    assert quality.trust == ("good" if code is None else "uncertain")
    assert code is None or code in codes(quality)


def test_the_verdict_on_wrong_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(8)
    positions = generator.uniform(0, 63, (20, 2))
    model = ForwardModel(qk.Defects(positions), (64, 64), (64, 64))
    clean = model.apply(torch.from_numpy(rings())[None]).numpy()
    observation = clean + 0.1 * clean.std() * generator.normal(size=(64, 64))
    use(monkeypatch, -rings(), "asinh")
    upside_down = qk.extract(observation, positions, method="one_step").quality
    assert upside_down.trust == "undetermined"
    assert "network_negative" in codes(upside_down)
    use(monkeypatch, np.roll(rings(), 7, axis=0), "asinh")
    elsewhere = qk.extract(observation, positions, method="one_step").quality
    assert elsewhere.trust != "good"
    assert "network_misfit" in codes(elsewhere)
    constant = qk.extract(np.full((64, 64), 2.0), positions, method="one_step").quality
    assert constant.trust == "undetermined"
    assert "no_variance" in codes(constant)
