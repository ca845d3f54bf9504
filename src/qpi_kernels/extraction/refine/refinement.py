"""Refinement of the defects' positions and strengths together with the kernel."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from math import exp
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from qpi_kernels.defects import Defects
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.extraction.refine.denoised_kernel import denoised
from qpi_kernels.extraction.refine.kernel_origin import rotation_centre
from qpi_kernels.extraction.refine.position_doubt import with_position_doubt
from qpi_kernels.extraction.refine.position_fit import PointPrior, PositionFit
from qpi_kernels.extraction.refine.prior_width import prior_width
from qpi_kernels.extraction.refine.residual import ResidualMap, residual_map
from qpi_kernels.parameters import Parameters, Pixels, PositiveCount
from qpi_kernels.progress import Event, GeneratorStepper, Stepper, follow, map_events, portion
from qpi_kernels.result import KernelResult

__all__ = ["Refinement", "RefinementParameters"]

_Result = TypeVar("_Result")

_FIRST_SPREAD = 0.2
_FIRST_JITTER_PX = 0.75
_MAX_GAIN = 8.0
_FIRST_GAIN = 3.0
_MAX_FILL = 0.25
_MIN_WINDOW = 9
_GAIN_UP, _GAIN_DOWN = 1.5, 0.5
# All places are searched once kernels are sharp, and again for what that changes.
_SEARCH_ROUNDS = (3, 6)
# Rounds until the positions have settled, and their share of the time.
_TYPICAL_ROUNDS, _SHARE_OF_ROUNDS = 5, 0.6


class RefinementParameters(Parameters):
    """Validated parameters of `Refinement`."""

    refine: Literal["positions", "positions+strengths"] = "positions"
    """Improve positions, or positions and strengths of the defects."""
    limit_px: Pixels = Field(default=4.0, gt=0, le=20)
    """Farthest a defect may end from where it was marked."""
    settled_px: Pixels = Field(default=0.02, gt=0, le=1)
    """Stop when no defect moves farther than this."""
    max_rounds: PositiveCount = Field(default=12, le=100)
    """Rounds of kernel and moves before giving up."""


class Refinement(GeneratorStepper[KernelResult]):
    """Alternate between kernel estimates and moves of the defects, as a stepper.

    A round extracts the kernel with the defects where they are, then moves each defect to where
    this kernel explains the map best (`PositionFit`). Clicks scatter about the truth by a jitter
    whose width is estimated from the moves; a defect that shows too little to be placed better
    than that stays. Since the kernel follows a part of every move, moves that keep their direction
    are lengthened.

    A kernel nearly as large as the image follows wrong positions nearly as well as right ones. The
    rounds therefore use the part of the window about its centre with at most a quarter as many
    pixels as the map; waves beyond it count as noise there. The last kernel has the whole window.

    Kernel and positions share a shift, and with strengths a scale, that no data determine. The mean
    strength of a kind stays. Its origin is put at the kernel's centre of two- or three-fold
    rotation where it has one, otherwise where the mean move is zero.

    Parameters
    ----------
    problem : Problem
        The checked input, with the defects as they were marked.
    estimator : callable
        Makes the stepper that extracts a kernel from a problem, such as ``LeastSquares``.
    parameters : RefinementParameters, optional
        What to refine and how far.
    quick_estimator : callable, optional
        A cheaper estimator for all but the last kernel.

    Notes
    -----
    Measured with least squares on library kernels and clicks 1 px (standard deviation per axis)
    off, error over that at the true positions, medians of 2 to 7 maps: 1.00 to 1.02 for 128 px
    maps, 32 px kernels, 20 or 60 defects at signal-to-noise ratios of 10 and 100; 1.00 for 256 px
    and 64 px; 0.99 to 1.00 for kernels as large as their 64 px map; 1.05 at a ratio of 1. Without
    refinement 1.5 to 12. At exact positions and a ratio of 1 it costs 1 %.

    Those kernels have a centre of rotation. One without comes out just as well in shape (1.00 after
    the best shift) but shifted by the mean of the clicks' errors, 1 px over the root of the number
    of defects, which no data determine.
    """

    def __init__(
        self,
        problem: Problem,
        estimator: Callable[[Problem[Any]], Stepper[KernelResult]],
        parameters: RefinementParameters | None = None,
        *,
        quick_estimator: Callable[[Problem[Any]], Stepper[KernelResult]] | None = None,
    ) -> None:
        self._settings = parameters or RefinementParameters()
        self._problem = problem
        self._estimator = estimator
        self._quick_estimator = quick_estimator

    def _run(self) -> Generator[Event, None, KernelResult]:
        """Alternate between quick kernels and moves, then extract the kernel of the last ones."""
        problem, settings = self._problem, self._settings
        quick = self._quick_estimator or self._estimator
        window = _window(problem)
        needs_last_kernel = (
            self._quick_estimator is not None or window != problem.parameters.kernel_shape
        )
        moves = _Moves(problem.defects, settings)
        rounds, settled = 0, False
        while True:
            start, stop = _round_share(rounds)
            rounds += 1
            parameters = problem.parameters.model_copy(update={"kernel_shape": window})
            kernel = follow(quick(replace(problem, parameters=parameters)))
            one_round = _one_round(kernel, moves, problem)
            result, defects = yield from portion(_named(f"Round {rounds}", one_round), start, stop)
            farthest = np.abs(defects.positions - problem.defects.positions).max(initial=0.0)
            settled = bool(farthest < settings.settled_px)
            if settled and not needs_last_kernel:
                break
            problem = replace(problem, defects=defects)
            if settled or rounds >= settings.max_rounds:
                kernel = _named("Last kernel", follow(self._estimator(problem)))
                result = yield from portion(kernel, _SHARE_OF_ROUNDS, 1.0)
                break
        moved = result.defects.positions - self._problem.defects.positions
        summary: dict[str, Any] = {
            **settings.model_dump(mode="json"),
            "rounds": rounds,
            "settled": settled,
            "jitter_px": moves.prior.jitter_px,
            "strength_spread": moves.prior.spread,
            "moved_rms_px": float(np.sqrt(np.square(moved).mean())),
            "shift_error_px": dict(moves.shift_error),
        }
        result = with_position_doubt(result, moves.position_error, moves.shift_error)
        return replace(result, provenance={**result.provenance, "refinement": summary})


def _one_round(
    kernel: Generator[Event, None, KernelResult], moves: _Moves, problem: Problem
) -> Generator[Event, None, tuple[KernelResult, Defects]]:
    """Extract the kernel of the present positions, then move the defects."""
    result = yield from portion(kernel, 0.0, 0.7)
    defects = yield from portion(moves.move(problem, result), 0.7, 1.0)
    return result, defects


def _round_share(rounds: int) -> tuple[float, float]:
    """Return the shares of the whole before and after a round; later rounds are less likely."""
    start, stop = (1.0 - exp(-2.0 * count / _TYPICAL_ROUNDS) for count in (rounds, rounds + 1))
    return _SHARE_OF_ROUNDS * start, _SHARE_OF_ROUNDS * stop


def _named(name: str, work: Generator[Event, None, _Result]) -> Generator[Event, None, _Result]:
    """Begin the messages of a part with its name."""
    return map_events(work, lambda event: replace(event, message=f"{name}: {event.message}"))


class _Moves:
    """Move all defects from round to round, and learn how far from their clicks they are."""

    def __init__(self, clicks: Defects, settings: RefinementParameters) -> None:
        self._clicks = clicks
        fits_strengths = settings.refine == "positions+strengths"
        self.prior = PointPrior(
            _FIRST_JITTER_PX, _FIRST_SPREAD if fits_strengths else 0.0, settings.limit_px
        )
        self._rounds = 0
        self._previous: NDArray[np.float64] | None = None
        self._gain = np.ones(len(clicks))
        # Standard deviation of each position, and of what those of a kind have in common, in px.
        self.position_error = np.zeros((len(clicks), 2))
        self.shift_error: dict[str, float] = {}

    def move(self, problem: Problem, result: KernelResult) -> Generator[Event, None, Defects]:
        """Move all defects to where a result's kernels explain the map best.

        Returns
        -------
        generator
            Yields an event for each defect and returns the moved defects.
        """
        residual = residual_map(denoised(result), problem.mask)
        before = problem.defects
        self._rounds += 1
        search = self._rounds in _SEARCH_ROUNDS
        work = PositionFit.solve(before, self._clicks, residual, self.prior, search=search)
        fit = yield from portion(work, 0.0, 0.9)
        positions = self._extrapolated(before.positions, fit, residual.absorbed)
        self.position_error = fit.position_error
        for kind in before.kinds:
            chosen = before.kind == kind
            moved = positions[chosen] - self._clicks.positions[chosen]
            if problem.parameters.symmetry is None:
                here = before.positions[chosen] - self._clicks.positions[chosen]
                moved += self._origin(kind, residual, here) - moved.mean(axis=0)
            length = np.hypot(moved[:, 0], moved[:, 1])
            moved *= np.minimum(1.0, self.prior.limit_px / np.maximum(length, 1e-12))[:, None]
            positions[chosen] = self._clicks.positions[chosen] + moved
            yield Event("Finding the centre of the kernel", 95, 100)
        strengths = self._normalised(fit.defects)
        self._update_prior(positions, strengths, fit)
        farthest = float(np.abs(positions - before.positions).max(initial=0.0))
        values = {"farthest_move_px": farthest, "jitter_px": self.prior.jitter_px}
        yield Event("Moving the defects", 1, 1, values)
        return before.moved(positions).with_strength(strengths)

    def _extrapolated(
        self, before: NDArray[np.float64], fit: PositionFit, absorbed: float
    ) -> NDArray[np.float64]:
        """Lengthen the fitted moves, for the kernel follows them; less after a reversal."""
        step = fit.defects.positions - before
        if self._previous is None:
            self._gain *= min(1.0 / (1.0 - absorbed), _FIRST_GAIN)
        else:
            onwards = (step * self._previous).sum(axis=1) > 0
            self._gain *= np.where(onwards, _GAIN_UP, _GAIN_DOWN)
            self._gain = self._gain.clip(1.0, max(1.0, _MAX_GAIN * absorbed))
        self._gain[fit.jumped] = 1.0
        self._previous = step
        return before + self._gain[:, None] * step

    def _origin(
        self,
        kind: str,
        residual: ResidualMap,
        moved: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Find the mean move of a kind that puts its kernel's origin at the window's middle."""
        mean = moved.mean(axis=0)
        uncertain = max(self.prior.jitter_px, 1e-3) / np.sqrt(len(moved))
        found = rotation_centre(residual.kernels[kind], residual.weight, -mean, uncertain)
        if found is None:
            self.shift_error[kind] = float(uncertain)
            return np.zeros(2)
        centre, self.shift_error[kind] = found
        return np.asarray(mean + centre)

    def _normalised(self, defects: Defects) -> NDArray[np.float64]:
        """Scale strengths so that their mean ratio to the given ones is 1 for each kind."""
        given = self._clicks.strength
        strengths = np.array(defects.strength)
        for kind in defects.kinds:
            chosen = (defects.kind == kind) & (given != 0)
            if chosen.any():
                mean = float((strengths[chosen] / given[chosen]).mean())
                strengths[chosen] /= mean if mean > 0.1 else 1.0
        return strengths

    def _update_prior(
        self, positions: NDArray[np.float64], strengths: NDArray[np.float64], fit: PositionFit
    ) -> None:
        """Estimate the widths of the prior from the moves."""
        prior = self.prior
        moved = positions - self._clicks.positions
        jitter = prior_width(moved, fit.position_error, prior.jitter_px, _FIRST_JITTER_PX)
        spread = prior.spread
        if spread > 0:
            given = self._clicks.strength
            known = given != 0
            off = strengths[known] / given[known] - 1.0
            spread = prior_width(off, fit.strength_error[known], spread, _FIRST_SPREAD)
        self.prior = PointPrior(jitter, spread, prior.limit_px)


def _window(problem: Problem) -> tuple[int, int]:
    """Choose the part of the kernel's window that positions are fitted with, (rows, columns)."""
    height, width = problem.parameters.kernel_shape
    size = len(problem.defects.kinds) * height * width
    share = min(1.0, float(np.sqrt(_MAX_FILL * problem.mask.sum() / size)))
    return (
        max(int(height * share), min(height, _MIN_WINDOW)),
        max(int(width * share), min(width, _MIN_WINDOW)),
    )
