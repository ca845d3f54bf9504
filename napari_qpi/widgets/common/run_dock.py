"""`RunDock`: a dock widget with a run button, a cancel button and the one job that they steer."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

import napari
from napari.utils.notifications import show_error

from napari_qpi.tasks.job import Job, JobState
from napari_qpi.widgets.common.dock import Dock
from napari_qpi.widgets.common.run_controls import RunControls
from qpi_kernels.progress import Stepper

__all__ = ["RunDock"]


class RunDock(Dock):
    """A dock widget that runs one computation at a time and shows how far it is.

    A subclass adds `run_controls` to its `column` and connects the run button.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer.
    title : str
        Text of the run button.
    work : str
        Name of the computation at the beginning of a sentence, such as "Extraction".

    Attributes
    ----------
    job : Job
        Cancelled when the dock is closed.
    run_controls : RunControls
        Follow the job.
    """

    def __init__(self, napari_viewer: napari.Viewer, title: str, work: str) -> None:
        super().__init__(napari_viewer)
        self.job = Job()
        self.run_controls = RunControls(title)
        self._work = work
        self._then: Callable[[Any], object] | None = None
        self._started = 0.0
        self.when_closed(self.job.cancel)
        self.follow(self.job.state_changed, self._on_state)
        self.follow(self.job.progressed, self.run_controls.show_event)
        self.follow(self.job.succeeded, self._on_succeeded)
        self.follow(self.job.failed, self._on_failed)
        self.run_controls.cancel_button.clicked.connect(self.job.cancel)

    @property
    def seconds(self) -> float:
        """Time since the last start."""
        return monotonic() - self._started

    def start(
        self, make_stepper: Callable[[], Stepper[Any]], then: Callable[[Any], object]
    ) -> None:
        """Start a computation in the worker thread.

        Parameters
        ----------
        make_stepper : callable
            See `Job.start`.
        then : callable
            Called with the result in the GUI thread, unless the run fails or is cancelled.

        Raises
        ------
        RuntimeError
            If a run is under way.
        """
        self._then, self._started = then, monotonic()
        self.job.start(make_stepper)

    def show_ready(self) -> None:
        """Show which actions are possible now; called after every change of the job."""

    def _on_state(self, state: JobState) -> None:
        self.run_controls.show_state(state)
        self.show_ready()

    def _on_succeeded(self, result: Any) -> None:
        then, self._then = self._then, None
        if then is not None:
            then(result)
            self.show_ready()

    def _on_failed(self, error: Exception) -> None:
        words = str(error) or type(error).__name__
        self.run_controls.show_status(f"Failed: {words}")
        if not isinstance(error, ValueError):
            show_error(f"{self._work} failed: {words}")
