"""An optimiser step is that of a plain loop, within less memory too."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from qpi_kernels.train.parameters import TrainingError, TrainingParameters
from qpi_kernels.train.stage_setup import make_accelerator
from qpi_kernels.train.step.optimiser_step import (
    OptimiserStep,
    make_optimizer,
    plain_state,
    restore_state,
)

CPU = torch.device("cpu")
SIZE = 8


class Stage(torch.nn.Module):
    """A convolution with a loss, and memory for so many samples."""

    def __init__(self, room: int = SIZE) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.convolution = torch.nn.Conv2d(1, 3, 3, padding=1)
        with torch.no_grad():
            for weight in self.parameters():
                weight.normal_(generator=generator)
        self.room = room

    def forward(
        self, batch: dict[str, torch.Tensor], noise: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        if len(noise) > self.room:
            raise torch.OutOfMemoryError(f"{len(noise)} samples are too many")
        made = self.convolution(batch["kernel"] + 0.1 * noise)
        loss = (made - batch["kernel"]).square().mean()
        return {"loss": loss, "largest": made.mean()}


def batches(count: int) -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [{"kernel": torch.randn(SIZE, 1, 6, 6, generator=generator)} for _ in range(count)]


NOISE = torch.randn(SIZE, 1, 6, 6, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def accelerator(tmp_path: Path) -> Accelerator:
    return make_accelerator(TrainingParameters(device="cpu"), tmp_path)


def made_step(stage: Stage, accelerator: Accelerator, **options: object) -> OptimiserStep:
    weights = list(stage.parameters())
    optimizer = make_optimizer(TrainingParameters(learning_rate=1e-2), weights, CPU)
    module, optimizer = accelerator.prepare(stage, optimizer)
    return OptimiserStep(module, optimizer, weights, accelerator, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("clip", [0.0, 0.5])
def test_a_step_is_that_of_a_plain_loop(accelerator: Accelerator, clip: float) -> None:
    ours, plain = Stage(), Stage()
    step = made_step(ours, accelerator, clip=clip)
    optimizer = torch.optim.AdamW(plain.parameters(), lr=1e-2, weight_decay=1e-4, fused=True)
    for number, batch in enumerate(batches(4)):
        rate = 1e-2 / (number + 1)
        losses = step(batch, NOISE, rate)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        loss = plain(batch, NOISE)["loss"]
        loss.backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(plain.parameters(), clip)
        optimizer.step()
        assert float(losses["loss"]) == float(loss.detach())
    for one, other in zip(ours.parameters(), plain.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(("room", "portions"), [(4, 2), (3, 4), (1, 8)])
def test_too_large_a_batch_is_computed_in_portions(
    accelerator: Accelerator, room: int, portions: int
) -> None:
    whole, small = Stage(), Stage(room)
    steps = [made_step(stage, accelerator, clip=1.0) for stage in (whole, small)]
    for batch in batches(3):
        expected, found = (step(batch, NOISE, 1e-2) for step in steps)
        for name, value in expected.items():
            assert float(found[name]) == pytest.approx(float(value), rel=1e-5, abs=1e-6)
    assert steps[1].portions == portions
    assert f"{SIZE // portions} at a time" in steps[1].notes[-1]
    for one, other in zip(whole.parameters(), small.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_memory_for_not_even_one_sample_is_refused_in_words(accelerator: Accelerator) -> None:
    with pytest.raises(TrainingError, match=r"batch of 1: choose a smaller batch_size.*too many"):
        made_step(Stage(0), accelerator)(batches(1)[0], NOISE, 1e-2)


def test_a_state_fits_weights_in_another_order_in_memory() -> None:
    layouts = (torch.contiguous_format, torch.channels_last)
    images = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    made = torch.nn.Conv2d(3, 4, 3)
    for layout in layouts:
        before = copy.deepcopy(made).to(memory_format=layout)
        optimizer = make_optimizer(TrainingParameters(), list(before.parameters()), CPU)
        before(images).square().mean().backward()
        optimizer.step()
        state = copy.deepcopy(plain_state(optimizer))
        for other in layouts:
            after = copy.deepcopy(made).to(memory_format=other)
            resumed = make_optimizer(TrainingParameters(), list(after.parameters()), CPU)
            restore_state(resumed, state)
            found, expected = (
                one.state[weights.weight]
                for one, weights in ((resumed, after), (optimizer, before))
            )
            for name in ("exp_avg", "exp_avg_sq"):
                assert torch.equal(found[name], expected[name])
                assert found[name].stride() == after.weight.stride()
            assert found["step"] == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_steps_go_on_uncompiled_where_there_is_no_compiler(accelerator: Accelerator) -> None:
    import torch._inductor.config as inductor

    plain, stage = Stage(), Stage()
    with inductor.patch({"cpp.cxx": ("no-such-compiler",), "force_disable_caches": True}):
        step = made_step(stage, accelerator, compiled=True)
        made_step(plain, accelerator)(batches(1)[0], NOISE, 1e-2)
        step(batches(1)[0], NOISE, 1e-2)
    (note,) = step.notes
    assert note.startswith("steps are not compiled (")
    assert torch.equal(plain.convolution.weight, stage.convolution.weight)
