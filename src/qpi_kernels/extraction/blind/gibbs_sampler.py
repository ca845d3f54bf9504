"""Sampling of point defects for a known kernel, one after the other, from their posterior."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from qpi_kernels.extraction.blind.convolution_model import ConvolutionModel
from qpi_kernels.extraction.blind.sampler_residual import SamplerResidual
from qpi_kernels.progress import Event

__all__ = ["GibbsSampler", "Points"]

_LOG_ODDS_NEVER = -60.0
# Events cost as much as drawing a point of a small kernel; points of a large one take 0.1 s.
_POINTS_BETWEEN_EVENTS = 8
_STRENGTH_VARIANCE = (0.01, 0.2)


@dataclass(frozen=True)
class Points:
    """Defects on the sites of a `ConvolutionModel`.

    Parameters
    ----------
    sites : array, (N, 2)
        Sub-pixel sites.
    strengths : array, (N,)
        Strengths.
    kinds : array of int, (N,)
        Index of the kernel that each shows.
    """

    sites: NDArray[np.float64]
    strengths: NDArray[np.float64]
    kinds: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.strengths)


@dataclass
class _Point:
    """One point: whole site, kind and sub-pixel shift as one index, strength."""

    row: int
    col: int
    choice: int
    strength: float


class GibbsSampler:
    r"""Gibbs sampling of points under a spike-and-slab prior.

    Each site holds a defect of a kind with a small probability; its strength is drawn from a normal
    distribution of mean 1. One after the other a point is taken out and put back somewhere within
    reach, as any kind, or nowhere, with the probability that each choice has given all others and
    the data (Gibbs sampling of a Bernoulli-Gaussian process, known from seismic blind
    deconvolution; the moves within a neighbourhood are what lets overlapping defects slide). Sites
    without a point are tried as their own probability says.

    A sample, unlike an activation shrunk by a threshold, gives an unbiased kernel when the kernel
    is solved for with it, even where no single defect is certain.

    Parameters
    ----------
    model : ConvolutionModel
        The maps.
    kinds : int
        Number of kinds.
    seed : int
        Seed of the random numbers.

    Attributes
    ----------
    noise_variance : float
        Noise variance of a pixel of the maps.
    strength_variance : array, (kind,)
        Variance of the defects' strengths about 1.
    density : array, (kind,)
        Probability that a site holds a defect.
    """

    def __init__(self, model: ConvolutionModel, kinds: int, seed: int) -> None:
        self._model = model
        self._random = np.random.default_rng(seed)
        self._points: dict[tuple[int, int], _Point] = {}
        self._fractions = np.zeros((1, 2))
        self._reach = 2
        self._group_reach = 0
        self._settle = False
        self.noise_variance = 1.0
        self.strength_variance = np.full(kinds, 0.04)
        self.density = np.full(kinds, 0.005)

    @property
    def points(self) -> Points:
        """The present points."""
        present = list(self._points.values())
        whole = np.array([(point.row, point.col) for point in present], float).reshape(-1, 2)
        choices = np.array([point.choice for point in present], np.int64)
        strengths = np.array([point.strength for point in present], float)
        kinds, shifts = np.divmod(choices, len(self._fractions))
        return Points(whole + self._fractions[shifts], strengths, kinds)

    @property
    def spectrum(self) -> torch.Tensor:
        """Spectrum of the points of each kind, for `ConvolutionModel.residual`."""
        points = self.points
        of_kind = [points.kinds == kind for kind in range(len(self.density))]
        return torch.stack(
            [
                self._model.point_spectrum(points.sites[one], points.strengths[one])
                for one in of_kind
            ]
        )

    def place(self, points: Points, pitch: int = 1, reach: int = 2, group_reach: int = 0) -> None:
        """Start from given points.

        Parameters
        ----------
        points : Points
            Where to start; rounded to the grid.
        pitch : int
            Grid points per pixel and axis.
        reach : int
            Longest move of a point at once, in px.
        group_reach : int
            Points this close to each other, in px, are drawn anew together, so that the
            several whole-pixel points that describe one sub-pixel defect become one.
        """
        steps = (np.arange(pitch) - pitch // 2) / pitch
        self._fractions = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)
        self._reach, self._group_reach = reach, group_reach
        fine = np.rint(points.sites * pitch).astype(int)
        whole = np.floor_divide(fine + pitch // 2, pitch)
        part = fine - whole * pitch + pitch // 2
        choices = points.kinds * pitch**2 + part @ [pitch, 1]
        self._points = {}
        for (row, col), choice, strength in zip(whole, choices, points.strengths, strict=True):
            self._keep(_Point(int(row), int(col), int(choice), float(strength)))

    def rescale(self, factors: NDArray[np.float64]) -> None:
        """Multiply all strengths by the factor of their kind."""
        for point in self._points.values():
            point.strength *= float(factors[point.choice // len(self._fractions)])

    def move(self, steps: NDArray[np.int64]) -> None:
        """Shift points by the whole pixels (rows, columns) of their kind.

        Points that leave the sites are dropped; of two at one site the stronger stays.
        """
        if not steps.any():
            return
        before, self._points = self._points.values(), {}
        for point in before:
            rows, cols = steps[point.choice // len(self._fractions)]
            moved = replace(point, row=point.row + int(rows), col=point.col + int(cols))
            self._keep(moved)

    def sweep(self, kernels: torch.Tensor, *, settle: bool = False) -> Generator[Event, None, None]:
        """Draw every point, and births, once.

        Parameters
        ----------
        kernels : tensor, (kind, plane, h, w)
            The kernels, taken as known.
        settle : bool
            Take the most probable choice rather than one at random.

        Returns
        -------
        generator
            Yields an event after every few points.
        """
        self._settle = settle
        residual = SamplerResidual(
            self._model, kernels, self.spectrum, self._fractions, self._reach
        )
        sites = [*self._points, *self._births(residual)]
        order = self._random.permutation(len(sites))
        for number, index in enumerate(order, 1):
            site = sites[index]
            removed = self._remove(residual, site)
            reach = self._reach if removed else 0
            for _ in range(max(removed, 1)):
                point = self._draw(residual, site, reach)
                if point is None:
                    break
                self._keep(point)
                residual.add(point.row, point.col, point.choice, -point.strength)
            if number % _POINTS_BETWEEN_EVENTS == 0:
                yield Event("Drawing the defects", number, len(sites))

    def learn(self, misfit: float) -> None:
        """Fit noise, density and spread of strengths to the points.

        Parameters
        ----------
        misfit : float
            Sum of squares of the residual of the maps.
        """
        points = self.points
        self.noise_variance = max(misfit / self._model.counted, 1e-6)
        self.density = np.maximum((self._counts(points) + 0.5) / self._site_count, 1e-5)
        for kind in np.unique(points.kinds):
            strengths = points.strengths[points.kinds == kind]
            weights = strengths**2
            variance = (weights * (strengths - 1) ** 2).sum() / weights.sum()
            self.strength_variance[kind] = np.clip(variance, *_STRENGTH_VARIANCE)

    def cost(self, misfit: float) -> float:
        """Return -2 log of likelihood times prior, for comparing fits of the same maps."""
        points, sites = self.points, self._site_count
        counts = self._counts(points)
        shares = (counts + 0.5) / (sites + 1)
        placing = counts @ np.log(shares) + (sites - len(points)) * np.log1p(-shares.sum())
        variance = self.strength_variance[points.kinds]
        spread = np.sum(np.square(points.strengths - 1) / variance + np.log(2 * np.pi * variance))
        return float(self._model.counted * np.log(max(misfit, 1e-12)) - 2 * placing + spread)

    @property
    def _site_count(self) -> float:
        return float(np.prod(self._model.sites))

    def _counts(self, points: Points) -> NDArray[np.int64]:
        """Count the points of each kind."""
        return np.bincount(points.kinds, minlength=len(self.density))

    def _keep(self, point: _Point) -> None:
        """Add a point that lies on the sites, unless a stronger one is there."""
        site = (point.row, point.col)
        if not all(0 <= at < size for at, size in zip(site, self._model.sites, strict=True)):
            return
        other = self._points.get(site)
        if other is None or other.strength < point.strength:
            self._points[site] = point

    def _remove(self, residual: SamplerResidual, site: tuple[int, int]) -> int:
        """Remove a point that is still there and its group, and return their number."""
        if site not in self._points:
            return 0
        steps = range(-self._group_reach, self._group_reach + 1)
        group = [
            near
            for row in steps
            for col in steps
            if (near := (site[0] + row, site[1] + col)) in self._points
        ]
        for near in group:
            point = self._points.pop(near)
            residual.add(point.row, point.col, point.choice, point.strength)
        return len(group)

    def _births(self, residual: SamplerResidual) -> list[tuple[int, int]]:
        """Draw sites without a point that are to be tried for one."""
        kinds = np.arange(len(self.density))[:, None, None]
        by_kind = self._log_odds(residual.correlation(), residual.energy, kinds)[0]
        by_kind = np.where(residual.usable, by_kind, _LOG_ODDS_NEVER)
        odds = np.logaddexp.reduce(by_kind, axis=0)
        for site in self._points:
            odds[site] = _LOG_ODDS_NEVER
        chances = 1 / (1 + np.exp(-odds.clip(_LOG_ODDS_NEVER, -_LOG_ODDS_NEVER)))
        level = 0.5 if self._settle else self._random.random(odds.shape)
        chosen = np.argwhere(chances > level)
        return [(int(row), int(col)) for row, col in chosen]

    def _log_odds(
        self,
        correlation: NDArray[np.float64],
        energy: NDArray[np.float64],
        kinds: NDArray[np.int64],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return log odds of a defect against none, and mean and precision of its strength."""
        prior = 1 / self.strength_variance[kinds]
        precision = energy / self.noise_variance + prior
        pull = correlation / self.noise_variance + prior
        mean = pull / precision
        odds = 0.5 * (np.log(prior / precision) + pull * mean - prior)
        none = 1 - self.density.sum()
        return odds + np.log(self.density[kinds] / none), mean, precision

    def _chosen(self, odds: NDArray[np.float64]) -> int | None:
        """Draw one of the choices, or none of them, by log odds against none."""
        if self._settle:
            best = int(odds.argmax())
            return best if odds[best] > 0 else None
        top = max(float(odds.max()), 0.0)
        chances = np.exp(odds - top).cumsum()
        drawn = self._random.random() * (chances[-1] + np.exp(-top))
        return int(np.searchsorted(chances, drawn, side="right")) if drawn < chances[-1] else None

    def _draw(self, residual: SamplerResidual, site: tuple[int, int], reach: int) -> _Point | None:
        """Draw a point near a site, of any kind, or none."""
        correlation, energy, usable = residual.near(site, reach)
        shifts = len(self._fractions)
        kinds = np.arange(len(self.density)).repeat(shifts)
        odds, mean, precision = self._log_odds(correlation, energy, kinds)
        odds = np.where(usable, odds - np.log(shifts), _LOG_ODDS_NEVER).ravel()
        chosen = self._chosen(odds)
        if chosen is None:
            return None
        index, choice = divmod(chosen, len(kinds))
        rows, cols = divmod(index, 2 * reach + 1)
        row, col = site[0] + rows - reach, site[1] + cols - reach
        strength = float(mean.ravel()[chosen])
        if not self._settle:
            strength += self._random.standard_normal() / float(precision.ravel()[chosen]) ** 0.5
        inside = 0 <= row < self._model.sites[0] and 0 <= col < self._model.sites[1]
        if strength <= 0 or not inside or (row, col) in self._points:
            return None
        return _Point(row, col, choice, strength)
