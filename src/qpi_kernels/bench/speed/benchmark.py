"""`napari-qpi bench speed`: all claims on speed, measured in one go, written as they come."""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from qpi_kernels.bench.machine import describe_machine
from qpi_kernels.bench.speed.extraction import extraction_rows
from qpi_kernels.bench.speed.growth import growth_problems
from qpi_kernels.bench.speed.maps import map_rows, stack_rows
from qpi_kernels.bench.speed.report import (
    ExtractionRow,
    Failure,
    GrowthPoint,
    SpeedReport,
    SpeedRow,
)
from qpi_kernels.bench.speed.simulation import simulation_rows
from qpi_kernels.bench.speed.start import start_rows
from qpi_kernels.bench.speed.training import training_rows
from qpi_kernels.bench.work_folder import read_json, write_json
from qpi_kernels.progress import Event, GeneratorStepper

__all__ = ["GROUPS", "Group", "SpeedBench", "SpeedBenchError"]

Group = Literal["maps", "stacks", "start", "ratios", "simulation", "training", "growth"]
GROUPS: tuple[Group, ...] = (
    *("maps", "stacks", "start", "ratios", "simulation", "training"),
    "growth",
)
_Measured = SpeedRow | ExtractionRow | GrowthPoint


class SpeedBenchError(ValueError):
    """A benchmark can not go on in a file; the message says what to change."""


@dataclass(frozen=True)
class _Job:
    """Measurement of one step."""

    group: Group
    name: str
    run: Callable[[], Iterable[_Measured]]

    @property
    def key(self) -> str:
        """Name among all jobs."""
        return f"{self.group}: {self.name}"


class SpeedBench(GeneratorStepper[SpeedReport]):
    """Measure one thing a step; one that fails leaves its error, and the next goes on.

    Parameters
    ----------
    repeats : int
        Timed repetitions of the ratios.
    quick : bool
        Tiny maps: shows that everything runs, and nothing about speed.
    groups : sequence of str
        Which of `GROUPS`.
    report_path : Path, optional
        JSON file, written anew after each step.
    resume : bool
        Go on with what is in that file.

    Raises
    ------
    SpeedBenchError
        If the file is of another commit or machine, or is no such report.
    """

    def __init__(
        self,
        *,
        repeats: int = 7,
        quick: bool = False,
        groups: Iterable[Group] = GROUPS,
        report_path: Path | None = None,
        resume: bool = False,
    ) -> None:
        self._repeats, self._quick, self._path = repeats, quick, report_path
        self._groups = tuple(groups)
        self._report = SpeedReport(machine=describe_machine("cpu"), quick=quick)
        if resume and report_path is not None:
            self._report = self._earlier(report_path) or self._report

    def _run(self) -> Generator[Event, None, SpeedReport]:
        """Do the jobs that are not done yet, one after the other."""
        report = self._report
        jobs = [job for job in self._jobs() if job.group in self._groups]
        for number, job in enumerate(jobs):
            if job.key in report.done:
                continue
            yield Event(job.key, number, len(jobs))
            self._do(job)
            if self._path is not None:
                write_json(self._path, report)
            gc.collect()
        yield Event("Everything is measured", len(jobs), len(jobs))
        return report

    def _earlier(self, path: Path) -> SpeedReport | None:
        """Read what an earlier run measured; what failed there is tried again."""
        found = read_json(path, SpeedReport, SpeedBenchError)
        if found is None:
            return None
        for name in ("software", "processor", "torch"):
            if found.machine.get(name) != self._report.machine[name]:
                raise SpeedBenchError(
                    f"{path} was measured with another {name} ({found.machine.get(name)}); "
                    "choose another file"
                )
        if found.quick != self._quick:
            raise SpeedBenchError(f"{path} is {'not ' * self._quick}of a quick run")
        found.failures = []
        return found

    def _jobs(self) -> Iterator[_Job]:
        """List everything there is to measure."""
        quick, repeats = self._quick, 1 if self._quick else self._repeats
        for row in map_rows(quick):
            yield _Job("maps", row.name, lambda row=row: [row.measure()])  # type: ignore[misc]
        for name, measure in stack_rows(quick):
            yield _Job("stacks", name, measure)
        yield _Job("start", "first extraction, busy machine", partial(_start, quick))
        yield _Job("ratios", "least_squares", partial(_ratios, quick, repeats))
        if not quick:
            # Published sizes; they have no small ones.
            yield _Job("simulation", "data sets", simulation_rows)
            yield _Job("training", "steps", partial(training_rows, repeats))
        for problem in growth_problems(quick):
            yield _Job(
                "growth",
                problem.name,
                lambda problem=problem: [problem.measure()],  # type: ignore[misc]
            )

    def _do(self, job: _Job) -> None:
        """Do a job; its failure is kept, too."""
        report = self._report
        try:
            measured = list(job.run())
        except Exception as error:  # whatever it is, the other rows are wanted
            failure = Failure(name=job.key, error=f"{type(error).__name__}: {error}")
            report.failures.append(failure)
            return
        report.done.append(job.key)
        report.rows += [one for one in measured if isinstance(one, SpeedRow)]
        report.extractions += [one for one in measured if isinstance(one, ExtractionRow)]
        report.growth += [one for one in measured if isinstance(one, GrowthPoint)]


def _start(quick: bool) -> list[SpeedRow]:
    """Measure the first extraction of processes."""
    return start_rows(1, image=48, kernel=15, defects=8) if quick else start_rows()


def _ratios(quick: bool, repeats: int) -> list[SpeedRow]:
    """Measure least squares on a map and a cube."""
    if quick:
        return extraction_rows(repeats, size=(48, 15, 8), biases=3)
    return extraction_rows(repeats)
