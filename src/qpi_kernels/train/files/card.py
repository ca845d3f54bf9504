"""Record of how a network was trained, and the model card made from it."""

from __future__ import annotations

import json
import shlex
import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field

from qpi_kernels.models.presets import PRESETS, ModelPreset
from qpi_kernels.simulate.datasets.batches import BatchParameters
from qpi_kernels.train.parameters import TrainingParameters, starting_weights

__all__ = ["StageRecord", "code_version", "model_card"]

_FILE = "training.json"


class StageRecord(BaseModel):
    """Record of how a stage's network was made; lies beside its weights as ``training.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    parameters: TrainingParameters = Field(description="every choice")
    step: int = Field(description="optimiser steps made")
    metrics: dict[str, float] = Field(description="errors on held-out kernels")
    software: str = Field(description="version and commit of the code, and PyTorch's version")
    threads: int | None = Field(
        default=None, description="threads of the computation, which change the last bits"
    )
    own_data: bool = Field(default=False, description="whether the caller brought the data")
    own_sizes: ModelPreset | None = Field(
        default=None, description="the sizes of the networks, where they are not the preset's"
    )
    kernel_vae: str = Field(
        default="", description="which kernel VAE an encoder was aligned with, if it is known"
    )

    @classmethod
    def of(
        cls,
        parameters: TrainingParameters,
        step: int,
        metrics: dict[str, float],
        *,
        own_data: bool = False,
        own_sizes: ModelPreset | None = None,
        kernel_vae: str = "",
    ) -> StageRecord:
        """Record a stage, with the code and the threads that are running."""
        return cls(
            parameters=parameters,
            step=step,
            metrics=metrics,
            software=f"{code_version()}, PyTorch {torch.__version__}",
            threads=torch.get_num_threads(),
            own_data=own_data,
            own_sizes=own_sizes,
            kernel_vae=kernel_vae,
        )

    @classmethod
    def read(cls, folder: Path) -> StageRecord | None:
        """Read the record in a network's folder, None if there is none."""
        path = folder / _FILE
        if not path.exists():
            return None
        return cls.model_validate_json(path.read_text(encoding="utf-8"))

    def write(self, folder: Path) -> None:
        """Write the record into a network's folder."""
        text = json.dumps(json.loads(self.model_dump_json()), indent=2)
        (folder / _FILE).write_text(text + "\n", encoding="utf-8")

    @property
    def sizes(self) -> ModelPreset:
        """The sizes of the networks and their representation."""
        return self.own_sizes or PRESETS[self.parameters.preset]

    @property
    def command(self) -> str:
        """The command that trains this stage anew; of a full path it has the name alone."""
        parameters = self.parameters
        # The published values that fill the gaps of ``paper`` depend on the data: all are told.
        usual = TrainingParameters() if parameters.preset == "compact" else None
        words = ["napari-qpi", "train", "--preset", parameters.preset, "--stage", parameters.stage]
        for name, value in parameters:
            if name in ("preset", "stage") or value is None or value == ():
                continue
            if usual is not None and value == getattr(usual, name):
                continue
            option = "--" + name.replace("_", "-")
            if name in ("data", "start_from"):
                value = _without_place(value)
            if isinstance(value, bool):
                words += [option] if value else []
            else:
                words += [option, ",".join(value) if isinstance(value, tuple) else str(value)]
        return shlex.join([*words, "-o", "FOLDER"])


@lru_cache(maxsize=1)
def code_version() -> str:
    """Describe the version of the package, and the commit where it runs from a checkout."""
    try:
        found = version("napari-qpi")
    except PackageNotFoundError:
        found = "not installed"
    commit = _commit(Path(__file__))
    return f"napari-qpi {found}" + (f", commit {commit}" if commit else "")


def model_card(
    method: str, stages: list[StageRecord], parameters: int, std_factor: float | None = None
) -> str:
    """Write the model card of a trained model, in Markdown.

    Parameters
    ----------
    method : str
        ``two_step`` or ``one_step``.
    stages : list of StageRecord
        In the order in which they were trained.
    parameters : int
        Number of the weights.
    std_factor : float, optional
        See `qpi_kernels.train.calibration.std_factor`; None where it was not measured.

    Returns
    -------
    str
        Data, commands, software, errors, limits and licence.
    """
    last = stages[-1]
    errors = "\n".join(
        f"| {stage.parameters.stage} | {name} | {value:.4g} |"
        for stage in stages
        for name, value in stage.metrics.items()
    )
    data = "\n\n".join(f"Stage {stage.parameters.stage}: {_data(stage)}" for stage in stages)
    runs = "\n\n".join(_run(stage) for stage in stages)
    return f"""---
library_name: diffusers
license: bsd-3-clause
tags: [quasiparticle-interference, scanning-tunneling-microscopy]
---

# Kernels of single defects from QPI maps: {method}, preset {last.sizes.name}

Finds the quasiparticle-interference pattern of one defect in a map of many, after arXiv
2506.05325 ({"two-step variational autoencoder" if method == "two_step" else "one-step baseline"}).
{parameters / 1e6:.2f} million weights. Use it with `extract(..., method="{method}",
model="FOLDER")` of napari-qpi.

## Training data

{data}

## How it was made

On a processor of the same type, the same commands with the same software and number of threads
give the same weights; other processors and GPUs round in another way.

{runs}

Seeds: {", ".join(f"{stage.parameters.stage} {stage.parameters.seed}" for stage in stages)}.

## Errors on held-out kernels

In the network's representation of kernels; `rmse` of its amplitude, `correlation` after Pearson.

| stage | measure | value |
|---|---|---|
{errors}

## Standard deviation

{_spread(std_factor)}

## Limits

- {_sizes(last)}
- One kind of defect; strengths of the defects should be alike.
- It knows the kernels that it was trained on. What it gives for other physics looks just as sure:
  compare the residual, and the least-squares estimate, before you believe it.
- The {_fitted(last)} from a fit to the map, not from the network.

## Licence

BSD-3-Clause{_start(stages)}.
"""


def _run(record: StageRecord) -> str:
    """Describe a stage's run and the command that repeats it."""
    count = record.threads
    threads = "threads not recorded" if count is None else f"{count} thread{'s' * (count > 1)}"
    sizes = ""
    if record.own_sizes is not None:
        sizes = (
            " (which makes networks of the preset's sizes; these have their own, see config.json)"
        )
    return (
        f"Stage {record.parameters.stage}, step {record.step} of {record.parameters.steps}, "
        f"{threads}, {record.software}{sizes}:\n\n```\n{record.command}\n```"
    )


def _spread(std_factor: float | None) -> str:
    """Describe the standard deviation that the model gives."""
    if std_factor is None:
        return (
            "The standard deviation is the spread of kernels decoded from samples of the latent. "
            "Nobody has measured whether errors are as large."
        )
    return (
        "The standard deviation is the spread of kernels decoded from samples of the latent, times "
        f"{std_factor:.3g}: on held-out kernels the root mean square error is so many times the "
        "spread. It is right on average over them; for other kernels and maps it may not be."
    )


def _sizes(record: StageRecord) -> str:
    """Describe the sizes of maps and kernels."""
    sizes = record.sizes
    one_step = record.parameters.stage == "one-step"
    if (sizes.baseline_inputs if one_step else sizes.inputs) == "maps":
        return "Maps and kernels are resampled to 64 x 64 pixels; finer detail is lost."
    return (
        "Kernels have 64 x 64 pixels. Maps keep their own; only where the window of the kernel is "
        "larger, both are resampled and finer detail is lost."
    )


def _fitted(record: StageRecord) -> str:
    """Name what is fitted to the map after the network."""
    if record.sizes.representation.kind == "min_max":
        return "amplitude and offset of a kernel come"
    return "amplitude of a kernel comes"


def _without_place(source: str) -> str:
    """Shorten a path of the trainer's machine to its last name; keep a hub id as it is."""
    path = Path(source)
    return path.name if path.is_absolute() or source.startswith("~") else source


def _data(record: StageRecord) -> str:
    """Describe the training data."""
    parameters = record.parameters
    if record.own_data:
        return "Data that its trainer brought; the command below does not have them."
    if parameters.data is not None:
        kind = "clean" if parameters.clean else "noisy, where it has any,"
        return (
            f"The data set `{Path(parameters.data).name}`, {kind} observations, four fifths of its "
            "kernels."
        )
    kernels, seen = parameters.batch_size * record.step, ""
    if parameters.stage != "kernels":
        kernels //= BatchParameters().observations
        seen = (
            f", each in {BatchParameters().observations} observations of 64 x 64 pixels"
            f"{_larger(parameters)} with 1 to {parameters.most_defects} defects, "
            f"{_noise(parameters)}, and marks that are off by {parameters.jitter_px} px"
        )
    without = f" without {', '.join(parameters.held_out)}" if parameters.held_out else ""
    return (
        f"{kernels} simulated kernels of all families of napari-qpi{without}, new ones in every "
        f"batch{seen}. No measured data."
    )


def _noise(parameters: TrainingParameters) -> str:
    if parameters.noise == "mixture":
        return "a random mixture of noise and artefacts"
    return f"white noise of {parameters.noise:g} times the signal"


def _larger(parameters: TrainingParameters) -> str:
    share = parameters.larger_maps
    return f" ({share:.0%} of the batches: 128 x 128)" if share else ""


def _start(stages: list[StageRecord]) -> str:
    sources = {starting_weights(stage.parameters, stage.sizes) for stage in stages} - {None}
    started = sorted(_without_place(str(source)) for source in sources)
    return f"; it started from {', '.join(started)}, whose licence also counts" if started else ""


def _commit(file: Path) -> str:
    """Read the commit of the checkout that has this very file, empty if there is none."""
    try:
        for arguments in (["ls-files", "--error-unmatch", file.name], ["rev-parse", "HEAD"]):
            found = subprocess.run(
                ["git", *arguments], cwd=file.parent, capture_output=True, text=True, check=True
            )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return found.stdout.strip()[:12]
