"""Sampling of point defects for a known kernel, one after the other, from their posterior."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from math import exp

import numpy as np
import scipy.special
import torch
from numpy.typing import NDArray

from qpi_kernels.extraction.blind.convolution_model import ConvolutionModel
from qpi_kernels.extraction.blind.sampler_residual import SamplerResidual
from qpi_kernels.progress import Event

__all__ = ["GibbsSampler", "Points"]

_LOG_ODDS_NEVER = -60.0
# Events cost as much as drawing a point of a small kernel; points of a large one take 1 ms.
_POINTS_BETWEEN_EVENTS = 32
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

    def of_kind(self, kind: int) -> Points:
        """Return the same points as points of one kind."""
        return replace(self, kinds=np.full(len(self), kind))

    @classmethod
    def concatenate(cls, tables: Sequence[Points]) -> Points:
        """Join points."""
        return cls(
            np.concatenate([points.sites for points in tables]),
            np.concatenate([points.strengths for points in tables]),
            np.concatenate([points.kinds for points in tables]),
        )


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
        spectrum = self.spectrum
        yield Event("Drawing the defects", 0, len(self._points) + 1)
        residual = SamplerResidual(self._model, kernels, spectrum, self._fractions, self._reach)
        kinds = np.arange(len(self.density)).repeat(len(self._fractions))
        self._prior = 1 / self.strength_variance[kinds]
        self._log_priors = self._log_prior(kinds) - np.log(len(self._fractions))
        sites = list(self._points)
        yield Event("Drawing the defects", 0, len(sites) + 1)
        for number, index in enumerate(self._random.permutation(len(sites)), 1):
            removed = self._remove(residual, sites[index])
            for _ in range(removed):
                if not self._try(residual, sites[index], self._reach):
                    break
            if number % _POINTS_BETWEEN_EVENTS == 0:
                yield Event("Drawing the defects", number, len(sites) + 1)
        # Now that the points fit the kernels, few other sites want one.
        births = self._births(residual)
        yield Event("Drawing the defects", len(sites), len(sites) + 1)
        for number, index in enumerate(self._random.permutation(len(births)), 1):
            self._try(residual, births[index][0], self._reach, births[index][1])
            if number % _POINTS_BETWEEN_EVENTS == 0:
                yield Event("Drawing the defects", len(sites), len(sites) + 1)

    def _try(
        self, residual: SamplerResidual, site: tuple[int, int], reach: int, share: float = 1.0
    ) -> bool:
        """Draw a point near a site, and add it if there is one."""
        point = self._draw(residual, site, reach, share)
        if point is None:
            return False
        self._keep(point)
        residual.add(point.row, point.col, point.choice, -point.strength)
        return True

    def learn(self, misfit: float) -> None:
        """Fit noise, density and spread of strengths to the points.

        Parameters
        ----------
        misfit : float
            Sum of squares of the residual of the maps.
        """
        points = self.points
        self.noise_variance = max(self._model.noise_variance(misfit), 1e-6)
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
        return self._model.misfit_cost(misfit) + float(spread - 2 * placing)

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

    def _births(self, residual: SamplerResidual) -> list[tuple[tuple[int, int], float]]:
        """Draw neighbourhoods to be tried for one more point: middle site and chance of a point.

        Neighbourhoods tile the sites, from a random one on. One with the chance ``p`` is tried
        with the probability ``p**2``, and its point accepted with the probability ``p' / p``,
        where ``p'`` is its chance at that moment.
        """
        kinds = np.arange(len(self.density))
        correlation, energy = residual.correlation(), residual.energy
        by_kind = self._log_odds(
            np.moveaxis(correlation, 0, -1),
            np.moveaxis(energy, 0, -1),
            1 / self.strength_variance,
            self._log_prior(kinds),
        )[0]
        by_kind[~np.moveaxis(residual.usable, 0, -1)] = _LOG_ODDS_NEVER
        present = tuple(np.array([*self._points], np.int64).reshape(-1, 2).T)
        by_kind[present] = _LOG_ODDS_NEVER
        side = 2 * self._reach + 1
        first = self._random.integers(-side + 1, 1, 2)
        rows, cols = (
            -(-(size - start) // side) for size, start in zip(by_kind.shape[:2], first, strict=True)
        )
        tiles = np.full((rows * side, cols * side, len(kinds)), _LOG_ODDS_NEVER)
        tiles[-first[0] :, -first[1] :][: by_kind.shape[0], : by_kind.shape[1]] = by_kind
        tiles = tiles.reshape(rows, side, cols, side, -1).transpose(0, 2, 1, 3, 4)
        odds = scipy.special.logsumexp(tiles.reshape(rows, cols, -1), axis=-1)
        chances = scipy.special.expit(odds)
        if self._settle:
            chosen = chances > 0.5
        else:
            chosen = np.square(chances) > self._random.random(odds.shape)
        middle = np.argwhere(chosen) * side + first + self._reach
        return list(zip(map(tuple, middle.tolist()), chances[chosen].tolist(), strict=True))

    def _log_prior(self, kinds: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the log of the probability of a defect of each kind over that of none."""
        logs: NDArray[np.float64] = np.log(self.density / (1 - self.density.sum()))
        return logs[kinds]

    def _log_odds(
        self,
        correlation: NDArray[np.floating],
        energy: NDArray[np.floating],
        prior: NDArray[np.float64],
        log_prior: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return log odds of a defect against none, and mean and precision of its strength.

        The prior's precision of the strength and log odds are given for each choice, the last axis.
        """
        weight = 1 / self.noise_variance
        precision = energy * weight + prior
        pull = correlation * weight + prior
        mean = pull / precision
        odds = 0.5 * (pull * mean - np.log(precision))
        odds += log_prior + 0.5 * (np.log(prior) - prior)
        return odds, mean, precision

    def _chosen(self, odds: NDArray[np.float64], share: float) -> int | None:
        """Draw one of the choices, or none of them, by log odds against none.

        With a ``share`` below 1 each is drawn with the probability over that share, or surely.
        """
        if self._settle:
            best = int(odds.argmax())
            return best if odds[best] > 0 else None
        top = max(float(odds.max()), 0.0)
        chances = np.exp(odds - top).cumsum()
        total = float(chances[-1])
        drawn = self._random.random() * (total + exp(-top)) * share
        return int(chances.searchsorted(drawn, side="right")) if drawn < total else None

    def _draw(
        self, residual: SamplerResidual, site: tuple[int, int], reach: int, share: float
    ) -> _Point | None:
        """Draw a point near a site, of any kind, or none; see `_chosen` for the share."""
        correlation, energy, usable = residual.near(site, reach)
        odds, mean, precision = self._log_odds(correlation, energy, self._prior, self._log_priors)
        odds[~usable] = _LOG_ODDS_NEVER
        chosen = self._chosen(odds.ravel(), share)
        if chosen is None:
            return None
        index, choice = divmod(chosen, odds.shape[1])
        rows, cols = divmod(index, 2 * reach + 1)
        row, col = site[0] + rows - reach, site[1] + cols - reach
        strength = float(mean[index, choice])
        if not self._settle:
            strength += self._random.standard_normal() / float(precision[index, choice]) ** 0.5
        inside = 0 <= row < self._model.sites[0] and 0 <= col < self._model.sites[1]
        if strength <= 0 or not inside or (row, col) in self._points:
            return None
        return _Point(row, col, choice, strength)
