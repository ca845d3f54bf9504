"""`PosteriorSolver`: the posteriors of kernels under one Gaussian prior."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from qpi_kernels.extraction.bayes.parameters import PriorParameters
from qpi_kernels.extraction.bayes.posterior import Posterior, PosteriorSample
from qpi_kernels.extraction.bayes.posterior_spread import Spread, draw_spreads
from qpi_kernels.extraction.bayes.priors.covariance_roots import CovarianceRoot, KernelRoot
from qpi_kernels.extraction.normal_operator import NormalOperator, NormalOperators
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.linalg.evidence import Evidence, OperatorSpectrum
from qpi_kernels.linalg.lanczos import Lanczos, Tridiagonal
from qpi_kernels.progress import Event, open_ended, portion

__all__ = ["PosteriorSolver"]

_PROBES = 4
_PROBE_ITERATIONS = 60
_MAX_PROBES = 200
_PROBE_TOLERANCE = 0.01
# Change of -2 log evidence between two checks at which a solution is settled: what is still missing
# is then far below the posterior's spread.
_COST_TOLERANCE = 1.0
# Relative change of the ridge between two checks at which it is settled.
_RIDGE_TOLERANCE = 0.02
# A solution is given up if its misfit, with what its prior costs, is by this factor above another
# prior's (as a logarithm), after such a share of the iterations that took, and if it makes up for
# less than such a share of it between two checks.
_HOPELESS, _PATIENCE, _PACE = 0.3, 0.6, 0.1
_DRAWS, _ROUGH_DRAWS = 8, 4
# Iterations to the next check: a share of those done, and at least so many.
_CHECK_SHARE, _MIN_CHECK = 0.15, 8
# Iterations that a part usually takes.
_TYPICAL_PROBE, _TYPICAL_SOLVE = 40, 60
# Ridges for which draws are made together: more take too much memory.
_NODES_AT_ONCE = 2
# Ridge over the largest eigenvalue at which data no longer matter.
_BEYOND = 10.0
# Share of the samples that numbers may take before a mean over masks says nothing.
_MAX_DETERMINED = 0.5


class PosteriorSolver:
    r"""Solves for kernels :math:`A = m + L x` with independent unit numbers x, by Lanczos.

    The normal operator is :math:`L^T H^T R H L`; the ridge, which is the noise variance over the
    prior's overall variance, is chosen by the evidence from the Krylov space, see `Evidence`.
    The determinant and the spread of the posterior belong to no single map: they are worked out
    once for all planes and with a normal operator that may be approximate.

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
        self._exact, self._quick = operators.exact, operators.quick
        self._behind_holes = operators.behind_holes
        self._mean = None if mean is None else problem.symmetrisation.symmetrise(mean)
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
        probes, size = self._probes, self._root.size
        max_iterations = min(_PROBE_ITERATIONS if ridge is None else _MAX_PROBES, size)
        before = np.nan
        while True:
            if probes.iterations:
                self._spectrum = spectrum = OperatorSpectrum.from_probes(probes.tridiagonal())
                at = ridge if ridge is not None else 1e-3 * spectrum.mean or 1.0
                determinant = float(spectrum.log_determinant(np.array([at]))[0])
                settled = abs(determinant - before) <= _PROBE_TOLERANCE * determinant
                if settled or probes.iterations >= max_iterations:
                    return spectrum
                before = determinant
            for _ in range(_until_check(probes.iterations, max_iterations)):
                probes.step()
                yield open_ended(
                    "Probing how well the defects determine the kernel",
                    probes.iterations,
                    _TYPICAL_PROBE,
                )

    @cached_property
    def _probes(self) -> Lanczos:
        """Random signs, from which the quick operator's Krylov spaces grow."""
        generator = torch.Generator().manual_seed(self._problem.parameters.seed)
        signs = torch.randint(0, 2, (_PROBES, self._root.size), generator=generator) * 2 - 1
        signs = signs.to(self._problem.device, self._problem.dtype)
        return Lanczos(lambda numbers: self._normal(self._quick, numbers), signs)

    def solve(
        self,
        signals: torch.Tensor,
        message: str = "Solving for the kernel",
        rivals: Sequence[Posterior] = (),
    ) -> Generator[Event, None, list[Posterior]]:
        """Find the posteriors of planes.

        Parameters
        ----------
        signals : tensor, (plane, rows, columns)
            Planes without background.
        message : str
            What events say.
        rivals : sequence of Posterior, optional
            The best of each plane under other priors: a solution that has no prospect of larger
            evidence is given up where it is.
        """
        spectrum = self._spectrum or (yield from portion(self.estimate_spectrum(), 0.0, 0.4))
        whitened = self._exact.whiten(signals)
        if self._mean is not None:
            whitened = whitened - self._exact.forward(self._mean[None])
        energy = _energy(whitened)
        evidence = self._evidence(energy, spectrum)
        lanczos, data, converged = yield from portion(
            self._iterate(whitened, evidence, message, rivals), 0.4, 0.9
        )
        smallest = float(evidence.best_ridge(data).min())
        spectrum = yield from portion(self.estimate_spectrum(smallest), 0.9, 1.0)
        evidence = self._evidence(energy, spectrum)
        return self._posteriors(lanczos, data, evidence, spectrum, whitened, converged)

    def _iterate(
        self,
        whitened: torch.Tensor,
        evidence: Evidence,
        message: str,
        rivals: Sequence[Posterior],
    ) -> Generator[Event, None, tuple[Lanczos, Tridiagonal, NDArray[np.bool_]]]:
        """Extend the Krylov spaces of planes until ridges and solutions have settled."""
        right = self._root.adjoint(self._exact.adjoint(whitened))
        lanczos = Lanczos(lambda numbers: self._normal(self._exact, numbers), right)
        parameters = self._problem.parameters
        max_iterations = min(parameters.max_iterations, self._root.size)
        ridge = cost = np.full(len(whitened), np.nan)
        least = np.array([one.cost for one in rivals])
        patience = _PATIENCE * max((one.iterations for one in rivals), default=np.inf)
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

    def _posteriors(
        self,
        lanczos: Lanczos,
        data: Tridiagonal,
        evidence: Evidence,
        spectrum: OperatorSpectrum,
        whitened: torch.Tensor,
        converged: NDArray[np.bool_],
    ) -> list[Posterior]:
        """Evaluate means and evidence at the ridges of the largest evidence."""
        ridge = evidence.best_ridge(data)
        numbers = lanczos.combine(data.coordinates(ridge))
        kernels = self._root.apply(numbers)
        # Not from the Krylov space: near the minimum an error of the solution, also one of single
        # precision, enters the sum of squares only squared.
        misfit = _energy(whitened - self._exact.forward(kernels)) + ridge * _energy(numbers)
        misfit = evidence.at_least_rounding(misfit)
        cost = evidence.cost_of(misfit, ridge)
        noise = evidence.noise_of(misfit, ridge)
        volume = spectrum.log_determinant(ridge)
        determined = np.minimum(spectrum.determined(ridge), float(self._root.rank))
        # Weights in single precision are never zero.
        values = [
            np.concatenate([spectrum.values, own[weights > 1e-12]])
            for own, weights in zip(data.values, data.weights, strict=True)
        ]
        if self._mean is not None:
            kernels = kernels + self._mean
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

    def _evidence(self, energy: NDArray[np.float64], spectrum: OperatorSpectrum) -> Evidence:
        """Set up the evidence of whitened planes."""
        return Evidence(energy, self._problem.samples, spectrum, self._min_variance)

    def sample(
        self, posteriors: Sequence[Posterior], message: str = "Estimating its standard deviation"
    ) -> Generator[Event, None, list[PosteriorSample]]:
        """Draw kernels from posteriors of this prior.

        They depend smoothly on the ridge, so a few ridges serve many planes: see `draw_spreads`.

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
        missing = [node for node in nodes if node not in self._spreads]
        determined = max((one.determined for one in posteriors), default=0.0)
        for start in range(0, len(missing), _NODES_AT_ONCE):
            some = missing[start : start + _NODES_AT_ONCE]
            part = (start / len(missing), (start + len(some)) / len(missing))
            drawing = draw_spreads(
                self._root,
                lambda numbers: self._normal(self._quick, numbers),
                [2.0**node for node in some],
                determined,
                self._drawn_prior,
                self._drawn_noise,
                message,
            )
            drawn = yield from portion(drawing, *part)
            self._spreads |= dict(zip(some, drawn, strict=True))
        samples = []
        for one, exponent, size in zip(posteriors, exponents, sizes, strict=True):
            right = int(np.clip(np.searchsorted(nodes, exponent), 1, max(len(nodes) - 1, 1)))
            spread = self._spreads[nodes[right - 1]]
            deviations, variance = spread.kernels, spread.variance
            if len(nodes) > 1:
                share = (exponent - nodes[right - 1]) / (nodes[right] - nodes[right - 1])
                upper = self._spreads[nodes[right]]
                deviations = torch.lerp(deviations, upper.kernels, float(share))
                # Of a number of eigenvalue g it is 1/(g + ridge).
                low, high = 2.0 ** nodes[right - 1], 2.0 ** nodes[right]
                share = (2.0**exponent - low) / (high - low)
                variance = 1 / torch.lerp(1 / variance, 1 / upper.variance, float(share))
            scale = float(size) ** 2 * one.noise_variance
            if self._behind_holes:
                # The mean of an inverse over random masks, from the inverse of the mean (the
                # deterministic equivalent of a sample covariance; Silverstein and Bai 1995).
                scale /= 1 - min(one.determined / self._problem.samples, _MAX_DETERMINED)
            samples.append(PosteriorSample(deviations * scale**0.5, variance * scale))
        return samples

    def sample_roughly(self, posterior: Posterior) -> Generator[Event, None, PosteriorSample]:
        """Draw a few kernels from a posterior, with enough precision for averages over them."""
        drawing = draw_spreads(
            self._root,
            lambda numbers: self._normal(self._quick, numbers),
            [posterior.ridge],
            0.0,
            self._drawn_prior[:_ROUGH_DRAWS],
            self._drawn_noise[:_ROUGH_DRAWS],
            "Comparing the kernel with its prior",
        )
        (spread,) = yield from drawing
        scale = posterior.noise_variance**0.5
        prior = self._drawn_prior[:_ROUGH_DRAWS] * (scale * posterior.ridge**-0.5)
        return PosteriorSample(
            spread.kernels * scale, spread.variance * scale**2, spread.numbers * scale, prior
        )

    @cached_property
    def _drawn_prior(self) -> torch.Tensor:
        """Unit numbers of the prior's draws, (draw, n)."""
        return self._unit(1, self._root.size)

    @cached_property
    def _drawn_noise(self) -> torch.Tensor:
        """Noise of the drawn maps as it reaches the unit numbers, (draw, n)."""
        quick = self._quick
        white = self._unit(2, quick.noise_layers, *quick.noise_shape)
        return self._root.adjoint(quick.noise(white))

    def _unit(self, stream: int, *size: int) -> torch.Tensor:
        """Draw unit normal numbers from one of the seed's streams."""
        generator = torch.Generator().manual_seed(2 * self._problem.parameters.seed + stream)
        drawn = torch.randn(_DRAWS, *size, generator=generator)
        return drawn.to(self._problem.device, self._problem.dtype)

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


def _energy(values: torch.Tensor) -> NDArray[np.float64]:
    """Sum the squares of each first index in double precision, where the device has it."""
    exact = values if values.device.type == "mps" else values.double()
    return np.asarray(exact.square().flatten(1).sum(dim=1).double().cpu().numpy())
