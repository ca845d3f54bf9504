"""Training stops and goes on exactly, keeps the best, and learns."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from filelock import FileLock
from safetensors.torch import load_file

from qpi_kernels import simulate
from qpi_kernels.models.networks import make_kernel_vae
from qpi_kernels.models.presets import PRESETS, ModelPreset
from qpi_kernels.models.pretrained import PretrainedError
from qpi_kernels.models.representation import KernelRepresentation
from qpi_kernels.progress import drive
from qpi_kernels.train.files.checkpoints import read_checkpoint
from qpi_kernels.train.parameters import TrainingError, TrainingParameters
from qpi_kernels.train.stage_setup import validation_batches
from qpi_kernels.train.training import Training

TINY = ModelPreset(name="tiny", channels=(8, 8, 8, 8), layers=1, groups=4, inputs="estimates")
WEIGHTS = "diffusion_pytorch_model.safetensors"


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found = read_checkpoint(folder)
    assert found is not None
    return found.weights


def rows(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    "changes",
    [
        {"stage": "kernels"},
        {"stage": "one-step"},
        {"average": 0.0, "schedule": "steps", "decay": 0.5, "decay_every": 1, "keep": "last"},
    ],
)
def test_a_run_that_was_killed_gives_the_weights_of_one_that_was_not(make, tmp_path, changes):
    drive(make(tmp_path / "whole", **changes))
    killed = make(tmp_path / "killed", **changes)
    # A checkpoint at step 2, then a step that is lost.
    for _ in range(3):
        killed.step()
    resumed = make(tmp_path / "killed", resume=True, **changes)
    assert resumed.step_number == 2
    drive(resumed)
    whole, killed = (
        tmp_path / name / changes.get("stage", "kernels") for name in ("whole", "killed")
    )
    first, second = weights(whole), weights(killed)
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    first, second = (load_file(folder / "best" / WEIGHTS) for folder in (whole, killed))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.slow
def test_simulated_data_resume_exactly_too(tmp_path):
    parameters = TrainingParameters(
        stage="one-step", steps=2, batch_size=8, warmup=1, validate_every=2,
        validation_samples=4, checkpoint_every=1, device="cpu",
    )  # fmt: skip
    drive(Training(tmp_path / "whole", parameters))
    Training(tmp_path / "killed", parameters).step()
    drive(Training(tmp_path / "killed", parameters, resume=True))
    first, second = (weights(tmp_path / name / "one-step") for name in ("whole", "killed"))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_alignment_needs_the_kernel_vae_and_leaves_it_alone(make, tmp_path):
    with pytest.raises(TrainingError, match="train the stage 'kernels'"):
        make(tmp_path, stage="alignment")
    drive(make(tmp_path))
    before = (tmp_path / "kernels" / "best" / WEIGHTS).read_bytes()
    training = make(tmp_path, stage="alignment")
    event = training.step()
    assert {"mean", "logvar", "squared"} <= event.values.keys()
    drive(training)
    assert before == (tmp_path / "kernels" / "best" / WEIGHTS).read_bytes()


@pytest.mark.slow
def test_the_loss_falls(make, tmp_path):
    events = []
    drive(make(tmp_path, steps=40, learning_rate=1e-2, validate_every=40), events.append)
    losses = [event.values["squared"] for event in events]
    assert sum(losses[-10:]) / 10 < 0.7 * sum(losses[:3]) / 3


def test_the_rate_falls_by_steps(make, tmp_path):
    changes = {"schedule": "steps", "decay": 0.5, "decay_every": 2, "learning_rate": 1e-3}
    training = make(tmp_path, warmup=0, **changes)
    rates = [training.step().values["learning_rate"] for _ in range(4)]
    assert rates == pytest.approx([1e-3, 1e-3, 5e-4, 5e-4])


def test_the_kept_network_is_the_decaying_average_of_the_weights(make, tmp_path):
    training = make(tmp_path, average=0.25, keep="last", learning_rate=1e-2, warmup=0)
    average = {}
    for _ in range(4):
        training.step()
        training.save()
        latest = weights(tmp_path / "kernels")
        share = 0.25 if average else 0.0
        average = {
            name: share * average.get(name, value) + (1 - share) * value
            for name, value in latest.items()
        }
    kept = load_file(tmp_path / "kernels" / "best" / WEIGHTS)
    for name, value in average.items():
        torch.testing.assert_close(kept[name], value, rtol=1e-5, atol=1e-7)
    assert not all(torch.equal(kept[name], value) for name, value in latest.items())


def test_metrics_and_the_best_network_are_kept(make, tmp_path):
    drive(make(tmp_path))
    folder = tmp_path / "kernels"
    assert [row["step"] for row in rows(folder)] == [2, 4]
    assert all(0 < row["rmse"] < 10 for row in rows(folder))
    assert (folder / "best" / "config.json").exists()
    assert {path.name for path in folder.glob(".*")} <= {".lock"}


def test_steps_that_come_again_are_measured_once(make, tmp_path):
    killed = make(tmp_path, checkpoint_every=3, validate_every=1)
    for _ in range(3):
        killed.step()
    # A fourth step, measured but lost with its checkpoint.
    with (tmp_path / "kernels" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "rmse": 1.0}\n{"step": 5, "rm')
    drive(make(tmp_path, checkpoint_every=3, validate_every=1, resume=True))
    assert [row["step"] for row in rows(tmp_path / "kernels")] == [1, 2, 3, 4]
    seconds = [row["seconds"] for row in rows(tmp_path / "kernels")]
    assert seconds == sorted(seconds)


def test_the_last_network_is_kept_when_asked(make, tmp_path):
    # A rate that spoils the network, so that the last is not the best.
    training = make(
        tmp_path, keep="last", average=0.0, learning_rate=1.0, warmup=0, validate_every=1
    )
    drive(training)
    errors = [row["rmse"] for row in rows(tmp_path / "kernels")]
    assert errors[-1] > min(errors) == training.best
    kept = load_file(tmp_path / "kernels" / "best" / WEIGHTS)
    assert all(torch.equal(v, kept[n]) for n, v in weights(tmp_path / "kernels").items())


def test_a_network_that_is_kept_as_the_last_is_written_when_it_is_the_last(make, tmp_path):
    training = make(tmp_path, keep="last", validate_every=1)
    training.step()
    training.step()
    assert not (tmp_path / "kernels" / "best").exists()
    training.stop()
    AutoencoderKL.from_pretrained(tmp_path / "kernels" / "best")


def test_other_parameters_do_not_go_on_with_a_run(make, tmp_path):
    drive(make(tmp_path))
    with pytest.raises(TrainingError, match="holds a run already"):
        make(tmp_path)
    with pytest.raises(TrainingError, match="learning_rate"):
        make(tmp_path, learning_rate=1e-5, resume=True)


def test_a_run_older_than_a_parameter_goes_on(make, tmp_path):
    make(tmp_path).stop()
    path = tmp_path / "kernels" / "last.pt"
    state = torch.load(path, weights_only=True)
    for name in ("schedule", "start_from", "keep"):
        del state["parameters"][name]
    torch.save(state, path)
    assert make(tmp_path, resume=True).step_number == 0


def test_alignment_does_not_go_on_over_another_kernel_vae(make, tmp_path):
    kernels = make(tmp_path)
    kernels.step()
    kernels.stop()
    alignment = make(tmp_path, stage="alignment", validate_every=1)
    alignment.step()
    alignment.save()
    make(tmp_path, stage="alignment", validate_every=1, resume=True)
    drive(make(tmp_path, resume=True))
    with pytest.raises(TrainingError, match="has changed since its alignment began"):
        make(tmp_path, stage="alignment", validate_every=1, resume=True)
    with pytest.raises(TrainingError, match="has changed since its alignment began"):
        alignment.stop()
    assert not (tmp_path / "model").exists()


def test_an_alignment_of_older_code_goes_on(make, tmp_path):
    drive(make(tmp_path))
    make(tmp_path, stage="alignment").stop()
    path = tmp_path / "alignment" / "last.pt"
    state = torch.load(path, weights_only=True)
    for name in ("kernel_vae", "scaler"):
        del state[name]
    torch.save(state, path)
    resumed = make(tmp_path, stage="alignment", resume=True)
    drive(resumed)
    assert resumed.model_folder.exists()
    assert read_checkpoint(tmp_path / "alignment").kernel_vae


def test_alignment_sees_kernels_as_the_kernel_vae_does(make, tmp_path):
    other = TINY.model_copy(update={"representation": KernelRepresentation(kind="min_max")})
    drive(make(tmp_path, preset=other))
    with pytest.raises(TrainingError, match="the same preset"):
        make(tmp_path, stage="alignment")


def test_another_process_in_the_folder_is_refused(make, tmp_path):
    folder = tmp_path / "kernels"
    folder.mkdir()
    (folder / ".lock.json").write_text(json.dumps({"process": 1, "computer": "another"}))
    with (
        FileLock(folder / ".lock"),
        pytest.raises(TrainingError, match=r"process 1 on another .*choose another folder"),
    ):
        make(tmp_path)


def test_the_folder_is_free_when_a_run_is_done_stopped_or_dropped(make, tmp_path):
    training = make(tmp_path)
    lock = tmp_path / "kernels" / ".lock.json"
    assert lock.exists()
    training.stop()
    assert not lock.exists()
    training = make(tmp_path, resume=True)
    training.release()
    assert not lock.exists()
    drive(make(tmp_path, resume=True))
    assert not lock.exists()
    make(tmp_path, resume=True)
    assert not lock.exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="only GPUs scale losses")
def test_the_scale_of_half_precision_resumes(make, tmp_path):
    training = make(tmp_path, precision="fp16", device="cuda")
    training.step()
    training.accelerator.scaler.update(new_scale=256.0)
    training.save()
    expected = training.accelerator.scaler.state_dict()
    resumed = make(tmp_path, precision="fp16", device="cuda", resume=True)
    assert resumed.accelerator.scaler.state_dict() == expected


def test_the_scale_of_half_precision_is_kept(make, tmp_path):
    training = make(tmp_path)
    # What accelerate makes on a GPU.
    training.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
    training.save()
    assert read_checkpoint(tmp_path / "kernels").scaler["scale"] == 256.0
    make(tmp_path, resume=True).step()


@pytest.mark.parametrize("samples", [4, 32, 40, 76, 128])
def test_as_many_kernels_are_validated_as_are_asked_for(samples):
    parameters = TrainingParameters(validation_samples=samples)
    sizes = [len(batch["kernel"]) for batch in validation_batches(parameters)]
    assert sum(sizes) == samples
    assert max(sizes) <= 32


def test_a_damaged_checkpoint_is_refused_in_words(make, tmp_path):
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / "last.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(TrainingError, match="remove it"):
        make(tmp_path, resume=True)


def test_stopping_early_keeps_a_network_and_a_resumable_checkpoint(make, tmp_path):
    training = make(tmp_path)
    training.step()
    training.stop()
    assert training.done
    assert training.best < float("inf")
    AutoencoderKL.from_pretrained(tmp_path / "kernels" / "best")
    assert make(tmp_path, resume=True).step_number == 1


def test_a_replacement_killed_half_way_is_undone(make, tmp_path):
    drive(make(tmp_path))
    (tmp_path / "kernels" / "best").rename(tmp_path / "kernels" / ".best.old")
    make(tmp_path, stage="alignment")
    assert (tmp_path / "kernels" / "best" / "config.json").exists()


def test_training_stops_when_it_no_longer_gains(make, tmp_path):
    training = make(tmp_path, steps=50, learning_rate=1e-12, patience=2, average=0.0)
    drive(training)
    assert training.step_number < 50


def test_a_loss_that_is_no_number_ends_the_run(make, tmp_path):
    training = make(tmp_path, learning_rate=1e30, warmup=0, steps=20, gradient_clip=0.0)
    training.save()
    with pytest.raises(TrainingError, match="lower learning rate"):
        drive(training)
    # The ruined weights do not take the place of the last good ones.
    before = (tmp_path / "kernels" / "last.pt").read_bytes()
    for end in (training.save, training.stop):
        with pytest.raises(TrainingError, match="no longer a number"):
            end()
    assert (tmp_path / "kernels" / "last.pt").read_bytes() == before


def test_too_few_batches_are_refused(tmp_path):
    with pytest.raises(TrainingError, match="0 batches for 4 steps"):
        Training(tmp_path, TrainingParameters(steps=4), batches=[], validation=[])


def test_one_process_trains_with_one_precision_after_another(make, tmp_path):
    make(tmp_path / "first", precision="bf16").step()
    make(tmp_path / "second", precision="no").step()


def test_weights_to_start_from(make, tmp_path):
    torch.manual_seed(5)
    start = make_kernel_vae(PRESETS["compact"])
    start.save_pretrained(tmp_path / "start")
    compact = {"preset": PRESETS["compact"], "start_from": str(tmp_path / "start")}
    training = make(tmp_path / "run", **compact)
    assert torch.equal(training.network.decoder.conv_in.weight, start.decoder.conv_in.weight)
    with pytest.raises(PretrainedError, match="no such folder"):
        make(tmp_path / "other", start_from=str(tmp_path / "nowhere"))
    # A run that resumes has its own.
    training.stop()
    (tmp_path / "start").rename(tmp_path / "gone")
    make(tmp_path / "run", resume=True, **compact)


def test_a_data_set_is_trained_on(tmp_path):
    layout = simulate.ProtocolParameters(kernels=4, observations=5, layout="netcdf")
    drive(simulate.PaperProtocol(tmp_path / "data", layout))
    parameters = TrainingParameters(
        data=str(tmp_path / "data"), stage="one-step", steps=1, batch_size=8, device="cpu"
    )
    training = Training(tmp_path / "run", parameters)
    assert training.batches.kernels.shape == (3, 64, 64)
    drive(training)
    assert training.last_validation is not None
    assert len(training.last_validation.true) == 1


def test_tensorboard_has_the_numbers_where_it_is_installed(make, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    killed = make(tmp_path, validate_every=1)
    for _ in range(3):
        killed.step()
    killed.accelerator.end_training()
    # The checkpoint is of step 2: step 3 comes again.
    drive(make(tmp_path, validate_every=1, resume=True))
    events = EventAccumulator(str(tmp_path / "kernels" / "tensorboard"))
    events.Reload()
    assert [scalar.step for scalar in events.Scalars("rmse")] == [1, 2, 3, 4]
    assert [scalar.value for scalar in events.Scalars("rmse")] == pytest.approx(
        [row["rmse"] for row in rows(tmp_path / "kernels")]
    )


def test_tensorboard_is_not_needed(make, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    drive(make(tmp_path, steps=1))
