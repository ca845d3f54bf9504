"""Steps per second of a training on any device, beside those of a bare loop."""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, Field

from qpi_kernels.devices import choose_device
from qpi_kernels.models.networks import make_kernel_vae
from qpi_kernels.models.presets import PRESETS
from qpi_kernels.simulate.datasets.batches import Batch
from qpi_kernels.train.data.batch_stream import Batches, start_stream, worker_count
from qpi_kernels.train.data.device_batches import DeviceBatches
from qpi_kernels.train.dataset_batches import DatasetBatches
from qpi_kernels.train.parameters import StageName, TrainingParameters
from qpi_kernels.train.published import published
from qpi_kernels.train.stage_setup import make_accelerator, training_batches
from qpi_kernels.train.training import Training

__all__ = ["TrainingRate", "published_hours", "simulator_rate", "training_rates"]

Precision = Literal["no", "bf16"]
PresetName = Literal["compact", "paper"]

_STAGES: tuple[StageName, ...] = ("kernels", "alignment", "one-step")
_BATCH_SIZES = (8, 32, 64)
_KERNELS, _OBSERVATIONS, _SIDE = 80, 4, 64
# Libraries are set up, the step is recorded.
_FIRST_STEPS = 4
_MIN_STEPS = 3


class TrainingRate(BaseModel):
    """Rate of one stage in one precision at one batch size."""

    stage: StageName
    precision: Precision
    batch_size: int
    steps_per_s: float = Field(description="of the training, its data included")
    bare_steps_per_s: float = Field(
        description="of forward, backward and AdamW on one batch, an operation after the other"
    )
    samples_per_s: float = Field(description="of the training")
    peak_mib: float = Field(description="device memory of the training; 0 on a CPU")
    captured: bool = Field(description="whether the step is a CUDA graph")
    notes: list[str] = Field(description="what went otherwise than asked")


def training_rates(
    device: str = "auto",
    *,
    preset: PresetName = "paper",
    stages: Sequence[StageName] = _STAGES,
    precisions: Sequence[Precision] = ("no", "bf16"),
    batch_sizes: Sequence[int] = _BATCH_SIZES,
    seconds: float = 1.0,
    compiled: bool = False,
) -> Iterator[TrainingRate]:
    """Time trainings on a data set in memory, as the published training has one.

    Parameters
    ----------
    device : str
        See `choose_device`.
    preset : str
        Sizes of the networks, which start from random weights.
    stages, precisions, batch_sizes : sequence
        What to time.
    seconds : float
        Time of each measurement; three steps at least.
    compiled : bool
        See `TrainingParameters.compile`.

    Yields
    ------
    TrainingRate
        As soon as it is measured.
    """
    with tempfile.TemporaryDirectory() as folder:
        make_kernel_vae(PRESETS[preset]).save_pretrained(Path(folder) / "kernels" / "best")
        for stage in stages:
            for precision in precisions:
                parameters = TrainingParameters.model_validate(
                    {
                        "preset": preset,
                        "stage": stage,
                        "start_from": "scratch",
                        "precision": precision,
                        "device": device,
                        "average": 0.0,
                        "decoded_weight": 0.0,
                        "compile": compiled,
                        "steps": 10**6,
                        "validate_every": 10**6,
                        "checkpoint_every": 10**6,
                    }
                )
                yield from _stage_rates(Path(folder), parameters, batch_sizes, seconds)


def simulator_rate(
    device: str = "auto",
    *,
    stage: StageName = "alignment",
    batch_size: int = 64,
    workers: int | None = None,
    seconds: float = 3.0,
) -> dict[str, float]:
    """Time the simulation of training data for a device, without any training.

    Parameters
    ----------
    device, stage, batch_size
        As in `training_rates`.
    workers : int, optional
        See `start_stream`.
    seconds : float
        Time of the measurement.

    Returns
    -------
    dict
        ``workers``; ``first_s``, seconds to the first batch; ``maps_per_s`` after that.
    """
    parameters = TrainingParameters(
        preset="paper", stage=stage, batch_size=batch_size, device=device
    )
    batches = training_batches(parameters, make_accelerator(parameters, Path()))
    here = choose_device(device)
    count = worker_count(batches, here) if workers is None else workers
    started = time.perf_counter()
    stream = start_stream(batches, range(len(batches)), workers=count, device=here)
    next(stream)
    first = time.perf_counter() - started
    # What was made while all processes started.
    for _ in range(2 * count):
        next(stream)
    made, seconds_taken = _repeated(lambda: next(stream), seconds, here)
    stream.close()
    return {
        "workers": float(count),
        "first_s": first,
        "maps_per_s": made * batch_size / seconds_taken,
    }


def published_hours(rates: Sequence[TrainingRate], precision: Precision) -> dict[StageName, float]:
    """Compute the hours of the published training's stages from measured steps.

    Parameters
    ----------
    rates : sequence of TrainingRate
        Of the preset ``paper``.
    precision : str
        Which of them.

    Returns
    -------
    dict
        Hours of each stage that was measured at the published batch size.
    """
    hours: dict[StageName, float] = {}
    for rate in rates:
        protocol = published(rate.stage)
        if rate.precision == precision and rate.batch_size == protocol.batch_size:
            hours[rate.stage] = protocol.steps / rate.steps_per_s / 3600
    return hours


def _stage_rates(
    folder: Path, parameters: TrainingParameters, batch_sizes: Sequence[int], seconds: float
) -> Iterator[TrainingRate]:
    """Time one stage in one precision at all batch sizes."""
    device = choose_device(parameters.device)
    source = _Switched(_random_data(8, 1))
    target = folder / f"{parameters.stage}-{parameters.precision}"
    if parameters.stage == "alignment":
        target.mkdir()
        (target / "kernels").symlink_to(folder / "kernels", target_is_directory=True)
    training = Training(
        target, parameters, batches=source, validation=_random_data(8, 1), workers=0
    )
    for size in batch_sizes:
        data = _random_data(size, parameters.steps)
        source.batches = data if device.type == "cpu" else DeviceBatches(data, device)
        _reset_peak(device)
        for _ in range(_FIRST_STEPS if device.type == "cuda" else 1):
            notes = training.step().message.split("; ")[1:]
        steps, ours = _repeated(training.step, seconds, device)
        peak = torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else 0.0
        bare = _bare_step(training, source.batches[0])
        bare()
        bare_steps, theirs = _repeated(bare, seconds, device)
        yield TrainingRate(
            stage=parameters.stage,
            precision=parameters.precision,  # type: ignore[arg-type]
            batch_size=size,
            steps_per_s=steps / ours,
            bare_steps_per_s=bare_steps / theirs,
            samples_per_s=size * steps / ours,
            peak_mib=peak,
            captured=training.captured,
            notes=notes,
        )
    training.release()
    # Recorded steps refer to themselves, and would count in the next peak.
    del training, bare
    gc.collect()


class _Switched:
    """Batches of a source that is changed while they are read."""

    def __init__(self, batches: Batches) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return 10**6

    def __getitem__(self, step: int) -> Batch:
        return self.batches[step]


def _random_data(batch_size: int, steps: int) -> DatasetBatches:
    """Make a small data set of random numbers in the layout of the published one."""
    rng = np.random.default_rng(0)
    shape = (_KERNELS, _OBSERVATIONS, _SIDE, _SIDE)
    return DatasetBatches(
        rng.standard_normal((_KERNELS, _SIDE, _SIDE), np.float32),
        rng.standard_normal(shape, np.float32),
        rng.random(shape, np.float32) > 0.99,
        np.arange(_KERNELS) % 5,
        batch_size=batch_size,
        steps=steps,
    )


def _bare_step(training: Training, given: Batch) -> Callable[[], None]:
    """Make the loop that a training is compared with: the same model and loss on one batch."""
    stage: Any = training.stage
    device = training.accelerator.device
    weights = [weight for weight in training.network.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-6, fused=True)
    batch: Any = {name: value.to(device) for name, value in given.items()}  # type: ignore[attr-defined]
    noise = torch.randn(stage.latent_shape(batch)).to(device)
    mixed = training.parameters.precision == "bf16"

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16) if mixed else nullcontext():
            loss = type(stage).forward(stage, batch, noise)["loss"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def _repeated(
    work: Callable[[], object], seconds: float, device: torch.device
) -> tuple[int, float]:
    """Repeat work for some time; return how often and how long, to the end of the last."""
    _wait(device)
    started, count = time.perf_counter(), 0
    while count < _MIN_STEPS or time.perf_counter() - started < seconds:
        work()
        count += 1
    _wait(device)
    return count, time.perf_counter() - started


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
