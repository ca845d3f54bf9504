"""`PosteriorSolver`: the posteriors of kernels under one Gaussian prior."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from qpi_kernels.extraction.bayes.parameters import PriorParameters
from qpi_kernels.extraction.bayes.posterior import Posterior, PosteriorSample
from qpi_kernels.extraction.bayes.posterior_spread import Spread, spread_at
from qpi_kernels.extraction.bayes.priors.covariance_roots import CovarianceRoot, KernelRoot
from qpi_kernels.extraction.normal_operator import NormalOperator, NormalOperators
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.linalg.evidence import Evidence, OperatorSpectrum
from qpi_kernels.linalg.joint_lanczos import JointLanczos, RitzExpansion
from qpi_kernels.linalg.lanczos import Lanczos, Tridiagonal
from qpi_kernels.linalg.probe_space import ProbeSpace
from qpi_kernels.progress import Event, open_ended, portion

__all__ = ["PosteriorSolver"]

# Unit normal vectors from which the determinant is estimated, and kernels are drawn.
_PROBES = 8
# Blocks between checks, and at which to stop although directions that the data determine are
# missing, and in any case.
_CHECK_EVERY, _USUAL_BLOCKS, _MAX_BLOCKS = 4, 28, 60
# Relative change of the determinant between two checks at which it has settled, and of the squares
# of draws.
_PROBE_TOLERANCE, _DRAW_TOLERANCE = 0.01, 0.006
# Share of the numbers that the data determine which is enough to have exactly, and below which no
# direction stands out: draws do for all.
_ENOUGH, _FEW = 0.95, 0.05
# Ridge over the mean eigenvalue at which the determinant is estimated before anything is known.
_FIRST_RIDGE = 1e-3
# Change of -2 log evidence between two checks at which a solution is settled: what is still missing
# is then far below the posterior's spread.
_COST_TOLERANCE = 1.0
# Relative change of the ridge between two checks at which it is settled.
_RIDGE_TOLERANCE = 0.02
# A solution is given up if its misfit, with what its prior costs, is by this factor above another
# prior's (as a logarithm), after such a share of the iterations that took, and if it makes up for
# less than such a share of it between two checks.
_HOPELESS, _PATIENCE, _PACE = 0.3, 0.6, 0.1
# Iterations to the next check: a share of those done, and at least so many.
_CHECK_SHARE, _MIN_CHECK = 0.15, 8
# Iterations that a part usually takes.
_TYPICAL_BLOCKS, _TYPICAL_SOLVE = 24, 60
# Ridge over the largest eigenvalue at which data no longer matter.
_BEYOND = 10.0
# Share of the samples that numbers may take before a mean over masks says nothing.
_MAX_DETERMINED = 0.5


class PosteriorSolver:
    r"""Solves for kernels :math:`A = m + L x` with independent unit numbers x, by Lanczos.

    The normal operator is :math:`L^T H^T R H L`; the ridge, which is the noise variance over the
    prior's overall variance, is chosen by the evidence from the Krylov space, see `Evidence`.
    The determinant and the spread of the posterior belong to no single map: they are worked out
    once for all planes and with a normal operator that may be approximate, see `ProbeSpace`.

    Parameters
    ----------
    problem : Problem
        The checked input.
    root : CovarianceRoot
        L, the same for every kind of defect but for its size.
    operators : NormalOperators
        For the noise.
    sizes : tensor, (kind,), optional
        Relative size of the kernels of each kind; all alike when left out.
    mean : tensor, (kind, h, w), optional
        The prior's mean m, in the plane's scaled units; zero when left out. A prior with a mean
        has a width of its own, of which the evidence may make more, but not less.
    """

    def __init__(
        self,
        problem: Problem[PriorParameters],
        root: CovarianceRoot,
        operators: NormalOperators,
        *,
        sizes: torch.Tensor | None = None,
        mean: torch.Tensor | None = None,
    ) -> None:
        self._problem = problem
        self.prior, self.sizes = root, sizes
        self._root = KernelRoot(root, len(problem.model.kinds), problem.symmetrisation, sizes)
        self._operators = operators
        self.mean = None if mean is None else problem.symmetrisation.symmetrise(mean)
        self._min_variance = 0.0 if mean is None else 1.0
        self._spectrum: OperatorSpectrum | None = None
        self._spreads: dict[float, Spread] = {}

    def estimate_spectrum(
        self, ridge: float | None = None
    ) -> Generator[Event, None, OperatorSpectrum]:
        """Probe the normal operator's spectrum until its determinant at a ridge has settled.

        At larger ridges it has then settled, too. Later calls go on from earlier ones.

        Parameters
        ----------
        ridge : float, optional
            A thousandth of the mean eigenvalue when left out.
        """
        space = self._probes
        while True:
            if space.iterations:
                self._spectrum = spectrum = space.spectrum()
                at = ridge if ridge is not None else _FIRST_RIDGE * spectrum.mean or 1.0
                settled = space.changes(at)[0] <= _PROBE_TOLERANCE
                if settled or space.exhausted or space.iterations >= _MAX_BLOCKS:
                    return spectrum
            yield from self._probe("Probing how well the defects determine the kernel")

    def _likely_ridge(self, near: Sequence[Posterior]) -> float | None:
        """Find the ridge at which kernels drawn from the prior are as strong as known ones."""
        shown = [one for one in near if one.determined >= 1 and bool(one.kernels.any())]
        if not shown:
            return None
        drawn = float(self._root.apply(self._probes.probes).square().sum(dim=(1, 2, 3)).mean())
        return min(one.noise_variance * drawn / float(one.kernels.square().sum()) for one in shown)

    def _probe(self, message: str) -> Generator[Event, None, None]:
        """Extend the space of the probes to the next check."""
        for _ in range(_CHECK_EVERY):
            if not self._probes.exhausted:
                self._probes.step()
                yield open_ended(message, self._probes.iterations, _TYPICAL_BLOCKS)

    @cached_property
    def _probes(self) -> ProbeSpace:
        """Unit numbers of kernels drawn from the prior, and the space that grows from them."""
        generator = torch.Generator().manual_seed(2 * self._problem.parameters.seed + 1)
        drawn = torch.randn(_PROBES, self._root.size, generator=generator)
        drawn = drawn.to(self._problem.device, self._problem.dtype)
        return ProbeSpace(lambda numbers: self._normal(self._operators.quick, numbers), drawn)

    def solve(
        self,
        signals: torch.Tensor,
        message: str = "Solving for the kernel",
        *,
        near: Sequence[Posterior] = (),
        candidates: Sequence[Posterior] = (),
    ) -> Generator[Event, None, list[Posterior]]:
        """Find the posteriors of planes.

        Parameters
        ----------
        signals : tensor, (plane, rows, columns)
            Planes without background.
        message : str
            What events say.
        near : sequence of Posterior, optional
            Those of each plane under another prior: they tell where to look for the ridge.
        candidates : sequence of Posterior, optional
            The best of each plane under other priors: a solution that has no prospect of larger
            evidence is given up where it is.
        """
        likely = self._likely_ridge(near)
        spectrum = yield from portion(self.estimate_spectrum(likely), 0.0, 0.4)
        exact = self._operators.exact
        whitened = exact.whiten(signals)
        if self.mean is not None:
            whitened = whitened - exact.forward(self.mean[None])
        energy = _sums_of_squares(whitened)
        evidence = self._evidence(energy, spectrum)
        solving = self._iterate(whitened, evidence, message, candidates)
        lanczos, data, converged = yield from portion(solving, 0.4, 0.9)
        smallest = float(evidence.best_ridge(data).min())
        spectrum = yield from portion(self.estimate_spectrum(smallest), 0.9, 1.0)
        evidence = self._evidence(energy, spectrum)
        ridge = evidence.best_ridge(data)
        numbers = lanczos.combine(data.coordinates(ridge))
        kernels = self._root.apply(numbers)
        # Not from the Krylov space: near the minimum an error of the solution, also one of single
        # precision, enters the sum of squares only squared.
        left = _sums_of_squares(whitened - exact.forward(kernels))
        total = evidence.at_least_rounding(left + ridge * _sums_of_squares(numbers))
        cost = evidence.cost_of(total, ridge)
        noise = evidence.noise_of(total, ridge)
        volume = spectrum.log_determinant(ridge)
        determined = np.minimum(spectrum.determined(ridge), float(self._root.rank))
        # Weights in single precision are never zero.
        values = [
            np.concatenate([spectrum.values, own[weights > 1e-12]])
            for own, weights in zip(data.values, data.weights, strict=True)
        ]
        if self.mean is not None:
            kernels = kernels + self.mean
        return [
            Posterior(
                kernels=kernels[index],
                cost=float(cost[index]),
                volume=float(volume[index]),
                ridge=float(ridge[index]),
                noise_variance=float(noise[index]),
                determined=float(determined[index]),
                free=self._root.rank,
                condition=float(
                    (values[index].max() + ridge[index]) / (values[index].min() + ridge[index])
                ),
                iterations=lanczos.iterations,
                converged=bool(converged[index]),
                numbers=numbers[index],
            )
            for index in range(len(whitened))
        ]

    def _iterate(
        self,
        whitened: torch.Tensor,
        evidence: Evidence,
        message: str,
        candidates: Sequence[Posterior],
    ) -> Generator[
        Event, None, tuple[Lanczos | JointLanczos, Tridiagonal | RitzExpansion, NDArray[np.bool_]]
    ]:
        """Extend the Krylov spaces of planes until ridges and solutions have settled."""
        exact = self._operators.exact
        right = self._root.adjoint(exact.adjoint(whitened))
        lanczos = self._krylov_space(right)
        parameters = self._problem.parameters
        max_iterations = min(parameters.max_iterations, self._root.size)
        ridge = cost = np.full(len(right), np.nan)
        least = np.array([one.cost for one in candidates])
        patience = _PATIENCE * max((one.iterations for one in candidates), default=np.inf)
        while True:
            for _ in range(_until_check(lanczos.iterations, max_iterations)):
                lanczos.step()
                yield open_ended(message, lanczos.iterations, _TYPICAL_SOLVE)
            data = lanczos.tridiagonal()
            before, ridge = ridge, evidence.best_ridge(data)
            last, cost = cost, evidence.cost(ridge[:, None], data)[:, 0]
            converged = np.abs(cost - last) <= _COST_TOLERANCE
            converged |= data.residual(data.coordinates(ridge)) <= parameters.tolerance
            converged &= np.abs(ridge - before) <= _RIDGE_TOLERANCE * ridge
            hopeless = np.zeros(len(cost), bool)
            if lanczos.iterations >= patience:
                behind = cost - least
                hopeless = behind > _HOPELESS * self._problem.samples
                # One that still falls fast may win: a rival that is easily solved says little.
                hopeless &= last - cost < _PACE * behind
            if (converged | hopeless).all() or lanczos.iterations >= max_iterations:
                return lanczos, data, converged

    def _krylov_space(self, right: torch.Tensor) -> Lanczos | JointLanczos:
        """Start the Krylov space of right-hand sides; of several, one for all.

        A GPU would wait for the decompositions of its blocks.
        """
        exact = self._operators.exact
        several = len(right) > 1 and right.device.type == "cpu"
        kind = JointLanczos if several else Lanczos
        return kind(lambda numbers: self._normal(exact, numbers), right)

    def _evidence(self, energy: NDArray[np.float64], spectrum: OperatorSpectrum) -> Evidence:
        """Set up the evidence of whitened planes."""
        return Evidence(energy, self._problem.samples, spectrum, self._min_variance)

    def sample(
        self, posteriors: Sequence[Posterior], message: str = "Estimating its standard deviation"
    ) -> Generator[Event, None, list[PosteriorSample]]:
        """Draw kernels from posteriors of this prior.

        They depend smoothly on the ridge, so a few ridges serve many planes: see `spread_at`.

        Parameters
        ----------
        posteriors : sequence of Posterior
            From `solve`.
        message : str
            What events say.
        """
        ridges = np.array([one.ridge for one in posteriors])
        # Beyond the spectrum draws are the prior's, and fall with the root of the ridge.
        highest = _BEYOND * (self._spectrum.maximum if self._spectrum else 1.0)
        counted = np.minimum(ridges, highest) if highest > 0 else ridges
        exponents = np.log2(counted)
        sizes = np.sqrt(counted / ridges)
        nodes = _nodes(exponents)
        determined = max((one.determined for one in posteriors), default=0.0)
        yield from self._settle_draws(2.0 ** nodes[0], determined, message)
        spreads = [self._spread(node) for node in nodes]
        samples = []
        for one, exponent, size in zip(posteriors, exponents, sizes, strict=True):
            right = int(np.clip(np.searchsorted(nodes, exponent), 1, max(len(nodes) - 1, 1)))
            spread = spreads[right - 1]
            deviations, variance = spread.kernels, spread.variance
            if len(nodes) > 1:
                share = (exponent - nodes[right - 1]) / (nodes[right] - nodes[right - 1])
                upper = spreads[right]
                deviations = torch.lerp(deviations, upper.kernels, float(share))
                # Of a number of eigenvalue g it is 1/(g + ridge).
                low, high = 2.0 ** nodes[right - 1], 2.0 ** nodes[right]
                share = (2.0**exponent - low) / (high - low)
                variance = 1 / torch.lerp(1 / variance, 1 / upper.variance, float(share))
            scale = float(size) ** 2 * one.noise_variance
            if self._operators.behind_holes:
                # The mean of an inverse over random masks, from the inverse of the mean (the
                # deterministic equivalent of a sample covariance; Silverstein and Bai 1995).
                scale /= 1 - min(one.determined / self._problem.samples, _MAX_DETERMINED)
            samples.append(PosteriorSample(deviations * scale**0.5, variance * scale))
        return samples

    def draw_numbers(self, posterior: Posterior) -> Generator[Event, None, PosteriorSample]:
        """Draw a few kernels with their unit numbers from a posterior of `solve`."""
        yield from self._settle_draws(posterior.ridge, 0.0, "Comparing the kernel with its prior")
        scale, space = posterior.noise_variance**0.5, self._probes
        numbers = space.draws(posterior.ridge) * scale
        prior = space.probes * (scale * posterior.ridge**-0.5)
        return PosteriorSample(self._root.apply(numbers), None, numbers, prior)

    def _settle_draws(
        self, ridge: float, determined: float, message: str
    ) -> Generator[Event, None, None]:
        """Extend the space of the probes until draws at a ridge, and at larger ones, settle."""
        space = self._probes
        while True:
            if space.iterations:
                settled = space.changes(ridge)[1] <= _DRAW_TOLERANCE
                found = space.found(ridge)
                enough = not _FEW * determined <= found < _ENOUGH * determined
                enough |= space.iterations >= _USUAL_BLOCKS
                if (settled and enough) or space.exhausted or space.iterations >= _MAX_BLOCKS:
                    return
            yield from self._probe(message)

    def _spread(self, exponent: float) -> Spread:
        """Estimate the spread at a ridge, which several planes may have."""
        if exponent not in self._spreads:
            self._spreads[exponent] = spread_at(self._root, self._probes, 2.0**exponent)
        return self._spreads[exponent]

    def _normal(self, operator: NormalOperator, numbers: torch.Tensor) -> torch.Tensor:
        """Apply ``L^T G L`` to unit numbers (v, n)."""
        return self._root.adjoint(operator.apply(self._root.apply(numbers)))


def _until_check(done: int, maximum: int) -> int:
    """Count the iterations to the next check."""
    return max(0, min(max(_MIN_CHECK, int(_CHECK_SHARE * done)), maximum - done))


def _nodes(exponents: NDArray[np.float64]) -> list[float]:
    """Choose exponents of ridges for which to draw: two octaves apart, or their mean if close."""
    low, high = float(exponents.min()), float(exponents.max())
    if high - low < 0.25:
        return [float(exponents.mean())]
    return [float(node) for node in np.linspace(low, high, int(np.ceil((high - low) / 2)) + 1)]


def _sums_of_squares(values: torch.Tensor) -> NDArray[np.float64]:
    """Sum the squares of each first index in double precision, where the device has it."""
    exact = values if values.device.type == "mps" else values.double()
    return np.asarray(exact.square().flatten(1).sum(dim=1).double().cpu().numpy())
