"""`Job`: one long computation at a time in napari's worker thread, with one state to look at.

The worker holds a stepper and a cancel token, never the viewer: touching the viewer outside the GUI
thread crashes the process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any, TypeVar

from napari.qt.threading import create_worker
from psygnal import Signal
from qtpy.QtCore import QTimer

from qpi_kernels.progress import Cancelled, CancelToken, Event, GeneratorStepper, Stepper

__all__ = ["Job", "JobState", "SingleCall", "TorchNotLoadedError", "load_torch"]

Result = TypeVar("Result", covariant=True)

_SECONDS_BETWEEN_EVENTS = 0.05
# A person who cancels may go on after so long, whatever the step under way still takes.
_PATIENCE_MS = 800


class JobState(Enum):
    """The state of a `Job`, from which a dock derives all its buttons."""

    IDLE = "idle"
    RUNNING = "running"
    CANCELLING = "cancelling"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def busy(self) -> bool:
        """True if a worker is at work, so that no new run can start."""
        return self in (JobState.RUNNING, JobState.CANCELLING)


class TorchNotLoadedError(RuntimeError):
    """PyTorch's libraries did not load; the message says how to start napari instead."""


def load_torch() -> None:
    """Import torch, with a remedy where its libraries clash with Qt's.

    Raises
    ------
    TorchNotLoadedError
        On Windows torch >= 2.9 may fail to load its DLLs after Qt loaded its own
        (pytorch issue 166628).
    """
    try:
        import torch  # noqa: F401
    except OSError as error:
        raise TorchNotLoadedError(
            "PyTorch could not load its libraries after Qt had loaded. Close napari and start it "
            'with:  python -c "import torch, napari; napari.Viewer(); napari.run()"'
        ) from error


class SingleCall(GeneratorStepper[Result]):
    """A stepper around one call, for work that is short but too long for the GUI thread.

    Parameters
    ----------
    call : callable
        Returns the result.
    message : str
        Names the work, for a progress bar.
    """

    def __init__(self, call: Callable[[], Result], message: str) -> None:
        self._call = call
        self._message = message

    def _run(self) -> Generator[Event, None, Result]:
        yield Event(self._message, 0, 1)
        return self._call()


@dataclass(frozen=True)
class _Returned:
    result: Any


@dataclass(frozen=True)
class _Raised:
    error: Exception


def _work(
    make_stepper: Callable[[], Stepper[Any]], token: CancelToken
) -> Generator[Event, None, _Returned | _Raised | None]:
    """Drive the stepper in a worker thread; yield its events."""
    # Exceptions are returned, not raised: napari's worker drops a RuntimeError (every torch error
    # is one) without a signal and the job would look busy for ever.
    try:
        token.check()
        stepper = make_stepper()
        shown = float("-inf")
        latest = None
        while not stepper.done:
            token.check()
            latest = stepper.step()
            if time.monotonic() - shown >= _SECONDS_BETWEEN_EVENTS:
                yield latest
                shown, latest = time.monotonic(), None
        token.check()
        if latest is not None:
            yield latest
        return _Returned(stepper.result)
    except Cancelled:
        return None
    except Exception as error:
        return _Raised(error)


class Job:
    """Run steppers in a worker thread; all signals arrive in the GUI thread.

    Attributes
    ----------
    state_changed : Signal(JobState)
        After every change of `state`.
    progressed : Signal(Event)
        The stepper's events, at most 20 a second.
    succeeded : Signal(object)
        The stepper's result; the state is DONE already, so a new run may start in the slot.
    failed : Signal(Exception)
        The error of the run; the state is FAILED already.
    """

    state_changed = Signal(JobState)
    progressed = Signal(Event)
    succeeded = Signal(object)
    failed = Signal(Exception)

    def __init__(self) -> None:
        self._state = JobState.IDLE
        self._token = CancelToken()

    @property
    def state(self) -> JobState:
        """State of the job."""
        return self._state

    def start(
        self, make_stepper: Callable[[], Stepper[Any]], cancel: CancelToken | None = None
    ) -> None:
        """Start a run.

        Parameters
        ----------
        make_stepper : callable
            Called in the worker; returns the stepper. Everything it needs is copied beforehand.
        cancel : CancelToken, optional
            Stops the run from outside as `cancel` does.

        Raises
        ------
        RuntimeError
            If a run is under way.
        """
        if self._state.busy:
            raise RuntimeError("this job is running; cancel it or wait")
        self._token = token = cancel or CancelToken()
        worker = create_worker(_work, make_stepper, token, _start_thread=False, _ignore_errors=True)
        # Bound to this run's token: the last signals of a run may arrive after the next has begun.
        worker.yielded.connect(partial(self._on_event, token))
        worker.returned.connect(partial(self._on_returned, token))
        worker.finished.connect(partial(self._on_finished, token))
        self._set_state(JobState.RUNNING)
        worker.start()

    def cancel(self) -> None:
        """Ask the run to stop after its current step; without a run this does nothing.

        A step that takes too long to wait for is abandoned.
        """
        self._token.cancel()
        if self._state is JobState.RUNNING:
            self._set_state(JobState.CANCELLING)
            QTimer.singleShot(_PATIENCE_MS, partial(self._abandon_run, self._token))

    def abandon(self) -> None:
        """Give up a run without waiting for its step: its result is dropped when it comes.

        The next run may start at once, while the thread finishes its call in the background.
        """
        self._token.cancel()
        if self._state.busy:
            self._set_state(JobState.CANCELLED)

    def _abandon_run(self, token: CancelToken) -> None:
        if self._is_current(token):
            self.abandon()

    def _set_state(self, state: JobState) -> None:
        self._state = state
        self.state_changed.emit(state)

    def _is_current(self, token: CancelToken) -> bool:
        return token is self._token and self._state.busy

    def _on_event(self, token: CancelToken, event: Event) -> None:
        if self._is_current(token) and self._state is JobState.RUNNING:
            self.progressed.emit(event)

    def _on_returned(self, token: CancelToken, outcome: _Returned | _Raised | None) -> None:
        """Take the result and tell the end of the job."""
        if not self._is_current(token):
            return
        if isinstance(outcome, _Raised):
            self._set_state(JobState.FAILED)
            self.failed.emit(outcome.error)
        elif outcome is None or token.cancelled:
            self._set_state(JobState.CANCELLED)
        else:
            self._set_state(JobState.DONE)
            self.succeeded.emit(outcome.result)

    def _on_finished(self, token: CancelToken) -> None:
        # napari quits workers when its window closes; then nothing was returned.
        if self._is_current(token):
            self._set_state(JobState.CANCELLED)
