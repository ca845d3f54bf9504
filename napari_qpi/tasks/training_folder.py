"""State of an earlier training, read from its folder to go on with it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qpi_kernels.train.parameters import StageName, TrainingParameters

__all__ = ["FoundRun", "StageHistory", "find_run", "has_run", "latest_stage", "read_history"]

_CHECKPOINT = "last.pt"
_METRICS = "metrics.jsonl"
_KEPT = "best"


@dataclass
class StageHistory:
    """Numbers of one stage to draw: (step, value) each.

    One thread appends while another reads; neither waits for the other.
    """

    stage: StageName
    losses: list[tuple[int, float]] = field(default_factory=list)
    errors: list[tuple[int, float]] = field(default_factory=list)
    correlations: list[tuple[int, float]] = field(default_factory=list)

    def add(self, step: int, values: dict[str, float]) -> None:
        """Take note of what a step or a validation gave."""
        for name, numbers in (
            ("loss", self.losses),
            ("rmse", self.errors),
            ("correlation", self.correlations),
        ):
            if name in values:
                numbers.append((step, values[name]))


@dataclass(frozen=True)
class FoundRun:
    """A training that can be gone on with.

    Parameters
    ----------
    parameters : TrainingParameters
        Of the stage that was under way.
    step : int
        Optimiser steps made.
    best : float
        Smallest validation error; infinite before the first validation.
    own : str
        What a script brought and no folder holds, in words; empty for a run that can go on here.
    """

    parameters: TrainingParameters
    step: int
    best: float
    own: str = ""

    @property
    def finished(self) -> bool:
        """True if all steps of this stage are made."""
        return self.step >= self.parameters.steps


def has_run(folder: Path, stages: Sequence[StageName]) -> bool:
    """Return whether a folder holds a checkpoint of one of these stages; quick."""
    return latest_stage(folder, stages) is not None


def latest_stage(folder: Path, stages: Sequence[StageName]) -> StageName | None:
    """Return the last of these stages that was begun in a folder."""
    begun = (stage for stage in reversed(stages) if (folder / stage / _CHECKPOINT).exists())
    return next(begun, None)


def find_run(folder: Path, stages: Sequence[StageName]) -> FoundRun | None:
    """Read the checkpoint of the last of these stages that was begun; loads torch.

    Raises
    ------
    TrainingError
        If the checkpoint is damaged.
    pydantic.ValidationError
        If it is of a version with other parameters.
    """
    from qpi_kernels.train.files.card import StageRecord
    from qpi_kernels.train.files.checkpoints import read_checkpoint

    stage = latest_stage(folder, stages)
    checkpoint = None if stage is None else read_checkpoint(folder / stage)
    if checkpoint is None:
        return None
    parameters = TrainingParameters.model_validate_json(json.dumps(checkpoint.parameters))
    kept = [StageRecord.read(folder / each / _KEPT) for each in stages]
    own = [
        words
        for words, brought in (
            ("data", any(record is not None and record.own_data for record in kept)),
            ("network sizes", any(record is not None and record.own_sizes for record in kept)),
        )
        if brought
    ]
    return FoundRun(parameters, checkpoint.step, checkpoint.best, " and ".join(own))


def read_history(folder: Path, stage: StageName, steps: int) -> StageHistory:
    """Numbers that a stage logged up to a step; none where the log is missing."""
    history = StageHistory(stage)
    log = folder / stage / _METRICS
    if not log.exists():
        return history
    for line in log.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue  # a process that was killed may have left half a line
        if row["step"] <= steps:
            history.add(row["step"], row)
    return history
