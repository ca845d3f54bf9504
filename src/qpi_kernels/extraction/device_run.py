"""`DeviceRun`: an extraction in full precision that goes on elsewhere if a GPU is too small."""

from __future__ import annotations

import gc
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import torch

from qpi_kernels.devices import full_precision, ran_out_of_memory
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.extraction.registry import Start
from qpi_kernels.progress import Event, GeneratorStepper, Stepper, follow
from qpi_kernels.result import KernelResult

__all__ = ["DeviceRun"]

# Share of the usual work space that the second try on a GPU takes.
_SMALL = 1 / 8


class DeviceRun(GeneratorStepper[KernelResult]):
    """Run an estimator; where its device has no memory left, in smaller batches, then on the CPU.

    Each try starts anew. What happened is said by an event, and kept under ``device_notes`` in the
    result's provenance.

    Parameters
    ----------
    problem : Problem
        The checked input.
    start : callable
        Makes the estimator's stepper.
    """

    def __init__(self, problem: Problem, start: Start[Any]) -> None:
        self._start = start
        self._problem = problem
        # At once, for an estimator refuses what it can not do when it is made.
        self._stepper = self._try(problem)

    def step(self) -> Event:
        """Do one unit of work in full precision, see `GeneratorStepper`."""
        with full_precision():
            return super().step()

    def _try(self, problem: Problem) -> Stepper[KernelResult] | None:
        """Make the stepper; None if there is no memory for that."""
        try:
            return self._start(problem)
        except RuntimeError as error:
            if not _may_go_on(problem, error):
                raise
        return None

    def _run(self) -> Generator[Event, None, KernelResult]:
        """Follow the stepper, or those of less memory after it."""
        problem, notes = self._problem, list[str]()
        while True:
            result = yield from self._follow(problem)
            if result is not None:
                break
            name = str(problem.device)
            problem, plan = _next_try(problem)
            notes.append(f"{name} ran out of memory; {plan}")
            yield Event(f"{notes[-1][0].upper()}{notes[-1][1:]}")
            _release(name)
            self._stepper = self._try(problem)
        if not notes:
            return result
        return replace(result, provenance={**result.provenance, "device_notes": notes})

    def _follow(self, problem: Problem) -> Generator[Event, None, KernelResult | None]:
        """Follow the present stepper to its result; None if the device ran out of memory."""
        stepper, self._stepper = self._stepper, None
        if stepper is None:
            return None
        try:
            return (yield from follow(stepper))
        except RuntimeError as error:
            if not _may_go_on(problem, error):
                raise
        return None


def _may_go_on(problem: Problem, error: RuntimeError) -> bool:
    """Tell that a try failed for want of memory of a device that is not the CPU."""
    return problem.device.type != "cpu" and ran_out_of_memory(error)


def _next_try(problem: Problem) -> tuple[Problem, str]:
    """Make the problem of the next try, and say what it is."""
    if problem.memory_share == 1:
        return replace(problem, memory_share=_SMALL), "going on in smaller batches"
    parameters = problem.parameters.model_copy(update={"device": "cpu"})
    return replace(problem, memory_share=1.0, parameters=parameters), "going on on the CPU"


def _release(device: str) -> None:
    """Give memory that nothing uses back to a device."""
    gc.collect()
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
