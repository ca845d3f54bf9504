"""Threads of a computation: one for its arithmetic, whatever the machine and its load."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import scipy
import torch

from qpi_kernels.progress import Cancelled, Event, Stepper, await_result, finish, map_events

__all__ = ["OneThreadStepper", "Workers", "available_cores", "one_thread"]

Result = TypeVar("Result", covariant=True)
Value = TypeVar("Value")

# OpenBLAS as it comes in wheels of NumPy and SciPy; get and set go between the halves of a name.
_AFFIXES = (
    ("scipy_openblas_", "_num_threads64_"),
    ("scipy_openblas_", "_num_threads"),
    ("openblas_", "_num_threads64_"),
    ("openblas_", "_num_threads"),
)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread of torch and of NumPy's linear algebra in this block.

    Sums, products of matrices and factorisations of several threads add in another order, which
    changes the last bits. And the work of an extraction is many small operations: threads that
    wait for each other after each of them spin, and beside other programs each waits for the one
    that is not running (measured on two busy cores: 28 s of CPU instead of 1.8 s). Independent
    parts of a computation may each run in a thread of their own, within a block each.

    torch counts threads for each calling thread; NumPy's and SciPy's OpenBLAS have one number for
    the process, which comes back when the last thread has left its block (threadpoolctl lets only
    one thread set it). Blocks may be nested.
    """
    if _LIMIT.inside:
        yield
        return
    _LIMIT.enter()
    try:
        yield
    finally:
        _LIMIT.leave()


class OneThreadStepper(Generic[Result]):
    """A stepper that is made, and takes each step, in a block of `one_thread`.

    Parameters
    ----------
    make : callable
        Returns the stepper.
    """

    def __init__(self, make: Callable[[], Stepper[Result]]) -> None:
        with one_thread():
            self._stepper = make()

    @property
    def done(self) -> bool:
        """True if `result` is ready."""
        return self._stepper.done

    @property
    def result(self) -> Result:
        """The finished result; asking earlier is an error."""
        return self._stepper.result

    def step(self) -> Event:
        """Do one unit of work."""
        with one_thread():
            return self._stepper.step()


class Workers:
    """Threads for independent parts of a computation, each in a block of `one_thread`.

    What a part computes must not depend on the others, so that results do not depend on the number
    of workers. Leaving the ``with`` block stops all parts after their current step.

    Parameters
    ----------
    most : int
        Workers, unless there are fewer cores.
    """

    def __init__(self, most: int) -> None:
        self.count = max(1, min(most, available_cores()))
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(self.count, thread_name_prefix="computation")

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._pool.shutdown(cancel_futures=True)

    def start(
        self, part: Generator[Event, None, Value], message: str
    ) -> Generator[Event, None, Value]:
        """Start a part, or with a single worker leave it to the caller.

        Parameters
        ----------
        part : generator
            Yields events and returns a result.
        message : str
            What is being done, for the events of a part that runs in a thread.

        Returns
        -------
        generator
            Yields events until the part is done, and returns its result.
        """
        if self.count == 1:
            return part

        def run() -> Value:
            with one_thread():
                return finish(self._until_stopped(part))

        return await_result(self._pool.submit(run), message)

    def _until_stopped(self, part: Generator[Event, None, Value]) -> Generator[Event, None, Value]:
        """Run a part, but end it after the step in which it is stopped."""

        def check(event: Event) -> Event:
            if self._stop.is_set():
                raise Cancelled("Stopped with the computation that it was a part of.")
            return event

        return (yield from map_events(part, check))


def available_cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True, eq=False)
class _OpenBlas:
    """The functions of one library that get and set its number of threads."""

    get_threads: Callable[[], int]
    set_threads: Callable[[int], object]


class _Limit(threading.local):
    """The blocks that this thread is in, and what all threads share of them."""

    inside = False
    _lock = threading.Lock()
    _threads = 0
    _torch = 1
    _linear_algebra: tuple[int, ...] = ()

    def enter(self) -> None:
        """Limit this thread, and the libraries of the process for the first one."""
        shared = _Limit
        # Also because a thread's first call of torch takes the number that all begin with.
        before = torch.get_num_threads()
        with self._lock:
            if shared._threads == 0:
                shared._torch = before
                shared._linear_algebra = tuple(one.get_threads() for one in _linear_algebra())
                for one in _linear_algebra():
                    one.set_threads(1)
            shared._threads += 1
            torch.set_num_threads(1)
        self.inside = True

    def leave(self) -> None:
        """Lift the limit of this thread, and that of the process after the last one."""
        shared = _Limit
        self.inside = False
        with self._lock:
            shared._threads -= 1
            # Not what this thread had: a new thread begins with what the last one here set.
            torch.set_num_threads(shared._torch)
            if shared._threads == 0:
                for one, number in zip(_linear_algebra(), shared._linear_algebra, strict=True):
                    one.set_threads(number)


_LIMIT = _Limit()


@cache
def _linear_algebra() -> tuple[_OpenBlas, ...]:
    """Find the libraries of linear algebra in the wheels of NumPy and SciPy."""
    packages = [Path(module.__path__[0]) for module in (np, scipy)]
    folders = [
        *(package.with_name(f"{package.name}.libs") for package in packages),
        *(package / ".dylibs" for package in packages),
    ]
    paths = [path for folder in folders for path in sorted(folder.glob("*openblas*"))]
    libraries = [ctypes.CDLL(str(path)) for path in paths]
    return tuple(
        _OpenBlas(getattr(library, f"{before}get{after}"), getattr(library, f"{before}set{after}"))
        for library in libraries
        for before, after in _AFFIXES
        if hasattr(library, f"{before}set{after}")
    )
