"""Progress events, the cancel token and the loop that drives a stepper.

Every long computation is an object with ``step() -> Event``, ``done`` and ``result``. Functions,
command line and widgets drive the same object; none of it knows of Qt.
"""

from __future__ import annotations

import math
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from concurrent.futures import Future, wait
from dataclasses import dataclass, field, replace
from typing import Generic, Protocol, TypeVar

__all__ = [
    "CancelToken",
    "Cancelled",
    "CancelledResumably",
    "Event",
    "GeneratorStepper",
    "Stepper",
    "await_result",
    "drive",
    "finish",
    "follow",
    "in_thread",
    "in_thread_with_events",
    "map_events",
    "open_ended",
    "portion",
]

Result = TypeVar("Result", covariant=True)

# Steps of a whole that is made of portions, fine enough for a progress bar.
_SHARES = 1000
# A rate is known after so much time and so much of the work.
_MIN_SECONDS, _MIN_FRACTION = 1.0, 0.02
_SECONDS_BETWEEN_EVENTS = 0.1


class Cancelled(Exception):  # noqa: N818
    """A computation was stopped through its `CancelToken`; nothing was changed."""


class CancelledResumably(Cancelled):
    """A computation was stopped and what it finished is kept; the message says how to go on."""


@dataclass(frozen=True)
class Event:
    """Report of a computation after a step.

    Parameters
    ----------
    message : str
        What is being done, in words for a progress bar.
    step, total : int
        Work units done and expected; ``total`` 0 means unknown. ``total`` may be revised.
    values : dict of str to float
        Numbers worth plotting live, such as a residual norm or a loss.
    seconds_left : float, optional
        Expected time to the end, None while there is no rate yet; `GeneratorStepper` fills it in.
    """

    message: str
    step: int = 0
    total: int = 0
    values: dict[str, float] = field(default_factory=dict)
    seconds_left: float | None = None

    @property
    def fraction(self) -> float | None:
        """Share of the work that is done, 0 to 1, or None when the total is unknown."""
        return min(self.step / self.total, 1.0) if self.total > 0 else None

    @property
    def time_left(self) -> str:
        """The expected time to the end in words, such as ``about 2 min left``, or nothing."""
        if self.seconds_left is None:
            return ""
        for unit, size in (("h", 3600), ("min", 60)):
            if self.seconds_left >= 1.5 * size:
                return f"about {round(self.seconds_left / size)} {unit} left"
        return f"about {max(round(self.seconds_left), 1)} s left"


class CancelToken:
    """A thread-safe request to stop, polled by the computation it is given to."""

    def __init__(self) -> None:
        self._requested = threading.Event()

    def cancel(self) -> None:
        """Ask for the computation to stop at its next check."""
        self._requested.set()

    @property
    def cancelled(self) -> bool:
        """True if `cancel` was called."""
        return self._requested.is_set()

    def check(self) -> None:
        """Stop here when a stop was asked for.

        Raises
        ------
        Cancelled
            If `cancel` was called, from any thread.
        """
        if self.cancelled:
            raise Cancelled("Stopped on request; nothing was changed.")


class Stepper(Protocol[Result]):
    """A long computation that is advanced from outside, one step at a time."""

    @property
    def done(self) -> bool:
        """True if `result` is ready."""
        ...

    @property
    def result(self) -> Result:
        """The finished result; asking earlier is an error."""
        ...

    def step(self) -> Event:
        """Do one unit of work, short enough for a cancel to feel immediate."""
        ...


class GeneratorStepper(ABC, Generic[Result]):
    """A stepper whose work is one generator: it yields events and returns the result.

    Subclasses write `_run`; a computation of several parts delegates with
    ``value = yield from part``, so that each part returns its result. Events carry the time left,
    from the time that the share so far has taken.

    Examples
    --------
    >>> class Count(GeneratorStepper[int]):
    ...     def _run(self):
    ...         for number in (1, 2):
    ...             yield Event("Counting", number, 2)
    ...         return 2
    >>> drive(Count())
    2
    """

    _work: Generator[Event, None, Result] | None = None
    _finished: tuple[Result] | None = None
    _error: BaseException | None = None
    _latest = Event("")
    _started: float | None = None

    @abstractmethod
    def _run(self) -> Generator[Event, None, Result]:
        """Yield an event after each unit of work, and return the result."""

    @property
    def done(self) -> bool:
        """True if `result` is ready."""
        return self._finished is not None

    @property
    def result(self) -> Result:
        """The finished result.

        Raises
        ------
        RuntimeError
            If the computation is not finished.
        """
        if self._finished is None:
            raise RuntimeError(f"{type(self).__name__} is not finished; call step() until done")
        return self._finished[0]

    def step(self) -> Event:
        """Do one unit of work and report it; the last step repeats the last event, as complete."""
        if self._finished is not None:
            return self._latest
        if self._error is not None:
            raise self._error
        if self._work is None:
            self._work, self._started = self._run(), time.monotonic()
        try:
            self._latest = self._timed(next(self._work))
        except StopIteration as stop:
            self._finished = (stop.value,)
            self._latest = replace(self._latest, step=self._latest.total, seconds_left=None)
        except BaseException as error:
            # A generator that failed, or was interrupted, would end without a result if resumed.
            self._error = error
            raise
        return self._latest

    def _timed(self, event: Event) -> Event:
        """Add the time left to an event, once the rate is known."""
        elapsed = time.monotonic() - (self._started or 0.0)
        fraction = event.fraction
        if fraction is None or fraction < _MIN_FRACTION or elapsed < _MIN_SECONDS:
            return replace(event, seconds_left=None)
        return replace(event, seconds_left=elapsed * (1 - fraction) / fraction)


def finish(work: Generator[Event, None, Result]) -> Result:
    """Run a generator to its end and return its result, for callers who need no events."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: Result = end.value
            return result


def follow(stepper: Stepper[Result]) -> Generator[Event, None, Result]:
    """Run a stepper as a part of a generator: yield its events and return its result."""
    while not stepper.done:
        yield stepper.step()
    return stepper.result


def in_thread(call: Callable[[], Result], message: str) -> Generator[Event, None, Result]:
    """Run a call that cannot be divided, such as a download, in a thread of its own.

    A cancelled computation leaves the thread to end by itself, so what it does must not matter to
    anyone else.

    Parameters
    ----------
    call : callable
        Returns the result.
    message : str
        As in `Event`.

    Returns
    -------
    generator
        Yields an event ten times a second, and returns the result of the call or raises its error.
    """
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name=message, daemon=True).start()
    return (yield from await_result(future, message))


def in_thread_with_events(
    call: Callable[[Callable[[Event], object]], Result], message: str
) -> Generator[Event, None, Result]:
    """Run a call that reports through ``on_event`` in a thread of its own, as `in_thread` does.

    Parameters
    ----------
    call : callable
        Takes ``on_event``; returns the result. To be stopped in mid-call it must check the
        `CancelToken` that stops the whole.
    message : str
        As in `Event`, until the call reports.

    Returns
    -------
    generator
        Yields the latest event ten times a second, and returns the result of the call.
    """
    latest = Event(message)

    def hear(event: Event) -> None:
        """Keep the latest event."""
        nonlocal latest
        latest = event

    return (yield from map_events(in_thread(lambda: call(hear), message), lambda _: latest))


def await_result(future: Future[Result], message: str) -> Generator[Event, None, Result]:
    """Wait for what another thread computes, as a part of a generator.

    Yields an event ten times a second, and returns the result or raises its error.
    """
    while not wait([future], _SECONDS_BETWEEN_EVENTS).done:
        yield Event(message, 0, 1)
    yield Event(message, 1, 1)
    return future.result()


def map_events(
    work: Generator[Event, None, Result], change: Callable[[Event], Event]
) -> Generator[Event, None, Result]:
    """Run a part of a computation with its events changed, and return its result."""
    while True:
        try:
            event = next(work)
        except StopIteration as end:
            result: Result = end.value
            return result
        yield change(event)


def portion(
    work: Generator[Event, None, Result], start: float, stop: float
) -> Generator[Event, None, Result]:
    """Run a part of a computation as the share from ``start`` to ``stop`` of the whole.

    The total of a computation made of portions is the same from its first event to its last,
    and its share never goes back, whatever its parts turn out to need. Portions may be nested.

    Parameters
    ----------
    work : generator
        Yields events and returns a result.
    start, stop : float
        Shares of the whole, 0 to 1, that are done before and after this part.

    Returns
    -------
    generator
        Yields the events, counted within the whole, and returns the result of ``work``.
    """
    share = start

    def within(event: Event) -> Event:
        """Count an event within the whole."""
        nonlocal share
        share = max(share, start + (stop - start) * (event.fraction or 0.0))
        return replace(event, step=math.floor(_SHARES * share + 1e-6), total=_SHARES)

    return map_events(work, within)


def open_ended(
    message: str, step: int, typical: int, values: dict[str, float] | None = None
) -> Event:
    """Report a step of a part that ends when it has settled, which takes a typical number.

    Its share approaches the whole and never reaches it, so no total has to be revised.

    Parameters
    ----------
    message : str
        As in `Event`.
    step : int
        Steps done.
    typical : int
        Steps that such a part usually takes; then six sevenths of it count as done.
    values : dict of str to float, optional
        As in `Event`.
    """
    share = 1.0 - math.exp(-2.0 * step / typical)
    return Event(message, math.floor(_SHARES * share), _SHARES, values or {})


def drive(
    stepper: Stepper[Result],
    on_event: Callable[[Event], object] | None = None,
    cancel: CancelToken | None = None,
) -> Result:
    """Advance a stepper until it is done.

    Parameters
    ----------
    stepper : Stepper
        The computation.
    on_event : callable, optional
        Called with the `Event` of each step, in the caller's thread.
    cancel : CancelToken, optional
        Checked before each step.

    Returns
    -------
    object
        The stepper's result.

    Raises
    ------
    Cancelled
        If the token was cancelled before the computation was done.
    """
    while not stepper.done:
        if cancel is not None:
            cancel.check()
        event = stepper.step()
        if on_event is not None:
            on_event(event)
    return stepper.result
