"""`TrainingRun`: the stages of a training one after the other, steered from the GUI thread."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from napari_qpi.tasks.job import load_torch
from napari_qpi.tasks.trained_models import models_in
from napari_qpi.tasks.training_folder import StageHistory, latest_stage, read_history
from qpi_kernels.progress import Event, GeneratorStepper
from qpi_kernels.train.parameters import TrainingError, TrainingParameters

if TYPE_CHECKING:
    from qpi_kernels.train.training import Training
    from qpi_kernels.train.validation import Validation

__all__ = ["RunCommand", "TrainingRun"]

# Before the first regular validation, so that one sees at once that something is learnt.
_EARLY_VALIDATIONS = (5, 10)
_PACE_STEPS = 30
_PAUSE_SECONDS = 0.1

_folders_in_use: set[Path] = set()


class RunCommand(Enum):
    """A command to a run under way."""

    GO_ON = "go on"
    PAUSE = "pause"
    NEXT_STAGE = "next stage"
    STOP = "stop and keep the best"
    HALT = "leave a checkpoint"


class TrainingRun(GeneratorStepper[Path]):
    """Train stage after stage; `command` may be set from another thread at any moment.

    Nothing is loaded before the first `step`.

    Parameters
    ----------
    folder : Path
        Where checkpoints and models go.
    stages : sequence of TrainingParameters
        One per stage, in their order. Stages before the last one that was begun in the folder are
        not trained again.
    resume : bool
        Go on from checkpoints; else a folder that has them is refused.

    Attributes
    ----------
    command : RunCommand
        Obeyed after the step that is being made.
    ended : threading.Event
        Set once the run is over, in whatever way, and has written all that it will.
    history : StageHistory or None
        Numbers of the stage under way.
    validation : tuple of (int, Validation) or None
        The last validation and its step.
    """

    def __init__(
        self, folder: Path, stages: Sequence[TrainingParameters], *, resume: bool = False
    ) -> None:
        self.folder = folder.resolve()
        self.stages = tuple(stages)
        self.command = RunCommand.GO_ON
        self.ended = threading.Event()
        self.history: StageHistory | None = None
        self.validation: tuple[int, Validation] | None = None
        self._resume = resume
        self._training: Training | None = None
        self._at = 0
        self._saved = False
        self._in_use = False
        self._steps_made = 0
        self._seconds: deque[float] = deque(maxlen=_PACE_STEPS)

    def step(self) -> Event:
        """Obey the command, or make one optimiser step."""
        with _spare_core():
            return super().step()

    def _run(self) -> Generator[Event, None, Path]:
        """Train stage by stage."""
        try:
            while True:
                yield from self._train_stage()
                if self.last_stage or self.command in (RunCommand.STOP, RunCommand.HALT):
                    return self.folder
                if self.command is RunCommand.NEXT_STAGE:
                    self.command = RunCommand.GO_ON
                self._training, self._steps_made = None, 0
                self._at += 1
        finally:
            self._end()

    # -- what to show -----------------------------------------------------------------------

    @property
    def stage(self) -> TrainingParameters:
        """The stage under way."""
        return self.stages[min(self._at, len(self.stages) - 1)]

    @property
    def last_stage(self) -> bool:
        """True if no stage follows."""
        return self._at >= len(self.stages) - 1

    @property
    def step_number(self) -> int:
        """Steps made in this stage."""
        training = self._training
        return self._steps_made if training is None else training.step_number

    @property
    def seconds_per_step(self) -> float | None:
        """Mean over the last steps, their validations included."""
        seconds = list(self._seconds)
        return sum(seconds) / len(seconds) if seconds else None

    @property
    def seconds_left(self) -> float | None:
        """Until all stages are done, at the present pace."""
        pace = self.seconds_per_step
        if pace is None:
            return None
        following = sum(stage.steps for stage in self.stages[self._at + 1 :])
        return pace * (self.stage.steps - self.step_number + following)

    @property
    def models(self) -> list[Path]:
        """Models in the folder that can extract kernels."""
        return models_in(self.folder)

    # -- parts ------------------------------------------------------------------------------

    def _train_stage(self) -> Generator[Event, None, None]:
        """Train one stage until it is done or a command ends it."""
        if self.command in (RunCommand.STOP, RunCommand.HALT):
            return
        training = self._begin()
        yield self._event()
        while not training.done:
            if self.command is RunCommand.GO_ON:
                yield self._learn(training)
            elif self.command is RunCommand.PAUSE:
                yield self._rest(training)
            else:
                self._finish_early(training)
                return

    def _begin(self) -> Training:
        """Load what the stage needs and show what the network knows so far."""
        from qpi_kernels.train.training import Training

        if self.history is None:
            self._take_folder()
        parameters = self.stage
        self._training = training = Training(
            self.folder, parameters, resume=self._resume or self._at > 0
        )
        self.history = read_history(self.folder, parameters.stage, training.step_number)
        self._seconds.clear()
        # From now on the folder can be resumed, and at this stage.
        training.save()
        self._validate(training)
        return training

    def _take_folder(self) -> None:
        """Lock the folder and open its training."""
        if self.folder in _folders_in_use:
            raise TrainingError(
                f"another training is at work in {self.folder}; wait until it has ended, or choose "
                "another folder"
            )
        _folders_in_use.add(self.folder)
        self._in_use = True
        begun = latest_stage(self.folder, [stage.stage for stage in self.stages])
        if self._resume and begun is not None:
            self._at = [stage.stage for stage in self.stages].index(begun)

    def _learn(self, training: Training) -> Event:
        """Take one training step and record its values."""
        assert self.history is not None
        started = time.monotonic()
        event = training.step()
        self._saved = False
        self.history.add(event.step, event.values)
        if "rmse" in event.values and training.last_validation is not None:
            self.validation = event.step, training.last_validation
        elif event.step in _EARLY_VALIDATIONS:
            self._validate(training)
        self._seconds.append(time.monotonic() - started)
        return event

    def _validate(self, training: Training) -> None:
        assert self.history is not None
        found = training.validate()
        self.history.add(training.step_number, found.values)
        self.validation = training.step_number, found

    def _rest(self, training: Training) -> Event:
        if not self._saved:
            training.save()
            self._saved = True
        time.sleep(_PAUSE_SECONDS)
        return self._event()

    def _finish_early(self, training: Training) -> None:
        if self.command is RunCommand.HALT:
            training.save()
        else:
            training.stop()

    def _event(self) -> Event:
        return Event(self.stage.stage, self.step_number, self.stage.steps)

    def _end(self) -> None:
        """Release the training and its folder."""
        self._steps_made = self.step_number
        if self._training is not None:
            self._training.release()
        # Its memory is free again once the worker has let go of it.
        self._training = None
        if self._in_use:
            _folders_in_use.discard(self.folder)
        self.ended.set()


@contextmanager
def _spare_core() -> Iterator[None]:
    """Leave a core to the window; threads that have to share one wait for each other."""
    load_torch()
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(max(1, min(before, (os.cpu_count() or 1) - 1)))
    try:
        yield
    finally:
        torch.set_num_threads(before)
