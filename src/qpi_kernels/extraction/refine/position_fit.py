"""Fit of defects' positions and strengths for given kernels."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from qpi_kernels.defects import Defects
from qpi_kernels.extraction.refine.residual import ResidualMap
from qpi_kernels.extraction.refine.shifted_kernel import ShiftedKernel, shift_matrix
from qpi_kernels.progress import Event

__all__ = ["PointPrior", "PositionFit"]

_SWEEPS = 2
_NEWTON_STEPS = 3
_HALVINGS = 4
_SETTLED = 2e-3
_MAX_STEP_PX = 1.0
# A search of all places takes one in two pixels, and leaves a minimum for another one that is
# this far away and, in units of the noise's variance, this much better.
_SEARCH_PX, _ELSEWHERE_PX, _MIN_GAIN = 0.5, 1.0, 9.0
# Searched are defects whose misfit is larger than that of the map by so many standard deviations.
_DOUBTFUL = 2.0


@dataclass(frozen=True)
class PointPrior:
    """Widths of the normal prior of positions and strengths.

    Parameters
    ----------
    jitter_px : float
        Standard deviation of a click's row and of its column about the truth, in px.
    spread : float
        Standard deviation of strengths, as a share of what was given; 0 keeps them.
    limit_px : float
        Farthest a defect may be from its click, in px.
    """

    jitter_px: float
    spread: float
    limit_px: float


@dataclass(frozen=True, eq=False)
class PositionFit:
    """Fitted positions and strengths with standard errors.

    Parameters
    ----------
    defects : Defects
        Moved, in order.
    position_error : array, (N, 2)
        Posterior standard deviation of row and column, in px.
    strength_error : array, (N,)
        The same of the strength over what was given; zero when strengths were not fitted.
    jumped : array of bool, (N,)
        True where a search found a better place than the nearest.
    """

    defects: Defects
    position_error: NDArray[np.float64]
    strength_error: NDArray[np.float64]
    jumped: NDArray[np.bool_]

    @classmethod
    def solve(
        cls,
        defects: Defects,
        clicks: Defects,
        residual: ResidualMap,
        prior: PointPrior,
        *,
        sweeps: int = _SWEEPS,
        search: bool = False,
    ) -> Generator[Event, None, PositionFit]:
        r"""Minimise over positions and strengths, one defect after the other.

        .. math:: \sum_p w_p \lvert W (Y_p - \sum_i s_i A_p(r - r_i)) \rvert^2
                  + \sum_i \lvert r_i - c_i \rvert^2 / \tau^2
                  + \sum_i (s_i / s_{0i} - 1)^2 / \upsilon^2

        Gauss-Newton steps with halving for each defect in turn, against a residual that is kept
        up to date, so that moves of overlapping defects take each other into account.

        Parameters
        ----------
        defects : Defects
            Positions and strengths that ``residual`` belongs to.
        clicks : Defects
            Centres of the prior: the same defects as they were given.
        residual : ResidualMap
            Kernels, and the residual of the map with ``defects``.
        prior : PointPrior
            Widths of the prior.
        sweeps : int
            Maximum number of moves of each defect.
        search : bool
            Try all places within the limit in the first sweep: a wave that is placed on a wrong
            crest of itself has a minimum there, which no small step leaves.

        Returns
        -------
        generator
            Yields an event for each move and returns the fit.
        """
        sweep = _Sweep(defects, clicks, residual, prior)
        count = len(defects)
        for number in range(sweeps):
            before = np.column_stack([sweep.position, sweep.factor])
            for index in range(count):
                sweep.move(index, search=search and number == 0)
                yield Event("Moving the defects", number * count + index + 1, sweeps * count)
            after = np.column_stack([sweep.position, sweep.factor])
            if np.abs(after - before).max(initial=0.0) < _SETTLED:
                break
        return cls(
            defects.moved(sweep.position).with_strength(sweep.factor * clicks.strength),
            sweep.error[:, :2],
            sweep.error[:, 2],
            sweep.jumped,
        )


@dataclass(eq=False)
class _Sweep:
    """State of the block-coordinate descent."""

    defects: Defects
    clicks: Defects
    residual: ResidualMap
    prior: PointPrior
    position: NDArray[np.float64] = field(init=False)
    factor: NDArray[np.float64] = field(init=False)
    error: NDArray[np.float64] = field(init=False)
    jumped: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        self.position = np.array(self.defects.positions)
        given = self.clicks.strength
        self.factor = self.defects.strength / np.where(given == 0, 1.0, given)
        self.error = np.zeros((len(self.defects), 3))
        self.error[:, :2] = self.prior.jitter_px
        self.error[:, 2] = self.prior.spread
        self.jumped = np.zeros(len(self.defects), bool)
        self._values = self.residual.values.copy()
        self._margin = int(np.ceil(2 * self.prior.limit_px)) + 1
        self._anchor = np.rint(self.position).astype(int)

    def move(self, index: int, *, search: bool = False) -> None:
        """Fit one defect and update the residual; defects of strength 0 stay."""
        if self.clicks.strength[index] == 0:
            return
        view = ShiftedKernel(
            self.residual.kernels[str(self.defects.kind[index])],
            (int(self._anchor[index, 0]), int(self._anchor[index, 1])),
            self.residual.values.shape[-2:],
            self._margin,
        )
        rows, cols = view.window
        mask = self.residual.mask[rows, cols]
        if not mask.any():
            return
        block = _Block(view, mask, self.residual, self.prior, self.clicks[np.array([index])])
        state = np.array([*self.position[index], self.factor[index]])
        target = self._values[:, rows, cols] + block.image(state)
        state, self.error[index] = block.minimise(state, target)
        doubtful = search and block.misfit_excess(state, target) > _DOUBTFUL
        place = block.best_elsewhere(state, target) if doubtful else None
        if place is not None:
            elsewhere, error = block.minimise(place, target)
            if block.cost(elsewhere, target) < block.cost(state, target) - _MIN_GAIN:
                state, self.error[index], self.jumped[index] = elsewhere, error, True
        self._values[:, rows, cols] = target - block.image(state)
        self.position[index], self.factor[index] = state[:2], state[2]


class _Block:
    """The least-squares problem of one defect: row, column, strength factor."""

    def __init__(
        self,
        view: ShiftedKernel,
        mask: NDArray[np.bool_],
        residual: ResidualMap,
        prior: PointPrior,
        click: Defects,
    ) -> None:
        self._view, self._mask, self._prior = view, mask, prior
        self._click, self._given = click.positions[0], float(click.strength[0])
        self._weight = residual.weight[:, None, None] * mask
        self._informative = max(1.0 - residual.absorbed, 0.05)
        self._free = 3 if prior.spread > 0 else 2
        spread = [prior.jitter_px] * 2 + [prior.spread] * (self._free - 2)
        self._pull = 1.0 / np.square(np.maximum(spread, 1e-6))

    def image(self, state: NDArray[np.float64]) -> NDArray[np.float64]:
        """Predict the defect's wave in its window, zero where a pixel does not count."""
        return np.asarray(self._given * state[2] * self._view.at(state[:2]) * self._mask)

    def cost(self, state: NDArray[np.float64], target: NDArray[np.float64]) -> float:
        """Sum misfit and prior."""
        misfit = np.square(target - self.image(state))
        return float((self._weight * misfit).sum() + (self._pull * self._offset(state) ** 2).sum())

    def _offset(self, state: NDArray[np.float64]) -> NDArray[np.float64]:
        """Subtract the centre of the prior."""
        return np.array([*(state[:2] - self._click), state[2] - 1.0])[: self._free]

    def misfit_excess(self, state: NDArray[np.float64], target: NDArray[np.float64]) -> float:
        """Compare the misfit in the window with that of noise, in its standard deviations."""
        misfit = float((self._weight * np.square(target - self.image(state))).sum())
        count = max(int(self._mask.sum()) * len(target), 1)
        return float((misfit - count) / np.sqrt(2.0 * count))

    def best_elsewhere(
        self, state: NDArray[np.float64], target: NDArray[np.float64]
    ) -> NDArray[np.float64] | None:
        """Find the best place of a grid that is a pixel away or more, if better than here."""
        kernels, anchor = self._view.kernels, np.array(self._view.anchor)
        strength = self._given * state[2]
        weight = self._view.padded(self._weight)
        seen = self._view.padded(self._weight * target)
        best, least = None, self.cost(state, target) - float((self._weight * target**2).sum())
        for shift in np.ndindex(2, 2):
            rows, cols = (
                shift_matrix(size, _SEARCH_PX * by, 1)
                for size, by in zip(kernels.shape[-2:], shift, strict=True)
            )
            wave = strength * (rows @ kernels @ cols.T)
            cost = (
                scipy.signal.correlate(weight, wave**2, "valid")
                - 2 * scipy.signal.correlate(seen, wave, "valid")
            )[0]
            places = np.moveaxis(np.indices(cost.shape), 0, -1) - np.array(cost.shape) // 2
            places = anchor + places + _SEARCH_PX * np.array(shift)
            away = places - self._click
            cost += (self._pull[:2] * away**2).sum(axis=-1)
            allowed = np.hypot(*np.moveaxis(away, -1, 0)) <= self._prior.limit_px
            allowed &= np.hypot(*np.moveaxis(places - state[:2], -1, 0)) >= _ELSEWHERE_PX
            cost = np.where(allowed, cost, np.inf)
            if cost.min() < least:
                least = float(cost.min())
                place = places[np.unravel_index(cost.argmin(), cost.shape)]
                best = np.array([*place, state[2]])
        return best

    def minimise(
        self, state: NDArray[np.float64], target: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Find the state of least cost, and the standard errors of its numbers."""
        cost = self.cost(state, target)
        error = np.zeros(3)
        for _ in range(_NEWTON_STEPS):
            normal, slope = self._normal_equations(state, target)
            covariance = np.linalg.inv(self._informative * normal + np.diag(self._pull))
            error[: self._free] = np.sqrt(np.diag(covariance))
            step = np.asarray(np.linalg.solve(normal + np.diag(self._pull), slope), np.float64)
            step *= min(1.0, _MAX_STEP_PX / max(float(np.hypot(*step[:2])), 1e-12))
            for _ in range(_HALVINGS):
                tried = self._within_limit(state, step)
                new_cost = self.cost(tried, target)
                if new_cost < cost:
                    break
                step = step / 2
            else:
                return state, error
            moved = float(np.abs(tried - state).max())
            state, cost = tried, new_cost
            if moved < _SETTLED:
                break
        return state, error

    def _normal_equations(
        self, state: NDArray[np.float64], target: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Linearise the misfit about a state: normal matrix and negative gradient."""
        strength = self._given * state[2]
        columns = list(strength * self._view.slopes(state[:2]))
        if self._free > 2:
            columns.append(self._given * self._view.at(state[:2]))
        matrix = np.stack([column.ravel() for column in columns])
        weighted = matrix * np.broadcast_to(self._weight, columns[0].shape).ravel()
        misfit = (target - self.image(state)).ravel()
        return weighted @ matrix.T, weighted @ misfit - self._pull * self._offset(state)

    def _within_limit(
        self, state: NDArray[np.float64], step: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Take a step, but no farther from the click than the limit."""
        new = state.copy()
        new[: self._free] += step
        offset = new[:2] - self._click
        new[:2] = self._click + offset * min(
            1.0, self._prior.limit_px / max(float(np.hypot(*offset)), 1e-12)
        )
        return new
