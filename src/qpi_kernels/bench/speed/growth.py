"""Growth of time and memory with the sizes of a problem, each point in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from statistics import median

from qpi_kernels.bench.speed.problems import Task, family_map, ring_stack
from qpi_kernels.bench.speed.report import Axis, GrowthPoint
from qpi_kernels.bench.speed.timed_run import run_with_peak, run_within
from qpi_kernels.bench.speed.yardsticks import ideal_transforms

__all__ = ["GrowthProblem", "growth_problems"]

_SIDE, _WINDOW, _DEFECTS = 256, 64, 30
_LIMIT_S = 900.0
# Runs after the first, which is watched for its memory, unless that took long.
_RUNS, _LONG_S = 3, 8.0
_PROGRAM = """
import json, sys
given = json.loads(sys.argv[1])
sys.path[:] = given["path"]
from qpi_kernels.bench.speed.growth import GrowthProblem
print(GrowthProblem(**given["problem"]).measure_here().model_dump_json())
"""


@dataclass(frozen=True)
class GrowthProblem:
    """A map or a stack of one size.

    Parameters
    ----------
    method : str
        As of `extract`.
    axis : str
        What is varied.
    size : int
        Its value.
    side, window, defects : int
        Pixels of the map's and the kernel's side, and number of defects.
    biases : int
        1 for a map.
    """

    method: str
    axis: Axis
    size: int
    side: int
    window: int
    defects: int
    biases: int = 1

    @property
    def name(self) -> str:
        """Name among others."""
        return f"{self.method}, {self.axis} {self.size}"

    def task(self) -> Task:
        """Simulate it."""
        if self.axis == "biases":
            stack = ring_stack(self.side, self.window, self.defects, self.biases)
            return stack.asked(method=self.method)
        return family_map(self.side, self.window, self.defects).asked(method=self.method)

    def measure(self) -> GrowthPoint:
        """Measure it in a process that has done nothing else.

        Raises
        ------
        RuntimeError
            If the process failed; the message is its last line.
        """
        given = json.dumps({"path": sys.path, "problem": asdict(self)})
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, given], capture_output=True, text=True, check=False
        )
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
            raise RuntimeError(lines[-1])
        return GrowthPoint.model_validate_json(done.stdout.splitlines()[-1])

    def measure_here(self) -> GrowthPoint:
        """Measure it in this process: memory in the first run, time in those after it."""
        # Libraries and what they keep are not the problem's.
        small = family_map(32, 9, 4).asked(method=self.method)
        run_within(lambda: small.start("cpu"), _LIMIT_S, "cpu")
        task = self.task()
        first, memory = run_with_peak(lambda: task.start("cpu"), _LIMIT_S, "cpu")
        runs = [first]
        if first.seconds < _LONG_S:
            runs = [run_within(lambda: task.start("cpu"), _LIMIT_S, "cpu") for _ in range(_RUNS)]
        return GrowthPoint(
            method=self.method,
            axis=self.axis,
            size=self.size,
            seconds=median(run.seconds for run in runs),
            cpu_seconds=median(run.cpu_seconds for run in runs),
            peak_mib=memory["host_peak_mib"],
            transforms_s=ideal_transforms(task, 1)(),
        )


def growth_problems(quick: bool) -> Iterator[GrowthProblem]:
    """List problems of growing map, kernel, number of defects and number of biases.

    Parameters
    ----------
    quick : bool
        Two small sizes of each.
    """
    side, window, defects = (48, 15, 8) if quick else (_SIDE, _WINDOW, _DEFECTS)
    for method in ("least_squares", "bayes"):
        for size in (32, 64) if quick else (128, 256, 512, 1024, 2048):
            count = max(round(defects * (size / side) ** 2), 1)
            yield GrowthProblem(method, "map", size, size, window, count)
        for size in (9, 15) if quick else (16, 32, 64, 96, 128):
            yield GrowthProblem(method, "kernel", size, side, size, defects)
        for size in (2, 8) if quick else (1, 10, 100, 1000, 3000):
            yield GrowthProblem(method, "defects", size, side, window, size)
        many = (1, 4, 16, 64, 400) if method == "least_squares" else (1, 4, 16, 48, 100)
        for size in (1, 2) if quick else many:
            yield GrowthProblem(method, "biases", size, side, window, defects, size)
