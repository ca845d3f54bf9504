"""`ConsoleExtraction`: an extraction that was started from napari's console."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari.utils import cancelable_progress
from napari.utils.notifications import show_error
from qtpy.QtCore import QEventLoop, QTimer

from napari_qpi.layers.conversion import add_layers, points_from_defects
from napari_qpi.layers.result import show_result
from napari_qpi.tasks.job import Job, JobState
from qpi_kernels.progress import Cancelled

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_qpi.tasks.extraction import ExtractionInput
    from qpi_kernels.progress import Event
    from qpi_kernels.result import KernelResult

__all__ = ["ConsoleExtraction"]

# Signals hold their slots weakly; the user need not keep what `console.extract` returned.
_running: set[ConsoleExtraction] = set()


class ConsoleExtraction:
    """A running extraction; adds its layers to the viewer when it is done.

    Parameters
    ----------
    viewer : napari.Viewer
        Gets the layers.
    task : ExtractionInput
        A copy of all input.
    """

    def __init__(self, viewer: ViewerModel, task: ExtractionInput) -> None:
        self._viewer = viewer
        self._task = task
        self._result: KernelResult | None = None
        self._error: Exception | None = None
        self._bar = cancelable_progress(total=0, desc=f"Extract kernel of {task.image.name}")
        self._job = Job()
        self._job.progressed.connect(self._on_progress)
        self._job.succeeded.connect(self._on_success)
        self._job.failed.connect(self._on_failure)
        self._job.state_changed.connect(self._on_state)
        _running.add(self)
        self._job.start(task.start)

    def __repr__(self) -> str:
        """Describe the extraction for the console."""
        method = self._task.parameters.method
        return f"<Extraction of {self._task.image.name} by {method}: {self.state.value}>"

    @property
    def state(self) -> JobState:
        """The state of the job: running, cancelling, done, cancelled or failed."""
        return self._job.state

    @property
    def result(self) -> KernelResult | None:
        """The result that the new layers show; None until it is there."""
        return self._result

    def cancel(self) -> None:
        """Stop after the current step; nothing is added to the viewer."""
        self._job.cancel()

    def wait(self, timeout_s: float | None = None) -> KernelResult:
        """Wait for the result while napari stays alive.

        Parameters
        ----------
        timeout_s : float, optional
            Seconds after which to give up waiting; the extraction goes on.

        Returns
        -------
        KernelResult
            The result that the new layers show.

        Raises
        ------
        Cancelled
            If the extraction was cancelled.
        TimeoutError
            If it is not done in time.
        Exception
            The error it failed with, mostly an `ExtractionError`.
        """
        if self.state.busy:
            loop = QEventLoop()

            def leave(state: JobState) -> None:
                if not state.busy:
                    # Once the slots of the result have run.
                    QTimer.singleShot(0, loop.quit)

            self._job.state_changed.connect(leave)
            if timeout_s is not None:
                QTimer.singleShot(round(1000 * timeout_s), loop.quit)
            loop.exec()
            self._job.state_changed.disconnect(leave)
        if self._error is not None:
            raise self._error
        if self.state is JobState.CANCELLED:
            raise Cancelled("The extraction was cancelled; nothing was added.")
        if self._result is None:
            raise TimeoutError(f"{self!r} needs longer than {timeout_s} s; wait again, or cancel")
        return self._result

    def _on_progress(self, event: Event) -> None:
        """Move the bar, and look whether its cancel button was pressed."""
        self._bar.total = event.total
        self._bar.set_description(event.message)
        self._bar.update(event.step - self._bar.n)
        if self._bar.is_canceled:
            self.cancel()

    def _on_success(self, result: KernelResult) -> None:
        """Show the result, and the defects where they were found."""
        image = self._task.image
        self._result = show_result(self._viewer, result, image)
        if self._task.parameters.finds_defects:
            name = f"{image.name} found defects"
            add_layers(self._viewer, [points_from_defects(result.defects, image, name=name)])
        # The kernels lie beside the image, out of sight until the view is fitted.
        self._viewer.reset_view()

    def _on_failure(self, error: Exception) -> None:
        """Keep the error for `wait`, and tell it now."""
        self._error = error
        show_error(f"Extraction failed: {error}")

    def _on_state(self, state: JobState) -> None:
        """Close the bar at the end."""
        if not state.busy:
            self._bar.close()
            # Later, for the result comes after the state.
            QTimer.singleShot(0, partial(_running.discard, self))
