"""`MethodComparison`: several methods on the same input, one after the other, as one stepper."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING

from napari_qpi.tasks.job import load_torch
from qpi_kernels.progress import Cancelled, Event, GeneratorStepper, follow, map_events, portion

if TYPE_CHECKING:
    from napari_qpi.tasks.extraction import ExtractionInput
    from qpi_kernels.result import KernelResult

__all__ = ["COMPARED", "MethodComparison", "MethodRun"]

COMPARED = ("average", "least_squares", "two_step", "bayes")


@dataclass(frozen=True)
class MethodRun:
    """The result of one method, or why there is none.

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
        """The method's name for display."""
        return self.method.replace("_", " ")


class MethodComparison(GeneratorStepper[list[MethodRun]]):
    """Extract with each of several inputs that differ in the method; one may fail.

    Parameters
    ----------
    tasks : sequence of ExtractionInput
        One for each method.
    """

    def __init__(self, tasks: Sequence[ExtractionInput]) -> None:
        self._tasks = tasks

    def _run(self) -> Generator[Event, None, list[MethodRun]]:
        """Extract with one method after the other."""
        load_torch()
        runs = []
        count = len(self._tasks)
        for number, task in enumerate(self._tasks):
            place = f"{number + 1} of {count}"
            work = _method_run(task, place)
            runs.append((yield from portion(work, number / count, (number + 1) / count)))
        return runs


def _method_run(task: ExtractionInput, place: str) -> Generator[Event, None, MethodRun]:
    """Extract with one method; a failure is a result, too, because the others are worth seeing."""
    method = task.parameters.method
    words = f"{method.replace('_', ' ')} ({place})"
    yield Event(f"{words}: starting")
    started = monotonic()
    try:
        result = yield from map_events(
            follow(task.start()),
            lambda event: replace(event, message=f"{words}: {event.message}"),
        )
    except Cancelled:
        raise
    except Exception as error:
        return MethodRun(method, monotonic() - started, None, float("nan"), str(error))
    return MethodRun(method, monotonic() - started, result, result.quality.expected_error)
