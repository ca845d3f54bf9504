"""`MethodComparison`: several methods on the same input, one after the other, as one stepper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from napari_qpi.tasks.job import load_torch
from qpi_kernels.progress import Cancelled, Event

if TYPE_CHECKING:
    from napari_qpi.tasks.extraction import ExtractionInput
    from qpi_kernels.extraction import Extraction
    from qpi_kernels.result import KernelResult

__all__ = ["COMPARED", "MethodComparison", "MethodRun"]

COMPARED = ("average", "least_squares", "two_step", "bayes")
_PARTS = 1000


@dataclass(frozen=True)
class MethodRun:
    """What one method gave.

    Parameters
    ----------
    method : str
        Its name.
    seconds : float
        How long it took.
    result : KernelResult or None
        None when it failed.
    expected_error : float
        Rms of the standard deviation over the kernel's rms; NaN without a signal or a result.
    reason : str
        Why it failed.
    """

    method: str
    seconds: float
    result: KernelResult | None
    expected_error: float
    reason: str = ""

    @property
    def title(self) -> str:
        """The method's name for people."""
        return self.method.replace("_", " ")


class MethodComparison:
    """Runs inputs that differ in the method, and goes on where one of them fails.

    Parameters
    ----------
    tasks : sequence of ExtractionInput
        One for each method.
    """

    def __init__(self, tasks: Sequence[ExtractionInput]) -> None:
        load_torch()
        self._tasks = tasks
        self._runs: list[MethodRun] = []
        self._current: Extraction | None = None
        self._started = 0.0

    @property
    def done(self) -> bool:
        """Whether every method has run."""
        return len(self._runs) == len(self._tasks)

    @property
    def result(self) -> list[MethodRun]:
        """What each method gave, in order."""
        return self._runs

    def step(self) -> Event:
        """Start a method or advance the one that is at work."""
        number = len(self._runs)
        task = self._tasks[number]
        method = task.parameters.method
        try:
            if self._current is None:
                self._started = monotonic()
                self._current = task.start()
                event = Event("Starting")
            else:
                event = self._current.step()
            if self._current.done:
                self._finish(method, self._current.result)
        except Cancelled:
            raise
        except Exception as error:
            # The others are still worth seeing; the table says why this one is not there.
            self._add(MethodRun(method, self._seconds(), None, float("nan"), str(error)))
            event = Event("Failed")
        share = 1.0 if len(self._runs) > number else event.fraction or 0.0
        return Event(
            f"{method.replace('_', ' ')} ({number + 1} of {len(self._tasks)}): {event.message}",
            round(_PARTS * (number + share)),
            _PARTS * len(self._tasks),
        )

    def _seconds(self) -> float:
        return monotonic() - self._started

    def _finish(self, method: str, result: KernelResult) -> None:
        from qpi_kernels.extraction.quality_report import relative_error

        seconds = self._seconds()
        error = relative_error(result.kernel.values, result.std.values)
        self._add(MethodRun(method, seconds, result, error))

    def _add(self, run: MethodRun) -> None:
        self._runs.append(run)
        self._current = None
