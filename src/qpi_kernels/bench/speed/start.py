"""Cost of the first extraction of a process, and of one beside a busy process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import psutil

from qpi_kernels.bench.speed.report import SpeedRow

__all__ = ["start_rows"]

# Programs share two cores, where the machine lets them be chosen, as on a small computer.
_CORES = 2
_RUNS = 3
_IMAGE, _KERNEL, _DEFECTS = 256, 64, 30
# Variables that would hide how many threads the libraries take by themselves.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# Prints seconds of the imports, then seconds and seconds of CPU of extractions one by one.
_PROGRAM = """
import json, sys, time
given = json.loads(sys.argv[1])
sys.path[:] = given["path"]
import psutil
if hasattr(psutil.Process, "cpu_affinity"):
    psutil.Process().cpu_affinity(psutil.Process().cpu_affinity()[:given["cores"]])
start = time.perf_counter()
import numpy, scipy.linalg, scipy.ndimage, torch, xarray
imports = time.perf_counter() - start
from qpi_kernels.extraction import extract, warm_up
if given["warm"]:
    warm_up()
with numpy.load(given["map"]) as saved:
    image, positions = saved["image"], saved["positions"]
runs = []
for _ in range(given["runs"]):
    wall, cpu = time.perf_counter(), time.process_time()
    extract(image, positions, method="bayes", kernel_shape=given["kernel"])
    runs.append((time.perf_counter() - wall, time.process_time() - cpu))
print(json.dumps([imports, runs]))
"""
_BUSY = "import time; end = time.monotonic() + 600\nwhile time.monotonic() < end: pass"


@dataclass(frozen=True)
class _Times:
    """Seconds of one process: its imports, and its extractions (run, wall and CPU)."""

    imports: float
    runs: list[tuple[float, float]]

    @property
    def first(self) -> float:
        """The first extraction."""
        return self.runs[0][0]

    @property
    def later(self) -> float:
        """An extraction after the first."""
        return median(wall for wall, _ in self.runs[1:])

    @property
    def later_cpu(self) -> float:
        """Seconds of CPU of an extraction after the first."""
        return median(cpu for _, cpu in self.runs[1:])


def start_rows(
    repeats: int = 3, *, image: int = _IMAGE, kernel: int = _KERNEL, defects: int = _DEFECTS
) -> list[SpeedRow]:
    """Measure the method ``bayes`` in fresh processes of two cores.

    Parameters
    ----------
    repeats : int
        Processes of each kind, taken in turns; the median of their ratios counts.
    image, kernel, defects : int
        Pixels of the map's and of the kernel's side, and how many defects there are.

    Returns
    -------
    list of SpeedRow
        The first extraction with all imports against the imports of torch, SciPy and xarray with
        a later extraction; the first after `warm_up` against a later one; and a later one beside
        a busy process against one alone, by time and by CPU time.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.npz"
        _save_map(path, image, defects)
        size = (kernel, kernel)
        cold, warm, busy = [], [], []
        for _ in range(repeats):
            cold.append(_measure(path, size))
            warm.append(_measure(path, size, warm=True))
            busy.append(_measure(path, size, busy=True))
    whole = [one.imports + one.first for one in cold]
    least = [one.imports + one.later for one in cold]
    return [
        _row(
            "first bayes of a process, with all imports / imports of torch, SciPy and xarray, and "
            "a later one",
            (whole, least),
            1.5,
        ),
        _row(
            "first bayes of a process after warm_up / a later one",
            ([one.first for one in warm], [one.later for one in warm]),
            1.3,
        ),
        _row(
            f"bayes beside one busy process on {_CORES} cores / alone",
            ([one.later for one in busy], [one.later for one in cold]),
            2.5,
        ),
        _row(
            "CPU time of bayes beside one busy process / alone",
            ([one.later_cpu for one in busy], [one.later_cpu for one in cold]),
            1.5,
        ),
    ]


def _row(claim: str, times: tuple[list[float], list[float]], limit: float) -> SpeedRow:
    """Compare two kinds of processes by the median of their ratios."""
    above, below = times
    ratio = median(one / other for one, other in zip(above, below, strict=True))
    detail = f"{median(above):.2f} s / {median(below):.2f} s"
    return SpeedRow(claim=claim, measured=ratio, limit=limit, detail=detail)


def _save_map(path: Path, side: int, defects: int) -> None:
    """Save a map of rings that fade, at random sites, with noise."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:side, :side]
    sites = rng.uniform(0, side - 1, size=(defects, 2))
    values = rng.normal(scale=0.1, size=(side, side))
    for row, column in sites:
        distance = np.hypot(rows - row, columns - column)
        values += np.cos(0.6 * distance) * np.exp(-distance / 12)
    np.savez(path, image=values.astype(np.float32), positions=sites)


def _measure(
    path: Path, kernel: tuple[int, int], *, warm: bool = False, busy: bool = False
) -> _Times:
    """Run a process that extracts kernels one after the other, perhaps beside a busy one."""
    given = {
        "path": sys.path,
        "cores": _CORES,
        "map": str(path),
        "kernel": kernel,
        "runs": _RUNS,
        "warm": warm,
    }
    free = {name: value for name, value in os.environ.items() if name not in _THREADS}
    with ExitStack() as stack:
        if busy:
            # Of a session of its own, as another program is: Linux shares cores by sessions.
            other = stack.enter_context(
                subprocess.Popen([sys.executable, "-c", _BUSY], start_new_session=True)
            )
            stack.callback(other.kill)
            _share_cores(other.pid)
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, json.dumps(given)],
            env=free,
            capture_output=True,
            text=True,
            check=True,
        )
    imports, runs = json.loads(done.stdout)
    return _Times(imports, [(wall, cpu) for wall, cpu in runs])


def _share_cores(process: int) -> None:
    """Put a process on the cores that the measured ones use."""
    one = psutil.Process(process)
    if hasattr(one, "cpu_affinity"):
        one.cpu_affinity(one.cpu_affinity()[:_CORES])
