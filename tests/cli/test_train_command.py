"""``napari-qpi train``: a run is made, stopped by force, and goes on exactly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from qpi_kernels.models.folder import read_model
from qpi_kernels.train.files.checkpoints import read_checkpoint
from qpi_kernels.train.parameters import TrainingParameters
from qpi_kernels.train.training import Training

QUICK = (
    *("--steps", "6", "--batch-size", "8", "--warmup", "1", "--device", "cpu"),
    *("--validate-every", "3", "--validation-samples", "4", "--checkpoint-every", "2"),
)


def test_a_run_ends_with_its_error(run_command, tmp_path):
    done = run_command("train", "-o", tmp_path / "run", *QUICK, "--steps", "2")
    assert done.exit_code == 0, done.output
    assert "kernels: step 2, best error 0." in done.stdout
    assert (tmp_path / "run" / "kernels" / "best" / "config.json").exists()
    again = run_command("train", "-o", tmp_path / "run", *QUICK)
    assert again.exit_code == 1
    assert "resume it or choose another" in again.stderr


def test_a_run_is_resumed_without_its_options(run_command, tmp_path):
    stopped = Training(
        tmp_path,
        TrainingParameters(
            steps=2, batch_size=8, learning_rate=2e-3, validation_samples=4, device="cpu", seed=5
        ),
    )
    stopped.save()
    stopped.release()
    other = run_command("train", "-o", tmp_path, "--resume", "--batch-size", "16")
    assert other.exit_code == 1
    assert "another batch_size;" in other.stderr
    done = run_command("train", "-o", tmp_path, "--resume", "--checkpoint-every", "1")
    assert done.exit_code == 0, done.output
    assert "step 2" in done.stdout
    found = read_checkpoint(tmp_path / "kernels")
    assert (found.parameters["learning_rate"], found.parameters["seed"]) == (2e-3, 5)


def test_alignment_says_what_must_come_first(run_command, tmp_path):
    done = run_command("train", "-o", tmp_path, *QUICK, "--stage", "alignment")
    assert done.exit_code == 1
    assert "train the stage 'kernels'" in done.stderr


def test_a_baseline_is_told_where_it_lies(run_command, tmp_path):
    done = run_command("train", "-o", tmp_path, *QUICK, "--stage", "one-step", "--steps", "1")
    assert done.exit_code == 0, done.output
    assert "one_step_model" in done.stdout
    assert read_model(tmp_path / "one_step_model").method == "one_step"


def test_weights_that_are_not_there_are_told_in_a_line(run_command, tmp_path):
    done = run_command("train", "-o", tmp_path, *QUICK, "--start-from", tmp_path / "nowhere")
    assert done.exit_code == 1
    assert "no such folder" in done.stderr
    assert "Traceback" not in done.stderr


def command(folder: Path, steps: int) -> list[str]:
    options = list(QUICK)
    options[1] = str(steps)
    program = "from qpi_kernels.cli import main; main()"
    return [sys.executable, "-c", program, "train", "-o", str(folder), *options]


@pytest.mark.slow
def test_a_killed_process_resumes_bit_for_bit(tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    steps = 30
    subprocess.run(command(tmp_path / "whole", steps), check=True, env=environment)
    killed = subprocess.Popen(command(tmp_path / "killed", steps), env=environment)
    deadline = time.monotonic() + 120
    while read_checkpoint(tmp_path / "killed" / "kernels") is None:
        assert time.monotonic() < deadline
        assert killed.poll() is None, "it ended before it could be killed"
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    stopped_at = read_checkpoint(tmp_path / "killed" / "kernels")
    assert stopped_at is not None
    assert 0 < stopped_at.step < steps
    subprocess.run([*command(tmp_path / "killed", steps), "--resume"], check=True, env=environment)
    first, second = (read_checkpoint(tmp_path / name / "kernels") for name in ("whole", "killed"))
    assert first is not None
    assert second is not None
    for name, value in first.weights.items():
        assert torch.equal(value, second.weights[name]), name


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["kernels", "one-step"])
def test_two_processes_give_the_losses_of_one(tmp_path, stage):
    """With `accelerate launch`, for the same global batch, within rounding."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    script = tmp_path / "train.py"
    script.write_text("from qpi_kernels.cli import main\n\nmain()\n")
    options = ["train", "--stage", stage, *QUICK, "--validate-every", "1", "--batch-size", "16"]
    launch = [
        *(sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_machines", "1"),
        *("--num_processes", "2", "--mixed_precision", "no", "--dynamo_backend", "no"),
    ]
    subprocess.run(
        [sys.executable, str(script), *options, "-o", str(tmp_path / "one")],
        check=True,
        env=environment,
    )
    subprocess.run(
        [*launch, str(script), *options, "-o", str(tmp_path / "two")], check=True, env=environment
    )
    one, two = (
        [
            json.loads(line)
            for line in (tmp_path / name / stage / "metrics.jsonl").read_text().splitlines()
        ]
        for name in ("one", "two")
    )
    assert len(one) == len(two) == 6
    for first, second in zip(one, two, strict=True):
        for name in ("loss", "squared", "rmse"):
            assert first[name] == pytest.approx(second[name], rel=1e-3), (first["step"], name)
