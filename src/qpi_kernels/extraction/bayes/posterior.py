"""`PosteriorSolver`: the posterior of kernels under one Gaussian prior."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from qpi_kernels.extraction.bayes.covariance_roots import CovarianceRoot
from qpi_kernels.extraction.bayes.noise_model import NoiseModel
from qpi_kernels.extraction.bayes.normal_operator import ExactNormal, NormalOperator
from qpi_kernels.extraction.bayes.parameters import PriorParameters
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.extraction.symmetrisation import Symmetrisation
from qpi_kernels.linalg.conjugate_gradients import ConjugateGradients
from qpi_kernels.linalg.evidence import Evidence, OperatorSpectrum
from qpi_kernels.linalg.lanczos import Lanczos

__all__ = ["Posterior", "PosteriorSolver", "kind_sizes", "smoothed"]

_PROBES = 4
_PROBE_ITERATIONS = 60
_MAX_PROBES = 200
_PROBE_TOLERANCE = 0.01
_CHECK_EVERY = 4
_DRAWS = 8
_DRAW_TOLERANCE = 0.01
_DRAW_CHECK_EVERY = 10
# In the prior, the kernel of one kind is not weaker than another by more than this.
_SMALLEST = 0.03


@dataclass(frozen=True, eq=False)
class Posterior:
    """What a prior and a plane of the observation say together.

    Parameters
    ----------
    kernels : tensor, (kind, h, w)
        Posterior mean, in the plane's scaled units.
    cost : float
        ``-2 log`` of the evidence, up to a constant that is the same for all priors.
    ridge, noise_variance : float
        Noise variance over the prior's, and the noise variance, both of the largest evidence.
    determined : float
        Effective number of kernel numbers that the data fix.
    condition : float
        Condition number of what was solved.
    iterations : int
        Solver iterations.
    converged : bool
        Whether the solver reached its tolerance.
    """

    kernels: torch.Tensor
    cost: float
    ridge: float
    noise_variance: float
    determined: float
    condition: float
    iterations: int
    converged: bool


class PosteriorSolver:
    r"""Solves for kernels :math:`A = m + L x` with independent unit numbers x, by Lanczos.

    The normal operator is :math:`L^T H^T R H L`; the ridge, which is the noise variance over the
    prior's overall variance, is chosen by the evidence from the Krylov space, see `Evidence`.
    What belongs to no single map, its determinant and the spread of the posterior, is worked out
    once for all planes and with a normal operator that may be approximate.

    Parameters
    ----------
    problem : Problem
        The checked input.
    factor : CovarianceRoot
        L, the same for every kind of defect but for its size.
    quick : NormalOperator
        From `choose_normal_operator`.
    sizes : tensor, (kind,), optional
        Relative size of the kernels of each kind; all alike when left out.
    noise : NoiseModel, optional
        White noise when left out.
    mean : tensor, (kind, h, w), optional
        The prior's mean m, in the plane's scaled units; zero when left out. A prior with a mean
        has a width of its own, of which the evidence may make more, but not less.
    """

    def __init__(
        self,
        problem: Problem[PriorParameters],
        factor: CovarianceRoot,
        quick: NormalOperator,
        sizes: torch.Tensor | None = None,
        noise: NoiseModel | None = None,
        mean: torch.Tensor | None = None,
    ) -> None:
        self._problem = problem
        self._noise = noise
        self._exact = ExactNormal(problem, noise)
        self._factor = factor
        self._quick = quick
        self._kinds = len(problem.model.kinds)
        self._sizes = None if sizes is None else sizes.view(-1, 1, 1)
        self._symmetrisation = Symmetrisation(problem)
        self._mean = None if mean is None else self._symmetric(mean[None])
        self._least_variance = 0.0 if mean is None else 1.0
        self.free = min(self._symmetrisation.rank, self._kinds * factor.size)
        self._smooth = self._adjoint(problem.model.adjoint(problem.background.functions))
        self._spectrum: OperatorSpectrum | None = None
        self._deviations: dict[int, torch.Tensor] = {}

    def probe(self) -> Iterator[int]:
        """Learn the operator's spectrum, which the evidence needs; an iteration per item."""
        generator = torch.Generator().manual_seed(self._problem.parameters.seed)
        size = (_PROBES, self._kinds * self._factor.size)
        signs = torch.randint(0, 2, size, generator=generator) * 2 - 1
        signs = signs.to(self._problem.device, self._problem.dtype)
        self._probes = Lanczos(self._quick_normal, signs)
        yield from self._probe_until_settled(None)

    def _probe_until_settled(self, ridge: float | None) -> Iterator[int]:
        """Probe on until the determinant at a ridge stands still; so do those of larger ridges."""
        probes = self._probes
        most = min(
            _PROBE_ITERATIONS if ridge is None else _MAX_PROBES, self._kinds * self._factor.size
        )
        before = np.nan
        while True:
            if probes.iterations and probes.iterations % _CHECK_EVERY == 0:
                self._spectrum = OperatorSpectrum.from_probes(probes.tridiagonal())
                at = ridge if ridge is not None else 1e-3 * self._spectrum.mean or 1.0
                now = float(self._spectrum.log_determinant(np.array([at]))[0])
                if abs(now - before) <= _PROBE_TOLERANCE * now:
                    break
                before = now
            if probes.iterations >= most:
                break
            probes.step()
            yield probes.iterations
        self._spectrum = OperatorSpectrum.from_probes(probes.tridiagonal())

    def solve(self, left: torch.Tensor) -> Iterator[int]:
        """Find `posterior` of a plane (rows, columns) without background; an iteration per item."""
        problem = self._problem
        assert self._spectrum is not None
        if self._mean is not None:
            left = left - problem.background.remove(problem.model.apply(self._mean))[0]
        whitened = self._exact.whiten(left)
        lanczos = Lanczos(self._normal, self._adjoint(self._exact.adjoint(whitened[None])))
        evidence = self._evidence(whitened)
        most = min(problem.parameters.max_iterations, self._kinds * self._factor.size)
        ridge, converged = np.array([np.nan]), False
        while lanczos.iterations < most and not converged:
            lanczos.step()
            yield lanczos.iterations
            if lanczos.iterations % _CHECK_EVERY == 0:
                data = lanczos.tridiagonal()
                before, ridge = ridge, evidence.best_ridge(data)
                residual = float(data.residual(data.coordinates(ridge))[0])
                settled = bool(np.abs(ridge - before)[0] <= 0.02 * ridge[0])
                converged = settled and residual <= problem.parameters.tolerance
        data = lanczos.tridiagonal()
        yield from self._probe_until_settled(float(evidence.best_ridge(data)[0]))
        evidence = self._evidence(whitened)
        ridge = evidence.best_ridge(data)
        values = np.concatenate([self._spectrum.values, data.values[data.weights > 1e-12]])
        found = self._apply(lanczos.combine(data.coordinates(ridge)))
        self.posterior = Posterior(
            (found if self._mean is None else found + self._mean)[0],
            float(evidence.cost(ridge[:, None], data)[0, 0]),
            float(ridge[0]),
            float(evidence.noise_variance(ridge, data)[0]),
            min(float(self._spectrum.determined(ridge)[0]), float(self.free)),
            float((values.max() + ridge[0]) / (values.min(initial=values.max()) + ridge[0])),
            lanczos.iterations,
            converged,
        )

    def _evidence(self, whitened: torch.Tensor) -> Evidence:
        assert self._spectrum is not None
        energy = (whitened.double() if whitened.device.type != "mps" else whitened).square().sum()
        samples = int(self._problem.mask.sum()) - self._problem.background.parameters
        return Evidence(np.array([float(energy)]), samples, self._spectrum, self._least_variance)

    def draw(self, posterior: Posterior) -> Iterator[int]:
        """Find `std` (kind, h, w) of the kernels of a posterior; an iteration per item.

        A draw is a kernel from the prior less what the estimator makes of a map of it, with noise:
        its covariance is the posterior's (Matheron's rule; Papandreou and Yuille 2010). Posteriors
        whose ridges differ by less than a fifth share their draws.
        """
        step = round(4 * np.log2(posterior.ridge))
        if step not in self._deviations:
            yield from self._draw(step, posterior.ridge)
        self.deviations = self._deviations[step] * posterior.noise_variance**0.5
        self.std = smoothed(self.deviations.square().mean(dim=0)).sqrt()

    def _draw(self, step: int, ridge: float) -> Iterator[int]:
        drawn, noise = self._drawn_prior, self._drawn_noise
        scale = ridge**-0.5
        shifted = ConjugateGradients(
            lambda numbers: self._quick_normal(numbers) + ridge * numbers,
            noise + scale * self._quick_normal(drawn),
        )
        # Rounding delays convergence beyond the number of unknowns.
        most = min(self._problem.parameters.max_iterations, 4 * self._kinds * self._factor.size)
        before = float("inf")
        while shifted.iterations < most:
            shifted.step()
            yield shifted.iterations
            if shifted.iterations % _DRAW_CHECK_EVERY == 0:
                deviations = self._apply(scale * drawn - shifted.solution)
                now = float(deviations.square().mean()) ** 0.5
                # From above: what is not solved yet still varies as the prior does.
                if now >= (1 - _DRAW_TOLERANCE) * before:
                    break
                before = now
        self._deviations[step] = self._apply(scale * drawn - shifted.solution)

    @cached_property
    def _drawn_prior(self) -> torch.Tensor:
        return self._unit(1, self._kinds * self._factor.size)

    @cached_property
    def _drawn_noise(self) -> torch.Tensor:
        """Noise in the map, as it reaches the unit numbers."""
        quick = self._quick
        return self._adjoint(quick.noise(self._unit(2, quick.noise_layers, *quick.noise_shape)))

    def _unit(self, stream: int, *size: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(2 * self._problem.parameters.seed + stream)
        drawn = torch.randn(_DRAWS, *size, generator=generator)
        return drawn.to(self._problem.device, self._problem.dtype)

    def _quick_normal(self, numbers: torch.Tensor) -> torch.Tensor:
        return self._adjoint(self._quick.apply(self._apply(numbers)))

    def _normal(self, numbers: torch.Tensor) -> torch.Tensor:
        if self._noise is not None:
            return self._adjoint(self._exact.apply(self._apply(numbers)))
        problem = self._problem
        left = problem.background.remove_rows(problem.model.apply(self._apply(numbers)))
        image = self._adjoint(problem.model.adjoint(left))
        return image - (numbers @ self._smooth.T) @ self._smooth

    def _apply(self, numbers: torch.Tensor) -> torch.Tensor:
        """From unit numbers (v, kind * size) to kernels (v, kind, h, w)."""
        made = self._factor.apply(numbers.reshape(-1, self._factor.size))
        kernels = self._symmetric(made.view(len(numbers), self._kinds, *made.shape[1:]))
        return kernels if self._sizes is None else kernels * self._sizes

    def _symmetric(self, kernels: torch.Tensor) -> torch.Tensor:
        flat = kernels.flatten(0, 1).flatten(1)
        return self._symmetrisation.apply(flat).view(kernels.shape)

    def _adjoint(self, kernels: torch.Tensor) -> torch.Tensor:
        sized = kernels if self._sizes is None else kernels * self._sizes
        flat = self._symmetrisation.adjoint(sized.flatten(0, 1).flatten(1))
        numbers = self._factor.adjoint(flat.view(-1, *kernels.shape[-2:]))
        return numbers.reshape(len(kernels), self._kinds * self._factor.size)


def kind_sizes(ignorant: Sequence[Posterior]) -> torch.Tensor | None:
    """Relative sizes of the kernels of each kind, (kind,), from what least squares finds.

    None where all are alike: there is one kind, or nothing to be seen.
    """
    squares = torch.stack([found.kernels.square().sum(dim=(-2, -1)) for found in ignorant])
    size = squares.mean(dim=0).sqrt()
    largest = size.max()
    if len(size) == 1 or not largest > 0:
        return None
    return (size / largest).clamp(min=_SMALLEST)


def smoothed(variances: torch.Tensor) -> torch.Tensor:
    """Variances (kind, h, w) from few draws, averaged over neighbouring pixels."""
    width = 5
    padded = torch.nn.functional.pad(variances[:, None], (width // 2,) * 4, mode="replicate")
    return torch.nn.functional.avg_pool2d(padded, width, stride=1)[:, 0]
