"""Kernels and defects from the map alone: sparse blind deconvolution."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace

import numpy as np
import torch

from qpi_kernels.defects import DEFAULT_KIND, Defects
from qpi_kernels.extraction.bayes.estimator import BayesExtraction
from qpi_kernels.extraction.blind.alternating_fit import AlternatingFit
from qpi_kernels.extraction.blind.convolution_model import ConvolutionModel
from qpi_kernels.extraction.blind.initial_kernels import energetic_patches, unlike_patches
from qpi_kernels.extraction.blind.kernel_centre import centre_offset
from qpi_kernels.extraction.blind.model_order import (
    prefers_more_kinds,
    repeated_kinds,
    strong_points,
)
from qpi_kernels.extraction.blind.quality_report import with_remarks
from qpi_kernels.extraction.least_squares import LeastSquares
from qpi_kernels.extraction.parameters import ExtractionError
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.progress import Event
from qpi_kernels.result import KernelResult

__all__ = ["BlindExtraction"]

_STARTS_OF_EACH_WIDTH, _STARTS_OF_KINDS = 3, 2
_THRESHOLDS = (0.5, 0.35, 0.25, 0.2)
_FIRST_SWEEPS = 3
_KEPT = 3
_MORE_SWEEPS = 4
_LAST_SWEEPS = 15
_REFINEMENTS = ((4, 2), (4, 2), (4, 2), (8, 1), (8, 1))
# Kinds that are tried unasked.
_MAX_KINDS = 3
_SOLUTION = 60


class BlindExtraction:
    r"""Finds the defects and their kernels together, as a stepper.

    Several first guesses (`energetic_patches`) go through sparse blind deconvolution (Cheung et
    al. 2020, doi:10.1038/s41467-020-14633-1): accelerated proximal gradients for non-negative
    activations under a falling threshold, least squares for the kernels. Each activation is then
    turned into points, which are drawn from their posterior in turn with the kernels and the noise
    level (`GibbsSampler`); the guesses that explain the map best go on. Last, the points get
    sub-pixel positions, and the kernels are those of `BayesExtraction` with them.

    This is done for one kind of defect, then for two and three, as long as the map is explained
    so much better that the numbers of another kernel are paid for (Akaike 1974), and kinds do not
    keep together (`blind_kinds`). Defects of the other sign are a kind of their own.

    Positions and kernels are found up to a common shift of each kind, which is fixed by the
    kernel's own centre (`centre_offset`), and strengths up to a factor: the typical one is 1.
    Where defects overlap under strong noise only some are found, and ``std`` knows nothing of the
    others.

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
        seen, asked = ConvolutionModel(self._problem), self._problem.parameters.kinds
        counts = range(1, _MAX_KINDS + 1) if asked == "auto" else range(asked, asked + 1)
        guesses = {count: self._guesses(seen, count) for count in counts}
        if not any(guesses.values()):
            raise ExtractionError(_NOTHING_FOUND)
        rounds = {count: _rounds(len(each)) for count, each in guesses.items()}
        self._total = sum(rounds.values()) + _SOLUTION
        best: AlternatingFit | None = None
        for count in counts:
            if not guesses[count]:
                break
            found = yield from self._search(seen, guesses[count])
            if best is not None and not prefers_more_kinds(best, found):
                break
            best = found
        assert best is not None
        # Kinds that were not tried.
        self._steps = sum(rounds.values())
        yield from self._solve(self._defects(best))

    def _guesses(self, seen: ConvolutionModel, kinds: int) -> list[torch.Tensor]:
        """First guesses of the kernels, (kind, plane, h, w)."""
        if kinds > 1:
            return unlike_patches(seen, kinds, _STARTS_OF_KINDS)
        patches = energetic_patches(seen, _STARTS_OF_EACH_WIDTH)
        return [patch[None] for of_width in patches for patch in of_width]

    def _search(
        self, seen: ConvolutionModel, guesses: list[torch.Tensor]
    ) -> Generator[Event, None, AlternatingFit]:
        """The best description of the maps by as many kinds as the guesses have."""
        seed, kinds = self._problem.parameters.seed, len(guesses[0])
        many = f", {kinds} kinds" if kinds > 1 else ""
        runs = [AlternatingFit(seen, guess, seed + index) for index, guess in enumerate(guesses)]
        for number, run in enumerate(runs, 1):
            trying = f"Trying guess {number} of {len(runs)}{many}"
            for threshold in _THRESHOLDS:
                run.relax(threshold)
                yield self._event(trying)
            run.begin_sampling()
            for _ in range(_FIRST_SWEEPS):
                run.sample()
                yield self._event(trying, run)
        runs = sorted(runs, key=lambda run: run.cost)[:_KEPT]
        for run in runs:
            for _ in range(_MORE_SWEEPS):
                run.sample()
                yield self._event(f"Comparing the best guesses{many}", run)
        best = min(runs, key=lambda run: run.cost)
        for _ in range(_LAST_SWEEPS):
            best.sample()
            yield self._event(f"Finding the defects{many}", best)
        for pitch, reach in _REFINEMENTS:
            best.sampler.place(best.sampler.points, pitch, reach, group_reach=reach)
            best.sample()
            yield self._event(f"Refining positions{many}", best)
        best.sample(settle=True)
        yield self._event(f"Settling the defects{many}", best)
        return best

    def _defects(self, run: AlternatingFit) -> Defects:
        points = strong_points(run)
        found = repeated_kinds(run)
        if not found:
            raise ExtractionError(_NOTHING_FOUND)
        # The kind that shows most comes first.
        shown = run.kernels.square().sum(dim=(1, 2, 3)).numpy()
        found.sort(key=lambda kind: -shown[kind] * np.sum(points.strengths[points.kinds == kind]))
        names = [f"kind {place}" for place in range(1, len(found) + 1)]
        shape = self._problem.parameters.kernel_shape
        middle = np.array([size // 2 - (size - 1) for size in shape])
        tables = []
        for kind, name in zip(found, names if len(found) > 1 else [DEFAULT_KIND], strict=True):
            chosen = points.kinds == kind
            offset = np.array(centre_offset(run.kernels[kind].numpy()))
            positions = points.sites[chosen] + middle + offset
            tables.append(Defects(positions, kind=name, strength=points.strengths[chosen]))
        return Defects.concatenate(tables)

    def _solve(self, defects: Defects) -> Iterator[Event]:
        estimator = LeastSquares if self._problem.parameters.prior == "none" else BayesExtraction
        final = estimator(replace(self._problem, defects=defects))
        before = self._steps
        while not final.done:
            event = final.step()
            if final.done:
                self._result = with_remarks(final.result)
            yield replace(event, step=before + event.step, total=before + event.total)

    def _event(self, message: str, run: AlternatingFit | None = None) -> Event:
        self._steps += 1
        values = {}
        if run is not None:
            values = {"residual": run.noise, "defects": float(len(run.sampler.points))}
        return Event(message, self._steps, self._total, values)


def _rounds(guesses: int) -> int:
    """Events of a search."""
    first = guesses * (len(_THRESHOLDS) + _FIRST_SWEEPS)
    return first + min(_KEPT, guesses) * _MORE_SWEEPS + _LAST_SWEEPS + len(_REFINEMENTS) + 1


_NOTHING_FOUND = (
    "no repeating pattern was found: choose another kernel_shape or fewer kinds, mask steps and "
    "streaks, or mark the defects and use bayes"
)
