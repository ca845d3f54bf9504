"""`PriorSelection`: priors that compete for a plane by their evidence, under one kind of noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from qpi_kernels.extraction.bayes.covariance_roots import CovarianceRoot, WhiteRoot
from qpi_kernels.extraction.bayes.family_selection import FamilySelection, likely_families
from qpi_kernels.extraction.bayes.learned.priors import LearnedPriors
from qpi_kernels.extraction.bayes.noise_model import NoiseModel
from qpi_kernels.extraction.bayes.normal_operator import choose_normal_operator
from qpi_kernels.extraction.bayes.parameters import PriorParameters
from qpi_kernels.extraction.bayes.posterior import Posterior, PosteriorSolver, kind_sizes, smoothed
from qpi_kernels.extraction.bayes.priors import WHITE_PRIOR, broad_priors, narrow_priors
from qpi_kernels.extraction.bayes.progress_estimate import ProgressEstimator
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.models.kernel_prior import KernelPrior
from qpi_kernels.progress import Event

__all__ = ["PriorSelection", "SelectedPosterior"]

# Priors that take long are tried unless a quick one leads by so much log-evidence.
_CLEAR = 5.0
# What a prior must gain over none, as -2 log-evidence.
_BETTER = 2.0


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
        How far kernels that are as likely are from the mean.
    std : tensor, (kind, h, w)
        Their spread.
    free : int
        Number of free kernel numbers.
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
    free: int
    log_evidence_gap: dict[str, float]
    sizes: torch.Tensor | None = None
    noise: NoiseModel | None = None

    def with_model_uncertainty(self, other: SelectedPosterior) -> SelectedPosterior:
        """The same, but as uncertain as another answer to the same plane and their difference."""
        apart = smoothed((self.posterior.kernels - other.posterior.kernels).square())
        variance = torch.maximum(self.std.square(), other.std.square()) + apart
        return replace(self, std=variance.sqrt())


class PriorSelection:
    """Solves planes under all priors and takes the best.

    Parameters
    ----------
    problem : Problem
        The checked input; its parameters tell the priors.
    library : KernelPrior
        Simulated kernels.
    left : callable
        From the index of a plane to the plane (rows, columns) without background.
    phases : ProgressEstimator
        Counts the steps.
    noise : NoiseModel, optional
        White noise when left out.
    learned : LearnedPriors, optional
        The network's, for the prior ``learned``.
    """

    def __init__(
        self,
        problem: Problem[PriorParameters],
        library: KernelPrior,
        left: Callable[[int], torch.Tensor],
        phases: ProgressEstimator,
        noise: NoiseModel | None = None,
        learned: LearnedPriors | None = None,
    ) -> None:
        self._problem = problem
        self._library = library
        self._learned = learned
        self._left = left
        self._phases = phases
        self._noise = noise
        self._quick = choose_normal_operator(problem, noise)
        self._solves: dict[str, PosteriorSolver] = {}
        self._ignorant: dict[int, Posterior] = {}
        self.sizes: torch.Tensor | None = None
        self._families: dict[int, str] = {}
        self.chosen: SelectedPosterior

    def prepare(
        self, planes: Sequence[int], shared: PriorSelection | None = None
    ) -> Iterator[Event]:
        """What all planes share; must come before `solve` of any of them.

        Parameters
        ----------
        planes : sequence of int
            Their indices.
        shared : PriorSelection, optional
            Those of the whole stack, which know its family and the sizes of kinds.
        """
        problem = self._problem
        nothing = WhiteRoot(problem.parameters.kernel_shape)
        self._solves[WHITE_PRIOR] = PosteriorSolver(
            problem, nothing, self._quick, noise=self._noise
        )
        yield from self._probe(WHITE_PRIOR)
        for index in planes:
            yield from self._solve(WHITE_PRIOR, index)
            self._ignorant[index] = self._solves[WHITE_PRIOR].posterior
        if shared is not None:
            self.sizes, self._families = shared.sizes, shared._families
            return
        self.sizes = kind_sizes(list(self._ignorant.values()))
        if self._learned is not None:
            self._phases.begin("encode")
            for _ in self._learned.prepare():
                yield self._phases.step("Showing simulated kernels to the network")
        elif problem.parameters.prior == "library" and self._library.families:
            yield from self._screen(planes)

    def solve(self, index: int) -> Iterator[Event]:
        """Find what is `chosen` for a plane."""
        problem, library = self._problem, self._library
        found = {WHITE_PRIOR: self._ignorant[index]}
        if self._learned is not None:
            yield from self._try_learned(index, self._learned, found)
        else:
            family = self._families.get(index, "")
            yield from self._try(index, narrow_priors(problem, library, family), found)
        if problem.parameters.prior == "library" and _undecided(found) and not _says_nothing(found):
            yield from self._try(index, broad_priors(problem, library), found)
        best = min(found, key=lambda name: _cost(name, found[name]))
        posterior, solve = found[best], self._solves[best]
        self._phases.begin("draw")
        for _ in solve.draw(posterior):
            yield self._phases.step(f"Estimating its standard deviation{self._of(index)}")
        lost = {name: (each.cost - posterior.cost) / 2 for name, each in found.items()}
        self.chosen = SelectedPosterior(
            best, posterior, solve.deviations, solve.std, solve.free, lost, self.sizes, self._noise
        )

    def _try(
        self,
        index: int,
        factors: dict[str, Callable[[], CovarianceRoot]],
        found: dict[str, Posterior],
    ) -> Iterator[Event]:
        """Solve a plane under some priors; if it says nothing, one is enough."""
        for name in factors:
            if name not in self._solves:
                self._solves[name] = PosteriorSolver(
                    self._problem, factors[name](), self._quick, self.sizes, self._noise
                )
                yield from self._probe(name)
            yield from self._solve(name, index)
            found[name] = self._solves[name].posterior
            if _says_nothing(found):
                break

    def _try_learned(
        self, index: int, learned: LearnedPriors, found: dict[str, Posterior]
    ) -> Iterator[Event]:
        """Make the network's priors for a plane, and solve it under them."""
        self._phases.begin("decode")
        ignorant = self._ignorant[index].kernels
        for _ in learned.fit(self._left(index), ignorant, self._quick, self._noise):
            yield self._phases.step(f"Looking for the network's kernel{self._of(index)}")
        for name, prior in learned.found.items():
            self._solves[name] = PosteriorSolver(
                self._problem, prior.factor, self._quick, noise=self._noise, mean=prior.mean
            )
            yield from self._probe(name)
            yield from self._solve(name, index)
            found[name] = self._solves[name].posterior

    def _probe(self, name: str) -> Iterator[Event]:
        self._phases.begin("probe")
        for _ in self._solves[name].probe():
            yield self._phases.step("Probing how well the defects determine the kernel")

    def _solve(self, name: str, index: int) -> Iterator[Event]:
        self._phases.begin("solve")
        for _ in self._solves[name].solve(self._left(index)):
            yield self._phases.step(f"Solving for the kernel{self._of(index)}, prior: {name}")

    def _screen(self, planes: Sequence[int]) -> Iterator[Event]:
        screen = FamilySelection(self._problem, self._library, self._quick, self.sizes, self._noise)
        self._phases.begin("screen")
        for _ in screen.prepare():
            yield self._phases.step("Comparing families of simulated kernels")
        costs = []
        for index in planes:
            costs.append(screen.costs(self._left(index), self._ignorant[index].kernels))
            yield self._phases.step("Comparing families of simulated kernels")
        self._families = dict(zip(planes, likely_families(costs)[0], strict=True))

    def _of(self, index: int) -> str:
        count = self._problem.plane_count
        return f" of bias {index + 1} of {count}" if count > 1 else ""


def _says_nothing(found: dict[str, Posterior]) -> bool:
    """Whether the first prior is neither better nor worse than none."""
    ignorant, first, *_ = (posterior.cost for posterior in found.values())
    return abs(ignorant - first) < 2 * _CLEAR


def _undecided(found: dict[str, Posterior]) -> bool:
    """Whether the narrow prior leads the others by so little that wider ones may be better."""
    ignorant, narrow, *others = (posterior.cost for posterior in found.values())
    return min([ignorant, *others]) < narrow + 2 * _CLEAR


def _cost(name: str, posterior: Posterior) -> float:
    """What decides; a prior that is no better than none is not taken."""
    return posterior.cost - (_BETTER if name == WHITE_PRIOR else 0.0)
