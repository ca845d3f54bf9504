"""`Train`: the dock widget that trains the networks and shows them learn."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import napari
from napari.utils.notifications import show_error, show_info
from pydantic import ValidationError
from qtpy.QtCore import QEventLoop, QTimer, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QApplication, QHBoxLayout, QLabel, QMessageBox, QPushButton

from napari_qpi.tasks.job import Job, JobState, SingleCall
from napari_qpi.tasks.trained_models import (
    models_in,
    next_training_folder,
    remember_model,
    usual_training_folder,
)
from napari_qpi.tasks.training import RunCommand, TrainingRun
from napari_qpi.tasks.training_folder import FoundRun, find_run, has_run
from napari_qpi.widgets.common.close_guard import CloseGuard
from napari_qpi.widgets.common.dock import Dock
from napari_qpi.widgets.common.folder_edit import FolderEdit
from napari_qpi.widgets.common.parameter_form import explain
from napari_qpi.widgets.train.controls import TrainingControls
from napari_qpi.widgets.train.form import STAGE_CHOICES, TrainingForm
from napari_qpi.widgets.train.monitor import TrainingMonitor
from qpi_kernels.train.parameters import TrainingParameters

__all__ = ["Train"]

_REFRESH_MS = 100
_MAX_SAVE_SECONDS = 120.0
_CLOSING_SECONDS = 0.02


class Train(Dock):
    """Trains networks on simulated data, stage by stage.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer in whose window the panel is docked; training adds no layers.

    Attributes
    ----------
    model_trained : Signal(Path)
        A run has ended and left this model folder, which `known_models` lists.
    """

    model_trained = Signal(object)

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.job = Job()
        self.folder_job = Job()
        self.families_job = Job()
        self.training_run: TrainingRun | None = None
        self.found: FoundRun | None = None
        self.guard = CloseGuard(self, self._may_close)
        self._problem = ""
        self._timer = QTimer(self)
        self._timer.setInterval(_REFRESH_MS)
        self._timer.timeout.connect(self._show_run)
        self._build()
        self._connect()
        self._read_folder()

    def _build(self) -> None:
        """Lay out folder, form, controls and monitor."""
        self.monitor = TrainingMonitor()
        self.controls = TrainingControls()
        self.folder_edit = FolderEdit(usual_training_folder())
        self.new_button = QPushButton("New folder")
        self.new_button.setToolTip("<qt>Leave the run of this folder and begin another.</qt>")
        row = QHBoxLayout()
        row.addWidget(QLabel("Folder"))
        row.addWidget(self.folder_edit, 1)
        row.addWidget(self.new_button)
        self.form = TrainingForm()
        self.column.addWidget(self.monitor)
        self.column.addWidget(self.controls)
        self.column.addLayout(row)
        self.column.addWidget(self.form)
        self.column.addStretch()

    def _connect(self) -> None:
        """Connect the widgets with the training job."""
        self.when_closed(self._leave_checkpoint)
        for job in (self.folder_job, self.families_job):
            self.when_closed(job.abandon)
        self.follow(self.job.state_changed, self._on_state)
        self.follow(self.job.failed, self._on_failed)
        self.follow(self.folder_job.succeeded, self._on_found)
        self.follow(self.folder_job.failed, self._on_unreadable)
        self.follow(self.families_job.succeeded, self.form.families.offer)
        self.form.changed.connect(self._check_entries)
        self.form.stages_changed.connect(self._read_folder)
        self.form.families_fold.toggled.connect(self._load_families)
        self.folder_edit.changed.connect(self._on_folder)
        self.new_button.clicked.connect(self.new_folder)
        self.controls.start_button.clicked.connect(self.start)
        self.controls.pause_button.clicked.connect(self.pause_or_resume)
        self.controls.next_button.clicked.connect(partial(self._send, RunCommand.NEXT_STAGE))
        self.controls.stop_button.clicked.connect(self.stop)

    # -- what the user or a script may call -------------------------------------------------

    def set_values(self, **values: Any) -> None:
        """Choose values of `TrainingParameters` by name, as if the user had entered them."""
        self.form.enter(values)
        self._check_entries()

    def parameters(self) -> list[TrainingParameters]:
        """Return the parameters of a start, stage by stage.

        Raises
        ------
        pydantic.ValidationError
            If an entry is out of range.
        """
        under_way = None if self.found is None else self.found.parameters.stage
        return self.form.parameters(under_way)

    def start(self) -> None:
        """Start a training, or go on with the one that the folder holds."""
        if self._at_work():
            return
        try:
            stages = self.parameters()
        except ValidationError as error:
            self.controls.show_status(explain(error))
            return
        run = TrainingRun(self.folder_edit.value(), stages, resume=self.found is not None)
        self.training_run = run
        self.guard.watch(self)
        self.job.start(lambda: run)

    def pause_or_resume(self) -> None:
        """Pause the training, or let it go on."""
        run = self.training_run
        if run is not None:
            self._send(RunCommand.GO_ON if run.command is RunCommand.PAUSE else RunCommand.PAUSE)

    def stop(self) -> None:
        """End the training after this step and keep the best network."""
        self._send(RunCommand.STOP)

    def new_folder(self) -> None:
        """Choose a folder without a run."""
        self.folder_edit.set_value(next_training_folder())

    def remove_from_viewer(self) -> None:
        """Say what becomes of a training when the panel is closed."""
        self._timer.stop()
        self.guard.disconnect_events()
        run = self.training_run
        if run is not None and not run.ended.is_set():
            show_info(
                f"Training stops; a checkpoint is kept in {run.folder}. Open Train networks and "
                "choose this folder to go on."
            )

    # -- the folder -------------------------------------------------------------------------

    def _on_folder(self) -> None:
        """Look for a run in the chosen folder."""
        folder = self.folder_edit.value()
        if not self._just_ended():
            self.monitor.clear()
        if not has_run(folder, self.form.stages):
            # Show the run that the folder holds, whatever was chosen for another one.
            held = (stages for _, stages in STAGE_CHOICES if has_run(folder, stages))
            self.form.choose_stages(next(held, self.form.stages))
        self._read_folder()

    def _read_folder(self) -> None:
        """Read the run that the folder holds, if any."""
        self.folder_job.abandon()
        self.found = None
        folder, stages = self.folder_edit.value(), self.form.stages
        if has_run(folder, stages):
            self._problem = "Reading the run in this folder…"
            look = partial(find_run, folder, stages)
            self.folder_job.start(partial(SingleCall, look, self._problem))
        else:
            self._problem = ""
            self._show_found("")
        self._refresh()

    def _on_found(self, found: FoundRun | None) -> None:
        """Show the run that the chosen folder holds."""
        self._problem = ""
        self.found = found
        if found is not None:
            self.form.enter(found.parameters.model_dump(exclude={"stage", "device"}))
            for model in models_in(self.folder_edit.value()):
                remember_model(model)
            last = found.parameters.stage == self.form.stages[-1]
            words = f"{found.parameters.stage}, step {found.step} of {found.parameters.steps}"
            if found.finished and last:
                self._problem = f"This folder holds a finished run ({words}). Choose a new folder."
            elif found.own:
                self._problem = (
                    f"This folder holds a run ({words}) of a script or a benchmark that brought "
                    f"its own {found.own}: only that can go on with it. Choose a new folder."
                )
            else:
                self._show_found(
                    f"This folder holds a run: {words}. Resume run goes on with its parameters; "
                    "for another one choose a new folder."
                )
        self._refresh()

    def _on_unreadable(self, error: Exception) -> None:
        self._problem = f"The run in this folder can not be read: {error}"
        self._refresh()

    def _show_found(self, words: str) -> None:
        if not self._just_ended():
            self.controls.show_status(words)

    def _just_ended(self) -> bool:
        """Return whether the folder is the last run's, whose end is already shown."""
        run = self.training_run
        return run is not None and run.folder == self.folder_edit.value().resolve()

    # -- the form ---------------------------------------------------------------------------

    def _check_entries(self) -> None:
        if not self.job.state.busy and not self._problem and self.found is None:
            self.controls.show_status(self.form.problem())

    def _load_families(self, opened: bool) -> None:
        if opened and not self.families_job.state.busy:
            self.families_job.start(partial(SingleCall, _family_names, "reading families"))

    def _refresh(self) -> None:
        """Let what can be pressed follow from what goes on."""
        busy = self.job.state.busy
        self.form.lock(run=busy or self.found is not None, device=busy)
        self.folder_edit.setEnabled(not busy)
        self.new_button.setEnabled(not busy)
        if not busy:
            self.controls.show_idle(ready=not self._problem, resumable=self.found is not None)
            if self._problem and not self._just_ended():
                self.controls.show_status(self._problem)

    # -- the run ----------------------------------------------------------------------------

    def _send(self, command: RunCommand) -> None:
        run = self.training_run
        if run is not None and not run.ended.is_set():
            run.command = command
            self._show_run()

    def _show_run(self) -> None:
        if self.training_run is not None:
            self.controls.show_run(self.training_run)
            self.monitor.show_run(self.training_run)

    def _on_state(self, state: JobState) -> None:
        """Follow the job from start to end."""
        if state.busy:
            self._timer.start()
            self._show_run()
        else:
            self._timer.stop()
            self.guard.disconnect_events()
            # torch is loaded now and knows the devices.
            self.form.show_devices()
            if state is JobState.DONE:
                self._show_end()
            self._read_folder()
        self._refresh()

    def _show_end(self) -> None:
        """Show the last state of a run and offer its models."""
        run = self.training_run
        assert run is not None
        self.monitor.show_run(run)
        models = run.models
        self.controls.show_status(_ending(run, models))
        for model in models:
            remember_model(model)
            self.model_trained.emit(model)

    def _on_failed(self, error: Exception) -> None:
        words = str(error) or type(error).__name__
        if "out of memory" in words:
            words = f"The device has too little memory: choose a smaller batch or cpu. {words}"
        self.controls.show_status(f"Failed: {words}")
        if not isinstance(error, ValueError | OSError):
            show_error(f"Training failed: {words}")

    # -- closing ----------------------------------------------------------------------------

    def _leave_checkpoint(self) -> None:
        if self.training_run is not None:
            self.training_run.command = RunCommand.HALT

    def _at_work(self) -> bool:
        return self.job.state.busy or self.folder_job.state.busy

    def _may_close(self, can_stay: bool) -> bool:
        """Ask whether napari may close, and see that a checkpoint is written before it does."""
        run = self.training_run
        if run is None or run.ended.is_set():
            return True
        if can_stay and not _asked_to_stop(self):
            return False
        run.command = RunCommand.HALT
        self._show_run()
        latest = time.monotonic() + _MAX_SAVE_SECONDS
        # Until the last signals have come, too: they would find a window that is gone.
        while self._at_work() and time.monotonic() < latest:
            QApplication.processEvents(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)
            run.ended.wait(_CLOSING_SECONDS)
        return True


def _asked_to_stop(parent: Train) -> bool:
    """Ask whether to stop training; return True if so."""
    buttons = QMessageBox.StandardButton
    answer = QMessageBox.question(
        parent,
        "Training is under way",
        "Stop training? A checkpoint is kept; open Train networks the next time and press Resume "
        "run to go on.",
        buttons.Yes | buttons.Cancel,
        buttons.Cancel,
    )
    return bool(answer == buttons.Yes)


def _family_names() -> list[str]:
    from qpi_kernels.simulate import FAMILIES

    return list(FAMILIES)


def _ending(run: TrainingRun, models: list[Path]) -> str:
    """Describe the end of a run, its error and its models."""
    stopped = run.command is not RunCommand.GO_ON
    words = f"{'Stopped' if stopped else 'Trained'}: {run.stage.stage}, step {run.step_number}."
    if run.history is not None and run.history.errors:
        words += f" Best RMSE {min(error for _, error in run.history.errors):.3f}."
    if models:
        return f"{words} The model is offered in Extract kernel."
    if run.stage.stage == "kernels":
        words += " Extracting needs the alignment too: train it in the same folder."
    return words
