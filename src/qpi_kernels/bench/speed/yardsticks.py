"""Extractions beside two yardsticks: the FFTs of the ideal solution, and least squares."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

import torch

from qpi_kernels.bench.speed.problems import Task
from qpi_kernels.bench.speed.report import ExtractionTime
from qpi_kernels.bench.speed.timed_run import TimedRun, run_within
from qpi_kernels.bench.speed.timing import timed
from qpi_kernels.forward import Convolution
from qpi_kernels.threads import one_thread

__all__ = ["ideal_transforms", "time_extraction"]

# An extraction that takes longer is timed once, its first use of a window with it.
_LONG_S = 8.0
# Iterations whose FFTs are timed at once; more are reckoned from these.
_TIMED_ITERATIONS = 12


def time_extraction(task: Task, *, repeats: int = 3, limit: float = 300.0) -> ExtractionTime:
    """Time an extraction, its FFTs and least squares, in turns so that a load slows all alike.

    Parameters
    ----------
    task : Task
        What to extract; on the CPU.
    repeats : int
        Timed runs of the extraction after a first that does not count; their median is taken.
    limit : float
        Seconds after which an extraction is stopped.

    Returns
    -------
    ExtractionTime
        Medians.

    Raises
    ------
    RowTimeout
        If the extraction took longer than its limit.
    """
    plain = task.least_squares()
    iterations = _run(plain, limit).result.quality.iterations
    transforms = ideal_transforms(task, iterations)
    first = _run(task, limit)
    runs, transform_times, plain_times = [], [], []
    for _ in range(max(repeats, 1)):
        transform_times.append(transforms())
        plain_times.append(_run(plain, limit).seconds)
        if first.seconds > _LONG_S:
            runs = [first]
        else:
            runs.append(_run(task, limit))
    return ExtractionTime(
        seconds=median(run.seconds for run in runs),
        cpu_seconds=median(run.cpu_seconds for run in runs),
        transforms_s=median(transform_times),
        least_squares_s=median(plain_times),
        iterations=iterations,
        note=_note(runs[-1]),
    )


def ideal_transforms(task: Task, iterations: int) -> Callable[[], float]:
    """Make a function that measures the seconds of the FFTs which a solution can not do without.

    An iteration of conjugate gradients applies the convolution and its adjoint: two FFT pairs of
    the padded map. The ideal solution takes the iterations of least squares, for each map of a
    stack; everything else is free.

    Parameters
    ----------
    task : Task
        Gives the size and number of the maps.
    iterations : int
        Of least squares.
    """
    rows, columns = task.observation.shape[-2:]
    window = task.options["kernel_shape"]
    shape = Convolution((rows, columns), window).fft_shape
    kernel, image = torch.ones(window), torch.ones(rows, columns)
    count = max(min(iterations, _TIMED_ITERATIONS), 1)

    def transform() -> None:
        for _ in range(count):
            torch.fft.irfft2(torch.fft.rfft2(kernel, s=shape), s=shape)
            torch.fft.irfft2(torch.fft.rfft2(image, s=shape), s=shape)

    def measure() -> float:
        with one_thread():
            transform()
            return timed(transform) / count * iterations * task.planes

    return measure


def _run(task: Task, limit: float) -> TimedRun:
    """Run an extraction on the CPU."""
    return run_within(lambda: task.start("cpu"), limit, "cpu")


def _note(run: TimedRun) -> str:
    """Name the prior that was chosen, or how many defects were found."""
    priors = run.result.provenance.get("priors", [])
    if priors:
        return str(priors[0]["prior"])
    return f"{len(run.result.defects)} defects"
