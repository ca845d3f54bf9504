"""`PriorSelection`: candidate priors of a plane compared by their evidence."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from qpi_kernels.extraction.bayes.convolution_normal import normal_operators
from qpi_kernels.extraction.bayes.covariance_roots import CovarianceRoot, WhiteRoot
from qpi_kernels.extraction.bayes.family_selection import (
    FamilySelection,
    likely_families,
    prepare_families,
)
from qpi_kernels.extraction.bayes.noise_model import NoiseModel
from qpi_kernels.extraction.bayes.parameters import PriorParameters
from qpi_kernels.extraction.bayes.posterior import Posterior, PosteriorSolver, kind_sizes, smoothed
from qpi_kernels.extraction.bayes.priors import WHITE_PRIOR, broad_priors, narrow_priors
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.models.kernel_prior import KernelPrior
from qpi_kernels.progress import Event, portion

if TYPE_CHECKING:
    # Its networks take seconds to import, and most extractions do without.
    from qpi_kernels.extraction.bayes.learned.priors import LearnedPriors

__all__ = ["PriorSelection", "SelectedPosterior", "StackFindings"]

# Priors that take long are tried unless a quick one leads by so much log-evidence.
_CLEAR_GAP = 5.0
# What a prior must gain over none, as -2 log-evidence.
_MIN_GAIN = 2.0


@dataclass(frozen=True, eq=False)
class StackFindings:
    """Findings that the planes of a stack share.

    Parameters
    ----------
    sizes : tensor, (kind,), optional
        Relative size of the kernels of each kind, where there are several.
    families : dict of int to str
        Family of simulated kernels of each plane, by its index; without one, all families.
    """

    sizes: torch.Tensor | None
    families: dict[int, str]


@dataclass(frozen=True, eq=False)
class SelectedPosterior:
    """The posterior of a plane under the prior of the largest evidence.

    Parameters
    ----------
    prior : str
        In plain words.
    posterior : Posterior
        Its mean and numbers.
    deviations : tensor, (draw, kind, h, w)
        Kernels drawn from the posterior, less its mean.
    std : tensor, (kind, h, w)
        Their spread.
    log_evidence_gap : dict of str to float
        Log-evidence that each prior loses to the chosen one.
    sizes : tensor, (kind,), optional
        Relative size of the kernels of each kind, where there are several.
    noise : NoiseModel, optional
        White when left out.
    """

    prior: str
    posterior: Posterior
    deviations: torch.Tensor
    std: torch.Tensor
    log_evidence_gap: dict[str, float]
    sizes: torch.Tensor | None = None
    noise: NoiseModel | None = None

    @property
    def free(self) -> int:
        """Number of free kernel numbers."""
        return self.posterior.free

    def with_model_uncertainty(self, other: SelectedPosterior) -> SelectedPosterior:
        """Widen the standard deviation by the difference to another answer to the same plane."""
        difference = smoothed((self.posterior.kernels - other.posterior.kernels).square())
        variance = torch.maximum(self.std.square(), other.std.square()) + difference
        return replace(self, std=variance.sqrt())


class PriorSelection:
    """Solves planes under all candidate priors, for one model of the noise, and takes the best.

    Parameters
    ----------
    problem : Problem
        The checked input; its parameters name the priors.
    library : KernelPrior
        Simulated kernels.
    learned : LearnedPriors, optional
        The network's, for the prior ``learned``.
    noise : NoiseModel, optional
        White noise when left out.
    """

    def __init__(
        self,
        problem: Problem[PriorParameters],
        library: KernelPrior,
        learned: LearnedPriors | None = None,
        noise: NoiseModel | None = None,
    ) -> None:
        self._problem = problem
        self._library = library
        self._learned = learned
        self._noise = noise
        self._operators = normal_operators(problem, noise)
        white = WhiteRoot(problem.parameters.kernel_shape)
        self._solvers = {WHITE_PRIOR: PosteriorSolver(problem, white, self._operators)}

    def solve_white(
        self, planes: Sequence[int], signal: Callable[[int], torch.Tensor]
    ) -> Generator[Event, None, list[Posterior]]:
        """Solve planes under the white prior, which is least squares.

        Parameters
        ----------
        planes : sequence of int
            Their indices.
        signal : callable
            From an index to the plane (rows, columns) without background.
        """
        posteriors = []
        for number, index in enumerate(planes):
            work = self._solvers[WHITE_PRIOR].solve(
                signal(index), self._solving(WHITE_PRIOR, index)
            )
            start, stop = number / len(planes), (number + 1) / len(planes)
            posterior = yield from portion(work, start, stop)
            posteriors.append(posterior)
        return posteriors

    def prepare_families(
        self, sizes: torch.Tensor | None
    ) -> Generator[Event, None, FamilySelection]:
        """Prepare the comparison of the library's families for this noise."""
        return prepare_families(self._problem, self._library, self._operators, sizes)

    def compare_planes(
        self,
        planes: Sequence[int],
        signal: Callable[[int], torch.Tensor],
        white: Sequence[Posterior],
    ) -> Generator[Event, None, StackFindings]:
        """Find the sizes of kinds and the family of simulated kernels that planes share.

        Parameters
        ----------
        planes, signal
            As in `solve_white`.
        white : sequence of Posterior
            From `solve_white`.
        """
        sizes = kind_sizes(white)
        by_library = self._problem.parameters.prior == "library"
        if not (by_library and self._library.families):
            return StackFindings(sizes, {})
        screen = yield from portion(self.prepare_families(sizes), 0.0, 0.8)
        costs = []
        for number, (index, posterior) in enumerate(zip(planes, white, strict=True), 1):
            costs.append(screen.costs(signal(index), posterior.kernels))
            share = 0.8 + 0.2 * number / len(planes)
            yield Event("Comparing families of simulated kernels", round(1000 * share), 1000)
        return StackFindings(sizes, dict(zip(planes, likely_families(costs)[0], strict=True)))

    def select(
        self, index: int, signal: torch.Tensor, white: Posterior, findings: StackFindings
    ) -> Generator[Event, None, SelectedPosterior]:
        """Solve a plane under the candidate priors and sample the best posterior.

        Parameters
        ----------
        index : int
            Index of the plane.
        signal : tensor, (rows, columns)
            The plane without background.
        white : Posterior
            Of this plane, from `solve_white`.
        findings : StackFindings
            From `compare_planes`, possibly with white noise.
        """
        problem, library, sizes = self._problem, self._library, findings.sizes
        candidates, solvers = {WHITE_PRIOR: white}, self._solvers
        if self._learned is not None:
            fit = self._learned_solvers(index, signal, white, self._learned)
            learned = yield from portion(fit, 0.0, 0.5)
            candidates |= yield from portion(self._solve_all(learned, index, signal), 0.5, 0.8)
            # Unlike the others they belong to one plane.
            solvers = solvers | learned
        else:
            narrow = narrow_priors(problem, library, findings.families.get(index, ""))
            work = self._try(index, signal, narrow, candidates, sizes)
            candidates |= yield from portion(work, 0.0, 0.7)
        by_library = problem.parameters.prior == "library"
        if by_library and _undecided(candidates) and not _shows_nothing(candidates):
            broad = broad_priors(problem, library)
            work = self._try(index, signal, broad, candidates, sizes)
            candidates |= yield from portion(work, 0.7, 0.8)
        best = min(candidates, key=lambda name: _cost(name, candidates[name]))
        posterior = candidates[best]
        message = f"Estimating its standard deviation{self._of(index)}"
        drawing = solvers[best].sample(posterior, message)
        sample = yield from portion(drawing, 0.8, 1.0)
        gap = {name: (each.cost - posterior.cost) / 2 for name, each in candidates.items()}
        return SelectedPosterior(
            best, posterior, sample.deviations, sample.std, gap, sizes, self._noise
        )

    def _try(
        self,
        index: int,
        signal: torch.Tensor,
        roots: dict[str, Callable[[], CovarianceRoot]],
        known: dict[str, Posterior],
        sizes: torch.Tensor | None,
    ) -> Generator[Event, None, dict[str, Posterior]]:
        """Solve a plane under priors by name; one is enough where the plane shows nothing."""
        posteriors: dict[str, Posterior] = {}
        for number, (name, make_root) in enumerate(roots.items()):
            if name not in self._solvers:
                self._solvers[name] = PosteriorSolver(
                    self._problem, make_root(), self._operators, sizes=sizes
                )
            work = self._solvers[name].solve(signal, self._solving(name, index))
            start, stop = number / len(roots), (number + 1) / len(roots)
            posteriors[name] = yield from portion(work, start, stop)
            if _shows_nothing(known | posteriors):
                break
        return posteriors

    def _learned_solvers(
        self, index: int, signal: torch.Tensor, white: Posterior, learned: LearnedPriors
    ) -> Generator[Event, None, dict[str, PosteriorSolver]]:
        """Make the network's priors for a plane, and their solvers by name."""
        message = f"Fitting the network's kernel{self._of(index)}"
        priors = yield from learned.fit(signal, white.kernels, self._operators, message)
        return {
            name: PosteriorSolver(self._problem, prior.root, self._operators, mean=prior.mean)
            for name, prior in priors.items()
        }

    def _solve_all(
        self, solvers: dict[str, PosteriorSolver], index: int, signal: torch.Tensor
    ) -> Generator[Event, None, dict[str, Posterior]]:
        """Solve a plane with each of several solvers."""
        posteriors = {}
        for number, (name, solver) in enumerate(solvers.items()):
            work = solver.solve(signal, self._solving(name, index))
            start, stop = number / len(solvers), (number + 1) / len(solvers)
            posteriors[name] = yield from portion(work, start, stop)
        return posteriors

    def _solving(self, name: str, index: int) -> str:
        """Word the message of a solution."""
        return f"Solving for the kernel{self._of(index)}, prior: {name}"

    def _of(self, index: int) -> str:
        """Name a plane in messages, where there are several."""
        count = self._problem.plane_count
        return f" of bias {index + 1} of {count}" if count > 1 else ""


def _shows_nothing(candidates: dict[str, Posterior]) -> bool:
    """Tell that the first prior is neither better nor worse than none."""
    white, first, *_ = (posterior.cost for posterior in candidates.values())
    return abs(white - first) < 2 * _CLEAR_GAP


def _undecided(candidates: dict[str, Posterior]) -> bool:
    """Tell that the narrow prior leads the others by so little that broad ones may be better."""
    white, narrow, *others = (posterior.cost for posterior in candidates.values())
    return min([white, *others]) < narrow + 2 * _CLEAR_GAP


def _cost(name: str, posterior: Posterior) -> float:
    """Return -2 log evidence, with the gain that a prior must have to replace least squares."""
    return posterior.cost - (_MIN_GAIN if name == WHITE_PRIOR else 0.0)
