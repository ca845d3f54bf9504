"""Point defects for a known kernel, drawn one after the other from their posterior."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from qpi_kernels.extraction.blind_map import BlindMap
from qpi_kernels.extraction.blind_view import SamplerView

__all__ = ["PointSampler", "Points"]

_NEVER = -60.0
_STRENGTH_VARIANCE = (0.01, 0.2)


@dataclass(frozen=True)
class Points:
    """Defects on the sites of a `BlindMap`.

    Parameters
    ----------
    sites : array, (N, 2)
        Sub-pixel sites.
    strengths : array, (N,)
        Strengths.
    """

    sites: NDArray[np.float64]
    strengths: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.strengths)


@dataclass
class _Found:
    """One point: whole site, index of its sub-pixel shift, strength."""

    row: int
    col: int
    shift: int
    strength: float


class PointSampler:
    r"""Gibbs sampling of points under a spike-and-slab prior.

    Each site holds a defect with a small probability; its strength is drawn from a normal
    distribution of mean 1. One after the other a point is taken out and put back somewhere within
    reach, or nowhere, with the probability that each choice has given all others and the data
    (Gibbs sampling of a Bernoulli-Gaussian process, known from seismic blind deconvolution; the
    moves within a neighbourhood are what lets overlapping defects slide). Sites without a point
    are tried as their own probability says.

    A sample, unlike an activation shrunk by a threshold, gives an unbiased kernel when the kernel
    is solved for with it, even where no single defect can be told for sure.

    Parameters
    ----------
    seen : BlindMap
        The maps.
    seed : int
        Of the random numbers.

    Attributes
    ----------
    noise_variance : float
        Of a pixel of the maps.
    strength_variance : float
        Of the defects' strengths about 1.
    density : float
        Probability that a site holds a defect.
    """

    def __init__(self, seen: BlindMap, seed: int) -> None:
        self._seen = seen
        self._random = np.random.default_rng(seed)
        self._points: dict[tuple[int, int], _Found] = {}
        self._fractions = np.zeros((1, 2))
        self._reach = 2
        self._group_reach = 0
        self._settle = False
        self.noise_variance = 1.0
        self.strength_variance = 0.04
        self.density = 0.005

    @property
    def points(self) -> Points:
        """The defects now."""
        found = list(self._points.values())
        whole = np.array([(point.row, point.col) for point in found], float).reshape(-1, 2)
        shifts = np.array([point.shift for point in found], int)
        strengths = np.array([point.strength for point in found], float)
        return Points(whole + self._fractions[shifts], strengths)

    def place(self, points: Points, pitch: int = 1, reach: int = 2, group_reach: int = 0) -> None:
        """Start from given points.

        Parameters
        ----------
        points : Points
            Where to start; rounded to the grid.
        pitch : int
            Grid points per pixel and axis.
        reach : int
            How far a point may move at once, in px.
        group_reach : int
            Points this close to each other, in px, are drawn anew together, so that the
            several whole-pixel points by which one sub-pixel defect was described become one.
        """
        steps = (np.arange(pitch) - pitch // 2) / pitch
        self._fractions = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)
        self._reach, self._group_reach = reach, group_reach
        fine = np.rint(points.sites * pitch).astype(int)
        whole = np.floor_divide(fine + pitch // 2, pitch)
        part = fine - whole * pitch + pitch // 2
        self._points = {}
        for (row, col), (i, j), strength in zip(whole, part, points.strengths, strict=True):
            self._keep(_Found(int(row), int(col), int(i * pitch + j), float(strength)))

    def rescale(self, factor: float) -> None:
        """Multiply all strengths."""
        for point in self._points.values():
            point.strength *= factor

    def move(self, rows: int, cols: int) -> None:
        """Shift all points by whole pixels; those that leave the sites are dropped."""
        if not (rows or cols):
            return
        before, self._points = self._points.values(), {}
        for point in before:
            self._keep(_Found(point.row + rows, point.col + cols, point.shift, point.strength))

    def sweep(self, kernels: torch.Tensor, *, settle: bool = False) -> None:
        """Draw every point, and births, once.

        Parameters
        ----------
        kernels : tensor, (plane, h, w)
            The kernels, taken as known.
        settle : bool
            Take the most probable choice rather than one at random.
        """
        self._settle = settle
        points = self.points
        activation = self._seen.point_spectrum(points.sites, points.strengths)
        view = SamplerView(self._seen, kernels, activation, self._fractions, self._reach)
        jobs = [*self._points, *self._births(view)]
        for index in self._random.permutation(len(jobs)):
            site = jobs[index]
            taken = self._take_out(view, site)
            reach = self._reach if taken else 0
            for _ in range(max(taken, 1)):
                found = self._draw(view, site, reach)
                if found is None:
                    break
                self._keep(found)
                view.add(found.row, found.col, found.shift, -found.strength)

    def learn(self, misfit: float) -> None:
        """Set noise, density and spread of strengths to what fits the points.

        Parameters
        ----------
        misfit : float
            Sum of squares of what the points leave of the maps.
        """
        count = len(self._points)
        self.noise_variance = max(misfit / self._seen.counted, 1e-6)
        self.density = max((count + 0.5) / self._site_count, 1e-5)
        if count:
            strengths = self.points.strengths
            weights = strengths**2
            variance = (weights * (strengths - 1) ** 2).sum() / weights.sum()
            self.strength_variance = float(np.clip(variance, *_STRENGTH_VARIANCE))

    def cost(self, misfit: float) -> float:
        """-2 log of likelihood times prior, for comparing runs on the same maps."""
        points, sites = self.points, self._site_count
        share = (len(points) + 0.5) / (sites + 1)
        placing = len(points) * np.log(share) + (sites - len(points)) * np.log1p(-share)
        spread = np.square(points.strengths - 1).sum() / self.strength_variance
        return float(self._seen.counted * np.log(max(misfit, 1e-12)) - 2 * placing + spread)

    @property
    def _site_count(self) -> float:
        return float(np.prod(self._seen.sites))

    def _keep(self, point: _Found) -> None:
        site = (point.row, point.col)
        if all(0 <= at < size for at, size in zip(site, self._seen.sites, strict=True)):
            self._points[site] = point

    def _take_out(self, view: SamplerView, site: tuple[int, int]) -> int:
        """Take a point and its group out, if it is still there; how many there were."""
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
            view.add(point.row, point.col, point.shift, point.strength)
        return len(group)

    def _births(self, view: SamplerView) -> list[tuple[int, int]]:
        odds = self._log_odds(view.correlation(), view.norm)[0]
        odds[~view.usable] = _NEVER
        for site in self._points:
            odds[site] = _NEVER
        chances = 1 / (1 + np.exp(-odds.clip(_NEVER, -_NEVER)))
        level = 0.5 if self._settle else self._random.random(odds.shape)
        chosen = np.argwhere(chances > level)
        return [(int(row), int(col)) for row, col in chosen]

    def _log_odds(
        self, correlation: NDArray[np.float64], norm: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Log odds of a defect against none, mean and precision of its strength."""
        prior = 1 / self.strength_variance
        precision = norm / self.noise_variance + prior
        pull = correlation / self.noise_variance + prior
        mean = pull / precision
        odds = 0.5 * (np.log(prior / precision) + pull * mean - prior)
        return odds + np.log(self.density / (1 - self.density)), mean, precision

    def _chosen(self, odds: NDArray[np.float64]) -> int | None:
        """One of the choices, or none of them, by log odds against none."""
        if self._settle:
            best = int(odds.argmax())
            return best if odds[best] > 0 else None
        top = max(float(odds.max()), 0.0)
        chances = np.exp(odds - top).cumsum()
        drawn = self._random.random() * (chances[-1] + np.exp(-top))
        return int(np.searchsorted(chances, drawn, side="right")) if drawn < chances[-1] else None

    def _draw(self, view: SamplerView, site: tuple[int, int], reach: int) -> _Found | None:
        correlation, norm, usable = view.near(site, reach)
        odds, mean, precision = self._log_odds(correlation, norm)
        odds = np.where(usable, odds - np.log(len(self._fractions)), _NEVER).ravel()
        choice = self._chosen(odds)
        if choice is None:
            return None
        index, shift = divmod(choice, len(self._fractions))
        rows, cols = divmod(index, 2 * reach + 1)
        row, col = site[0] + rows - reach, site[1] + cols - reach
        strength = float(mean.ravel()[choice])
        if not self._settle:
            strength += self._random.standard_normal() / float(precision.ravel()[choice]) ** 0.5
        inside = 0 <= row < self._seen.sites[0] and 0 <= col < self._seen.sites[1]
        if strength <= 0 or not inside or (row, col) in self._points:
            return None
        return _Found(row, col, shift, strength)
