"""`BackgroundCall`: one number or array that takes too long for the GUI thread, kept when made."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar

from psygnal import Signal

from napari_qpi.tasks.job import Job, SingleCall

__all__ = ["BackgroundCall"]

Result = TypeVar("Result")
_Key = tuple[object, ...]


class BackgroundCall(Generic[Result]):
    """Call a function in a worker thread, and keep what it returned for the latest arguments.

    Parameters
    ----------
    call : callable
        Called with the arguments of `get`; touches no layer and no widget.
    message : str
        Names the work.

    Attributes
    ----------
    ready : Signal()
        What was asked for is there.
    failed : Signal(str)
        Why there is nothing.
    """

    ready: ClassVar[Signal] = Signal()
    failed: ClassVar[Signal] = Signal(str)

    def __init__(self, call: Callable[..., Result], message: str) -> None:
        self._call, self._message = call, message
        self._made: tuple[_Key, Result] | None = None
        self._under_way: _Key = ()
        self._wanted: _Key | None = None
        self._failed_for: _Key | None = None
        self._job = Job()
        self._job.succeeded.connect(self._on_made)
        self._job.failed.connect(self._on_failed)

    def get(self, *arguments: object) -> Result | None:
        """Return the result for arguments that are the same objects, or begin and return None.

        Where these failed the last time there is nothing to begin.
        """
        if self._made is not None and _same(self._made[0], arguments):
            return self._made[1]
        if self._failed_for is not None and _same(self._failed_for, arguments):
            return None  # it would fail again
        self._wanted = arguments
        self._start()
        return None

    def is_made(self, *arguments: object) -> bool:
        """Return whether the result for arguments, be it None, is there."""
        return self._made is not None and _same(self._made[0], arguments)

    def cancel(self) -> None:
        """Give up what was asked for."""
        self._wanted = None
        self._job.cancel()

    def _start(self) -> None:
        if self._wanted is None or self._job.state.busy:
            return
        self._under_way, self._wanted = self._wanted, None
        self._job.start(partial(SingleCall, partial(self._call, *self._under_way), self._message))

    def _on_made(self, result: Any) -> None:
        """Keep a result, and go on with what was asked for meanwhile."""
        self._made = self._under_way, result
        if self._wanted is not None and _same(self._wanted, self._under_way):
            self._wanted = None
        self.ready.emit()
        self._start()

    def _on_failed(self, error: Exception) -> None:
        self._failed_for = self._under_way
        self.failed.emit(str(error))
        self._start()


def _same(first: _Key, second: _Key) -> bool:
    """Compare arguments: arrays by identity, others by value."""
    return len(first) == len(second) and all(
        one is other or (isinstance(one, str | float | int) and one == other)
        for one, other in zip(first, second, strict=True)
    )
