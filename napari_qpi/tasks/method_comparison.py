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
    from qpi_kernels.extraction.cross_validation.validation import CrossValidation
    from qpi_kernels.result import KernelResult

__all__ = ["COMPARED", "Comparison", "MethodComparison", "MethodRun"]

COMPARED = ("average", "least_squares", "two_step", "bayes")
_FOLDS = 5


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


@dataclass(frozen=True)
class Comparison:
    """The results of several methods on one input.

    Parameters
    ----------
    runs : list of MethodRun
        One for each method.
    validation : CrossValidation or None
        What each predicts of left-out parts of the map, where that was asked for and possible.
    reason : str
        Why there is no prediction.
    """

    runs: list[MethodRun]
    validation: CrossValidation | None = None
    reason: str = ""


class MethodComparison(GeneratorStepper[Comparison]):
    """Extract with each of several inputs that differ in the method; one may fail.

    Parameters
    ----------
    tasks : sequence of ExtractionInput
        One for each method.
    predict : bool
        Predict left-out blocks of the map, too, with each method that did not fail.
    """

    def __init__(self, tasks: Sequence[ExtractionInput], *, predict: bool = False) -> None:
        self._tasks = tasks
        self._predict = predict

    def _run(self) -> Generator[Event, None, Comparison]:
        """Extract with one method after the other, then compare their predictions."""
        load_torch()
        runs = []
        count = len(self._tasks)
        share = 1 / (1 + _FOLDS) if self._predict else 1.0
        for number, task in enumerate(self._tasks):
            place = f"{number + 1} of {count}"
            work = _method_run(task, place)
            parts = (share * number / count, share * (number + 1) / count)
            runs.append((yield from portion(work, *parts)))
        sound = [
            task for task, run in zip(self._tasks, runs, strict=True) if run.result is not None
        ]
        if not (self._predict and sound):
            return Comparison(runs)
        try:
            validation = yield from portion(_predictions(sound), share, 1.0)
        except Cancelled:
            raise
        except Exception as error:
            return Comparison(runs, reason=str(error))
        return Comparison(runs, validation)


def _predictions(tasks: Sequence[ExtractionInput]) -> Generator[Event, None, CrossValidation]:
    """Predict left-out blocks with each method."""
    # Here, because it imports torch.
    from qpi_kernels.extraction.cross_validation.cross_validate import start_comparison

    first = tasks[0]
    alternatives = {task.parameters.method: (task.parameters, task.defects) for task in tasks}
    stepper = start_comparison(
        first.prepared or first.observation, alternatives, mask=first.mask, folds=_FOLDS
    )
    return (yield from follow(stepper))


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
