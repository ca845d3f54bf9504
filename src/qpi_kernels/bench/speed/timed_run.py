"""Extractions with a limit on their time, and what they took."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from qpi_kernels.bench.speed.timing import timed_with_peak
from qpi_kernels.extraction import Extraction
from qpi_kernels.result import KernelResult

__all__ = ["RowTimeout", "TimedRun", "run_with_peak", "run_within", "wait_for"]


class RowTimeout(RuntimeError):  # noqa: N818
    """A measurement took longer than its limit."""


@dataclass(frozen=True, eq=False)
class TimedRun:
    """A finished extraction.

    Parameters
    ----------
    result : KernelResult
        What it found.
    seconds, first_event_seconds, cpu_seconds : float
        From the call to the result and to the first event; and of the processor.
    events : int
        Steps of the stepper.
    """

    result: KernelResult
    seconds: float
    first_event_seconds: float
    cpu_seconds: float
    events: int


def run_within(start: Callable[[], Extraction], limit: float, device: str) -> TimedRun:
    """Run an extraction step by step.

    Parameters
    ----------
    start : callable
        Makes the stepper; its time counts.
    limit : float
        Seconds, looked at after each step.
    device : str
        Waited for at the end.

    Raises
    ------
    RowTimeout
        After the limit; the message says how far it was.
    """
    began, cpu_began = time.perf_counter(), time.process_time()
    stepper, events, first = start(), 0, 0.0
    while not stepper.done:
        event = stepper.step()
        events += 1
        now = time.perf_counter() - began
        first = first or now
        if now > limit and not stepper.done:
            share = "" if event.fraction is None else f", {event.fraction:.0%} done"
            raise RowTimeout(f"stopped after {now:.1f} s{share}: {event.message}")
    wait_for(device)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    return TimedRun(stepper.result, seconds, first, cpu_seconds, events)


def run_with_peak(
    start: Callable[[], Extraction], limit: float, device: str
) -> tuple[TimedRun, dict[str, float]]:
    """Run an extraction and measure memory: of the host, and of a CUDA device.

    Returns
    -------
    TimedRun
        Its seconds are a little too long, for the memory is watched.
    dict
        ``host_peak_mib`` above what was there before, and ``device_peak_mib``.
    """
    on_cuda = torch.device(device).type == "cuda"
    if on_cuda:
        torch.cuda.reset_peak_memory_stats(device)
    done: list[TimedRun] = []
    _, peak = timed_with_peak(lambda: done.append(run_within(start, limit, device)))
    numbers = {"host_peak_mib": peak / 2**20}
    if on_cuda:
        numbers["device_peak_mib"] = torch.cuda.max_memory_allocated(device) / 2**20
    return done[0], numbers


def wait_for(device: str) -> None:
    """Wait until a device has done all it was asked for."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
