"""`ConsoleJob`: a computation that was started from napari's console."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from napari.utils import cancelable_progress
from napari.utils.notifications import show_error
from qtpy.QtCore import QEventLoop, QTimer

from napari_qpi.tasks.job import Job, JobState
from qpi_kernels.progress import Cancelled

if TYPE_CHECKING:
    from collections.abc import Callable

    from qpi_kernels.progress import Event, Stepper

__all__ = ["ConsoleJob"]

Result = TypeVar("Result")

# Signals hold their slots weakly; the user need not keep what the console's functions returned.
_running: set[ConsoleJob[Any]] = set()


class ConsoleJob(ABC, Generic[Result]):
    """A running computation; adds its layers to a viewer when it is done.

    Subclasses write `show`.

    Parameters
    ----------
    title : str
        What is done, for the activity dock.
    make_stepper : callable
        Called in the worker; everything it needs is copied.
    """

    name: ClassVar[str]
    """Noun of the computation, such as "Extraction"."""

    def __init__(self, title: str, make_stepper: Callable[[], Stepper[Any]]) -> None:
        self._result: Result | None = None
        self._error: Exception | None = None
        self._bar = cancelable_progress(total=0, desc=title)
        self._job = Job()
        self._job.progressed.connect(self._on_progress)
        self._job.succeeded.connect(self._on_success)
        self._job.failed.connect(self._on_failure)
        self._job.state_changed.connect(self._on_state)
        _running.add(self)
        self._job.start(make_stepper)

    @abstractmethod
    def show(self, outcome: Any) -> Result:
        """Add the layers of what the stepper gave, and return the result for `wait`."""

    @property
    def state(self) -> JobState:
        """The state of the job: running, cancelling, done, cancelled or failed."""
        return self._job.state

    @property
    def result(self) -> Result | None:
        """The result that the new layers show; None until it is there."""
        return self._result

    def cancel(self) -> None:
        """Stop after the current step; nothing is added to the viewer."""
        self._job.cancel()

    def wait(self, timeout_s: float | None = None) -> Result:
        """Wait for the result while napari stays alive.

        Parameters
        ----------
        timeout_s : float, optional
            Seconds after which to give up waiting; the computation goes on.

        Returns
        -------
        object
            The result that the new layers show.

        Raises
        ------
        Cancelled
            If it was cancelled.
        TimeoutError
            If it is not done in time.
        Exception
            The error it failed with, mostly with advice.
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
            raise Cancelled(f"The {self.name.lower()} was cancelled; nothing was added.")
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

    def _on_success(self, outcome: Any) -> None:
        """Show the result."""
        self._result = self.show(outcome)

    def _on_failure(self, error: Exception) -> None:
        """Keep the error for `wait`, and tell it now."""
        self._error = error
        show_error(f"{self.name} failed: {error}")

    def _on_state(self, state: JobState) -> None:
        """Close the bar at the end."""
        if not state.busy:
            self._bar.close()
            # Later, for the result comes after the state.
            QTimer.singleShot(0, partial(_running.discard, self))
