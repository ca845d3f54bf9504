"""`TrainingMonitor`: reconstructions and curves of a training, live."""

from __future__ import annotations

from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_qpi.tasks.training import TrainingRun
from napari_qpi.widgets.train.loss_plot import LossPlot
from napari_qpi.widgets.train.reconstruction_strip import ReconstructionStrip

__all__ = ["TrainingMonitor"]

_STAGES = {
    "kernels": "kernels from kernels",
    "alignment": "kernels from noisy maps",
    "one-step": "kernels from noisy maps",
}


class TrainingMonitor(QWidget):
    """Shows what a `TrainingRun` has learnt so far."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.strip = ReconstructionStrip()
        self.caption = QLabel()
        self.caption.setWordWrap(True)
        self.caption.hide()
        self.error_plot = LossPlot("RMSE, kernels never seen", "#e8944c")
        self.loss_plot = LossPlot("loss", "#4c9be8")
        self._shown: object = None
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for widget in (self.strip, self.caption, self.error_plot, self.loss_plot):
            column.addWidget(widget)

    def show_run(self, run: TrainingRun) -> None:
        """Show the numbers of the stage under way and the last validation."""
        history, found = run.history, run.validation
        if history is not None:
            steps = run.stage.steps
            self.error_plot.show_points(list(history.errors), steps)
            self.loss_plot.show_points(list(history.losses), steps)
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
        self.caption.show()
