"""Data-consistent kernels: what simulated kernels suggest, as far as the map does not say more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from qpi_kernels.extraction.outcome import Outcome
from qpi_kernels.extraction.prior_factors import (
    ComponentFactor,
    PriorFactor,
    SmoothFactor,
    SumFactor,
    WhiteFactor,
)
from qpi_kernels.extraction.prior_solve import Posterior, PriorSolve
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.interpolation import resampling_matrix
from qpi_kernels.models.library_prior import LibraryPrior, bundled_library
from qpi_kernels.progress import Event
from qpi_kernels.result import KernelResult

__all__ = ["BayesExtraction"]

_ALIKE = 50
_RESIDUALS = (0.02, 0.05, 0.1)
_LIBRARY_SHARE = 3.0
_SAMPLES = 16


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A prior, and what it makes of a plane."""

    name: str
    solve: PriorSolve
    posterior: Posterior


class BayesExtraction:
    """Posterior kernels under the prior of the largest evidence, as a stepper.

    Candidates are: every pixel on its own (plain least squares), smooth waves under an envelope,
    and the simulated kernels that resemble what the smooth prior found, each time with more
    room for what the library does not have. All are Gaussian, so each posterior is exact, and
    the evidence says which one the map supports; it falls back to least squares by itself.

    Parameters
    ----------
    problem : Problem
        The checked input.
    library : LibraryPrior, optional
        Simulated kernels; the bundled ones when left out.
    """

    def __init__(self, problem: Problem, library: LibraryPrior | None = None) -> None:
        self._problem = problem
        self._library = library or bundled_library()
        self._chosen: list[str] = []
        self._outcome = Outcome(problem, provenance={"priors": self._chosen})
        self._result: KernelResult | None = None
        self._work = self._all_planes()
        self._steps = 0

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
        """One solver iteration."""
        self._steps += 1
        message = next(self._work, "Done")
        return Event(message, self._steps)

    def _all_planes(self) -> Iterator[str]:
        problem = self._problem
        shape = problem.parameters.kernel_shape
        white = PriorSolve(problem, WhiteFactor(shape))
        smooth = PriorSolve(problem, self._smooth_factor)
        for solve in (white, smooth):
            for _ in solve.probe():
                yield "Probing how well the defects determine the kernel"
        for index in range(problem.plane_count):
            planes = problem.planes(index, index + 1)
            left = problem.background.remove(planes.values)[0]
            candidates = []
            for name, solve in (("least squares", white), ("smooth", smooth)):
                for _ in solve.solve(left):
                    yield f"Solving with the {name} prior"
                candidates.append(_Candidate(name, solve, solve.posterior))
            factors = self._local_factors(candidates[-1].posterior.kernels)
            for residual, factor in zip(_RESIDUALS, factors, strict=True):
                solve = PriorSolve(problem, factor)
                for _ in solve.probe():
                    yield "Probing the simulated kernels"
                for _ in solve.solve(left):
                    yield "Solving with simulated kernels"
                candidates.append(_Candidate(f"library, {residual:g}", solve, solve.posterior))
            best = min(candidates, key=lambda each: each.posterior.cost)
            for _ in best.solve.draw(best.posterior, _SAMPLES, problem.parameters.seed):
                yield "Estimating the standard deviation"
            self._chosen.append(best.name)
            found = best.posterior
            self._outcome.add(
                index,
                planes,
                found.kernels[None],
                std=_smoothed(best.solve.drawn.square().mean(dim=0)).sqrt()[None],
                ridge=np.array([found.ridge]),
                freedom=np.array([found.determined]),
                solution_size=found.kernels.numel(),
                condition=found.condition,
                iterations=found.iterations,
                converged=found.converged,
            )
        self._result = self._outcome.result()

    # -- priors -----------------------------------------------------------------------------

    def _like(self) -> torch.Tensor:
        return torch.zeros((), dtype=self._problem.dtype, device=self._problem.device)

    @cached_property
    def _smooth_factor(self) -> SmoothFactor:
        library, shape = self._library, self._problem.parameters.kernel_shape
        _, scale = library.basis_on(shape)
        return SmoothFactor(
            shape,
            library.profile,
            library.spectrum,
            period=scale * library.shape[0],
            scale=scale,
            like=self._like(),
        )

    @cached_property
    def _whole_factor(self) -> ComponentFactor:
        """All of the library at once."""
        library, size = self._library, self._problem.parameters.kernel_shape
        basis, _ = library.basis_on(size)
        every = library.kernels(np.arange(len(library.coordinates)))
        spread = np.sqrt(np.square(every).mean(axis=0))
        return ComponentFactor(torch.from_numpy(spread[:, None, None] * basis).to(self._like()))

    def _local_factors(self, kernels: torch.Tensor) -> list[PriorFactor]:
        """Priors around the simulated kernels that resemble those found, from strict to loose."""
        library = self._library
        basis, scale = library.basis_on(self._problem.parameters.kernel_shape)
        found = kernels.double().cpu().numpy()
        alike = np.unique(
            np.concatenate([library.nearest(self._on_library(one, scale), _ALIKE) for one in found])
        )
        local = library.kernels(alike) / np.sqrt(len(alike))
        flat = torch.from_numpy(basis).to(self._like()).flatten(1)
        size = self._problem.parameters.kernel_shape
        near = ComponentFactor((torch.from_numpy(local).to(flat) @ flat).view(-1, *size))
        smooth = self._smooth_factor
        return [
            SumFactor([(1.0, near), (_LIBRARY_SHARE * share, self._whole_factor), (share, smooth)])
            for share in _RESIDUALS
        ]

    def _on_library(self, kernel: np.ndarray, scale: float) -> np.ndarray:
        rows, columns = (
            resampling_matrix(have, want, scale)
            for have, want in zip(kernel.shape, self._library.shape, strict=True)
        )
        return np.asarray(rows @ kernel @ columns.T)


def _smoothed(variances: torch.Tensor) -> torch.Tensor:
    """Variances (kind, h, w) from few samples, averaged over neighbouring pixels."""
    width = 5
    padded = torch.nn.functional.pad(variances[:, None], (width // 2,) * 4, mode="replicate")
    return torch.nn.functional.avg_pool2d(padded, width, stride=1)[:, 0]
