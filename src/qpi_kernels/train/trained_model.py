"""A finished training as a model folder that `extract` takes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL

from qpi_kernels.models.folder import KernelModel, write_model
from qpi_kernels.models.networks import ObservationEncoder, OneStepNetwork
from qpi_kernels.train.calibration import std_factor
from qpi_kernels.train.data.batch_stream import Batches
from qpi_kernels.train.files.card import StageRecord, model_card
from qpi_kernels.train.files.checkpoints import read_checkpoint, replace_folder
from qpi_kernels.train.kernel_vae import check_kernel_vae, kernel_vae_identity
from qpi_kernels.train.parameters import StageName, TrainingParameters
from qpi_kernels.train.stage_setup import validation_batches

__all__ = ["MODEL_FOLDERS", "write_trained_model"]

MODEL_FOLDERS: dict[StageName, str] = {"alignment": "model", "one-step": "one_step_model"}
"""Folder of the model that a stage completes; the kernel VAE alone is none."""

# Within a percent of what more give, and stopping a training does not take long.
_SAMPLES = 4


def write_trained_model(
    folder: str | Path,
    stage: StageName,
    *,
    validation: Batches | None = None,
    device: str | torch.device = "cpu",
) -> Path:
    """Write the kept networks of a training as a model folder, in the place of an earlier one.

    How far the networks' own spread is from their errors is measured on held-out kernels, see
    `std_factor`. A ``training.json`` beside a network's weights tells how it was made; without one
    the card says what the checkpoint knows.

    Parameters
    ----------
    folder : path-like
        Holds the folders of all stages.
    stage : str
        ``alignment``: the kernel VAE and the observation encoder; ``one-step``: the baseline.
    validation : Batches, optional
        Held-out data; left out, those that the parameters of the training tell. For a training on
        data that its caller brought there are none then, and the spread stays as it is.
    device : str or torch.device
        Where the spread is measured.

    Returns
    -------
    Path
        ``model`` or ``one_step_model`` in `folder`.

    Raises
    ------
    OSError
        If a stage has kept no network yet, or the data set that it was trained on is gone.
    TrainingError
        If the encoder was aligned with another kernel VAE.
    """
    folder = Path(folder)
    networks: dict[str, Any]
    if stage == "one-step":
        stages: list[StageName] = ["one-step"]
        networks = {"one_step": _network(OneStepNetwork, folder, "one-step")}
    else:
        stages = ["kernels", "alignment"]
        networks = {
            "kernel_vae": _network(AutoencoderKL, folder, "kernels"),
            "observation_encoder": _network(ObservationEncoder, folder, "alignment"),
        }
    records = [_record(folder / one) for one in stages]
    last = records[-1]
    representation = last.sizes.representation
    if stage == "alignment":
        check_kernel_vae(last.kernel_vae, kernel_vae_identity(folder, representation), folder)
    model = KernelModel(
        "one_step" if stage == "one-step" else "two_step",
        representation,
        {name: network.to(device) for name, network in networks.items()},
        metrics=last.metrics,
    )
    if validation is None and not last.own_data:
        validation = validation_batches(last.parameters)
    if validation is not None:
        held_out = [validation[number] for number in range(len(validation))]
        model = replace(model, std_factor=std_factor(model, held_out, _SAMPLES))
    number = sum(weight.numel() for made in networks.values() for weight in made.parameters())
    target = folder / MODEL_FOLDERS[stage]
    fresh = target.with_name(f".{target.name}.next")
    shutil.rmtree(fresh, ignore_errors=True)
    factor = None if validation is None else model.std_factor
    write_model(fresh, model, model_card(model.method, records, number, factor))
    replace_folder(fresh, target)
    return target


def _network(made: Any, folder: Path, stage: StageName) -> Any:
    """Read a stage's kept network."""
    return made.from_pretrained(folder / stage / "best", use_safetensors=True).eval()


def _record(folder: Path) -> StageRecord:
    """Read how a stage was trained, from its record or its checkpoint."""
    found = StageRecord.read(folder / "best")
    if found is not None:
        return found
    checkpoint = read_checkpoint(folder)
    if checkpoint is None:
        raise FileNotFoundError(f"{folder} does not tell how its network was trained")
    return StageRecord(
        parameters=TrainingParameters.model_validate(checkpoint.parameters),
        step=checkpoint.step,
        metrics={"rmse": checkpoint.best},
        software="software not recorded",
    )
