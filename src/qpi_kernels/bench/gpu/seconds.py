"""Seconds and memory of extractions on a device, at first and warm."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
import torch

from qpi_kernels.bench.gpu.report import GpuRow
from qpi_kernels.bench.speed.problems import (
    Task,
    blind_map,
    coloured_map,
    family_map,
    grid_sample,
    ring_stack,
    strange_map,
)
from qpi_kernels.bench.speed.timed_run import run_with_peak, run_within

__all__ = ["first_use_row", "seconds_row", "seconds_tasks"]

_WARM_RUNS = 3

# A process of its own: nothing is imported, no device context, no FFT plan.
_FIRST_USE = """
import json, sys, time
began = time.perf_counter()
import numpy as np
observation, positions = (np.load(path) for path in sys.argv[1:3])
from qpi_kernels import extract
imported = time.perf_counter()
first = []
extract(observation, positions, kernel_shape=tuple(map(int, sys.argv[4:6])), device=sys.argv[3],
        on_event=lambda event: first or first.append(time.perf_counter()))
done = time.perf_counter()
print(json.dumps({"import_s": imported - began, "first_event_s": first[0] - began,
                  "first_s": done - began}))
"""


def seconds_tasks(quick: bool) -> Iterator[tuple[str, float | None, Callable[[], Task]]]:
    """Name what is timed, with its aim on a GPU in seconds and the function that makes the map."""
    side, window, count = (48, 15, 8) if quick else (256, 64, 30)

    def one() -> Task:
        return family_map(side, window, count)

    def stack(biases: int, noise: str = "own") -> Task:
        return ring_stack(side, window, count, biases, noise)  # type: ignore[arg-type]

    yield "bayes, one map", 0.1, one
    yield "least_squares, one map", 0.01, lambda: one().asked(method="least_squares")
    yield "bayes, a kernel of no family", 0.2, lambda: strange_map(side, window, count)
    larger = (64, 19, 12) if quick else (512, 97, 60)
    yield "bayes, larger map, coloured noise", 0.4, lambda: coloured_map(*larger)
    biases = 3 if quick else 100
    yield (
        f"least_squares, {biases} biases",
        0.15,
        lambda: stack(biases).asked(method="least_squares"),
    )
    few = 2 if quick else 8
    yield f"bayes, {few} biases, noise of their own", None, lambda: stack(few)
    yield f"bayes, {few} biases, shared noise", None, lambda: stack(few, "shared")
    yield "bayes, grid sample, 21 biases", 2.0, lambda: grid_sample(1 if quick else 21)
    sparse = (48, 11, 5) if quick else (128, 31, 16)
    yield "blind, sparse", 1.0, lambda: blind_map(*sparse)
    if not quick:
        yield "bayes, 100 biases, shared noise", 4.0, lambda: stack(100, "shared")


def seconds_row(
    name: str, aim: float | None, make: Callable[[], Task], device: str, limit: float
) -> GpuRow:
    """Time an extraction, the first of its sizes with its memory, then some more."""
    meant = aim is not None and torch.device(device).type == "cuda"
    row = GpuRow(group="seconds", name=name, aims={"warm_s": float(aim or 0)} if meant else {})
    task = make()
    first, memory = run_with_peak(lambda: task.start(device), limit, device)
    row.numbers |= {
        "first_s": first.seconds,
        "first_event_s": first.first_event_seconds,
        "events": float(first.events),
        **memory,
    }
    row.notes += [str(note) for note in first.result.provenance.get("device_notes", [])]
    if first.seconds > limit / 4:
        row.notes.append("one run only: it took long")
        row.numbers["warm_s"] = first.seconds
        return row
    runs = [run_within(lambda: task.start(device), limit, device) for _ in range(_WARM_RUNS)]
    row.numbers["warm_s"] = median(run.seconds for run in runs)
    row.numbers["warm_cpu_s"] = median(run.cpu_seconds for run in runs)
    row.numbers["per_plane_s"] = row.numbers["warm_s"] / task.planes
    return row


def first_use_row(quick: bool, device: str, limit: float) -> GpuRow:
    """Time the first extraction of a fresh process, with its imports."""
    side, window, count = (48, 15, 8) if quick else (256, 64, 30)
    task = family_map(side, window, count)
    assert task.defects is not None
    row = GpuRow(group="first use", name="bayes, first of a process", aims={"first_s": 3.0})
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("observation.npy", "positions.npy")]
        np.save(paths[0], task.observation)
        np.save(paths[1], task.defects.positions)
        command = [sys.executable, "-c", _FIRST_USE, *map(str, paths), device, *[str(window)] * 2]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=max(limit, 60.0)
        )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    row.numbers |= json.loads(done.stdout.splitlines()[-1])
    return row
