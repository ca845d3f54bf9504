"""`CountedWork`: progress and cancelling of fits, whose residuals another library calls."""

from __future__ import annotations

from collections.abc import Callable

from qpi_kernels.progress import CancelToken, Event, open_ended

__all__ = ["CountedWork"]


class CountedWork:
    """Report units of work whose number is not known beforehand, and stop where it was asked for.

    For code that can not be a generator because another library calls it, such as a residual
    function within a fit.

    Parameters
    ----------
    typical : int
        As in `open_ended`.
    on_event : callable, optional
        Called with an `Event` for each unit, in the caller's thread.
    cancel : CancelToken, optional
        Checked at each unit.
    """

    def __init__(
        self,
        typical: int = 1,
        on_event: Callable[[Event], object] | None = None,
        cancel: CancelToken | None = None,
    ) -> None:
        self._typical, self._on_event, self._cancel = typical, on_event, cancel
        self._count = 0

    def unit(self, message: str) -> None:
        """Count and report a unit of work.

        Raises
        ------
        Cancelled
            If the token was cancelled.
        """
        if self._cancel is not None:
            self._cancel.check()
        self._count += 1
        if self._on_event is not None:
            self._on_event(open_ended(message, self._count, self._typical))
