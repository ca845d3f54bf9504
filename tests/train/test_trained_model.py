"""A finished run leaves a model to use at once, and a card that tells how to repeat it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import pytest
import torch
import typer
from typer.testing import CliRunner

from qpi_kernels.cli.parameter_options import with_parameters
from qpi_kernels.cli.train import with_preset
from qpi_kernels.models.folder import read_model
from qpi_kernels.models.presets import ModelPreset
from qpi_kernels.models.representation import KernelRepresentation
from qpi_kernels.progress import drive
from qpi_kernels.train.calibration import std_factor
from qpi_kernels.train.files.card import StageRecord, code_version, model_card
from qpi_kernels.train.parameters import TrainingParameters
from qpi_kernels.train.published import published
from qpi_kernels.train.trained_model import write_trained_model


def parsed(command: str) -> TrainingParameters:
    """What `napari-qpi train` makes of a command."""
    found = []

    @with_parameters(parameters=TrainingParameters)
    def train(
        *, output: Annotated[Path, typer.Option("-o")], parameters: TrainingParameters
    ) -> None:
        found.append(with_preset(parameters))

    app = typer.Typer()
    app.command()(train)
    program, stage, *arguments = shlex.split(command)
    assert (program, stage) == ("napari-qpi", "train")
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return found[0]


def test_two_stages_make_a_model(make, tmp_path):
    first = make(tmp_path)
    drive(first)
    assert first.model_folder is None
    second = make(tmp_path, stage="alignment", seed=4)
    assert second.model_folder is None
    drive(second)
    assert second.model_folder == tmp_path / "model"
    model = read_model(second.model_folder)
    assert model.method == "two_step"
    assert model.metrics["rmse"] == pytest.approx(second.best)
    kept = model.networks["kernel_vae"].state_dict()
    best = {**first.network.state_dict()}
    assert kept.keys() == best.keys()
    card = (tmp_path / "model" / "README.md").read_text()
    for words in ("--stage kernels", "--stage alignment", "--seed 4", "BSD-3", code_version()):
        assert words in card
    assert "Data that its trainer brought" in card


def test_the_spread_is_measured_where_there_are_data(make, held_out, tmp_path):
    training = make(tmp_path, stage="one-step")
    drive(training)
    model = read_model(tmp_path / "one_step_model")
    assert model.std_factor == pytest.approx(std_factor(model, [held_out[0]]), rel=0.02)
    assert f"{model.std_factor:.3g}" in (tmp_path / "one_step_model" / "README.md").read_text()
    # The data that the caller brought are not there any more.
    again = write_trained_model(tmp_path, "one-step")
    assert read_model(again).std_factor == 1.0
    assert "Nobody has measured" in (again / "README.md").read_text()


def test_the_card_tells_the_data_of_each_stage():
    kernels = StageRecord.of(TrainingParameters(steps=100, batch_size=8), 50, {})
    aligned = StageRecord.of(
        TrainingParameters(stage="alignment", held_out=("elliptic",), larger_maps=0.2, steps=100),
        100,
        {},
    )
    card = model_card("two_step", [kernels, aligned], 10**6, 1.5)
    assert "Stage kernels: 400 simulated kernels of all families of napari-qpi, new" in card
    assert "Stage alignment: 1600 simulated kernels of all families of napari-qpi without" in card
    assert "20% of the batches: 128 x 128" in card
    assert "Maps keep their own" in card
    assert "amplitude of a kernel comes from a fit" in card
    assert "times 1.5" in card
    paper = model_card("one_step", [StageRecord.of(published("one-step"), 3, {})], 10**6)
    assert "Maps and kernels are resampled to 64 x 64 pixels" in paper
    assert "amplitude and offset of a kernel come from a fit" in paper


def test_the_card_does_not_tell_where_the_trainer_keeps_files(tmp_path):
    parameters = TrainingParameters(data=str(tmp_path / "set"), start_from=str(tmp_path / "vae"))
    card = model_card("one_step", [StageRecord.of(parameters, 1, {})], 1)
    assert str(tmp_path) not in card
    assert "--data set" in card
    assert "--start-from vae" in card


def test_sizes_that_the_command_does_not_make_are_said(make, tmp_path):
    drive(make(tmp_path, stage="one-step"))
    assert "these have their own" in (tmp_path / "one_step_model" / "README.md").read_text()


def test_a_record_written_by_hand_counts(make, tmp_path):
    drive(make(tmp_path, stage="one-step"))
    best = tmp_path / "one-step" / "best"
    record = StageRecord.read(best).model_dump(mode="json")
    for name in ("threads", "own_sizes", "kernel_vae"):
        del record[name]
    (best / "training.json").write_text(json.dumps(record | {"software": "commit 0123abc"}))
    card = (write_trained_model(tmp_path, "one-step") / "README.md").read_text()
    assert "threads not recorded, commit 0123abc" in card


def test_the_model_is_of_the_network_that_was_kept(make, tmp_path):
    training = make(tmp_path, stage="one-step", average=0.0, keep="last")
    drive(training)
    model = read_model(tmp_path / "one_step_model")
    assert model.method == "one_step"
    kept = model.networks["one_step"].state_dict()
    for name, value in training.network.state_dict().items():
        torch.testing.assert_close(kept[name], value, rtol=2e-3, atol=1e-4)


def test_stopping_writes_the_model_and_going_on_renews_it(make, tmp_path):
    training = make(tmp_path, stage="one-step")
    training.step()
    training.stop()
    before = read_model(tmp_path / "one_step_model").digest
    drive(make(tmp_path, stage="one-step", resume=True))
    assert read_model(tmp_path / "one_step_model").digest != before
    assert not list(tmp_path.glob(".*"))


def test_sizes_of_ones_own_are_written_and_read(make, tmp_path):
    sizes = ModelPreset(
        name="my own",
        channels=(8, 8, 8, 8),
        layers=1,
        groups=4,
        representation=KernelRepresentation(kind="min_max"),
    )
    drive(make(tmp_path, preset=sizes))
    drive(make(tmp_path, preset=sizes, stage="alignment"))
    model = read_model(tmp_path / "model")
    assert model.representation.kind == "min_max"
    assert model.networks["kernel_vae"].config.block_out_channels == [8, 8, 8, 8]
    assert "preset my own" in (tmp_path / "model" / "README.md").read_text()


def test_a_network_without_a_record_is_told_from_its_checkpoint(make, tmp_path):
    drive(make(tmp_path, stage="one-step", seed=9, validation_samples=4))
    (tmp_path / "one-step" / "best" / "training.json").unlink()
    card = (write_trained_model(tmp_path, "one-step") / "README.md").read_text()
    assert "--seed 9" in card
    assert "software not recorded" in card


@pytest.mark.parametrize(
    "parameters",
    [
        TrainingParameters(steps=7, held_out=("hexagonal_lattice", "rashba"), learning_rate=3e-4),
        TrainingParameters(stage="alignment", start_from="some folder/vae", clean=True, data="a b"),
        published("one-step", seed=3),
        published("kernels", batch_size=32),
    ],
)
def test_the_command_on_the_card_gives_the_same_parameters(parameters):
    record = StageRecord.of(parameters, 7, {})
    assert parsed(record.command) == parameters
