"""A recorded step is the step; only a GPU records."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from qpi_kernels.progress import drive
from qpi_kernels.train.training import Training

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="only a GPU records steps")


def losses(training: Training) -> list[float]:
    events: list[float] = []
    while not training.done:
        training.step()
        events.append(training._losses.read(wait=True)["loss"])
    return events


@pytest.mark.parametrize("stage", ["kernels", "one-step"])
@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_recorded_gpu_steps_are_the_eager_ones(make, tmp_path: Path, stage, precision) -> None:
    options = {"stage": stage, "steps": 8, "device": "cuda", "precision": precision}
    recorded = make(tmp_path / "recorded", **options)
    eager = make(tmp_path / "eager", **options)
    eager._optimise._captured = None
    first, second = losses(recorded), losses(eager)
    assert recorded.captured
    assert first == pytest.approx(second, rel=1e-3 if precision == "no" else 2e-2)


def test_alignment_is_recorded_on_a_gpu(make, tmp_path: Path) -> None:
    drive(make(tmp_path, device="cuda"))
    training = make(tmp_path, stage="alignment", steps=6, device="cuda")
    drive(training)
    assert training.captured
    assert (tmp_path / "model").exists()


def test_a_gpu_training_is_that_of_the_cpu_and_resumes_on_either(make, tmp_path: Path) -> None:
    options = {"steps": 8, "checkpoint_every": 4, "validate_every": 8, "average": 0.9}
    whole = losses(make(tmp_path / "cpu", **options))
    begun = make(tmp_path / "cuda", device="cuda", **options)
    first = []
    for _ in range(5):
        begun.step()
        first.append(begun._losses.read(wait=True)["loss"])
    begun.release()
    resumed = make(tmp_path / "cuda", device="cpu", resume=True, **options)
    assert resumed.step_number == 4
    assert first[:4] + losses(resumed) == pytest.approx(whole, rel=2e-2)


def test_a_gpu_training_uses_processes_and_ends_them(tmp_path: Path) -> None:
    from qpi_kernels.train.parameters import TrainingParameters

    parameters = TrainingParameters(
        steps=6, batch_size=8, validation_samples=4, device="cuda", average=0.0
    )
    training = Training(tmp_path, parameters, workers=2)
    drive(training)
    assert training.captured
    assert training.best < float("inf")
