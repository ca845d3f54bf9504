"""Kernels and defects from the map alone: sparse blind deconvolution."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from itertools import pairwise

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
    residual_is_white,
    strong_points,
)
from qpi_kernels.extraction.blind.parameters import BlindParameters
from qpi_kernels.extraction.blind.quality_report import with_blind_reasons
from qpi_kernels.extraction.least_squares.estimator import LeastSquares
from qpi_kernels.extraction.parameters import ExtractionError
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.progress import Event, GeneratorStepper, follow, map_events, portion
from qpi_kernels.result import KernelResult

__all__ = ["BlindExtraction"]

_STARTS_OF_EACH_WIDTH, _STARTS_OF_KINDS = 3, 2
_THRESHOLDS = (0.5, 0.35, 0.25, 0.2)
# Fits of one kind that go on after each: good first guesses are ahead from the first on, and end
# alike. With more kinds all go on, as the best may begin as the worst.
_KEPT_GUESSES = (5, 3, 3, 3)
# Number of fits that go on, sweeps of each, grid points per pixel and longest move in px: pieces
# on whole pixels find the defects, and become one point each once points lie between pixels.
_STAGES = ((6, 2, 1, 2), (3, 2, 1, 2), (2, 10, 1, 2), (2, 3, 4, 2))
_FINE_PITCH, _FINE_REACH = 4, 2
# Sweeps of the best fit: at most so many, until so many have not reduced the cost by so much.
_MAX_SWEEPS, _WAITING_SWEEPS, _MIN_GAIN = 16, 3, 10.0
_LAST_PITCH, _LAST_REACH, _LAST_SWEEPS = 8, 1, 2
# Kinds that are tried unasked.
_MAX_KINDS = 3
# Time of the final solution, over that of the search for one number of kinds.
_SOLUTION_COST = 0.3
_NOTHING_FOUND = (
    "no repeating pattern was found: choose another kernel_shape or fewer kinds, mask steps and "
    "streaks, or mark the defects and use bayes"
)


class BlindExtraction(GeneratorStepper[KernelResult]):
    r"""Find the defects and their kernels together, as a stepper.

    Several first guesses (`energetic_patches`) go through sparse blind deconvolution (Cheung et
    al. 2020, doi:10.1038/s41467-020-14633-1): accelerated proximal gradients for non-negative
    activations under a falling threshold, least squares for the kernels. Each activation is then
    turned into points, which are drawn from their posterior in turn with the kernels and the noise
    level (`GibbsSampler`); the guesses that explain the map best go on. Last, the points get
    sub-pixel positions, and the kernels are those of `BayesExtraction` with them.

    This is done for one kind of defect, then for two and three, as long as the residual is not
    white, the fit improves by more than the penalty of another kernel (Akaike 1974) and kinds are
    not colocalised (`model_order`). Defects of the other sign are a kind of their own.

    Positions and kernels are found up to a common shift of each kind, which is fixed by the
    kernel's own centre (`centre_offset`), and strengths up to a factor: the typical one is 1.
    Where defects overlap under strong noise only some are found, and ``std`` does not include the
    effect of the others.

    Parameters
    ----------
    problem : Problem
        The checked input; its defects are ignored.

    Raises
    ------
    ExtractionError
        While it runs, if no repeating pattern is found.
    """

    def __init__(self, problem: Problem[BlindParameters]) -> None:
        self._problem = problem

    @torch.no_grad()
    def _run(self) -> Generator[Event, None, KernelResult]:
        """Search for growing numbers of kinds, then solve for the kernels of the best fit."""
        model, asked = ConvolutionModel(self._problem), self._problem.parameters.kinds
        counts = range(1, _MAX_KINDS + 1) if asked == "auto" else range(asked, asked + 1)
        guesses = yield from portion(self._all_guesses(model, counts), 0.0, 0.0)
        if counts[0] not in guesses:
            raise ExtractionError(_NOTHING_FOUND)
        share = 1 / (len(guesses) + _SOLUTION_COST)
        best: AlternatingFit | None = None
        for number, count in enumerate(guesses):
            if best is not None and residual_is_white(best):
                break
            search = self._search(model, guesses[count])
            fit = yield from portion(search, number * share, (number + 1) * share)
            if best is not None and not prefers_more_kinds(best, fit):
                break
            best = fit
        assert best is not None
        defects = self._defects(best)
        estimator = LeastSquares if self._problem.parameters.prior == "none" else BayesExtraction
        solution = follow(estimator(replace(self._problem, defects=defects)))
        return with_blind_reasons((yield from portion(solution, len(guesses) * share, 1.0)))

    def _all_guesses(
        self, model: ConvolutionModel, counts: range
    ) -> Generator[Event, None, dict[int, list[torch.Tensor]]]:
        """Guess the kernels for each number of kinds that has enough patches."""
        guesses = {}
        for count in counts:
            yield Event("Looking for first guesses", 0, 1)
            if each := self._guesses(model, count):
                guesses[count] = each
        return guesses

    def _guesses(self, model: ConvolutionModel, kinds: int) -> list[torch.Tensor]:
        """Guess the kernels, several times, (kind, plane, h, w)."""
        if kinds > 1:
            return unlike_patches(model, kinds, _STARTS_OF_KINDS)
        patches = energetic_patches(model, _STARTS_OF_EACH_WIDTH)
        return [patch[None] for of_width in patches for patch in of_width]

    def _search(
        self, model: ConvolutionModel, guesses: list[torch.Tensor]
    ) -> Generator[Event, None, AlternatingFit]:
        """Find the best fit of the maps by as many kinds as the guesses have."""
        seed, kinds = self._problem.parameters.seed, len(guesses[0])
        suffix = f", {kinds} kinds" if kinds > 1 else ""
        kept = _KEPT_GUESSES if kinds == 1 else (len(guesses),) * len(_THRESHOLDS)
        shares = pairwise(np.linspace(0, 1, _round_count(len(guesses), kept) + 1))
        fits = [AlternatingFit(model, guess, seed + index) for index, guess in enumerate(guesses)]
        message = f"Trying first guesses{suffix}"
        for threshold, number in zip(_THRESHOLDS, kept, strict=True):
            for fit in fits:
                yield from portion(_round(fit.relax(threshold), message), *next(shares))
            fits = sorted(fits, key=lambda fit: fit.misfit)[:number]
        for fit in fits:
            fit.begin_sampling()
        message = f"Comparing the best guesses{suffix}"
        for number, sweeps, pitch, reach in _STAGES:
            fits = sorted(fits, key=lambda fit: fit.cost)[:number]
            for fit in fits:
                for _ in range(sweeps):
                    yield from portion(_sweep(fit, pitch, reach, message), *next(shares))
        best = min(fits, key=lambda fit: fit.cost)
        message, costs = f"Finding the defects{suffix}", [best.cost]
        for _ in range(_MAX_SWEEPS):
            share = next(shares)
            if not _settled(costs):
                yield from portion(_sweep(best, _FINE_PITCH, _FINE_REACH, message), *share)
                costs.append(best.cost)
        message = f"Refining positions{suffix}"
        for _ in range(_LAST_SWEEPS):
            yield from portion(_sweep(best, _LAST_PITCH, _LAST_REACH, message), *next(shares))
        message = f"Settling the defects{suffix}"
        yield from portion(_round(best.sample(settle=True), message, best), *next(shares))
        return best

    def _defects(self, fit: AlternatingFit) -> Defects:
        """Return the strong points of repeated kinds, about the centres of their kernels."""
        points = strong_points(fit)
        kinds = repeated_kinds(fit)
        if not kinds:
            raise ExtractionError(_NOTHING_FOUND)
        # The kind that shows most comes first.
        energy = fit.kernels.square().sum(dim=(1, 2, 3)).numpy()
        kinds.sort(key=lambda kind: -energy[kind] * np.sum(points.strengths[points.kinds == kind]))
        names = [f"kind {place}" for place in range(1, len(kinds) + 1)]
        shape = self._problem.parameters.kernel_shape
        middle = np.array([size // 2 - (size - 1) for size in shape])
        tables = []
        for kind, name in zip(kinds, names if len(kinds) > 1 else [DEFAULT_KIND], strict=True):
            chosen = points.kinds == kind
            offset = np.array(centre_offset(fit.kernels[kind].numpy()))
            positions = points.sites[chosen] + middle + offset
            tables.append(Defects(positions, kind=name, strength=points.strengths[chosen]))
        return Defects.concatenate(tables)


def _sweep(
    fit: AlternatingFit, pitch: int, reach: int, message: str
) -> Generator[Event, None, None]:
    """Sample a fit once with points on a grid; between pixels, close points become one."""
    fit.sampler.place(fit.sampler.points, pitch, reach, group_reach=reach if pitch > 1 else 0)
    yield from _round(fit.sample(), message, fit)


def _settled(costs: list[float]) -> bool:
    """Test whether the last sweeps have hardly reduced the cost below that before them."""
    before = costs[:-_WAITING_SWEEPS]
    return bool(before) and min(costs[-_WAITING_SWEEPS:]) > min(before) - _MIN_GAIN


def _round(
    work: Generator[Event, None, None], message: str, fit: AlternatingFit | None = None
) -> Generator[Event, None, None]:
    """Run one round of a search, and report the noise and the defects of a fit after it."""
    yield from map_events(work, lambda event: replace(event, message=message))
    values = {}
    if fit is not None:
        values = {"residual": fit.noise, "defects": float(len(fit.sampler.points))}
    yield Event(message, 1, 1, values)


def _round_count(guesses: int, kept: tuple[int, ...]) -> int:
    """Count the rounds of a search at most."""
    relaxed = sum(min(number, guesses) for number in (guesses, *kept[:-1]))
    compared = sum(sweeps * min(number, guesses, kept[-1]) for number, sweeps, *_ in _STAGES)
    return relaxed + compared + _MAX_SWEEPS + _LAST_SWEEPS + 1
