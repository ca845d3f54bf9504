"""`PosteriorSolver`: the posterior of kernels under one Gaussian prior."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from qpi_kernels.extraction.bayes.covariance_roots import CovarianceRoot, KernelRoot
from qpi_kernels.extraction.bayes.parameters import PriorParameters
from qpi_kernels.extraction.normal_operator import NormalOperator, NormalOperators
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.linalg.conjugate_gradients import ConjugateGradients
from qpi_kernels.linalg.evidence import Evidence, OperatorSpectrum
from qpi_kernels.linalg.lanczos import Lanczos, Tridiagonal
from qpi_kernels.progress import Event, open_ended, portion

__all__ = ["Posterior", "PosteriorSample", "PosteriorSolver", "kind_sizes", "smoothed"]

_PROBES = 4
_PROBE_ITERATIONS = 60
_MAX_PROBES = 200
_PROBE_TOLERANCE = 0.01
_CHECK_EVERY = 4
_DRAWS = 8
_DRAW_TOLERANCE = 0.01
_DRAW_CHECK_EVERY = 10
# Iterations that a part usually takes.
_TYPICAL_PROBE, _TYPICAL_SOLVE, _TYPICAL_SAMPLE = 40, 60, 80
# In the prior, the kernel of one kind is not weaker than another by more than this.
_MIN_RELATIVE_SIZE = 0.03


@dataclass(frozen=True, eq=False)
class Posterior:
    """The kernels of a plane under a prior, with the evidence for the prior.

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
    free : int
        Number of free kernel numbers.
    condition : float
        Condition number of the regularised problem.
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
    free: int
    condition: float
    iterations: int
    converged: bool


@dataclass(frozen=True, eq=False)
class PosteriorSample:
    """Kernels drawn from a posterior, less its mean.

    Parameters
    ----------
    deviations : tensor, (draw, kind, h, w)
        In the plane's scaled units.
    """

    deviations: torch.Tensor

    @cached_property
    def std(self) -> torch.Tensor:
        """Standard deviation of the kernels, (kind, h, w), smoothed over neighbouring pixels."""
        return smoothed(self.deviations.square().mean(dim=0)).sqrt()


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
        self._root = KernelRoot(root, len(problem.model.kinds), problem.symmetrisation, sizes)
        self._exact, self._quick = operators.exact, operators.quick
        self._mean = None if mean is None else problem.symmetrisation.symmetrise(mean)
        self._min_variance = 0.0 if mean is None else 1.0
        self._spectrum: OperatorSpectrum | None = None
        self._deviations: dict[int, torch.Tensor] = {}

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
            if probes.iterations and probes.iterations % _CHECK_EVERY == 0:
                spectrum = OperatorSpectrum.from_probes(probes.tridiagonal())
                at = ridge if ridge is not None else 1e-3 * spectrum.mean or 1.0
                determinant = float(spectrum.log_determinant(np.array([at]))[0])
                if abs(determinant - before) <= _PROBE_TOLERANCE * determinant:
                    break
                before = determinant
            if probes.iterations >= max_iterations:
                break
            probes.step()
            yield open_ended(
                "Probing how well the defects determine the kernel",
                probes.iterations,
                _TYPICAL_PROBE,
            )
        self._spectrum = OperatorSpectrum.from_probes(probes.tridiagonal())
        return self._spectrum

    @cached_property
    def _probes(self) -> Lanczos:
        """Random signs, from which the quick operator's Krylov spaces grow."""
        generator = torch.Generator().manual_seed(self._problem.parameters.seed)
        signs = torch.randint(0, 2, (_PROBES, self._root.size), generator=generator) * 2 - 1
        signs = signs.to(self._problem.device, self._problem.dtype)
        return Lanczos(lambda numbers: self._normal(self._quick, numbers), signs)

    def solve(
        self, signal: torch.Tensor, message: str = "Solving for the kernel"
    ) -> Generator[Event, None, Posterior]:
        """Find the posterior for a plane.

        Parameters
        ----------
        signal : tensor, (rows, columns)
            The plane without background.
        message : str
            What events say.
        """
        spectrum = self._spectrum or (yield from portion(self.estimate_spectrum(), 0.0, 0.4))
        if self._mean is None:
            whitened = self._exact.whiten(signal)
        else:
            whitened = self._exact.whiten(signal) - self._exact.forward(self._mean[None])[0]
        evidence = self._evidence(whitened, spectrum)
        lanczos, converged = yield from portion(
            self._iterate(whitened, evidence, message), 0.4, 0.9
        )
        data = lanczos.tridiagonal()
        ridge = float(evidence.best_ridge(data)[0])
        spectrum = yield from portion(self.estimate_spectrum(ridge), 0.9, 1.0)
        return self._posterior(
            lanczos, data, self._evidence(whitened, spectrum), spectrum, converged
        )

    def _iterate(
        self, whitened: torch.Tensor, evidence: Evidence, message: str
    ) -> Generator[Event, None, tuple[Lanczos, bool]]:
        """Extend the Krylov space of a plane until ridge and solution have settled."""
        right = self._root.adjoint(self._exact.adjoint(whitened[None]))
        lanczos = Lanczos(lambda numbers: self._normal(self._exact, numbers), right)
        parameters = self._problem.parameters
        max_iterations = min(parameters.max_iterations, self._root.size)
        ridge, converged = np.array([np.nan]), False
        while lanczos.iterations < max_iterations and not converged:
            lanczos.step()
            yield open_ended(message, lanczos.iterations, _TYPICAL_SOLVE)
            if lanczos.iterations % _CHECK_EVERY == 0:
                data = lanczos.tridiagonal()
                before, ridge = ridge, evidence.best_ridge(data)
                residual = float(data.residual(data.coordinates(ridge))[0])
                settled = bool(np.abs(ridge - before)[0] <= 0.02 * ridge[0])
                converged = settled and residual <= parameters.tolerance
        return lanczos, converged

    def _posterior(
        self,
        lanczos: Lanczos,
        data: Tridiagonal,
        evidence: Evidence,
        spectrum: OperatorSpectrum,
        converged: bool,
    ) -> Posterior:
        """Evaluate mean and evidence at the ridge of the largest evidence."""
        ridge = evidence.best_ridge(data)
        values = np.concatenate([spectrum.values, data.values[data.weights > 1e-12]])
        kernels = self._root.apply(lanczos.combine(data.coordinates(ridge)))[0]
        return Posterior(
            kernels=kernels if self._mean is None else kernels + self._mean,
            cost=float(evidence.cost(ridge[:, None], data)[0, 0]),
            ridge=float(ridge[0]),
            noise_variance=float(evidence.noise_variance(ridge, data)[0]),
            determined=min(float(spectrum.determined(ridge)[0]), float(self._root.rank)),
            free=self._root.rank,
            condition=float((values.max() + ridge[0]) / (values.min() + ridge[0])),
            iterations=lanczos.iterations,
            converged=converged,
        )

    def _evidence(self, whitened: torch.Tensor, spectrum: OperatorSpectrum) -> Evidence:
        """Set up the evidence for a whitened plane."""
        exact = whitened if whitened.device.type == "mps" else whitened.double()
        energy = np.array([float(exact.square().sum())])
        return Evidence(energy, self._problem.samples, spectrum, self._min_variance)

    def sample(
        self, posterior: Posterior, message: str = "Estimating its standard deviation"
    ) -> Generator[Event, None, PosteriorSample]:
        """Draw kernels from a posterior of this prior.

        A draw is a kernel from the prior less the estimate from a map of it with noise: its
        covariance is the posterior's (Matheron's rule; Papandreou and Yuille 2010). Posteriors
        whose ridges differ by less than a fifth share their draws.

        Parameters
        ----------
        posterior : Posterior
            From `solve`.
        message : str
            What events say.
        """
        step = round(4 * np.log2(posterior.ridge))
        if step not in self._deviations:
            self._deviations[step] = yield from self._draw(posterior.ridge, message)
        return PosteriorSample(self._deviations[step] * posterior.noise_variance**0.5)

    def _draw(self, ridge: float, message: str) -> Generator[Event, None, torch.Tensor]:
        """Draw deviations (draw, kind, h, w) for unit noise by conjugate gradients."""
        drawn, noise = self._drawn_prior, self._drawn_noise
        scale = ridge**-0.5
        solver = ConjugateGradients(
            lambda numbers: self._normal(self._quick, numbers) + ridge * numbers,
            noise + scale * self._normal(self._quick, drawn),
        )
        # Rounding delays convergence beyond the number of unknowns.
        max_iterations = min(self._problem.parameters.max_iterations, 4 * self._root.size)
        before = float("inf")
        while solver.iterations < max_iterations:
            solver.step()
            yield open_ended(message, solver.iterations, _TYPICAL_SAMPLE)
            if solver.iterations % _DRAW_CHECK_EVERY == 0:
                deviations = self._root.apply(scale * drawn - solver.solution)
                spread = float(deviations.square().mean()) ** 0.5
                # From above: unknowns that are not solved yet still vary as the prior does.
                if spread >= (1 - _DRAW_TOLERANCE) * before:
                    break
                before = spread
        return self._root.apply(scale * drawn - solver.solution)

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


def kind_sizes(posteriors: Sequence[Posterior]) -> torch.Tensor | None:
    """Estimate the relative sizes of the kernels of each kind, (kind,), from least squares.

    None where all are alike: there is one kind, or no signal.
    """
    squares = torch.stack([one.kernels.square().sum(dim=(-2, -1)) for one in posteriors])
    size = squares.mean(dim=0).sqrt()
    largest = size.max()
    if len(size) == 1 or not largest > 0:
        return None
    return (size / largest).clamp(min=_MIN_RELATIVE_SIZE)


def smoothed(variances: torch.Tensor) -> torch.Tensor:
    """Average variances (kind, h, w) from few draws over neighbouring pixels."""
    width = 5
    padded = torch.nn.functional.pad(variances[:, None], (width // 2,) * 4, mode="replicate")
    return torch.nn.functional.avg_pool2d(padded, width, stride=1)[:, 0]
