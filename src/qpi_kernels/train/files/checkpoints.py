"""Checkpoints: all that a training needs to go on as if it had never stopped."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from qpi_kernels.io.atomic_write import replacing
from qpi_kernels.train.parameters import TrainingError, TrainingParameters

__all__ = [
    "Checkpoint",
    "begun_checkpoint",
    "read_checkpoint",
    "replace_folder",
    "restore_folder",
    "resumed_parameters",
    "write_checkpoint",
]

_FILE = "last.pt"
# May change when a run is resumed: it does not alter the steps that were made.
_FREE = {"device", "checkpoint_every"}


@dataclass
class Checkpoint:
    """State of a training after a step."""

    parameters: dict[str, Any]
    step: int = 0
    best: float = float("inf")
    since_best: int = 0
    seconds: float = 0.0
    weights: dict[str, torch.Tensor] = field(default_factory=dict)
    average: dict[str, Any] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    scaler: dict[str, Any] = field(default_factory=dict)
    # See `kernel_vae_identity`; empty in other stages, and where older code wrote it.
    kernel_vae: str = ""
    # Found for the memory; 0 where the parameters give it.
    batch_size: int = 0

    @classmethod
    def start(cls, parameters: TrainingParameters) -> Checkpoint:
        """Return the state before the first step."""
        return cls(json.loads(parameters.model_dump_json()))

    @property
    def exhausted(self) -> bool:
        """True if training has gone without a gain for too long."""
        patience = int(self.parameters["patience"])
        return bool(patience) and self.since_best >= patience

    def record(self, error: float) -> bool:
        """Take note of a validation; True when this network is the one to keep."""
        gained = error < self.best
        self.best = min(error, self.best)
        self.since_best = 0 if gained else self.since_best + 1
        return gained or self.parameters.get("keep") == "last"

    def check(self, parameters: TrainingParameters, folder: Path) -> None:
        """Refuse to go on with other parameters.

        Raises
        ------
        TrainingError
            If a parameter differs that would change the result.
        """
        asked = json.loads(parameters.model_dump_json())
        # A run that is older than a parameter did what is its default.
        made = json.loads(TrainingParameters().model_dump_json()) | self.parameters
        differing = [
            name for name, value in asked.items() if name not in _FREE and made[name] != value
        ]
        if differing:
            raise TrainingError(
                f"{folder} holds a run with another {', '.join(differing)}; resume it with the "
                "same parameters or choose another folder"
            )


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / _FILE) as partial:
        torch.save(vars(checkpoint), partial)


def read_checkpoint(folder: Path) -> Checkpoint | None:
    """Read a folder's checkpoint, None if it has none.

    Raises
    ------
    TrainingError
        If it is damaged. Only tensors and plain values are read, never code.
    """
    path = folder / _FILE
    if not path.exists():
        return None
    try:
        return Checkpoint(**torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:
        raise TrainingError(f"{path} is not a usable checkpoint ({error}); remove it") from error


def begun_checkpoint(
    folder: Path, parameters: TrainingParameters, *, resume: bool
) -> Checkpoint | None:
    """Read the checkpoint to go on from, if there is one.

    Raises
    ------
    TrainingError
        If there is one and the run is not to be resumed, or has other parameters.
    """
    restore_folder(folder / "best")
    found = read_checkpoint(folder)
    if found is None:
        return None
    if not resume:
        raise TrainingError(f"{folder} holds a run already; resume it or choose another")
    found.check(parameters, folder)
    return found


def resumed_parameters(folder: Path, given: TrainingParameters) -> TrainingParameters | None:
    """Fill what was left out with the choices of the run that is resumed.

    Parameters
    ----------
    folder : Path
        Holds the folders of all stages.
    given : TrainingParameters
        Fields that were set count; `Checkpoint.check` refuses those that do not fit the run.

    Returns
    -------
    TrainingParameters or None
        None if the stage has no checkpoint.

    Raises
    ------
    TrainingError
        If the checkpoint is damaged.
    """
    found = read_checkpoint(folder / given.stage)
    if found is None:
        return None
    asked = given.model_dump(exclude_unset=True)
    return TrainingParameters.model_validate({**found.parameters, **asked})


def replace_folder(fresh: Path, target: Path) -> None:
    """Put a finished folder in the place of another, if there is one."""
    old = _replaced(target)
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    fresh.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def restore_folder(target: Path) -> None:
    """Undo a `replace_folder` that was killed half way, when nothing stood in the place."""
    if not target.exists() and _replaced(target).exists():
        _replaced(target).rename(target)


def _replaced(target: Path) -> Path:
    return target.with_name(f".{target.name}.old")
