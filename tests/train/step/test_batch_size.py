"""The batch is as large as memory allows, and the rate goes with it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from qpi_kernels.progress import drive
from qpi_kernels.train.files.checkpoints import read_checkpoint
from qpi_kernels.train.parameters import TrainingError, TrainingParameters
from qpi_kernels.train.published import published
from qpi_kernels.train.stage_setup import make_accelerator
from qpi_kernels.train.step.batch_size import largest_batch_size, with_batch_size
from qpi_kernels.train.training import Training


class RoomFor(torch.nn.Module):
    """A stage with memory for so many samples."""

    def __init__(self, samples: int) -> None:
        super().__init__()
        self.samples = samples
        self.weight = torch.nn.Parameter(torch.ones(()))

    def latent_shape(self, batch: dict[str, torch.Tensor]) -> tuple[int, ...]:
        return len(batch["kernel"]), 4, 8, 8

    def forward(
        self, batch: dict[str, torch.Tensor], noise: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        if len(noise) > self.samples:
            raise torch.OutOfMemoryError("no room")
        return {"loss": self.weight * batch["kernel"].mean()}


@pytest.mark.parametrize(("room", "size"), [(8, 8), (100, 64), (511, 256), (10**6, 512)])
def test_the_largest_power_of_two_that_fits(tmp_path: Path, room: int, size: int) -> None:
    parameters = TrainingParameters(device="cpu", batch_size=0)
    stage = RoomFor(room)
    accelerator = make_accelerator(parameters, tmp_path)
    assert largest_batch_size(stage, parameters, accelerator) == size
    assert stage.weight.grad is None


def test_no_room_for_a_batch_is_refused_in_words(tmp_path: Path) -> None:
    parameters = TrainingParameters(device="cpu")
    with pytest.raises(TrainingError, match="a batch of 8: choose the preset compact"):
        largest_batch_size(RoomFor(7), parameters, make_accelerator(parameters, tmp_path))


def test_the_rate_grows_with_the_root_of_the_batch() -> None:
    given = TrainingParameters(batch_size=0, learning_rate=1e-3)
    found = with_batch_size(given, 128)
    assert (found.batch_size, found.learning_rate) == (128, pytest.approx(2e-3))
    own = TrainingParameters(batch_size=16)
    assert with_batch_size(own, 128) == own


def test_a_cpu_takes_the_usual_batch_and_resumes_with_it(make, tmp_path: Path) -> None:
    training: Training = make(tmp_path, batch_size=0)
    assert training.parameters.batch_size == 32
    training.step()
    training.save()
    found = read_checkpoint(tmp_path / "kernels")
    assert found is not None
    assert (found.parameters["batch_size"], found.batch_size) == (0, 32)
    drive(make(tmp_path, batch_size=0, resume=True))


def test_the_published_training_counts_epochs() -> None:
    with pytest.raises(TrainingError, match="batch_size"):
        published(batch_size=0)
