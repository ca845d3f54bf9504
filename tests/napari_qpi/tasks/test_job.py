"""The job state machine, with steppers that wait until the test lets them go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QThread

from napari_qpi.tasks.job import Job, JobState, SingleCall
from qpi_kernels.progress import CancelToken, Event


class GatedStepper:
    """Takes a step each time the gate opens; fails at a step when told to."""

    def __init__(self, steps: int = 3, error: Exception | None = None) -> None:
        self.gate = threading.Semaphore(0)
        self.entered = threading.Event()
        self.taken = 0
        self._steps = steps
        self._error = error

    @property
    def done(self) -> bool:
        return self.taken >= self._steps

    @property
    def result(self) -> str:
        return f"after {self.taken}"

    def step(self) -> Event:
        self.entered.set()
        assert self.gate.acquire(timeout=20)
        if self._error is not None:
            raise self._error
        self.taken += 1
        return Event("working", self.taken, self._steps)


class CountingToken(CancelToken):
    """Cancels itself at the n-th check."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self._left = at

    def check(self) -> None:
        self._left -= 1
        if self._left <= 0:
            self.cancel()
        super().check()


@pytest.fixture
def job() -> Job:
    return Job()


def watch(job: Job) -> dict[str, list[Any]]:
    seen: dict[str, list[Any]] = {"states": [], "events": [], "results": [], "errors": []}
    job.state_changed.connect(lambda state: seen["states"].append(state))
    job.progressed.connect(lambda event: seen["events"].append((event, QThread.currentThread())))
    job.succeeded.connect(lambda result: seen["results"].append(result))
    job.failed.connect(lambda error: seen["errors"].append(error))
    return seen


def finished(job: Job) -> Callable[[], None]:
    def check() -> None:
        assert not job.state.busy

    return check


def run(qtbot: QtBot, job: Job, stepper: GatedStepper, **options: Any) -> None:
    for _ in range(10):
        stepper.gate.release()
    job.start(lambda: stepper, **options)
    qtbot.waitUntil(finished(job))


def test_a_run_reports_in_the_gui_thread_and_ends_with_the_result(qtbot: QtBot, job: Job) -> None:
    seen = watch(job)
    run(qtbot, job, GatedStepper())
    assert seen["states"] == [JobState.RUNNING, JobState.DONE]
    assert seen["results"] == ["after 3"]
    assert seen["events"][-1][0].fraction == 1
    assert {thread for _, thread in seen["events"]} == {QThread.currentThread()}


def test_events_come_at_most_twenty_times_a_second(qtbot: QtBot, job: Job) -> None:
    class Busy(GatedStepper):
        def step(self) -> Event:
            time.sleep(0.002)
            self.taken += 1
            return Event("working", self.taken, self._steps)

    seen = watch(job)
    began = time.monotonic()
    run(qtbot, job, Busy(steps=150))
    allowed = 2 + (time.monotonic() - began) / 0.05
    assert 2 <= len(seen["events"]) <= allowed
    assert seen["events"][-1][0].step == 150


def test_cancel_stops_after_the_current_step(qtbot: QtBot, job: Job) -> None:
    seen = watch(job)
    stepper = GatedStepper()
    job.start(lambda: stepper)
    assert stepper.entered.wait(10)
    job.cancel()
    assert job.state is JobState.CANCELLING
    stepper.gate.release()
    qtbot.waitUntil(finished(job))
    assert seen["states"] == [JobState.RUNNING, JobState.CANCELLING, JobState.CANCELLED]
    assert stepper.taken == 1
    assert not seen["results"]


def test_cancel_from_another_thread(qtbot: QtBot, job: Job) -> None:
    token = CancelToken()
    stepper = GatedStepper()
    job.start(lambda: stepper, cancel=token)
    assert stepper.entered.wait(10)
    thread = threading.Thread(target=token.cancel)
    thread.start()
    thread.join()
    stepper.gate.release()
    qtbot.waitUntil(finished(job))
    assert job.state is JobState.CANCELLED


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_cancel_at_every_check(qtbot: QtBot, job: Job, at: int) -> None:
    seen = watch(job)
    stepper = GatedStepper(steps=3)
    run(qtbot, job, stepper, cancel=CountingToken(at))
    assert job.state is JobState.CANCELLED
    assert stepper.taken == max(at - 2, 0)
    assert not seen["results"]


def test_a_cancelled_token_starts_nothing(qtbot: QtBot, job: Job) -> None:
    token = CancelToken()
    token.cancel()
    made = []
    job.start(lambda: made.append(1) or GatedStepper(), cancel=token)
    qtbot.waitUntil(finished(job))
    assert job.state is JobState.CANCELLED
    assert not made


@pytest.mark.parametrize("error", [ValueError("no"), RuntimeError("out of memory")])
def test_an_error_ends_the_run_and_the_next_one_starts(
    qtbot: QtBot, job: Job, error: Exception
) -> None:
    seen = watch(job)
    run(qtbot, job, GatedStepper(error=error))
    assert job.state is JobState.FAILED
    assert seen["errors"] == [error]
    run(qtbot, job, GatedStepper())
    assert job.state is JobState.DONE
    assert seen["results"] == ["after 3"]


def test_an_error_while_the_stepper_is_made(qtbot: QtBot, job: Job) -> None:
    def fail() -> GatedStepper:
        raise OSError("no DLL")

    job.start(fail)
    qtbot.waitUntil(finished(job))
    assert job.state is JobState.FAILED


def test_a_result_may_start_the_next_run(qtbot: QtBot, job: Job) -> None:
    results: list[str] = []

    def again(result: str) -> None:
        results.append(result)
        if len(results) == 1:
            job.start(lambda: SingleCall(lambda: "second", "short"))

    job.succeeded.connect(again)
    job.start(lambda: SingleCall(lambda: "first", "short"))
    qtbot.waitUntil(lambda: len(results) == 2)
    assert results == ["first", "second"]
    qtbot.waitUntil(lambda: job.state is JobState.DONE)


def test_one_run_at_a_time(qtbot: QtBot, job: Job) -> None:
    stepper = GatedStepper(steps=1)
    job.start(lambda: stepper)
    with pytest.raises(RuntimeError, match="running"):
        job.start(lambda: stepper)
    stepper.gate.release()
    qtbot.waitUntil(finished(job))
    assert job.state is JobState.DONE


def test_cancel_without_a_run_does_nothing(job: Job) -> None:
    job.cancel()
    assert job.state is JobState.IDLE


def test_a_step_that_takes_long_does_not_hold_up_a_cancel(qtbot: QtBot, job: Job) -> None:
    seen = watch(job)
    stepper = GatedStepper(steps=1)
    job.start(lambda: stepper)
    assert stepper.entered.wait(10)
    job.cancel()
    assert job.state is JobState.CANCELLING
    qtbot.waitUntil(finished(job), timeout=1500)
    assert seen["states"][-1] is JobState.CANCELLED
    job.start(lambda: SingleCall(lambda: "next", "short"))
    qtbot.waitUntil(lambda: job.state is JobState.DONE)
    stepper.gate.release()
    qtbot.wait(50)
    assert seen["results"] == ["next"]


def test_a_call_is_named_before_it_is_made() -> None:
    made: list[int] = []
    call = SingleCall(lambda: made.append(1) or "result", "Detect")
    assert call.step().message == "Detect"
    assert not made
    assert not call.done
    call.step()
    assert call.done
    assert call.result == "result"
