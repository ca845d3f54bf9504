"""`TrainingMonitor`: reconstructions and curves of a training, live."""

from __future__ import annotations

from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_qpi.tasks.training import TrainingRun
from napari_qpi.widgets.train.loss_plot import LossPlot
from napari_qpi.widgets.train.reconstruction_strip import ReconstructionStrip

__all__ = ["TrainingMonitor"]

_EMPTY = "Kernels appear here: true above, learnt below."
# Shown before the first step.
_FIRST_STEPS = 10
_STAGES = {
    "kernels": "kernels from kernels",
    "alignment": "kernels from noisy maps",
    "one-step": "kernels from noisy maps",
}


class TrainingMonitor(QWidget):
    """Show what a `TrainingRun` has learnt so far."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.strip = ReconstructionStrip()
        self.caption = QLabel(_EMPTY)
        self.caption.setWordWrap(True)
        self.error_plot = LossPlot("RMSE of kernels never seen, over steps", "#e8944c")
        self.loss_plot = LossPlot("loss over steps", "#4c9be8")
        self._shown: object = None
        self.clear()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for widget in (self.strip, self.caption, self.error_plot, self.loss_plot):
            column.addWidget(widget)

    def clear(self) -> None:
        """Show nothing, as before a run."""
        self._shown = None
        self.strip.clear()
        self.caption.setText(_EMPTY)
        for plot in (self.error_plot, self.loss_plot):
            plot.show_points((), _FIRST_STEPS)

    def show_run(self, run: TrainingRun) -> None:
        """Show the numbers of the stage under way and the last validation."""
        history, found = run.history, run.validation
        if history is not None:
            losses = list(history.losses)
            reached = losses[-1][0] if losses else 0
            # The axes grow with the run: of a long one, the beginning would be a line at the left.
            last = min(run.stage.steps, max(1.25 * reached, _FIRST_STEPS))
            self.error_plot.show_points(list(history.errors), last)
            self.loss_plot.show_points(losses, last)
        if found is None or found is self._shown:
            return
        self._shown = found
        step, validation = found
        self.strip.show_pairs(validation.true.numpy(), validation.made.numpy())
        doing = _STAGES[run.stage.stage]
        values = validation.values
        self.caption.setText(
            f"True above, made below: {doing}, step {step}. RMSE {values['rmse']:.3f}, "
            f"correlation {values['correlation']:.2f}."
        )
