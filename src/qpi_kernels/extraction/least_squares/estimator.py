"""Least squares: the kernel whose convolution with the defects fits the whole map best."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from qpi_kernels.extraction.parameters import SolverParameters
from qpi_kernels.extraction.pixel_noise import estimate_pixel_noise
from qpi_kernels.extraction.problem import Planes, Problem
from qpi_kernels.extraction.result_builder import ResultBuilder
from qpi_kernels.linalg.evidence import Evidence, OperatorSpectrum
from qpi_kernels.linalg.lanczos import Lanczos, Tridiagonal
from qpi_kernels.progress import Event, GeneratorStepper, open_ended, portion
from qpi_kernels.result import KernelResult
from qpi_kernels.threads import Workers

__all__ = ["LeastSquares"]

_PROBE_ITERATIONS = 60
_PROBE_TOLERANCE = 2e-3
_CHECK_EVERY = 4
_CHUNK_BYTES = 4 * 2**20
# So many batches of planes are solved at the same time, for each has a work space of its own.
_MAX_WORKERS = 2
_MAX_WHITE_EXCESS = 2.0
"""Variance of a map over that of its pixel noise, above which it holds more than white noise."""
_WEAK_RIDGE = 0.03
"""Ridge over the mean eigenvalue; shrinks a kernel by 3 %."""
# Iterations that probing and solving usually take, and the share of the work that is probing.
_TYPICAL_PROBE, _TYPICAL_SOLVE = 16, 40
_PROBE_SHARE = 0.3


@dataclass(frozen=True, eq=False)
class _Solution:
    """Kernels of some planes, in their scaled units, and how they were found."""

    planes: Planes
    kernels: torch.Tensor
    std: torch.Tensor
    ridge: NDArray[np.float64]
    ridge_replaced: NDArray[np.bool_]
    condition: float
    iterations: int
    converged: bool


class LeastSquares(GeneratorStepper[KernelResult]):
    r"""Ridge-regularised least squares by Lanczos (conjugate gradients) and FFTs, as a stepper.

    Minimises :math:`|W(Y - H A - b)|^2 + \lambda |A|^2` with ``H`` the `ForwardModel`, ``W`` the
    mask and ``b`` the fitted background, optionally with ``A`` in the image of a symmetrisation.
    The ridge is the one of largest `Evidence`, found without further FFTs because the Krylov
    space does not depend on it; the spectrum that the evidence needs is probed once and shared by
    all biases.

    The evidence takes all that the kernels do not explain for white noise. In a map whose variance
    is steps, streaks or rims it therefore prefers no kernel at all, a ridge beyond every eigenvalue
    of the normal operator. Where the pixel noise shows that the rest is not noise, such a ridge
    is replaced by a weak one, and the standard deviation says how far the rest disturbs.

    Parameters
    ----------
    problem : Problem
        The checked input.
    ridge : float or "auto"
        Number of extra defects that show nothing; ``auto`` takes that of largest evidence.
    """

    def __init__(
        self, problem: Problem[SolverParameters], *, ridge: float | Literal["auto"] = "auto"
    ) -> None:
        self._problem = problem
        self._fixed_ridge = ridge
        self._unknowns = len(problem.model.kinds) * int(np.prod(problem.parameters.kernel_shape))
        self._max_iterations = min(problem.parameters.max_iterations, self._unknowns)

    def _run(self) -> Generator[Event, None, KernelResult]:
        """Probe the normal operator's spectrum, then solve the planes, some at a time."""
        problem, count, at_once = self._problem, self._problem.plane_count, self._planes_at_once()
        spectrum = yield from portion(self._estimate_spectrum(), 0.0, _PROBE_SHARE)
        builder = ResultBuilder(problem)
        starts = range(0, count, at_once)
        with Workers(self._max_workers(len(starts))) as workers:
            batches = []
            for start in starts:
                stop = min(start + at_once, count)
                name = f" of bias {start + 1}-{stop} of {count}" if count > 1 else ""
                message = f"Solving for the kernel{name}"
                batches.append(workers.start(self._solve(start, stop, spectrum, message), message))
            for start, batch in zip(starts, batches, strict=True):
                first, last = (
                    _PROBE_SHARE + (1 - _PROBE_SHARE) * min(index, count) / count
                    for index in (start, start + at_once)
                )
                found = yield from portion(batch, first, last)
                builder.add(
                    start,
                    found.planes,
                    found.kernels,
                    std=found.std,
                    ridge=found.ridge,
                    freedom=spectrum.determined(found.ridge),
                    solution_size=problem.symmetrisation.rank,
                    condition=found.condition,
                    iterations=found.iterations,
                    converged=found.converged,
                    ridge_replaced=found.ridge_replaced,
                )
        return builder.result()

    def _normal(self, vectors: torch.Tensor) -> torch.Tensor:
        """Apply ``S^T G S`` to free numbers (vector, n), with S the symmetrisation."""
        symmetrisation, shape = self._problem.symmetrisation, self._problem.parameters.kernel_shape
        kernels = symmetrisation.apply(vectors).view(len(vectors), -1, *shape)
        return symmetrisation.adjoint(self._problem.normal.apply(kernels).flatten(1))

    def _max_workers(self, batches: int) -> int:
        """Count the batches of planes to solve at the same time; a GPU is busy with one."""
        return min(batches, _MAX_WORKERS) if self._problem.device.type == "cpu" else 1

    def _planes_at_once(self) -> int:
        """Count the planes whose FFT work space stays near a fixed size; more on a GPU."""
        rows, columns = self._problem.model.fft_shape
        itemsize = 4 if self._problem.dtype == torch.float32 else 8
        kinds = len(self._problem.model.kinds)
        each = rows * columns * itemsize * (3 + 2 * kinds)
        budget = _CHUNK_BYTES * (1 if self._problem.device.type == "cpu" else 64)
        planes = np.clip(budget // each, 1, self._problem.plane_count)
        return max(1, int(planes * self._problem.memory_share))

    def _estimate_spectrum(self) -> Generator[Event, None, OperatorSpectrum]:
        """Estimate the normal operator's spectrum from random probes, until it has settled."""
        probes = Lanczos(self._normal, self._random_probes())
        before, spectrum = np.nan, None
        while spectrum is None:
            probes.step()
            last = probes.iterations >= min(_PROBE_ITERATIONS, self._max_iterations)
            if last or probes.iterations % _CHECK_EVERY == 0:
                latest = OperatorSpectrum.from_probes(probes.tridiagonal())
                # The smallest ridge that matters is far below the mean eigenvalue; once its
                # determinant stands still, so do those of all larger ridges.
                weak = np.array([1e-3 * latest.mean or 1.0])
                determinant = float(latest.log_determinant(weak)[0])
                if last or abs(determinant - before) <= _PROBE_TOLERANCE * determinant:
                    spectrum = latest
                before = determinant
            yield open_ended(
                "Probing how well the defects determine the kernel",
                probes.iterations,
                _TYPICAL_PROBE,
            )
        return spectrum

    def _random_probes(self) -> torch.Tensor:
        """Draw vectors of random signs, more of them where there are few unknowns."""
        count = int(np.clip(np.ceil(4000 / self._unknowns), 1, 8))
        generator = torch.Generator().manual_seed(self._problem.parameters.seed)
        signs = torch.randint(0, 2, (count, self._unknowns), generator=generator) * 2 - 1
        probes = signs.to(self._problem.device, self._problem.dtype)
        return self._problem.symmetrisation.adjoint(probes)

    def _solve(
        self, start: int, stop: int, spectrum: OperatorSpectrum, message: str
    ) -> Generator[Event, None, _Solution]:
        """Iterate until ridge and solution of some planes have settled."""
        problem, shape = self._problem, self._problem.parameters.kernel_shape
        planes = problem.planes(start, stop)
        signal = problem.background.remove(planes.values)
        right = problem.symmetrisation.adjoint(problem.model.adjoint(signal).flatten(1))
        lanczos = Lanczos(self._normal, right)
        evidence = Evidence(_energy(signal), problem.samples, spectrum)
        ridge, residual, converged = np.full(len(signal), np.nan), float("nan"), False
        while not converged and lanczos.iterations < self._max_iterations:
            lanczos.step()
            last = lanczos.iterations >= self._max_iterations
            if last or lanczos.iterations % _CHECK_EVERY == 0:
                data = lanczos.tridiagonal()
                before, (ridge, _) = ridge, self._ridge(evidence, spectrum, data, signal)
                residual = float(data.residual(data.coordinates(ridge)).max(initial=0.0))
                settled = bool((np.abs(ridge - before) <= 0.02 * before).all())
                converged = settled and residual <= problem.parameters.tolerance
            yield open_ended(message, lanczos.iterations, _TYPICAL_SOLVE, {"residual": residual})
        data = lanczos.tridiagonal()
        ridge, replaced = self._ridge(evidence, spectrum, data, signal)
        solution = lanczos.combine(data.coordinates(ridge))
        return _Solution(
            planes,
            problem.symmetrisation.apply(solution).view(len(signal), -1, *shape),
            self._posterior_std(spectrum, ridge, evidence.noise_variance(ridge, data)),
            ridge,
            replaced,
            _condition(spectrum, data, ridge),
            lanczos.iterations,
            converged,
        )

    def _structured(self, signal: torch.Tensor) -> NDArray[np.bool_]:
        """Find the planes that hold more than white noise, (plane,)."""
        mask = self._problem.mask_tensor
        weighted = signal * self._problem.background.weight
        noise = estimate_pixel_noise(weighted, mask)
        variance = _energy(signal) / max(self._problem.samples, 1)
        noise_variance = np.square(noise) / self._problem.difference_share
        return np.asarray(variance > _MAX_WHITE_EXCESS * noise_variance)

    def _ridge(
        self,
        evidence: Evidence,
        spectrum: OperatorSpectrum,
        data: Tridiagonal,
        signal: torch.Tensor,
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Choose the ridge of each plane, (plane,), and tell where the evidence's was replaced."""
        if self._fixed_ridge != "auto":
            ridge = np.full(len(data.norm), float(self._fixed_ridge))
            return ridge, np.zeros(len(ridge), bool)
        ridge = evidence.best_ridge(data)
        replaced = ridge > spectrum.maximum
        if replaced.any():
            replaced &= self._structured(signal)
        return np.where(replaced, _WEAK_RIDGE * spectrum.mean, ridge), replaced

    def _posterior_std(
        self,
        spectrum: OperatorSpectrum,
        ridge: NDArray[np.float64],
        variance: NDArray[np.float64],
    ) -> torch.Tensor:
        """Estimate the posterior standard deviation of kernel pixels, (plane, kind, h, w).

        The diagonal of ``sigma^2 (G + ridge)^-1`` is taken proportional to ``1/(diag G + ridge)``
        with the factor that gives the probed trace: exact on average, and following how many
        defects show each pixel.
        """
        coverage = self._problem.symmetrisation.averaged_coverage(self._problem.coverage)
        pull = torch.from_numpy(ridge).to(coverage).view(-1, 1, 1, 1)
        floor = 1e-6 * coverage.max()
        shape = 1.0 / (coverage + pull).clamp(min=floor)
        trace = torch.from_numpy(spectrum.inverse_trace(ridge)).to(coverage)
        factor = trace / shape.sum(dim=(-3, -2, -1))
        noise = torch.from_numpy(variance).to(coverage)
        return (shape * (factor * noise).view(-1, 1, 1, 1)).sqrt()


def _energy(signal: torch.Tensor) -> NDArray[np.float64]:
    """Sum the squares of each plane, in float64 where the device has it."""
    exact = signal if signal.device.type == "mps" else signal.double()
    return np.asarray(exact.square().sum(dim=(-2, -1)).double().cpu().numpy())


def _condition(spectrum: OperatorSpectrum, data: Tridiagonal, ridge: NDArray[np.float64]) -> float:
    """Estimate the condition number of the regularised problem, worst over the planes."""
    values = np.concatenate([spectrum.values, data.values[data.weights > 1e-12]])
    high = values.max()
    low = values[values > 1e-9 * high].min(initial=high)
    return float((high + ridge.min()) / (low + ridge.min()))
