"""Training stops and goes on exactly, keeps the best, and learns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL

from qpi_kernels.progress import drive
from qpi_kernels.train.checkpoints import read_checkpoint
from qpi_kernels.train.parameters import TrainingError, TrainingParameters
from qpi_kernels.train.training import Training

SMALL = TrainingParameters(
    steps=4,
    batch_size=8,
    warmup=1,
    validate_every=2,
    validation_samples=4,
    checkpoint_every=2,
    device="cpu",
)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found = read_checkpoint(folder)
    assert found is not None
    return found.weights


@pytest.mark.parametrize("stage", ["kernels", "one-step"])
def test_a_run_that_was_killed_gives_the_weights_of_one_that_was_not(
    tmp_path: Path, stage: str
) -> None:
    parameters = SMALL.model_copy(update={"stage": stage})
    drive(Training(tmp_path / "whole", parameters))
    killed = Training(tmp_path / "killed", parameters)
    # A checkpoint at step 2, then a step that is lost.
    for _ in range(3):
        killed.step()
    resumed = Training(tmp_path / "killed", parameters, resume=True)
    assert resumed.step_number == 2
    drive(resumed)
    first, second = weights(tmp_path / "whole" / stage), weights(tmp_path / "killed" / stage)
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    kept = [
        AutoencoderKL.from_pretrained(tmp_path / name / stage / "best").state_dict()
        if stage == "kernels"
        else {}
        for name in ("whole", "killed")
    ]
    assert all(torch.equal(value, kept[1][name]) for name, value in kept[0].items())


def test_alignment_needs_the_kernel_vae_and_leaves_it_alone(tmp_path: Path) -> None:
    alignment = SMALL.model_copy(update={"stage": "alignment", "steps": 2})
    with pytest.raises(TrainingError, match="train the stage 'kernels'"):
        Training(tmp_path, alignment)
    drive(Training(tmp_path, SMALL))
    before = (tmp_path / "kernels" / "best" / "diffusion_pytorch_model.safetensors").read_bytes()
    training = Training(tmp_path, alignment)
    event = training.step()
    assert {"mean", "logvar", "squared"} <= event.values.keys()
    drive(training)
    after = (tmp_path / "kernels" / "best" / "diffusion_pytorch_model.safetensors").read_bytes()
    assert before == after


def test_the_loss_falls(tmp_path: Path) -> None:
    parameters = SMALL.model_copy(
        update={"steps": 30, "batch_size": 8, "learning_rate": 3e-3, "validate_every": 30}
    )
    events = []
    drive(Training(tmp_path, parameters), events.append)
    losses = [event.values["squared"] for event in events]
    assert sum(losses[-10:]) / 10 < 0.7 * sum(losses[:3]) / 3


def test_metrics_and_the_best_network_are_kept(tmp_path: Path) -> None:
    drive(Training(tmp_path, SMALL))
    folder = tmp_path / "kernels"
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4]
    assert all(0 < row["rmse"] < 10 for row in rows)
    assert (folder / "best" / "config.json").exists()
    assert not list(folder.glob(".*"))


def test_other_parameters_do_not_go_on_with_a_run(tmp_path: Path) -> None:
    drive(Training(tmp_path, SMALL))
    with pytest.raises(TrainingError, match="holds a run already"):
        Training(tmp_path, SMALL)
    with pytest.raises(TrainingError, match="learning_rate"):
        Training(tmp_path, SMALL.model_copy(update={"learning_rate": 1e-5}), resume=True)


def test_a_damaged_checkpoint_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / "last.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(TrainingError, match="remove it"):
        Training(tmp_path, SMALL, resume=True)


def test_stopping_early_keeps_a_resumable_checkpoint(tmp_path: Path) -> None:
    training = Training(tmp_path, SMALL)
    training.step()
    training.stop()
    assert training.done
    assert Training(tmp_path, SMALL, resume=True).step_number == 1


def test_training_stops_when_it_no_longer_gains(tmp_path: Path) -> None:
    parameters = SMALL.model_copy(
        update={"steps": 50, "learning_rate": 1e-12, "patience": 2, "average": 0.0}
    )
    training = Training(tmp_path, parameters)
    drive(training)
    assert training.step_number < 50
