"""`Training`: one stage as a stepper that can be stopped and resumed at any moment, exactly."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch.utils.data import DataLoader

from qpi_kernels.devices import choose_device
from qpi_kernels.models.presets import PRESETS
from qpi_kernels.progress import Event
from qpi_kernels.simulate.datasets.batches import Batch
from qpi_kernels.train.checkpoints import Checkpoint, read_checkpoint, write_checkpoint
from qpi_kernels.train.parameters import TrainingError, TrainingParameters
from qpi_kernels.train.stage_setup import make_stage, training_batches, validation_batches
from qpi_kernels.train.stages import Stage
from qpi_kernels.train.validation import Validation, validate

__all__ = ["Training"]


class Training:
    """Trains one stage, an optimiser step at a time.

    Everything that is random depends on the seed and the number of the step alone: the data, the
    latent noise, the initial weights. A checkpoint holds weights, averaged weights and optimiser
    state; a run that was killed and resumes gives the weights of one that was not, bit for bit on
    a CPU with the same number of threads.

    Parameters
    ----------
    folder : path-like
        Where checkpoints, metrics and the finished network go; a folder per stage is made in it.
        The alignment stage looks for the kernel VAE beside it.
    parameters : TrainingParameters
        What to train and how.
    resume : bool
        Go on from the last checkpoint if there is one; else a folder that has one is refused.
    workers : int
        Loader processes that simulate data beside the training; 0 simulates in this process.

    Raises
    ------
    TrainingError
        If the folder holds another run, or an earlier stage is missing.
    """

    def __init__(
        self,
        folder: str | Path,
        parameters: TrainingParameters,
        *,
        resume: bool = False,
        workers: int = 0,
    ) -> None:
        self.parameters = parameters
        self.folder = Path(folder) / parameters.stage
        self.preset = PRESETS[parameters.preset]
        device = choose_device(parameters.device)
        self.accelerator = Accelerator(
            cpu=device.type == "cpu", mixed_precision=parameters.precision
        )
        stage, network = make_stage(Path(folder), parameters, self.preset)
        self.network: Any = network
        self.stage = cast(Stage, stage)
        self._checkpoint = Checkpoint.start(parameters)
        found = read_checkpoint(self.folder)
        if found is not None and not resume:
            raise TrainingError(f"{self.folder} holds a run already; resume it or choose another")
        trained = [weight for weight in network.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.AdamW(
            trained, lr=parameters.learning_rate, weight_decay=parameters.weight_decay
        )
        self.average = EMAModel(trained, decay=parameters.average, use_ema_warmup=True)
        if found is not None:
            found.check(parameters, self.folder)
            self._restore(found)
        self.average.to(self.accelerator.device)
        self._module, self.optimizer = self.accelerator.prepare(stage, self.optimizer)
        self.batches = training_batches(parameters, self.accelerator)
        self._stream = self._start_stream(workers)
        self._validation = validation_batches(parameters)
        self._started = time.monotonic()
        self._stopped = False
        self.last_validation: Validation | None = None

    # -- the stepper ------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """Whether all steps are made, or training no longer gains."""
        state = self._checkpoint
        return self._stopped or state.step >= self.parameters.steps or state.exhausted

    @property
    def result(self) -> Path:
        """The stage's folder, with the best network in ``best``."""
        return self.folder

    @property
    def step_number(self) -> int:
        """Optimiser steps made."""
        return self._checkpoint.step

    @property
    def best(self) -> float:
        """Smallest validation error so far; infinite before the first validation."""
        return self._checkpoint.best

    def stop(self) -> None:
        """Stop after this step and keep the best network so far."""
        self._stopped = True
        self.save()

    def step(self) -> Event:
        """Make one optimiser step; now and then validate and write a checkpoint."""
        number = self._checkpoint.step
        batch = self._moved(next(self._stream))
        rate = self._rate(number)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        losses = self._module(batch, self._noise(batch, number))
        self.accelerator.backward(losses["loss"])
        self.accelerator.clip_grad_norm_(self.network.parameters(), self.parameters.gradient_clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.average.step(self._trained())
        self._checkpoint.step = number + 1
        values = self._averaged(losses)
        values["learning_rate"] = rate
        values |= self._look_around(number + 1, values)
        return Event(
            f"{self.parameters.stage}, step {number + 1}", number + 1, self.parameters.steps, values
        )

    def save(self) -> None:
        """Write a checkpoint of this step."""
        if self.accelerator.is_main_process:
            self._collect()
            write_checkpoint(self.folder, self._checkpoint)

    # -- parts ------------------------------------------------------------------------------

    def _averaged(self, losses: dict[str, torch.Tensor]) -> dict[str, float]:
        """Losses of the global batch: the mean over all processes."""
        mine = torch.stack([value.detach() for value in losses.values()])
        everyone: torch.Tensor = self.accelerator.reduce(mine, reduction="mean")
        return dict(zip(losses, everyone.tolist(), strict=True))

    def _look_around(self, step: int, losses: dict[str, float]) -> dict[str, float]:
        """Validate and save when it is time; return what was measured."""
        last = step >= self.parameters.steps
        values: dict[str, float] = {}
        if step % self.parameters.validate_every == 0 or last:
            found = self.validate()
            values = found.values
            if self._checkpoint.judge(found.values["rmse"]) and self.accelerator.is_main_process:
                self._save_network("best")
            self._log({"step": step, **values, **losses})
        if step % self.parameters.checkpoint_every == 0 or last or self._checkpoint.exhausted:
            self.save()
        return values

    def validate(self) -> Validation:
        """Measure the averaged weights on kernels that training never sees."""
        self.average.store(self._trained())
        self.average.copy_to(self._trained())
        self.network.eval()
        try:
            found = validate(self.stage, map(self._moved, self._validation))
        finally:
            self.network.train()
            self.average.restore(self._trained())
        self.last_validation = found
        return found

    def _trained(self) -> list[torch.nn.Parameter]:
        return [weight for weight in self.network.parameters() if weight.requires_grad]

    def _moved(self, batch: Batch) -> Batch:
        device = self.accelerator.device
        return cast(Batch, {name: cast(Any, value).to(device) for name, value in batch.items()})

    def _noise(self, batch: Batch, step: int) -> torch.Tensor:
        """Latent noise of a step: this process's share of what is drawn for the global batch."""
        share, *shape = self.stage.latent_shape(batch)
        everyone = self.accelerator.num_processes
        generator = torch.Generator().manual_seed(1_000_003 * self.parameters.seed + step)
        noise = torch.randn(share * everyone, *shape, generator=generator)
        first = self.accelerator.process_index * share
        return noise[first : first + share].to(self.accelerator.device)

    def _rate(self, step: int) -> float:
        """Linear warm-up, then half a cosine down to a fiftieth."""
        parameters = self.parameters
        if step < parameters.warmup:
            return parameters.learning_rate * (step + 1) / parameters.warmup
        span = max(parameters.steps - parameters.warmup, 1)
        cosine = 0.5 * (1 + math.cos(math.pi * (step - parameters.warmup) / span))
        return parameters.learning_rate * (0.02 + 0.98 * cosine)

    def _start_stream(self, workers: int) -> Iterator[Batch]:
        loader: DataLoader[Batch] = DataLoader(
            self.batches,
            batch_size=None,
            sampler=range(self._checkpoint.step, self.parameters.steps),
            num_workers=workers,
            persistent_workers=workers > 0,
        )
        return iter(loader)

    # -- checkpoints ------------------------------------------------------------------------

    def _collect(self) -> None:
        state = self._checkpoint
        state.weights = self.network.state_dict()
        state.average = self.average.state_dict()
        state.optimizer = self.optimizer.state_dict()

    def _restore(self, found: Checkpoint) -> None:
        self._checkpoint = found
        self.network.load_state_dict(found.weights)
        self.average.load_state_dict(found.average)
        self.optimizer.load_state_dict(found.optimizer)

    def _save_network(self, name: str) -> None:
        """Write the averaged network as a diffusers folder, whole or not at all."""
        target = self.folder / name
        fresh, old = target.with_name(f".{name}.new"), target.with_name(f".{name}.old")
        self.average.store(self._trained())
        self.average.copy_to(self._trained())
        try:
            self.network.save_pretrained(fresh)
        finally:
            self.average.restore(self._trained())
        if target.exists():
            os.replace(target, old)
        os.replace(fresh, target)
        for leftover in sorted(old.rglob("*"), reverse=True) if old.exists() else []:
            leftover.unlink()
        if old.exists():
            old.rmdir()

    def _log(self, row: dict[str, float]) -> None:
        if self.accelerator.is_main_process:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
                seconds = round(time.monotonic() - self._started, 1)
                file.write(json.dumps({**row, "seconds": seconds}) + "\n")
