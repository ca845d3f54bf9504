"""Times and memory of work, so that ratios can be trusted on a busy machine."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from statistics import median

import psutil

__all__ = ["alternate", "timed", "timed_with_peak"]


def timed(work: Callable[[], object]) -> float:
    """Time a job, in seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def alternate(
    first: Callable[[], object], second: Callable[[], object], repeats: int
) -> tuple[float, float]:
    """Time two jobs, taken in turns so that a busy machine slows both alike."""
    for job in (first, second):
        job()
    times = [(timed(first), timed(second)) for _ in range(repeats)]
    return median(pair[0] for pair in times), median(pair[1] for pair in times)


def timed_with_peak(work: Callable[[], object]) -> tuple[float, int]:
    """Time a job, and measure its peak of resident memory above the level before."""
    gc.collect()
    before, peak, finished = _resident_bytes(), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not finished.wait(0.002):
            peak = max(peak, _resident_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        seconds = timed(work)
    finally:
        finished.set()
        watcher.join()
    return seconds, max(peak - before, 0)


def _resident_bytes() -> int:
    """Measure the resident memory of this process."""
    return int(psutil.Process().memory_info().rss)
