"""`LivePreview`: the plane on show prepared anew after every change, and its |FFT|."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import napari
from napari.layers import Image
from qtpy.QtCore import QTimer, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_qpi.tasks.fourier_marks import (
    FourierMarks,
    MarkSearch,
    bragg_handles,
    reported_marks,
)
from napari_qpi.tasks.job import Job, JobState
from napari_qpi.tasks.preparation_preview import PreparationPreview, PreviewedPlane
from napari_qpi.widgets.prepare.fourier_view import FourierView
from napari_qpi.widgets.prepare.preview_layers import PreviewLayers
from qpi_kernels.prepare import Prepared, Step
from qpi_kernels.progress import Event

__all__ = ["LivePreview", "PreviewInput"]

_DELAY_MS = 60
_SLOW_MS = 400
_MARKS_MS = 500


@dataclass(frozen=True, eq=False)
class PreviewInput:
    """The input of a preview.

    Parameters
    ----------
    image : napari.layers.Image
        The layer to show it over.
    scan : Prepared
        Where the steps begin; the same object as long as nothing but the steps changes.
    steps : sequence of Step
        In their order.
    index : int
        The plane of a cube.
    """

    image: Image
    scan: Prepared
    steps: Sequence[Step]
    index: int = 0


class LivePreview(QWidget):
    """Preview of a preparation: a layer over the image, and |FFT| here.

    Parameters
    ----------
    viewer : napari.Viewer
        Where the plane is shown.
    describe : callable
        Returns what to preview now, None if there is nothing.

    Attributes
    ----------
    previewed : Signal(object)
        The `PreviewedPlane` that is shown.
    failed : Signal(str)
        Why there is none.
    handles_moved : Signal(object)
        The user dragged the Bragg peaks to these wave vectors, (2, 2), (row, col).
    """

    previewed = Signal(object)
    failed = Signal(str)
    handles_moved = Signal(object)

    def __init__(self, viewer: napari.Viewer, describe: Callable[[], PreviewInput | None]) -> None:
        super().__init__()
        self.job, self.marks_job = Job(), Job()
        self._marks: FourierMarks | None = None
        self.layers = PreviewLayers(viewer)
        self.shown: PreviewedPlane | None = None
        self._describe = describe
        self._input: PreviewInput | None = None
        self._again = self._paused = False
        self.box = QCheckBox("Live preview")
        self.box.setChecked(True)
        self.box.setToolTip(
            "<qt>Show the plane on show as the steps make it, over the image. Red pixels do not "
            "count.</qt>"
        )
        self.before_button = QPushButton("Hold for before")
        self.before_button.setToolTip("<qt>Show the raw image while this is held down.</qt>")
        self.bar = QProgressBar()
        self.stop_button = QPushButton("Stop")
        self.stop_button.setToolTip("<qt>Stop and switch the preview off.</qt>")
        self.fourier = FourierView()
        self.fourier.setToolTip("")
        top, busy = QHBoxLayout(), QHBoxLayout()
        top.addWidget(self.box, 1)
        top.addWidget(self.before_button)
        busy.addWidget(self.bar, 1)
        busy.addWidget(self.stop_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(top)
        column.addLayout(busy)
        column.addWidget(self.fourier)
        self._timer, self._slow_timer, self._marks_timer = QTimer(self), QTimer(self), QTimer(self)
        for timer, milliseconds, due in (
            (self._timer, _DELAY_MS, self._start),
            (self._slow_timer, _SLOW_MS, partial(self._show_busy, True)),
            (self._marks_timer, _MARKS_MS, self._look_for_marks),
        ):
            timer.setSingleShot(True)
            timer.setInterval(milliseconds)
            timer.timeout.connect(due)
        self._show_busy(False)
        self.fourier.setVisible(False)
        self.box.toggled.connect(self._on_toggled)
        self.before_button.pressed.connect(self.show_planes)
        self.before_button.released.connect(self.show_planes)
        self.stop_button.clicked.connect(self.stop)
        self.fourier.handles_moved.connect(self.handles_moved)
        for signal, slot in self._job_slots():
            signal.connect(slot)

    @property
    def before(self) -> bool:
        """True if the plane is shown as it was before the steps."""
        return bool(self.before_button.isDown())

    @property
    def pending(self) -> bool:
        """True if a preview is under way or about to start."""
        return bool(self._timer.isActive()) or self.job.state.busy

    def request(self) -> None:
        """Preview anew soon; a preview under way is cancelled."""
        # Not started anew by the next change, so that the picture follows while someone drags.
        if self.box.isChecked() and not self._paused and not self._timer.isActive():
            self._timer.start()

    def pause(self) -> None:
        """Take the layers away, and preview no more until `resume`: the result is there."""
        self._paused = True
        self._timer.stop()
        self.job.abandon()
        self.layers.hide()

    def resume(self) -> None:
        """Preview again when asked to."""
        self._paused = False

    def stop(self) -> None:
        """Stop the preview and switch it off."""
        self.box.setChecked(False)

    def disconnect_events(self) -> None:
        """Follow the job no more, and cancel it."""
        for signal, slot in self._job_slots():
            signal.disconnect(slot)
        self.job.cancel()
        self.marks_job.cancel()

    def remove_layers(self) -> None:
        """Take the layers away, and start no more previews; the window still lives."""
        for timer in (self._timer, self._slow_timer, self._marks_timer):
            timer.stop()
        self.layers.hide()

    def show_planes(self) -> None:
        """Show the plane and its transform before or after the steps."""
        if self.shown is None or self._input is None or not self.box.isChecked() or self._paused:
            return
        before = self.before
        if self.shown.done or self.shown.problem:
            self.layers.show(self._input.image, self.shown, before)
        else:
            self.layers.hide()
        fft = self.shown.raw_fft if before else self.shown.plane_fft
        self.fourier.setVisible(True)
        after = "|FFT| after" if self.shown.done else "|FFT|"
        self.fourier.show_magnitude(fft, "|FFT| before" if before else after)
        self._show_marks(self._marks or reported_marks(self.shown))

    def _show_marks(self, marks: FourierMarks) -> None:
        """Mark Bragg peaks and pickup, and put handles where a step takes Bragg peaks."""
        self._marks = marks
        steps = () if self._input is None else self._input.steps
        self.fourier.show_marks(marks.bragg, marks.pickup)
        self.fourier.show_handles(bragg_handles(steps, marks.bragg, self.fourier.reach()))

    def _job_slots(self) -> tuple[tuple[Any, Callable[[Any], None]], ...]:
        """List the signals of the jobs, each with its slot."""
        job = self.job
        return (
            (job.state_changed, self._on_state),
            (job.progressed, self._on_event),
            (job.succeeded, self._on_preview),
            (job.failed, self._on_failed),
            (self.marks_job.succeeded, self._on_marks),
        )

    def _on_toggled(self, on: bool) -> None:
        """Start, or give up and take all away."""
        if on:
            self.resume()
            self.request()
            return
        self._timer.stop()
        self._marks_timer.stop()
        self._again = False
        self.job.abandon()
        self.shown = None
        self.layers.hide()
        self.fourier.setVisible(False)

    def _start(self) -> None:
        """Start the preview, after a running one has been given up."""
        described = self._describe()
        self._marks_timer.stop()
        self.marks_job.abandon()
        if described is None:
            self.layers.hide()
            self.fourier.setVisible(False)
            return
        if self.job.state.busy:
            self._again = True
            self.job.cancel()
            return
        self._input = described
        self.job.start(
            partial(
                PreparationPreview, described.scan, described.steps, described.index, self.shown
            )
        )
        self._slow_timer.start()

    def _on_state(self, state: JobState) -> None:
        """Start the preview that was asked for meanwhile."""
        if state.busy:
            return
        self._slow_timer.stop()
        self._show_busy(False)
        if self._again:
            self._again = False
            self.request()

    def _on_event(self, event: Event) -> None:
        self.bar.setRange(0, event.total)
        self.bar.setValue(event.step)
        self.bar.setFormat(event.message)

    def _on_preview(self, preview: PreviewedPlane) -> None:
        if self.box.isChecked():
            self.shown, self._marks = preview, None
            self.show_planes()
            self.previewed.emit(preview)
            # Once nothing changes any more, for it takes longer than the cheap steps.
            self._marks_timer.start()

    def _look_for_marks(self) -> None:
        """Look for what no step has reported."""
        if self.shown is not None and not self.pending:
            self.marks_job.start(partial(MarkSearch, self.shown))

    def _on_marks(self, marks: FourierMarks) -> None:
        """Show what was found in the plane on show."""
        if self.shown is not None and not self.pending:
            self._show_marks(marks)

    def _on_failed(self, error: Exception) -> None:
        self.layers.hide()
        self.failed.emit(str(error) or type(error).__name__)

    def _show_busy(self, busy: bool) -> None:
        for widget in (self.bar, self.stop_button):
            widget.setVisible(busy)
