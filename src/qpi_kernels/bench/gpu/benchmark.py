"""`napari-qpi bench gpu`: all that a GPU has to show, in one go, written as it comes."""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch

from qpi_kernels.bench.gpu.equality import equality_row, equality_tasks
from qpi_kernels.bench.gpu.pretended_device import register_pretended
from qpi_kernels.bench.gpu.report import GpuReport, GpuRow
from qpi_kernels.bench.gpu.seconds import first_use_row, seconds_row, seconds_tasks
from qpi_kernels.bench.gpu.traffic import traffic_row
from qpi_kernels.bench.gpu.training import simulator_row, training_rows
from qpi_kernels.bench.machine import describe_machine
from qpi_kernels.bench.work_folder import write_json
from qpi_kernels.devices import choose_device
from qpi_kernels.progress import Event, GeneratorStepper

__all__ = ["GROUPS", "GpuBench", "Group"]

Group = Literal["seconds", "traffic", "equality", "first use", "training"]
GROUPS: tuple[Group, ...] = ("seconds", "traffic", "equality", "first use", "training")


@dataclass(frozen=True)
class _Job:
    """One or several rows, and what to call them if they fail."""

    group: Group
    name: str
    run: Callable[[], Iterable[GpuRow]]


class GpuBench(GeneratorStepper[GpuReport]):
    """Measure a device, one job a step; a job that fails leaves its error, and the next goes on.

    On a CPU the same is shown as far as it can be: equality with, and traffic of, a device that
    pretends, see `register_pretended`.

    Parameters
    ----------
    device : str
        See `choose_device`.
    quick : bool
        Tiny maps: shows that everything runs, and nothing about speed.
    groups : sequence of str
        Which of `GROUPS`.
    limit : float
        Seconds after which an extraction is stopped.
    report_path : Path, optional
        JSON file, written anew after each job.
    """

    def __init__(
        self,
        device: str = "auto",
        *,
        quick: bool = False,
        groups: Iterable[Group] = GROUPS,
        limit: float = 60.0,
        report_path: Path | None = None,
    ) -> None:
        self._device = str(choose_device(device))
        self._checked = self._device
        if torch.device(self._device).type == "cpu" and not torch.cuda.is_available():
            self._checked = str(register_pretended())
        self._quick, self._limit, self._path = quick, limit, report_path
        self._groups = tuple(groups)

    def _run(self) -> Generator[Event, None, GpuReport]:
        """Do the jobs one after the other."""
        report = GpuReport(
            device=self._device,
            beside=f"{self._checked} beside cpu",
            quick=self._quick,
            machine=describe_machine(self._device),
        )
        jobs = [job for job in self._jobs() if job.group in self._groups]
        for number, job in enumerate(jobs):
            yield Event(f"{job.group}: {job.name}", number, len(jobs))
            for row in self._rows_of(job):
                report.rows.append(row)
                self._write(report)
            _release(self._device)
        report.finished = True
        self._write(report)
        yield Event("All rows are measured", len(jobs), len(jobs))
        return report

    def _jobs(self) -> Iterator[_Job]:
        """List everything there is to measure."""
        quick, device, limit = self._quick, self._device, self._limit
        for name, aim, make in seconds_tasks(quick):
            yield _Job("seconds", name, _one(seconds_row, name, aim, make, device, limit))
        for method in ("bayes", "least_squares"):
            yield _Job("traffic", method, _one(traffic_row, method, quick, device, limit))
        for name, task in equality_tasks(quick, learned=self._checked == device):
            run = _one(equality_row, name, task, self._checked, "cpu", limit)
            yield _Job("equality", name, run)
        yield _Job("first use", "bayes", _one(first_use_row, quick, device, limit))
        yield _Job("training", "simulated maps", _one(simulator_row, quick, device))
        yield _Job("training", "networks", partial(training_rows, quick, device))

    def _rows_of(self, job: _Job) -> Iterator[GpuRow]:
        """Do a job; its failure is a row, too."""
        try:
            yield from job.run()
        except Exception as error:  # whatever it is, the other rows are wanted
            text = f"{type(error).__name__}: {error}"
            yield GpuRow(group=job.group, name=job.name, error=text)

    def _write(self, report: GpuReport) -> None:
        if self._path is not None:
            write_json(self._path, report)


def _one(row: Callable[..., GpuRow], *arguments: object) -> Callable[[], Iterable[GpuRow]]:
    """Make a job's function of one that measures a single row."""
    return lambda: [row(*arguments)]


def _release(device: str) -> None:
    """Give memory that nothing uses back, so that a row does not pay for the one before."""
    gc.collect()
    if torch.device(device).type == "cuda":
        torch.cuda.empty_cache()
