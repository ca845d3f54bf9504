"""`TrainingControls`: the buttons of a training, its progress and the time that is left."""

from __future__ import annotations

from qtpy.QtWidgets import QPushButton, QWidget

from napari_qpi.tasks.training import RunCommand, TrainingRun
from napari_qpi.widgets.common.run_controls import ProgressPanel

__all__ = ["TrainingControls", "duration"]

_ENDING = {
    RunCommand.NEXT_STAGE: "Going on to the next stage…",
    RunCommand.STOP: "Stopping after this step; the best network is kept…",
    RunCommand.HALT: "Writing a checkpoint…",
}


class TrainingControls(ProgressPanel):
    """Start, pause, next stage and stop; all follows from the run that is shown."""

    def __init__(self, parent: QWidget | None = None) -> None:
        start, pause = QPushButton("Start"), QPushButton("Pause")
        stop, following = QPushButton("Stop, keep best"), QPushButton("Next stage")
        super().__init__((start, pause), (stop, following), parent=parent)
        self.start_button, self.pause_button = start, pause
        self.stop_button, self.next_button = stop, following
        self.pause_button.setToolTip("<qt>Wait, and use no processor; a checkpoint is kept.</qt>")
        self.next_button.setToolTip(
            "<qt>Keep the best kernel network so far and go on to the alignment.</qt>"
        )
        self.stop_button.setToolTip(
            "<qt>End after this step. The best network so far is kept, and a checkpoint to go on "
            "from.</qt>"
        )
        self.show_idle(ready=True, resumable=False)

    def show_idle(self, *, ready: bool, resumable: bool) -> None:
        """Show that nothing is trained.

        Parameters
        ----------
        ready : bool
            Whether a training can start.
        resumable : bool
            Whether it would go on with an earlier one.
        """
        self.start_button.setText("Resume run" if resumable else "Start")
        self.start_button.setEnabled(ready)
        for button in (self.pause_button, self.next_button, self.stop_button):
            # Else Qt gives the focus to the next widget that takes it, and the dock scrolls there.
            if button.hasFocus():
                self.start_button.setFocus()
            button.setEnabled(False)
        self.pause_button.setText("Pause")
        self.bar.hide()

    def show_run(self, run: TrainingRun) -> None:
        """Show a run that is under way."""
        steerable = run.command in (RunCommand.GO_ON, RunCommand.PAUSE)
        self.pause_button.setEnabled(steerable)
        if self.start_button.hasFocus():
            self.pause_button.setFocus()
        self.start_button.setEnabled(False)
        self.pause_button.setText("Resume" if run.command is RunCommand.PAUSE else "Pause")
        self.stop_button.setEnabled(steerable)
        self.next_button.setEnabled(steerable and run.step_number > 0 and not run.last_stage)
        self.bar.show()
        self.bar.setRange(0, run.stage.steps if run.history is not None else 0)
        self.bar.setValue(run.step_number)
        self.status.setText(_ENDING.get(run.command) or _progress(run))


def _progress(run: TrainingRun) -> str:
    """Describe stage, step and time left of a run."""
    stage = run.stage
    if run.history is None:
        return "Loading PyTorch and simulating the first kernels…"
    words = f"{stage.stage}: step {run.step_number} of {stage.steps}"
    if len(run.stages) > 1:
        words = f"Stage {run.stages.index(stage) + 1} of {len(run.stages)}, {words}"
    if run.command is RunCommand.PAUSE:
        return f"Paused. {words}; a checkpoint is kept."
    pace, left = run.seconds_per_step, run.seconds_left
    if pace is not None and left is not None:
        words += f" · {pace:.2g} s per step · {duration(left)} left"
    return words


def duration(seconds: float) -> str:
    """Format a duration, as exactly as is useful."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"
