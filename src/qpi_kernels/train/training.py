"""`Training`: one stage as a stepper that can be stopped and resumed at any moment, exactly."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, cast

import torch

from qpi_kernels.models.presets import PRESETS, ModelPreset
from qpi_kernels.progress import Event, GeneratorStepper
from qpi_kernels.simulate.datasets.batches import Batch
from qpi_kernels.train.data.batch_stream import Batches, start_stream
from qpi_kernels.train.files.card import StageRecord
from qpi_kernels.train.files.checkpoints import (
    Checkpoint,
    begun_checkpoint,
    replace_folder,
    write_checkpoint,
)
from qpi_kernels.train.files.folder_lock import FolderLock
from qpi_kernels.train.files.metrics_log import MetricsLog
from qpi_kernels.train.kernel_vae import check_kernel_vae, kernel_vae_identity
from qpi_kernels.train.learning_rate import learning_rate
from qpi_kernels.train.parameters import TrainingError, TrainingParameters
from qpi_kernels.train.stage_setup import (
    make_accelerator,
    make_stage,
    move_stage,
    training_batches,
    validation_batches,
)
from qpi_kernels.train.stages import Stage
from qpi_kernels.train.step.averaged_weights import AveragedWeights
from qpi_kernels.train.step.batch_size import chosen_batch_size, with_batch_size
from qpi_kernels.train.step.loss_queue import LossQueue
from qpi_kernels.train.step.optimiser_step import (
    OptimiserStep,
    make_optimizer,
    plain_state,
    restore_state,
)
from qpi_kernels.train.trained_model import MODEL_FOLDERS, write_trained_model
from qpi_kernels.train.validation import Validation, validate

__all__ = ["Training"]

# The last checkpoint lies so many times its own writing time back, where it takes long.
_STEPS_TO_SAVES = 20
_LONG_SECONDS = 0.5


class Training(GeneratorStepper[Path]):
    """Train one stage, an optimiser step at a time.

    Everything that is random depends on the seed and the number of the step alone: the data, the
    latent noise, the initial weights. A checkpoint holds weights, averaged weights and optimiser
    state; a run that was killed and resumes gives the weights of one that was not, bit for bit on
    a CPU with the same number of threads. On a GPU steps are queued ahead of their computation, and
    the losses of an event are those of a step up to eight steps ago; convolutions of float32 run
    in TF32 there, as PyTorch does by default.

    The network to keep lies in ``best`` of the stage's folder. When the run ends or is stopped,
    alignment writes the complete model into ``model`` of `folder`, and the one-step baseline into
    ``one_step_model``; ``extract(..., model=...)`` takes them.

    Parameters
    ----------
    folder : path-like
        Where checkpoints, metrics and the finished network go; a folder per stage is made in it.
        The alignment stage looks for the kernel VAE beside it.
    parameters : TrainingParameters
        What to train and how.
    resume : bool
        Go on from the last checkpoint if there is one; else a folder that has one is refused.
    workers : int, optional
        Processes that simulate data beside the training; 0 simulates in this process. Left out, as
        many as the device wants: none for a CPU. The data are the same.
    batches : Batches, optional
        Data to train on instead of those that the parameters tell: a batch for every step, such as
        `DatasetBatches`. A run that resumes needs the same ones.
    validation : Batches, optional
        Data to validate on instead.
    preset : ModelPreset, optional
        Sizes of the networks instead of those of ``parameters.preset``.

    Raises
    ------
    TrainingError
        If the folder holds another run, another process trains in it, an earlier stage is missing
        or has changed, or there are fewer batches than steps.
    PretrainedError
        If the weights to start from can not be had or do not fit.
    """

    def __init__(
        self,
        folder: str | Path,
        parameters: TrainingParameters,
        *,
        resume: bool = False,
        workers: int | None = None,
        batches: Batches | None = None,
        validation: Batches | None = None,
        preset: ModelPreset | None = None,
    ) -> None:
        self.folder = Path(folder) / parameters.stage
        self.preset = preset or PRESETS[parameters.preset]
        self._stopped = self._stopping = self._ruined = False
        # When the last checkpoint was written and in how many seconds, if that took long.
        self._saved: tuple[float, float] | None = None
        found = begun_checkpoint(self.folder, parameters, resume=resume)
        self.accelerator = make_accelerator(parameters, self.folder)
        device = self.accelerator.device
        stage, network = make_stage(
            Path(folder), parameters, self.preset, resumed=found is not None
        )
        move_stage(stage, device, parameters)
        self.network: Any = network
        self.stage = cast(Stage, stage)
        self._checkpoint = found or Checkpoint.start(parameters)
        if not parameters.batch_size:
            size = self._checkpoint.batch_size
            size = size or chosen_batch_size(stage, parameters, self.accelerator)
            self._checkpoint.batch_size = size
            parameters = with_batch_size(parameters, size)
        self.parameters = parameters
        vae = ""
        if parameters.stage == "alignment":
            vae = kernel_vae_identity(Path(folder), self.preset.representation)
            check_kernel_vae(self._checkpoint.kernel_vae, vae, Path(folder))
            self._checkpoint.kernel_vae = vae
        self.optimizer: Any = make_optimizer(parameters, self._trained(), device)
        self.average = AveragedWeights(self._trained(), parameters.average)
        if found is not None:
            self._restore(found)
        self._module, self.optimizer = self.accelerator.prepare(stage, self.optimizer)
        if self._checkpoint.scaler and self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(self._checkpoint.scaler)
        self._optimise = OptimiserStep(
            self._module,
            self.optimizer,
            self._trained(),
            self.accelerator,
            clip=parameters.gradient_clip,
            compiled=parameters.compile,
        )
        self._losses = LossQueue()
        self.batches = (
            training_batches(parameters, self.accelerator) if batches is None else batches
        )
        self._stream = start_stream(
            self.batches,
            range(self.step_number, parameters.steps),
            workers=workers,
            device=device,
        )
        held_out = validation_batches(parameters) if validation is None else validation
        self._validation = [held_out[number] for number in range(len(held_out))]
        self._record: dict[str, Any] = {
            "own_data": batches is not None,
            "own_sizes": preset,
            "kernel_vae": vae,
        }
        self._lock = FolderLock(self.folder)
        if self.accelerator.is_main_process and not self.done:
            self._lock.take()
        self._log = MetricsLog(self.folder, self.accelerator, self.step_number)
        self._clock_start = time.monotonic() - self._checkpoint.seconds
        self.last_validation: Validation | None = None

    # -- the stepper ------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """True if all steps are made, training no longer gains, or it was stopped."""
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

    @property
    def model_folder(self) -> Path | None:
        """The complete model when the run is done; None before, and for the kernel VAE alone."""
        name = MODEL_FOLDERS.get(self.parameters.stage)
        return self.folder.parent / name if name is not None and self.done else None

    @property
    def captured(self) -> bool:
        """True if steps are replayed as a CUDA graph."""
        return self._optimise.captured

    def stop(self) -> None:
        """Stop after this step; keep the best network so far, or this one if there is none yet."""
        self._measured(wait=True)
        self._stopping = True
        unjudged = self.parameters.keep == "last" or not (self.folder / "best").exists()
        if unjudged and not self.done:
            self._judge({})
        self._stopped = True
        self._write_model()
        self.save()
        self.release()

    def release(self) -> None:
        """Let other processes train in the folder; a run that is done or dropped does so itself.

        Processes that make data end.
        """
        self._lock.release()
        self._stream.close()

    def _run(self) -> Generator[Event, None, Path]:
        """Make the optimiser steps; validate and write checkpoints at their intervals.

        Raises
        ------
        TrainingError
            If the loss has become infinite or not a number.
        """
        while not self.done:
            yield self._advance()
        return self.folder

    def _advance(self) -> Event:
        """Make one optimiser step."""
        number = self._checkpoint.step
        batch = self._moved(next(self._stream))
        rate = learning_rate(self.parameters, number)
        losses = self._optimise(batch, self._noise(batch, number), rate)
        self.average.step()
        self._checkpoint.step = number + 1
        self._losses.put(self._averaged(losses))
        values = {**self._measured(), "learning_rate": rate}
        values |= self._look_around(number + 1, rate)
        message = "; ".join([f"{self.parameters.stage}, step {number + 1}", *self._optimise.notes])
        self._optimise.notes.clear()
        return Event(message, number + 1, self.parameters.steps, values)

    def save(self) -> None:
        """Write a checkpoint of this step.

        Raises
        ------
        TrainingError
            If the loss has become infinite or not a number; the last checkpoint stays.
        """
        self._measured(wait=True)
        if self.accelerator.is_main_process:
            started = time.monotonic()
            self._collect()
            write_checkpoint(self.folder, self._checkpoint)
            seconds = time.monotonic() - started
            self._saved = (started + seconds, seconds) if seconds > _LONG_SECONDS else None

    # -- parts ------------------------------------------------------------------------------

    def _refuse_ruined(self) -> None:
        """Raise if the loss is no longer a number."""
        if self._ruined:
            raise TrainingError(
                f"the loss is no longer a number at step {self.step_number}: train again at a "
                "lower learning rate, or without mixed precision"
            )

    def _averaged(self, losses: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Average the losses over all processes: those of the global batch."""
        if self.accelerator.num_processes == 1:
            return losses
        mine = torch.stack(list(losses.values()))
        everyone: torch.Tensor = self.accelerator.reduce(mine, reduction="mean")
        return dict(zip(losses, everyone, strict=True))

    def _measured(self, *, wait: bool = False) -> dict[str, float]:
        """Read the losses of the last step that is done, or of the last one."""
        values = self._losses.read(wait=wait)
        if not math.isfinite(values.get("loss", 0.0)):
            self._ruined = True
        self._refuse_ruined()
        return values

    def _look_around(self, step: int, rate: float) -> dict[str, float]:
        """Validate and save when it is time; return what was measured."""
        last = step >= self.parameters.steps
        values: dict[str, float] = {}
        if step % self.parameters.validate_every == 0 or last:
            values = self._judge({"learning_rate": rate})
        if self.done:
            # Before the checkpoint that says so: a run that is killed here goes on here.
            self._write_model()
        if self.done or (step % self.parameters.checkpoint_every == 0 and self._may_save()):
            self.save()
        if self.done:
            self.release()
        return values

    def _may_save(self) -> bool:
        """Tell whether checkpoints leave nearly all of the time to the steps."""
        latest = self._saved
        return latest is None or time.monotonic() - latest[0] > _STEPS_TO_SAVES * latest[1]

    def _judge(self, values: dict[str, float]) -> dict[str, float]:
        """Validate, keep the network if it is the one to keep, and log."""
        losses = self._measured(wait=True)
        found = self.validate()
        keep = self._checkpoint.record(found.values["rmse"])
        # Of those that are kept as the last, only the last is written: it may be large.
        passing = self.parameters.keep == "last" and not self.done and not self._stopping
        if keep and not passing and self.accelerator.is_main_process:
            self._save_network("best", found.values)
        row = {"step": self.step_number, **found.values, **losses, **values}
        self._log.write({**row, "seconds": round(time.monotonic() - self._clock_start, 1)})
        return found.values

    def validate(self) -> Validation:
        """Measure the weights to keep on kernels that training never sees."""
        self.network.eval()
        try:
            with self.average.used():
                found = validate(self.stage, map(self._moved, self._validation))
        finally:
            self.network.train()
        self.last_validation = found
        return found

    def _trained(self) -> list[torch.nn.Parameter]:
        """List the weights that are trained."""
        return [weight for weight in self.network.parameters() if weight.requires_grad]

    def _moved(self, batch: Batch) -> Batch:
        """Move a batch to the device."""
        device = self.accelerator.device
        moved = {
            name: cast(Any, value).to(device, non_blocking=True) for name, value in batch.items()
        }
        return cast(Batch, moved)

    def _noise(self, batch: Batch, step: int) -> torch.Tensor:
        """Draw this process's share of a step's latent noise for the global batch."""
        share, *shape = self.stage.latent_shape(batch)
        everyone = self.accelerator.num_processes
        generator = torch.Generator().manual_seed(1_000_003 * self.parameters.seed + step)
        noise = torch.randn(share * everyone, *shape, generator=generator)
        first = self.accelerator.process_index * share
        return noise[first : first + share].to(self.accelerator.device, non_blocking=True)

    # -- what is kept -----------------------------------------------------------------------

    def _collect(self) -> None:
        """Collect weights and states into the checkpoint."""
        state = self._checkpoint
        state.seconds = time.monotonic() - self._clock_start
        state.weights = self.network.state_dict()
        state.average = self.average.state_dict()
        state.optimizer = plain_state(self.optimizer)
        scaler = self.accelerator.scaler
        state.scaler = {} if scaler is None else scaler.state_dict()

    def _restore(self, found: Checkpoint) -> None:
        """Load weights and states of a checkpoint."""
        self.network.load_state_dict(found.weights)
        self.average.load_state_dict(found.average)
        restore_state(self.optimizer, found.optimizer)

    def _save_network(self, name: str, values: dict[str, float]) -> None:
        """Write the network to keep as a diffusers folder, whole or not at all."""
        fresh = self.folder / f".{name}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        with self.average.used():
            self.network.save_pretrained(fresh)
        record = StageRecord.of(self.parameters, self.step_number, values, **self._record)
        record.write(fresh)
        replace_folder(fresh, self.folder / name)

    def _write_model(self) -> None:
        """Write the complete model, where this stage completes one."""
        if self.parameters.stage in MODEL_FOLDERS and self.accelerator.is_main_process:
            write_trained_model(
                self.folder.parent,
                self.parameters.stage,
                validation=self._validation,
                device=self.accelerator.device,
            )
