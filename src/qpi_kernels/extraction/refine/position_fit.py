"""Moving point defects to where given kernels explain the map best."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.defects import Defects
from qpi_kernels.extraction.refine.residual import ResidualMap
from qpi_kernels.extraction.refine.shifted_kernel import ShiftedKernel

__all__ = ["PointPrior", "PositionFit"]

_SWEEPS = 2
_NEWTON_STEPS = 3
_HALVINGS = 4
_SETTLED = 2e-3
_LONGEST_STEP_PX = 1.0


@dataclass(frozen=True)
class PointPrior:
    """What is known of positions and strengths before looking at the map.

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
    """Positions and strengths that fit, with standard errors.

    Parameters
    ----------
    defects : Defects
        Moved, in order.
    position_error : array, (N, 2)
        Posterior standard deviation of row and column, in px.
    strength_error : array, (N,)
        The same of the strength over what was given; zero when strengths were not fitted.
    """

    defects: Defects
    position_error: NDArray[np.float64]
    strength_error: NDArray[np.float64]

    @classmethod
    def solve(
        cls,
        defects: Defects,
        clicks: Defects,
        left: ResidualMap,
        prior: PointPrior,
        *,
        sweeps: int = _SWEEPS,
    ) -> PositionFit:
        r"""Minimise over positions and strengths, one defect after the other.

        .. math:: \sum_p w_p \lvert W (Y_p - \sum_i s_i A_p(r - r_i)) \rvert^2
                  + \sum_i \lvert r_i - c_i \rvert^2 / \tau^2
                  + \sum_i (s_i / s_{0i} - 1)^2 / \upsilon^2

        Gauss-Newton steps with halving for each defect in turn, against a residual that is kept
        up to date, so that overlapping defects see each other's moves.

        Parameters
        ----------
        defects : Defects
            Positions and strengths that ``left`` belongs to.
        clicks : Defects
            Where the prior is centred: the same defects as they were given.
        left : ResidualMap
            Kernels, and what they leave of the map with ``defects``.
        prior : PointPrior
            Widths of the prior.
        sweeps : int
            How often each defect is moved at most.
        """
        sweep = _Sweep(defects, clicks, left, prior)
        for _ in range(sweeps):
            if sweep.run() < _SETTLED:
                break
        return cls(
            Defects(sweep.position, defects.kind, sweep.factor * clicks.strength),
            sweep.error[:, :2],
            sweep.error[:, 2],
        )


@dataclass(eq=False)
class _Sweep:
    """State of the block-coordinate descent."""

    defects: Defects
    clicks: Defects
    left: ResidualMap
    prior: PointPrior
    position: NDArray[np.float64] = field(init=False)
    factor: NDArray[np.float64] = field(init=False)
    error: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self.position = np.array(self.defects.positions)
        given = self.clicks.strength
        self.factor = self.defects.strength / np.where(given == 0, 1.0, given)
        self.error = np.zeros((len(self.defects), 3))
        self.error[:, :2] = self.prior.jitter_px
        self.error[:, 2] = self.prior.spread
        self._values = self.left.values.copy()
        self._margin = int(np.ceil(2 * self.prior.limit_px)) + 1
        self._anchor = np.rint(self.position).astype(int)

    def run(self) -> float:
        """Fit every defect once; the largest change, of px or of the share of a strength."""
        before = np.column_stack([self.position, self.factor])
        for index in range(len(self.defects)):
            if self.clicks.strength[index] != 0:
                self._move(index)
        after = np.column_stack([self.position, self.factor])
        return float(np.abs(after - before).max(initial=0.0))

    def _move(self, index: int) -> None:
        view = ShiftedKernel(
            self.left.kernels[str(self.defects.kind[index])],
            (int(self._anchor[index, 0]), int(self._anchor[index, 1])),
            self.left.values.shape[-2:],
            self._margin,
        )
        rows, cols = view.window
        mask = self.left.mask[rows, cols]
        if not mask.any():
            return
        block = _Block(view, mask, self.left, self.prior, self.clicks[np.array([index])])
        state = np.array([*self.position[index], self.factor[index]])
        wanted = self._values[:, rows, cols] + block.image(state)
        state, self.error[index] = block.minimised(state, wanted)
        self._values[:, rows, cols] = wanted - block.image(state)
        self.position[index], self.factor[index] = state[:2], state[2]


class _Block:
    """One defect's own least-squares problem: row, column, strength factor."""

    def __init__(
        self,
        view: ShiftedKernel,
        mask: NDArray[np.bool_],
        left: ResidualMap,
        prior: PointPrior,
        click: Defects,
    ) -> None:
        self._view, self._mask, self._prior = view, mask, prior
        self._click, self._given = click.positions[0], float(click.strength[0])
        self._weight = left.weight[:, None, None] * mask
        self._told = max(1.0 - left.absorbed, 0.05)
        self._free = 3 if prior.spread > 0 else 2
        spread = [prior.jitter_px] * 2 + [prior.spread] * (self._free - 2)
        self._pull = 1.0 / np.square(np.maximum(spread, 1e-6))

    def image(self, state: NDArray[np.float64]) -> NDArray[np.float64]:
        """What the defect sends into its window, zero where a pixel does not count."""
        return np.asarray(self._given * state[2] * self._view.at(state[:2]) * self._mask)

    def _cost(self, state: NDArray[np.float64], wanted: NDArray[np.float64]) -> float:
        misfit = np.square(wanted - self.image(state))
        return float((self._weight * misfit).sum() + (self._pull * self._away(state) ** 2).sum())

    def _away(self, state: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([*(state[:2] - self._click), state[2] - 1.0])[: self._free]

    def minimised(
        self, state: NDArray[np.float64], wanted: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The state of least cost, and the standard errors of its numbers."""
        cost = self._cost(state, wanted)
        error = np.zeros(3)
        for _ in range(_NEWTON_STEPS):
            normal, slope = self._normal_equations(state, wanted)
            covariance = np.linalg.inv(self._told * normal + np.diag(self._pull))
            error[: self._free] = np.sqrt(np.diag(covariance))
            step = np.asarray(np.linalg.solve(normal + np.diag(self._pull), slope), np.float64)
            step *= min(1.0, _LONGEST_STEP_PX / max(float(np.hypot(*step[:2])), 1e-12))
            for _ in range(_HALVINGS):
                tried = self._within_limit(state, step)
                new_cost = self._cost(tried, wanted)
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
        self, state: NDArray[np.float64], wanted: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        strength = self._given * state[2]
        columns = list(strength * self._view.slopes(state[:2]))
        if self._free > 2:
            columns.append(self._given * self._view.at(state[:2]))
        matrix = np.stack([column.ravel() for column in columns])
        weighted = matrix * np.broadcast_to(self._weight, columns[0].shape).ravel()
        misfit = (wanted - self.image(state)).ravel()
        return weighted @ matrix.T, weighted @ misfit - self._pull * self._away(state)

    def _within_limit(
        self, state: NDArray[np.float64], step: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        new = state.copy()
        new[: self._free] += step
        away = new[:2] - self._click
        new[:2] = self._click + away * min(
            1.0, self._prior.limit_px / max(float(np.hypot(*away)), 1e-12)
        )
        return new
