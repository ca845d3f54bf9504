"""Launches, waits and copies of one extraction on a device."""

from __future__ import annotations

from collections import Counter

import torch
from torch.profiler import ProfilerActivity, profile

from qpi_kernels.bench.gpu.pretended_device import counted_traffic, register_pretended
from qpi_kernels.bench.gpu.report import GpuRow
from qpi_kernels.bench.speed.problems import Task, family_map
from qpi_kernels.bench.speed.timed_run import run_within

__all__ = ["traffic_row"]

_AIMS = {"launches": 500.0, "synchronisations": 20.0}
_LAUNCHES = ("cudaLaunchKernel", "cuLaunchKernel", "cudaGraphLaunch")
_WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")
_COPIES = ("cudaMemcpy", "cudaMemset")
# Names of the most frequent operations that a row notes.
_MAX_LISTED = 8


def traffic_row(method: str, quick: bool, device: str, limit: float) -> GpuRow:
    """Count what one map asks of a device: by the profiler on CUDA, else of a pretended one.

    Parameters
    ----------
    method : str
        As of `extract`.
    quick : bool
        A small map.
    device : str
        Which; any but CUDA is replaced by the pretended one.
    limit : float
        Seconds.
    """
    side, window, count = (48, 15, 8) if quick else (256, 64, 30)
    task = family_map(side, window, count).asked(method=method)
    row = GpuRow(group="traffic", name=f"{method}, one map", aims=_AIMS)
    if torch.device(device).type == "cuda":
        _profile(row, task, device, limit)
    else:
        _pretend(row, task, limit)
    return row


def _pretend(row: GpuRow, task: Task, limit: float) -> None:
    """Count operations on the pretended device, each of which is a launch at least."""
    place = str(register_pretended())
    run_within(lambda: task.start(place), limit, place)
    with counted_traffic() as traffic:
        run_within(lambda: task.start(place), limit, place)
    row.numbers |= {
        "launches": float(traffic.launches.total()),
        "synchronisations": float(traffic.synchronisations),
        "copies_to_host": float(traffic.copies_to_host),
        "copies_to_device": float(traffic.copies_to_device),
        "peak_mib": traffic.peak_bytes / 2**20,
    }
    row.notes.append("operations of a pretended device; a GPU may need several launches for one")
    row.notes.append(_most_frequent(traffic.launches))


def _profile(row: GpuRow, task: Task, device: str, limit: float) -> None:
    """Count by torch's profiler, and measure how long the GPU is busy."""
    warm = [run_within(lambda: task.start(device), limit, device) for _ in range(2)][-1]
    row.numbers["seconds"] = warm.seconds
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as measured:
        run_within(lambda: task.start(device), limit, device)
    calls: Counter[str] = Counter()
    kernels: Counter[str] = Counter()
    busy: list[tuple[float, float]] = []
    for event in measured.events() or ():
        if str(event.device_type).endswith("CUDA"):
            kernels[event.name[:60]] += 1
            busy.append((event.time_range.start, event.time_range.end))
        else:
            calls[event.name] += 1
    row.numbers |= {
        "launches": _sum_of(calls, _LAUNCHES),
        "synchronisations": _sum_of(calls, _WAITS),
        "copies": _sum_of(calls, _COPIES),
        "kernels": float(kernels.total()),
        "busy_s": 1e-6 * _covered(busy),
    }
    row.numbers["busy_share"] = row.numbers["busy_s"] / warm.seconds
    operations = Counter(
        {name: number for name, number in calls.items() if name.startswith("aten::")}
    )
    row.notes += [_most_frequent(operations), _most_frequent(kernels)]


def _sum_of(calls: Counter[str], names: tuple[str, ...]) -> float:
    """Add up the calls whose names begin so."""
    return float(sum(number for name, number in calls.items() if name.startswith(names)))


def _covered(intervals: list[tuple[float, float]]) -> float:
    """Measure the union of intervals."""
    total, end = 0.0, float("-inf")
    for first, last in sorted(intervals):
        total += max(0.0, last - max(first, end))
        end = max(end, last)
    return total


def _most_frequent(calls: Counter[str]) -> str:
    """List the most frequent names with their numbers."""
    return ", ".join(f"{name} {number}" for name, number in calls.most_common(_MAX_LISTED))
