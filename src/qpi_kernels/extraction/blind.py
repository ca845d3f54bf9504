"""Kernel and defects from the map alone: sparse blind deconvolution."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from qpi_kernels.defects import Defects
from qpi_kernels.extraction.bayes import BayesExtraction
from qpi_kernels.extraction.blind_centre import centre_offset
from qpi_kernels.extraction.blind_map import BlindMap
from qpi_kernels.extraction.blind_run import BlindRun
from qpi_kernels.extraction.blind_starts import energetic_patches
from qpi_kernels.extraction.blind_verdict import with_remark
from qpi_kernels.extraction.least_squares import LeastSquares
from qpi_kernels.extraction.parameters import ExtractionError
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.progress import Event
from qpi_kernels.result import KernelResult

__all__ = ["BlindExtraction"]

_STARTS_OF_EACH_WIDTH = 3
_THRESHOLDS = (0.5, 0.35, 0.25, 0.2)
_FIRST_SWEEPS = 3
_KEPT = 3
_MORE_SWEEPS = 4
_LAST_SWEEPS = 15
_WEAKEST = 0.15
_SETTLING_SWEEPS = 1
_REFINEMENTS = ((4, 2), (4, 2), (4, 2), (8, 1), (8, 1))


class BlindExtraction:
    r"""Finds the defects and their kernel together, as a stepper.

    Several first guesses (`energetic_patches`) go through sparse blind deconvolution (Cheung et
    al. 2020, doi:10.1038/s41467-020-14633-1): accelerated proximal gradients for a non-negative
    activation under a falling threshold, least squares for the kernel. Each activation is then
    turned into points, which are drawn from their posterior in turn with the kernel and the noise
    level (`PointSampler`); the guesses that explain the map best go on. Last, the points get
    sub-pixel positions, and the kernel is that of `BayesExtraction` with them.

    Positions and kernel are found up to a common shift, which is fixed by the kernel's own
    centre (`centre_offset`), and strengths up to a factor: the typical one is 1. All defects are
    of one kind and of one sign. Where they overlap under strong noise only some are found, and
    ``std`` knows nothing of the others.

    Parameters
    ----------
    problem : Problem
        The checked input; its defects are not looked at.
    """

    def __init__(self, problem: Problem) -> None:
        limits = zip(problem.parameters.kernel_shape, problem.image_shape, strict=True)
        if any(kernel > image for kernel, image in limits):
            raise ExtractionError(
                f"blind needs several whole kernels in the image; kernel_shape "
                f"{problem.parameters.kernel_shape} is larger than the image "
                f"{problem.image_shape}: make it smaller"
            )
        self._problem = problem
        self._steps = 0
        self._total = 1
        self._work = self._stages()
        self._result: KernelResult | None = None

    @property
    def done(self) -> bool:
        """Whether `result` is ready."""
        return self._result is not None

    @property
    def result(self) -> KernelResult:
        """The finished result; its defects are the found ones."""
        if self._result is None:
            raise RuntimeError("the extraction is not finished; call step() until done")
        return self._result

    @torch.no_grad()
    def step(self) -> Event:
        """One round for one guess, or one step of the final solution."""
        return next(self._work)

    def _stages(self) -> Iterator[Event]:
        seen = BlindMap(self._problem)
        guesses = energetic_patches(seen, _STARTS_OF_EACH_WIDTH)
        if not guesses:
            raise ExtractionError(_NOTHING_FOUND)
        seed = self._problem.parameters.seed
        runs = [BlindRun(seen, guess, seed + index) for index, guess in enumerate(guesses)]
        kept = min(_KEPT, len(runs))
        rounds = len(runs) * (len(_THRESHOLDS) + _FIRST_SWEEPS) + kept * _MORE_SWEEPS
        self._total = rounds + _LAST_SWEEPS + len(_REFINEMENTS) + _SETTLING_SWEEPS + 60
        for number, run in enumerate(runs, 1):
            for threshold in _THRESHOLDS:
                run.relax(threshold)
                yield self._event(f"Trying guess {number} of {len(runs)}")
            run.begin_sampling()
            for _ in range(_FIRST_SWEEPS):
                run.sample()
                yield self._event(f"Trying guess {number} of {len(runs)}", run)
        runs = sorted(runs, key=lambda run: run.cost)[:kept]
        for run in runs:
            for _ in range(_MORE_SWEEPS):
                run.sample()
                yield self._event("Comparing the best guesses", run)
        best = min(runs, key=lambda run: run.cost)
        for _ in range(_LAST_SWEEPS):
            best.sample()
            yield self._event("Finding the defects", best)
        for pitch, reach in _REFINEMENTS:
            best.sampler.place(best.sampler.points, pitch, reach, group_reach=reach)
            best.sample()
            yield self._event("Refining positions", best)
        for _ in range(_SETTLING_SWEEPS):
            best.sample(settle=True)
            yield self._event("Settling the defects", best)
        yield from self._solve(self._defects(best))

    def _defects(self, run: BlindRun) -> Defects:
        points = run.sampler.points
        strong = points.strengths > _WEAKEST
        # What is seen once only may be anything, and is all that pure noise gives.
        if strong.sum() < 2:
            raise ExtractionError(_NOTHING_FOUND)
        shape = self._problem.parameters.kernel_shape
        centre = np.array([size // 2 - (size - 1) for size in shape])
        offset = np.array(centre_offset(run.kernels.numpy()))
        positions = points.sites[strong] + centre + offset
        return Defects(positions, strength=points.strengths[strong])

    def _solve(self, defects: Defects) -> Iterator[Event]:
        estimator = LeastSquares if self._problem.parameters.prior == "none" else BayesExtraction
        final = estimator(replace(self._problem, defects=defects))
        before = self._steps
        while not final.done:
            event = final.step()
            if final.done:
                self._result = with_remark(final.result)
            yield replace(event, step=before + event.step, total=before + event.total)

    def _event(self, message: str, run: BlindRun | None = None) -> Event:
        self._steps += 1
        values = {}
        if run is not None:
            values = {"residual": run.noise, "defects": float(len(run.sampler.points))}
        return Event(message, self._steps, self._total, values)


_NOTHING_FOUND = (
    "no repeating pattern was found: choose another kernel_shape, mask steps and streaks, or mark "
    "the defects and use bayes"
)
