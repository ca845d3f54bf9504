"""Point defects for a known kernel, drawn one after the other from their posterior."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from qpi_kernels.extraction.blind.convolution_model import ConvolutionModel
from qpi_kernels.extraction.blind.sampler_residual import SamplerResidual

__all__ = ["GibbsSampler", "Points"]

_NEVER = -60.0
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
        Which kernel each shows.
    """

    sites: NDArray[np.float64]
    strengths: NDArray[np.float64]
    kinds: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.strengths)


@dataclass
class _Found:
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
    is solved for with it, even where no single defect can be told for sure.

    Parameters
    ----------
    seen : ConvolutionModel
        The maps.
    kinds : int
        Number of kinds.
    seed : int
        Of the random numbers.

    Attributes
    ----------
    noise_variance : float
        Of a pixel of the maps.
    strength_variance : array, (kind,)
        Of the defects' strengths about 1.
    density : array, (kind,)
        Probability that a site holds a defect.
    """

    def __init__(self, seen: ConvolutionModel, kinds: int, seed: int) -> None:
        self._seen = seen
        self._random = np.random.default_rng(seed)
        self._points: dict[tuple[int, int], _Found] = {}
        self._fractions = np.zeros((1, 2))
        self._reach = 2
        self._group_reach = 0
        self._settle = False
        self.noise_variance = 1.0
        self.strength_variance = np.full(kinds, 0.04)
        self.density = np.full(kinds, 0.005)

    @property
    def points(self) -> Points:
        """The defects now."""
        found = list(self._points.values())
        whole = np.array([(point.row, point.col) for point in found], float).reshape(-1, 2)
        choices = np.array([point.choice for point in found], np.int64)
        strengths = np.array([point.strength for point in found], float)
        kinds, shifts = np.divmod(choices, len(self._fractions))
        return Points(whole + self._fractions[shifts], strengths, kinds)

    @property
    def spectrum(self) -> torch.Tensor:
        """Of the points of each kind, for `ConvolutionModel.residual`."""
        points = self.points
        every = range(len(self.density))
        chosen = [points.kinds == kind for kind in every]
        return torch.stack(
            [self._seen.point_spectrum(points.sites[of], points.strengths[of]) for of in chosen]
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
        choices = points.kinds * pitch**2 + part @ [pitch, 1]
        self._points = {}
        for (row, col), choice, strength in zip(whole, choices, points.strengths, strict=True):
            self._keep(_Found(int(row), int(col), int(choice), float(strength)))

    def rescale(self, factors: NDArray[np.float64]) -> None:
        """Multiply all strengths by the factor of their kind."""
        for point in self._points.values():
            point.strength *= float(factors[point.choice // len(self._fractions)])

    def move(self, steps: NDArray[np.int64]) -> None:
        """Shift points by the whole pixels (rows, columns) of their kind.

        Those that leave the sites are dropped; of two at one site the stronger stays.
        """
        if not steps.any():
            return
        before, self._points = self._points.values(), {}
        for point in before:
            rows, cols = steps[point.choice // len(self._fractions)]
            moved = replace(point, row=point.row + int(rows), col=point.col + int(cols))
            self._keep(moved)

    def sweep(self, kernels: torch.Tensor, *, settle: bool = False) -> None:
        """Draw every point, and births, once.

        Parameters
        ----------
        kernels : tensor, (kind, plane, h, w)
            The kernels, taken as known.
        settle : bool
            Take the most probable choice rather than one at random.
        """
        self._settle = settle
        view = SamplerResidual(self._seen, kernels, self.spectrum, self._fractions, self._reach)
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
                view.add(found.row, found.col, found.choice, -found.strength)

    def learn(self, misfit: float) -> None:
        """Set noise, density and spread of strengths to what fits the points.

        Parameters
        ----------
        misfit : float
            Sum of squares of what the points leave of the maps.
        """
        points = self.points
        self.noise_variance = max(misfit / self._seen.counted, 1e-6)
        self.density = np.maximum((self._counts(points) + 0.5) / self._site_count, 1e-5)
        for kind in np.unique(points.kinds):
            strengths = points.strengths[points.kinds == kind]
            weights = strengths**2
            variance = (weights * (strengths - 1) ** 2).sum() / weights.sum()
            self.strength_variance[kind] = np.clip(variance, *_STRENGTH_VARIANCE)

    def cost(self, misfit: float) -> float:
        """-2 log of likelihood times prior, for comparing runs on the same maps."""
        points, sites = self.points, self._site_count
        counts = self._counts(points)
        shares = (counts + 0.5) / (sites + 1)
        placing = counts @ np.log(shares) + (sites - len(points)) * np.log1p(-shares.sum())
        variance = self.strength_variance[points.kinds]
        spread = np.sum(np.square(points.strengths - 1) / variance + np.log(2 * np.pi * variance))
        return float(self._seen.counted * np.log(max(misfit, 1e-12)) - 2 * placing + spread)

    @property
    def _site_count(self) -> float:
        return float(np.prod(self._seen.sites))

    def _counts(self, points: Points) -> NDArray[np.int64]:
        return np.bincount(points.kinds, minlength=len(self.density))

    def _keep(self, point: _Found) -> None:
        site = (point.row, point.col)
        if not all(0 <= at < size for at, size in zip(site, self._seen.sites, strict=True)):
            return
        other = self._points.get(site)
        if other is None or other.strength < point.strength:
            self._points[site] = point

    def _take_out(self, view: SamplerResidual, site: tuple[int, int]) -> int:
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
            view.add(point.row, point.col, point.choice, point.strength)
        return len(group)

    def _births(self, view: SamplerResidual) -> list[tuple[int, int]]:
        every = np.arange(len(self.density))[:, None, None]
        each = self._log_odds(view.correlation(), view.norm, every)[0]
        odds = np.logaddexp.reduce(np.where(view.usable, each, _NEVER), axis=0)
        for site in self._points:
            odds[site] = _NEVER
        chances = 1 / (1 + np.exp(-odds.clip(_NEVER, -_NEVER)))
        level = 0.5 if self._settle else self._random.random(odds.shape)
        chosen = np.argwhere(chances > level)
        return [(int(row), int(col)) for row, col in chosen]

    def _log_odds(
        self,
        correlation: NDArray[np.float64],
        norm: NDArray[np.float64],
        kinds: NDArray[np.int64],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Log odds of a defect against none, mean and precision of its strength."""
        prior = 1 / self.strength_variance[kinds]
        precision = norm / self.noise_variance + prior
        pull = correlation / self.noise_variance + prior
        mean = pull / precision
        odds = 0.5 * (np.log(prior / precision) + pull * mean - prior)
        none = 1 - self.density.sum()
        return odds + np.log(self.density[kinds] / none), mean, precision

    def _chosen(self, odds: NDArray[np.float64]) -> int | None:
        """One of the choices, or none of them, by log odds against none."""
        if self._settle:
            best = int(odds.argmax())
            return best if odds[best] > 0 else None
        top = max(float(odds.max()), 0.0)
        chances = np.exp(odds - top).cumsum()
        drawn = self._random.random() * (chances[-1] + np.exp(-top))
        return int(np.searchsorted(chances, drawn, side="right")) if drawn < chances[-1] else None

    def _draw(self, view: SamplerResidual, site: tuple[int, int], reach: int) -> _Found | None:
        correlation, norm, usable = view.near(site, reach)
        shifts = len(self._fractions)
        every = np.arange(len(self.density)).repeat(shifts)
        odds, mean, precision = self._log_odds(correlation, norm, every)
        odds = np.where(usable, odds - np.log(shifts), _NEVER).ravel()
        chosen = self._chosen(odds)
        if chosen is None:
            return None
        index, choice = divmod(chosen, len(every))
        rows, cols = divmod(index, 2 * reach + 1)
        row, col = site[0] + rows - reach, site[1] + cols - reach
        strength = float(mean.ravel()[chosen])
        if not self._settle:
            strength += self._random.standard_normal() / float(precision.ravel()[chosen]) ** 0.5
        inside = 0 <= row < self._seen.sites[0] and 0 <= col < self._seen.sites[1]
        if strength <= 0 or not inside or (row, col) in self._points:
            return None
        return _Found(row, col, choice, strength)
