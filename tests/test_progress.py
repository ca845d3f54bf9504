"""Events, cancelling and the driving loop."""

import threading
import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from qpi_kernels.progress import (
    Cancelled,
    CancelToken,
    Event,
    GeneratorStepper,
    drive,
    finish,
    follow,
    in_thread,
    in_thread_with_events,
    map_events,
    open_ended,
    portion,
)


class Countdown:
    """A stepper of the test's own: `total` steps, result is the number of steps done."""

    def __init__(self, total):
        self.total, self.count = total, 0

    @property
    def done(self):
        return self.count >= self.total

    @property
    def result(self):
        return self.count

    def step(self):
        self.count += 1
        return Event("counting", self.count, self.total)


def test_driving_reports_every_step_and_returns_the_result():
    fractions = []
    assert drive(Countdown(4), lambda event: fractions.append(event.fraction)) == 4
    assert fractions == [0.25, 0.5, 0.75, 1.0]


def test_unknown_totals_have_no_fraction():
    assert Event("working", 3).fraction is None
    assert Event("revised", 12, 10).fraction == 1.0


@pytest.mark.parametrize("allowed", [0, 1, 3])
def test_a_cancel_stops_before_the_next_step(allowed):
    token, job = CancelToken(), Countdown(10)

    def stop(event):
        if event.step == allowed:
            token.cancel()

    if allowed == 0:
        token.cancel()
    with pytest.raises(Cancelled):
        drive(job, stop, token)
    assert job.count == allowed


def test_a_cancel_reaches_from_another_thread():
    token = CancelToken()
    other = threading.Thread(target=token.cancel)
    other.start()
    other.join()
    assert token.cancelled
    with pytest.raises(Cancelled):
        token.check()


class _Halves(GeneratorStepper[float]):
    """Halve a number a few times."""

    def __init__(self, number: float) -> None:
        self._number = number

    def _part(self, count: int):
        number = self._number
        for index in range(count):
            number /= 2
            yield Event("Halving", index + 1, count, {"number": number})
        return number

    def _run(self):
        number = yield from self._part(3)
        return number


def test_a_generator_stepper_returns_what_its_generator_returns() -> None:
    stepper = _Halves(8.0)
    events = []
    assert drive(stepper, events.append) == 1.0
    assert [event.step for event in events] == [1, 2, 3, 3]
    assert events[-1].fraction == 1.0
    assert stepper.step() == events[-1]


def test_a_generator_stepper_has_no_result_before_it_is_done() -> None:
    stepper = _Halves(8.0)
    stepper.step()
    assert not stepper.done
    with pytest.raises(RuntimeError, match="not finished"):
        _ = stepper.result


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, GeneratorExit])
def test_an_error_of_a_generator_stepper_reaches_the_caller(error: type[BaseException]) -> None:
    class Fails(GeneratorStepper[int]):
        def _run(self):
            yield Event("Working")
            raise error("broken")

    stepper = Fails()
    stepper.step()
    for _ in range(2):
        with pytest.raises(error, match="broken"):
            stepper.step()
    assert not stepper.done


def count(steps, total):
    for number in range(1, steps + 1):
        yield Event("counting", number, total)
    return steps


class Portions(GeneratorStepper[int]):
    """Two parts, of which the first takes fewer steps than it expected, the second more."""

    def _run(self):
        first = yield from portion(count(3, 10), 0.0, 0.5)
        second = yield from portion(self._nested(), 0.5, 1.0)
        return first + second

    def _nested(self):
        return (yield from portion(count(12, 10), 0.0, 0.9))


def test_portions_have_one_total_and_never_go_back():
    events = []
    assert drive(Portions(), events.append) == 15
    assert len({event.total for event in events}) == 1
    fractions = [event.fraction for event in events]
    assert fractions == sorted(fractions)
    np.testing.assert_allclose(fractions[:4], [0.05, 0.1, 0.15, 0.545])
    assert fractions[-2:] == [0.95, 1.0]


def test_an_open_ended_part_goes_on_without_reaching_its_end():
    fractions = [open_ended("solving", step, 20).fraction for step in range(0, 100, 5)]
    assert fractions[0] == 0
    assert all(before < after < 1 for before, after in pairwise(fractions[:11]))
    assert 0.8 < open_ended("solving", 20, 20).fraction < 0.9


class Slow(GeneratorStepper[None]):
    def _run(self):
        for number in range(1, 9):
            time.sleep(0.2)
            yield Event("waiting", number, 10)


def test_the_time_left_follows_from_the_time_taken():
    events = []
    drive(Slow(), events.append)
    assert [event.seconds_left for event in events[:4]] == [None] * 4
    for event in events[5:8]:
        assert event.seconds_left == pytest.approx(0.2 * (10 - event.step), rel=0.25)
    assert events[-1].seconds_left is None


def test_the_time_left_in_words():
    words = {0.2: "1 s", 80: "80 s", 100: "2 min", 5000: "83 min", 7300: "2 h"}
    for seconds, word in words.items():
        assert Event("", seconds_left=seconds).time_left == f"about {word} left"
    assert Event("").time_left == ""


def test_a_stepper_is_followed_as_a_part():
    class Whole(GeneratorStepper[int]):
        def _run(self):
            return 1 + (yield from portion(follow(Portions()), 0.0, 0.5))

    events = []
    assert drive(Whole(), events.append) == 16
    assert len({event.total for event in events}) == 1


def test_a_generator_is_run_to_its_end():
    assert finish(count(3, 3)) == 3


def test_a_call_in_a_thread_reports_while_it_runs():
    class Sleep(GeneratorStepper[int]):
        def _run(self):
            return (yield from in_thread(lambda: time.sleep(0.35) or 7, "sleeping"))

    events = []
    assert drive(Sleep(), events.append) == 7
    assert len(events) >= 3
    assert [event.fraction for event in events[:2]] == [0, 0]
    assert events[-1].fraction == 1


def test_an_error_in_a_thread_reaches_the_caller():
    def fail():
        raise OSError("no connection")

    with pytest.raises(OSError, match="no connection"):
        finish(in_thread(fail, "connecting"))


def test_a_call_in_a_thread_reports_its_own_events_until_it_is_cancelled():
    token, stopped = CancelToken(), threading.Event()

    def work(on_event):
        try:
            for number in range(1000):
                token.check()
                on_event(Event("counting", number, 1000))
                time.sleep(0.01)
        except Cancelled:
            stopped.set()
            raise

    class Counting(GeneratorStepper[None]):
        def _run(self):
            return (yield from in_thread_with_events(work, "beginning"))

    events = []

    def hear(event):
        events.append(event)
        if len(events) == 3:
            token.cancel()

    with pytest.raises(Cancelled):
        drive(Counting(), hear, token)
    assert stopped.wait(5)
    assert {event.message for event in events} <= {"beginning", "counting"}
    steps = [event.step for event in events]
    assert 0 <= steps[0] < steps[1] < steps[2] < 1000


def test_events_of_a_part_are_changed_and_its_result_kept() -> None:
    class Renamed(GeneratorStepper[int]):
        def _run(self):
            return (yield from map_events(count(2, 2), lambda event: replace(event, message="new")))

    events = []
    assert drive(Renamed(), events.append) == 2
    assert {event.message for event in events} == {"new"}
