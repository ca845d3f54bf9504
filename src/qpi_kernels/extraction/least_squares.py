"""Least squares: the kernel whose convolution with the defects fits the whole map best."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from qpi_kernels.extraction.parameters import SolverParameters
from qpi_kernels.extraction.pixel_noise import estimate_pixel_noise
from qpi_kernels.extraction.problem import Planes, Problem
from qpi_kernels.extraction.result_builder import ResultBuilder
from qpi_kernels.extraction.symmetrisation import Symmetrisation
from qpi_kernels.linalg.evidence import Evidence, OperatorSpectrum
from qpi_kernels.linalg.lanczos import Lanczos, Tridiagonal
from qpi_kernels.progress import Event
from qpi_kernels.result import KernelResult

__all__ = ["LeastSquares"]

_PROBE_ITERATIONS = 60
_PROBE_TOLERANCE = 2e-3
_CHECK_EVERY = 4
_CHUNK_BYTES = 16 * 2**20
_MAX_WHITE_EXCESS = 2.0
"""Variance of a map over that of its pixel noise, above which it holds more than white noise."""
_WEAK_RIDGE = 0.03
"""Ridge over the mean eigenvalue; shrinks a kernel by 3 %."""


class LeastSquares:
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
        self._builder = ResultBuilder(problem)
        self._symmetrisation = Symmetrisation(problem)
        self._background_kernels = self._symmetrisation.adjoint(
            problem.model.adjoint(problem.background.functions).flatten(1)
        )
        self._probes: Lanczos | None = Lanczos(self._normal, self._random_probes())
        self._spectrum: OperatorSpectrum
        self._result: KernelResult | None = None
        self._chunk: _Chunk | None = None
        self._start = 0
        self._chunk_planes = self._planes_at_once()
        self._expected = 40
        self._steps = 0
        self._determinant = float("nan")

    @property
    def done(self) -> bool:
        """Whether `result` is ready."""
        return self._result is not None

    @property
    def result(self) -> KernelResult:
        """The finished result."""
        if self._result is None:
            raise RuntimeError("the extraction is not finished; call step() until done")
        return self._result

    def step(self) -> Event:
        """One Lanczos iteration on the planes at hand."""
        self._steps += 1
        if self._probes is not None:
            return self._probe(self._probes)
        chunk = self._chunk or self._next_chunk()
        chunk.lanczos.step()
        last = chunk.lanczos.iterations >= self._iteration_limit()
        converged = self._check(chunk) if chunk.is_due or last else False
        if converged or last:
            self._finish(chunk, converged)
        return self._event(chunk)

    def _normal(self, vectors: torch.Tensor) -> torch.Tensor:
        """Apply the normal operator ``S^T H^T R H S`` to flattened kernels, (vector, n)."""
        model, shape = self._problem.model, self._problem.parameters.kernel_shape
        kernels = self._symmetrisation.apply(vectors).view(len(vectors), -1, *shape)
        left = self._problem.background.remove_rows(model.apply(kernels))
        image = self._symmetrisation.adjoint(model.adjoint(left).flatten(1))
        smooth = self._background_kernels
        return image - (vectors @ smooth.T) @ smooth

    def _random_probes(self) -> torch.Tensor:
        size = len(self._problem.model.kinds) * int(np.prod(self._problem.parameters.kernel_shape))
        count = int(np.clip(np.ceil(4000 / size), 1, 8))
        generator = torch.Generator().manual_seed(self._problem.parameters.seed)
        signs = torch.randint(0, 2, (count, size), generator=generator) * 2 - 1
        probes = signs.to(self._problem.device, self._problem.dtype)
        return self._symmetrisation.adjoint(probes)

    def _planes_at_once(self) -> int:
        """Planes whose FFT work space stays near a fixed size on a CPU; more on a GPU."""
        rows, columns = self._problem.model.fft_shape
        itemsize = 4 if self._problem.dtype == torch.float32 else 8
        kinds = len(self._problem.model.kinds)
        each = rows * columns * itemsize * (3 + 2 * kinds)
        budget = _CHUNK_BYTES * (1 if self._problem.device.type == "cpu" else 64)
        return int(np.clip(budget // each, 1, self._problem.plane_count))

    def _iteration_limit(self) -> int:
        size = len(self._problem.model.kinds) * int(np.prod(self._problem.parameters.kernel_shape))
        return min(self._problem.parameters.max_iterations, size)

    def _probe(self, probes: Lanczos) -> Event:
        probes.step()
        if probes.iterations % _CHECK_EVERY == 0 or probes.iterations >= self._iteration_limit():
            spectrum = OperatorSpectrum.from_probes(probes.tridiagonal())
            # The smallest ridge that matters is far below the mean eigenvalue; once its
            # determinant stands still, so do those of all larger ridges.
            weak = np.array([1e-3 * spectrum.mean or 1.0])
            determinant = float(spectrum.log_determinant(weak)[0])
            if abs(determinant - self._determinant) <= _PROBE_TOLERANCE * determinant or (
                probes.iterations >= min(_PROBE_ITERATIONS, self._iteration_limit())
            ):
                self._spectrum, self._probes = spectrum, None
            self._determinant = determinant
        chunks = -(-self._problem.plane_count // self._chunk_planes)
        return Event(
            "Probing how well the defects determine the kernel",
            self._steps,
            max(16, self._steps + 1) + chunks * self._expected,
        )

    def _next_chunk(self) -> _Chunk:
        stop = min(self._start + self._chunk_planes, self._problem.plane_count)
        planes = self._problem.planes(self._start, stop)
        left = self._problem.background.remove(planes.values)
        start = self._symmetrisation.adjoint(self._problem.model.adjoint(left).flatten(1))
        energy = (left.double() if left.device.type != "mps" else left).square().sum(dim=(-2, -1))
        samples = int(self._problem.mask.sum()) - self._problem.background.parameters
        variance = energy.double().cpu().numpy() / max(samples, 1)
        weighted = left * self._problem.background.weight
        noise = np.array([estimate_pixel_noise(one, self._problem.mask_tensor) for one in weighted])
        self._chunk = _Chunk(
            self._start,
            stop,
            planes,
            Lanczos(self._normal, start),
            Evidence(energy.double().cpu().numpy(), samples, self._spectrum),
            structured=variance > _MAX_WHITE_EXCESS * np.square(noise),
        )
        return self._chunk

    def _check(self, chunk: _Chunk) -> bool:
        """Whether ridge and solution have settled."""
        data = chunk.lanczos.tridiagonal()
        ridge = self._ridge(chunk, data)
        settled = chunk.ridge is not None and bool(
            (np.abs(ridge - chunk.ridge) <= 0.02 * chunk.ridge).all()
        )
        chunk.ridge = ridge
        residual = data.residual(data.coordinates(ridge))
        chunk.residual = float(residual.max(initial=0.0))
        return settled and chunk.residual <= self._problem.parameters.tolerance

    def _ridge(self, chunk: _Chunk, data: Tridiagonal) -> NDArray[np.float64]:
        """Choose the ridge of each plane, (plane,)."""
        if self._fixed_ridge != "auto":
            return np.full(chunk.stop - chunk.start, float(self._fixed_ridge))
        ridge = chunk.evidence.best_ridge(data)
        chunk.ridge_replaced = chunk.structured & (ridge > self._spectrum.maximum)
        return np.where(chunk.ridge_replaced, _WEAK_RIDGE * self._spectrum.mean, ridge)

    def _finish(self, chunk: _Chunk, converged: bool) -> None:
        data = chunk.lanczos.tridiagonal()
        ridge = self._ridge(chunk, data)
        shape = (chunk.stop - chunk.start, -1, *self._problem.parameters.kernel_shape)
        solution = chunk.lanczos.combine(data.coordinates(ridge))
        kernels = self._symmetrisation.apply(solution).view(shape)
        variance = chunk.evidence.noise_variance(ridge, data)
        values = np.concatenate([self._spectrum.values, data.values[data.weights > 1e-12]])
        high = values.max()
        low = values[values > 1e-9 * high].min(initial=high)
        self._builder.add(
            chunk.start,
            chunk.planes,
            kernels,
            std=self._posterior_std(ridge, variance),
            ridge=ridge,
            freedom=self._spectrum.determined(ridge),
            solution_size=self._symmetrisation.rank,
            condition=float((high + ridge.min()) / (low + ridge.min())),
            iterations=chunk.lanczos.iterations,
            converged=converged,
        )
        self._expected = chunk.lanczos.iterations
        self._start, self._chunk = chunk.stop, None
        if self._start >= self._problem.plane_count:
            self._result = self._builder.result()

    def _posterior_std(
        self, ridge: NDArray[np.float64], variance: NDArray[np.float64]
    ) -> torch.Tensor:
        """Posterior standard deviation of each kernel pixel, (plane, kind, h, w).

        The diagonal of ``sigma^2 (G + ridge)^-1`` is taken proportional to ``1/(diag G + ridge)``
        with the factor that gives the probed trace: exact on average, and following how many
        defects show each pixel.
        """
        coverage = self._symmetrisation.averaged_coverage(self._problem.coverage)
        pull = torch.from_numpy(ridge).to(coverage).view(-1, 1, 1, 1)
        floor = 1e-6 * coverage.max()
        shape = 1.0 / (coverage + pull).clamp(min=floor)
        trace = torch.from_numpy(self._spectrum.inverse_trace(ridge)).to(coverage)
        factor = trace / shape.sum(dim=(-3, -2, -1))
        noise = torch.from_numpy(variance).to(coverage)
        return (shape * (factor * noise).view(-1, 1, 1, 1)).sqrt()

    def _event(self, chunk: _Chunk) -> Event:
        done, count = self._start, self._problem.plane_count
        remaining_chunks = -(-(count - done) // self._chunk_planes)
        if self._chunk is not None:
            expected = max(self._expected, chunk.lanczos.iterations + 1)
            remaining = remaining_chunks * expected - chunk.lanczos.iterations
        else:
            remaining = remaining_chunks * self._expected
        planes = f" of bias {chunk.start + 1}-{chunk.stop} of {count}" if count > 1 else ""
        return Event(
            f"Solving for the kernel{planes}",
            self._steps,
            self._steps + remaining,
            {"residual": chunk.residual},
        )


class _Chunk:
    """Planes that are being solved together."""

    def __init__(
        self,
        start: int,
        stop: int,
        planes: Planes,
        lanczos: Lanczos,
        evidence: Evidence,
        *,
        structured: NDArray[np.bool_],
    ) -> None:
        self.start, self.stop = start, stop
        self.planes = planes
        self.lanczos = lanczos
        self.evidence = evidence
        self.structured = structured
        self.ridge_replaced = np.zeros_like(structured)
        self.ridge: NDArray[np.float64] | None = None
        self.residual = float("nan")

    @property
    def is_due(self) -> bool:
        """Whether to look at convergence now; early, for it costs far less than an FFT."""
        return self.lanczos.iterations % _CHECK_EVERY == 0
