"""Arithmetic of an extraction takes one thread, and leaves everyone else's as they were."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from qpi_kernels.extraction import extract, start_extraction
from qpi_kernels.progress import Cancelled, Event, finish
from qpi_kernels.simulate import ParabolicBand, observe, scatter_defects, single_defect
from qpi_kernels.threads import Workers, one_thread


def _blas_threads() -> set[int]:
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


@pytest.fixture(autouse=True)
def _two_threads() -> Iterator[None]:
    """Let all libraries take two threads, whatever the environment says."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    with threadpool_limits(2, user_api="blas"):
        yield
    torch.set_num_threads(before)


def _in_thread(call: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return thread


def test_a_block_has_one_thread_of_each_library_and_gives_them_back() -> None:
    assert _blas_threads() == {2}
    with one_thread():
        with one_thread():
            assert torch.get_num_threads() == 1
            assert _blas_threads() == {1}
        assert torch.get_num_threads() == 1
        assert _blas_threads() == {1}
    assert torch.get_num_threads() == 2
    assert _blas_threads() == {2}


def test_a_block_that_fails_gives_the_threads_back() -> None:
    with pytest.raises(KeyError), one_thread():
        raise KeyError
    assert torch.get_num_threads() == 2
    assert _blas_threads() == {2}


def test_the_last_of_several_threads_lifts_the_limit() -> None:
    inside, leave = threading.Event(), threading.Event()
    numbers = []

    def work() -> None:
        with one_thread():
            inside.set()
            leave.wait(10)
            numbers.append(torch.get_num_threads())

    with one_thread():
        worker = _in_thread(work)
        assert inside.wait(10)
    # This thread has its own number again, and the process's libraries still work for the other.
    assert torch.get_num_threads() == 2
    assert _blas_threads() == {1}
    leave.set()
    worker.join(10)
    assert numbers == [1]
    assert _blas_threads() == {2}
    _in_thread(lambda: numbers.append(torch.get_num_threads())).join(10)
    assert numbers == [1, 2]


@pytest.mark.parametrize("method", ["bayes", "least_squares"])
def test_the_answer_has_the_same_bits_for_any_number_of_threads(method: str) -> None:
    rng = np.random.default_rng(3)
    image = rng.normal(size=(192, 200)).astype(np.float32)
    image[20:44, 30:54] += np.hanning(24)[:, None] * np.hanning(24)
    answers = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        with threadpool_limits(count, user_api="blas"):
            result = extract(image, [(32, 42), (70, 80.5)], method=method, kernel_shape=(16, 16))
        answers.append(result.kernel.values.tobytes() + result.std.values.tobytes())
    assert answers[0] == answers[1] == answers[2]


def test_between_the_steps_of_an_extraction_all_threads_are_free() -> None:
    image = np.random.default_rng(4).normal(size=(48, 48))
    run = start_extraction(image, [(20, 20)], method="least_squares", kernel_shape=(8, 8))
    while not run.done:
        run.step()
        assert torch.get_num_threads() == 2
        assert _blas_threads() == {2}


def _numbered(number: int) -> Generator[Event, None, int]:
    for step in range(3):
        yield Event(f"part {number}", step + 1, 3)
    return torch.get_num_threads() * 10 + number


@pytest.mark.parametrize("cores", [1, 3])
def test_workers_give_the_results_of_their_parts(
    monkeypatch: pytest.MonkeyPatch, cores: int
) -> None:
    monkeypatch.setattr("qpi_kernels.threads.available_cores", lambda: cores)
    with one_thread(), Workers(2) as workers:
        assert workers.count == min(cores, 2)
        started = [workers.start(_numbered(number), "several") for number in range(4)]
        assert [finish(part) for part in started] == [10, 11, 12, 13]


def test_a_part_that_fails_raises_where_it_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qpi_kernels.threads.available_cores", lambda: 2)

    def fail() -> Generator[Event, None, None]:
        yield Event("once")
        raise KeyError("lost")

    with Workers(2) as workers:
        part = workers.start(fail(), "failing")
        with pytest.raises(KeyError, match="lost"):
            finish(part)


def test_leaving_the_block_stops_the_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qpi_kernels.threads.available_cores", lambda: 2)
    begun, steps = threading.Event(), []

    def endless() -> Generator[Event, None, None]:
        while True:
            begun.set()
            steps.append(1)
            time.sleep(0.001)
            yield Event("on and on")

    with Workers(2) as workers:
        part = workers.start(endless(), "endless")
        assert begun.wait(10)
    count = len(steps)
    with pytest.raises(Cancelled):
        finish(part)
    assert len(steps) == count


def test_a_stack_has_the_same_bits_on_one_core_and_on_several(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stack = np.random.default_rng(7).normal(size=(12, 96, 96)).astype(np.float32)
    monkeypatch.setattr("qpi_kernels.extraction.least_squares.estimator._CHUNK_BYTES", 2**20)
    answers = []
    for cores in (1, 4):
        monkeypatch.setattr("qpi_kernels.threads.available_cores", lambda cores=cores: cores)
        result = extract(stack, [(40, 52)], method="least_squares", kernel_shape=(16, 16))
        answers.append(result.kernel.values.tobytes() + result.std.values.tobytes())
    assert answers[0] == answers[1]


def test_simulated_kernels_and_maps_have_the_same_bits_for_any_number_of_threads() -> None:
    band = ParabolicBand(mass=0.4, onset=-0.065)
    defects = scatter_defects(9, (150, 160), seed=0)
    made = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        kernel = single_defect(
            band,
            bias=np.array([0.0, 0.1]),
            pixel_nm=0.3,
            shape=(64, 64),
            impurity=-1.0,
            broadening=0.006,
        )
        image = observe(kernel, defects, (150, 160), noise=0.1, seed=1)
        made.append(kernel.values.tobytes() + image.values.tobytes())
    assert made[0] == made[1] == made[2]
