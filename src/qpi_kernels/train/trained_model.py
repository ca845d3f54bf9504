"""A finished training as a model folder that `extract` takes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKL

from qpi_kernels.models.folder import KernelModel, write_model
from qpi_kernels.models.networks import ObservationEncoder, OneStepNetwork
from qpi_kernels.train.card import StageRecord, model_card
from qpi_kernels.train.checkpoints import read_checkpoint, replace_folder
from qpi_kernels.train.parameters import StageName, TrainingParameters

__all__ = ["MODEL_FOLDERS", "write_trained_model"]

MODEL_FOLDERS: dict[StageName, str] = {"alignment": "model", "one-step": "one_step_model"}
"""Folder of the model that a stage completes; the kernel VAE alone is none."""


def write_trained_model(folder: str | Path, stage: StageName) -> Path:
    """Write the kept networks of a training as a model folder, in the place of an earlier one.

    Parameters
    ----------
    folder : path-like
        Holds the folders of all stages.
    stage : str
        ``alignment``: the kernel VAE and the observation encoder; ``one-step``: the baseline.

    Returns
    -------
    Path
        ``model`` or ``one_step_model`` in `folder`.

    Raises
    ------
    OSError
        If a stage has kept no network yet.
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
    model = KernelModel(
        "one_step" if stage == "one-step" else "two_step",
        records[-1].sizes.representation,
        networks,
        metrics=records[-1].metrics,
    )
    number = sum(weight.numel() for made in networks.values() for weight in made.parameters())
    target = folder / MODEL_FOLDERS[stage]
    fresh = target.with_name(f".{target.name}.next")
    shutil.rmtree(fresh, ignore_errors=True)
    write_model(fresh, model, model_card(model.method, records, number))
    replace_folder(fresh, target)
    return target


def _network(made: Any, folder: Path, stage: StageName) -> Any:
    return made.from_pretrained(folder / stage / "best", use_safetensors=True).eval()


def _record(folder: Path) -> StageRecord:
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
        threads=1,
    )
