"""A finished run leaves a model to use at once, and a card that tells how to repeat it."""

from __future__ import annotations

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
from qpi_kernels.train.card import StageRecord, code_version
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
    drive(make(tmp_path, stage="one-step", seed=9))
    (tmp_path / "one-step" / "best" / "training.json").unlink()
    assert "--seed 9" in (write_trained_model(tmp_path, "one-step") / "README.md").read_text()


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
