"""Kernels and defects from the map alone: sparse blind deconvolution."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import torch

from qpi_kernels.defects import DEFAULT_KIND, Defects
from qpi_kernels.extraction.bayes.estimator import BayesExtraction
from qpi_kernels.extraction.blind.alternating_fit import FINE_PITCH, FINE_REACH, AlternatingFit
from qpi_kernels.extraction.blind.convolution_model import ConvolutionModel
from qpi_kernels.extraction.blind.evidence.model_order import (
    dominant_points,
    is_better_without_more_kinds,
    pays_for_its_kernel,
    prefers_more_kinds,
    repeated_kinds,
    residual_is_white,
    strong_points,
)
from qpi_kernels.extraction.blind.evidence.posterior_points import probable_points
from qpi_kernels.extraction.blind.evidence.separated_kinds import separate_kinds
from qpi_kernels.extraction.blind.evidence.whitened_fits import better_whitened
from qpi_kernels.extraction.blind.gibbs_sampler import Points
from qpi_kernels.extraction.blind.initial_kernels import energetic_patches, unlike_patches
from qpi_kernels.extraction.blind.joined_points import has_common_separation, join_points
from qpi_kernels.extraction.blind.kernel_centre import centre_offset
from qpi_kernels.extraction.blind.noise_colour import NoiseColour
from qpi_kernels.extraction.blind.orientation import Orientation
from qpi_kernels.extraction.blind.parameters import BlindParameters
from qpi_kernels.extraction.blind.quality_report import with_blind_reasons
from qpi_kernels.extraction.least_squares.estimator import LeastSquares
from qpi_kernels.extraction.parameters import ExtractionError
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.progress import Event, GeneratorStepper, follow, map_events, portion
from qpi_kernels.result import KernelResult

__all__ = ["BlindExtraction"]

_STARTS, _STARTS_OF_KINDS = 3, 2
_THRESHOLDS = (0.5, 0.35, 0.25, 0.2)
# Fits that go on after each: good first guesses are ahead from the first on, and end alike.
_KEPT_GUESSES = (5, 3, 3, 3)
# Number of fits that go on, sweeps of each, grid points per pixel and longest move in px: pieces
# on whole pixels find the defects, and become one point each once points lie between pixels.
_STAGES = ((6, 2, 1, 2), (3, 2, 1, 2), (2, 10, 1, 2), (2, 3, 4, 2))
# Sweeps of the best fit: at most so many, until so many have not reduced the cost by so much.
_MAX_SWEEPS, _WAITING_SWEEPS, _MIN_GAIN = 16, 3, 10.0
_LAST_PITCH, _LAST_REACH, _LAST_SWEEPS = 8, 1, 2
# Kinds that are tried unasked.
_MAX_KINDS = 3
# Time of the final samples and the solution for the kernels, of all.
_SOLUTION_SHARE = 0.2
# Times that the noise is estimated, and sweeps after each; noise whose correlation tells less of
# a pixel than this, in units of half a log-likelihood, is taken for white.
_WHITENINGS, _WHITE_SWEEPS, _MIN_COLOUR = 2, 4, 0.03
# Gain of one more kind for each pixel of its kernel, as -2 log-likelihood, from which on all kinds
# are searched together.
_HINT = 1.5
# Sweeps of all kinds together, and those at the end whose points are averaged.
_JOINT_SWEEPS, _SAMPLES = 8, 10
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
    level (`GibbsSampler`); the guesses that explain the map best go on.

    All that the defects which stand out leave is then taken for noise: correlated noise, waves
    that reach beyond the window, other kinds. The map is filtered until that is white
    (`NoiseColour`), and what was mistaken for faint defects goes.

    Another kind is searched in what is left. It is taken if blocks of pixels that were left out
    are predicted better with it (`left_out_blocks`), and it gains more than its kernel's free
    numbers would of noise (`model_order`). Defects of the other sign are a kind of their own.

    Last, the points of several sweeps are averaged; how many sweeps have a defect is its
    probability, and those below one half are left out. The kernels are those of
    `BayesExtraction` with the others. All is done in a standard `Orientation` of the map.

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
        yield from portion(_announced("Looking for first guesses"), 0.0, 0.0)
        orientation = Orientation.standard(self._problem)
        maps = ConvolutionModel(orientation.turn_problem(self._problem))
        asked = self._problem.parameters.kinds
        kinds = _MAX_KINDS if asked == "auto" else asked
        best: AlternatingFit | None = None
        for start, stop in pairwise(np.linspace(0, 1 - _SOLUTION_SHARE, kinds + 1)):
            if best is None:
                fit = yield from portion(self._first_kind(maps), start, stop)
            else:
                work = self._another_kind(maps, best, asked == "auto")
                fit = yield from portion(work, start, stop)
            if fit is None:
                break
            best = fit
            paired = has_common_separation(strong_points(best), maps)
            if asked == "auto" and residual_is_white(best) and not paired:
                break
        if best is None or not pays_for_its_kernel(None, best):
            raise ExtractionError(_NOTHING_FOUND)
        start, middle, stop = 1 - _SOLUTION_SHARE * np.array([1.0, 0.8, 0.5])
        work = separate_kinds(best, self._problem.parameters.seed)
        named = partial(_named, "Fitting all kinds together")
        best = yield from portion(map_events(work, named), start, middle)
        defects = yield from portion(self._defects(maps, best, orientation), middle, stop)
        estimator = LeastSquares if self._problem.parameters.prior == "none" else BayesExtraction
        solution = follow(estimator(replace(self._problem, defects=defects)))
        return with_blind_reasons((yield from portion(solution, stop, 1.0)))

    def _first_kind(self, maps: ConvolutionModel) -> Generator[Event, None, AlternatingFit | None]:
        """Search for one kind of defect, taking all else for noise; None if there is none.

        Where that noise is not white, a second search starts with all of the map taken for it, in
        which other kinds and the tails of waves count less.
        """
        fit = yield from portion(self._one_kind(maps), 0.0, 0.45)
        if fit is None:
            return None
        fit = yield from portion(self._whitened(maps, fit), 0.45, 0.5)
        if fit.model is maps:
            return fit
        values = maps.values.numpy()
        colour = NoiseColour.estimate(values, 0 * values, maps.mask.numpy())
        other = yield from portion(self._one_kind(maps.whitened(colour)), 0.5, 0.95)
        if other is None:
            return fit
        other = yield from portion(self._whitened(maps, other), 0.95, 0.98)
        choice = better_whitened(fit, other, self._problem.parameters.seed)
        named = partial(_named, "Whitening the noise")
        return (yield from portion(map_events(choice, named), 0.98, 1.0))

    def _another_kind(
        self, maps: ConvolutionModel, fit: AlternatingFit, tested: bool
    ) -> Generator[Event, None, AlternatingFit | None]:
        """Search for one more kind than a fit has; None if there is none.

        It is searched in what the fit leaves. Where that shows a kind which predicts no better, or
        most points have a partner at one vector, the fit may mix kinds, and all are searched
        together. A search that ends with as many kinds as the fit has, but explains the maps
        better, gives a better fit of these kinds.
        """
        paired = tested and has_common_separation(strong_points(fit), maps)
        more = yield from portion(self._added_kind(maps, fit), 0.0, 0.4)
        named = partial(_named, "Predicting left-out blocks")
        if more is None:
            if not paired:
                return None
        elif tested and is_better_without_more_kinds(fit, more):
            return (yield from portion(self._of_present_kinds(more), 0.4, 1.0))
        elif pays_for_its_kernel(fit, more):
            better = yield from portion(map_events(prefers_more_kinds(fit, more), named), 0.4, 0.5)
            if better:
                return more
        elif tested and not paired and not pays_for_its_kernel(fit, more, _HINT):
            return None
        kinds = len(fit.kernels) + 1
        guesses = unlike_patches(maps, kinds, _STARTS_OF_KINDS)
        if not guesses:
            return None if tested else more
        kept = (len(guesses),) * len(_THRESHOLDS)
        search = self._search(maps, guesses, kept, f", {kinds} kinds")
        joint = yield from portion(search, 0.5, 0.85)
        joint = yield from portion(self._whitened(maps, joint), 0.85, 0.9)
        if more is not None and not tested:
            return min(more, joint, key=lambda one: one.cost)
        if is_better_without_more_kinds(fit, joint):
            return (yield from portion(self._of_present_kinds(joint), 0.9, 1.0))
        if not pays_for_its_kernel(fit, joint):
            return None
        better = yield from portion(map_events(prefers_more_kinds(fit, joint), named), 0.9, 1.0)
        return joint if better else None

    def _added_kind(
        self, maps: ConvolutionModel, fit: AlternatingFit
    ) -> Generator[Event, None, AlternatingFit | None]:
        """Add the kind that is found in what a fit leaves of the maps; None if there is none."""
        kind = len(fit.kernels)
        rest = fit.model.with_values(fit.residual)
        found = yield from portion(self._one_kind(rest, f", kind {kind + 1}"), 0.0, 0.8)
        if found is None:
            return None
        points = Points.concatenate([dominant_points(fit), dominant_points(found).of_kind(kind)])
        both = yield from portion(self._together(fit.model, points, kind + 1), 0.8, 0.9)
        return (yield from portion(self._whitened(maps, both), 0.9, 1.0))

    def _of_present_kinds(self, fit: AlternatingFit) -> Generator[Event, None, AlternatingFit]:
        """Fit the same points without the kinds that have none."""
        points = fit.sampler.points
        present, kinds = np.unique(points.kinds, return_inverse=True)
        seed = self._problem.parameters.seed
        work = AlternatingFit.of_points(fit.model, replace(points, kinds=kinds), len(present), seed)
        named = partial(_named, "Fitting all kinds together")
        return (yield from map_events(work, named))

    def _together(
        self, maps: ConvolutionModel, points: Points, kinds: int
    ) -> Generator[Event, None, AlternatingFit]:
        """Fit several kinds whose defects were found one kind after the other."""
        seed = self._problem.parameters.seed
        work = AlternatingFit.of_points(maps, points, kinds, seed, sweeps=_JOINT_SWEEPS)
        named = partial(_named, "Fitting all kinds together")
        return (yield from map_events(work, named))

    def _whitened(
        self, maps: ConvolutionModel, fit: AlternatingFit
    ) -> Generator[Event, None, AlternatingFit]:
        """Fit maps in which the noise is white, if it is not yet.

        The noise is what the defects that stand out leave.
        """
        seed, kinds = self._problem.parameters.seed, len(fit.kernels)
        named = partial(_named, "Whitening the noise")
        shares = pairwise(np.cumsum([0.0, *_WHITENINGS * [0.25, 0.75]]) / _WHITENINGS)
        for _ in range(_WHITENINGS):
            points = dominant_points(fit)
            if not len(points):
                return fit
            work = map_events(AlternatingFit.of_points(maps, points, kinds, seed), named)
            plain = yield from portion(work, *next(shares))
            colour = NoiseColour.estimate(
                plain.residual.numpy(), plain.predicted.numpy(), maps.mask.numpy()
            )
            white = maps.whitened(colour) if colour.strength > _MIN_COLOUR else maps
            if white is maps and fit.model is maps:
                return fit
            work = AlternatingFit.of_points(white, points, kinds, seed, sweeps=_WHITE_SWEEPS)
            fit = yield from portion(map_events(work, named), *next(shares))
        return fit

    def _one_kind(
        self, model: ConvolutionModel, suffix: str = ""
    ) -> Generator[Event, None, AlternatingFit | None]:
        """Find the best fit of the maps by one kind, from several guesses; None without any."""
        guesses = [patch[None] for each in energetic_patches(model, _STARTS) for patch in each]
        if not guesses:
            return None
        return (yield from self._search(model, guesses, _KEPT_GUESSES, suffix))

    def _search(
        self,
        model: ConvolutionModel,
        guesses: list[torch.Tensor],
        kept: tuple[int, ...],
        suffix: str,
    ) -> Generator[Event, None, AlternatingFit]:
        """Find the best fit of the maps that starts from one of the guesses."""
        seed = self._problem.parameters.seed
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
                yield from portion(_sweep(best, FINE_PITCH, FINE_REACH, message), *share)
                costs.append(best.cost)
        best = yield from portion(join_points(best, seed), *next(shares))
        message = f"Refining positions{suffix}"
        for _ in range(_LAST_SWEEPS):
            yield from portion(_sweep(best, _LAST_PITCH, _LAST_REACH, message), *next(shares))
        message = f"Settling the defects{suffix}"
        yield from portion(_round(best.sample(settle=True), message, best), *next(shares))
        return best

    def _defects(
        self, maps: ConvolutionModel, fit: AlternatingFit, orientation: Orientation
    ) -> Generator[Event, None, Defects]:
        """Return the probable points of repeated kinds, about the centres of their kernels."""
        named = partial(_named, "Sampling the defects")
        samples = []
        for share in pairwise(np.linspace(0, 0.9, _SAMPLES + 1)):
            yield from portion(map_events(fit.sweep(_LAST_PITCH, _LAST_REACH), named), *share)
            samples.append(strong_points(fit))
        points, probability = probable_points(samples)
        kinds = repeated_kinds(points)
        if not kinds:
            raise ExtractionError(_NOTHING_FOUND)
        seed = self._problem.parameters.seed
        work = AlternatingFit.of_points(maps, points, len(fit.kernels), seed)
        kernels = (yield from portion(map_events(work, named), 0.9, 1.0)).kernels
        # The kind that shows most comes first.
        energy = kernels.square().sum(dim=(1, 2, 3)).numpy()
        kinds.sort(key=lambda kind: -energy[kind] * np.sum(points.strengths[points.kinds == kind]))
        names = [f"kind {place}" for place in range(1, len(kinds) + 1)]
        middle = np.array([size // 2 - (size - 1) for size in maps.kernel_shape])
        tables = []
        for kind, name in zip(kinds, names if len(kinds) > 1 else [DEFAULT_KIND], strict=True):
            chosen = points.kinds == kind
            offset = np.array(centre_offset(kernels[kind].numpy()))
            positions = orientation.positions_before(
                points.sites[chosen] + middle + offset, self._problem.image_shape
            )
            tables.append(
                Defects(
                    positions,
                    kind=name,
                    strength=points.strengths[chosen],
                    probability=probability[chosen],
                )
            )
        return Defects.concatenate(tables)


def _announced(message: str) -> Generator[Event, None, None]:
    """Report what is being done before it is."""
    yield Event(message, 0, 1)


def _named(message: str, event: Event) -> Event:
    """Put what is being done into an event."""
    return replace(event, message=message)


def _sweep(
    fit: AlternatingFit, pitch: int, reach: int, message: str
) -> Generator[Event, None, None]:
    """Sample a fit once, see `AlternatingFit.sweep`."""
    yield from _round(fit.sweep(pitch, reach), message, fit)


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
    return relaxed + compared + _MAX_SWEEPS + _LAST_SWEEPS + 2
