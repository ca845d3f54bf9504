"""Data-consistent kernels: what simulated kernels suggest, as far as the map does not say more."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from qpi_kernels.extraction.bayes_verdict import BayesJudge
from qpi_kernels.extraction.learned_priors import LEARNED, LearnedPriors
from qpi_kernels.extraction.library_factors import IGNORANT, named_library, prior_factors
from qpi_kernels.extraction.outcome import Outcome
from qpi_kernels.extraction.phases import Phases
from qpi_kernels.extraction.prior_solve import Posterior, PriorSolve
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.extraction.window_normal import Normal, quick_normal
from qpi_kernels.models.library_prior import LibraryPrior
from qpi_kernels.progress import Event
from qpi_kernels.result import KernelResult

__all__ = ["BayesExtraction"]

# In the prior, the kernel of one kind is not weaker than another by more than this.
_SMALLEST = 0.03
# A prior that loses so much log-evidence at one bias is not tried at the next.
_HOPELESS = 50.0
# What a prior must gain over none, as -2 log-evidence.
_BETTER = 2.0


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A prior, and what it makes of a plane."""

    name: str
    solve: PriorSolve
    posterior: Posterior


class BayesExtraction:
    r"""Posterior kernels under the prior of the largest evidence, as a stepper.

    Priors are Gaussian, so each posterior is exact: for a kernel :math:`A = L x` with unit numbers
    x of variance :math:`\tau^2`, and noise of variance :math:`\sigma^2`,

    .. math:: \hat A = L (L^T H^T R H L + \sigma^2/\tau^2)^{-1} L^T H^T R\, y

    with ``H`` the `ForwardModel` and ``R`` what removes the background. Noise, :math:`\tau`, and
    which prior it is follow from the evidence :math:`p(y)`. One candidate is always the ridge of
    least squares, which knows nothing: where a map contradicts all other priors, the answer is
    that of `LeastSquares`. With ``prior="learned"`` the others are made for each plane, see
    `LearnedPriors`.

    Parameters
    ----------
    problem : Problem
        The checked input; its parameters tell the priors.
    library : LibraryPrior, optional
        Simulated kernels instead of those that the parameters name.

    Raises
    ------
    ExtractionError
        If the library cannot be read, or the network that ``prior="learned"`` needs.
    """

    def __init__(self, problem: Problem, library: LibraryPrior | None = None) -> None:
        self._problem = problem
        self._library = library or named_library(problem.parameters.library)
        learned = problem.parameters.prior == "learned"
        self._learned = LearnedPriors(problem, self._library) if learned else None
        self._chosen: list[dict[str, object]] = []
        self._judge = BayesJudge()
        self._outcome = Outcome(problem, judge=self._judge, provenance=self._provenance())
        self._result: KernelResult | None = None
        self._work = self._all_planes()

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
        return next(self._work)

    def _provenance(self) -> dict[str, object]:
        told: dict[str, object] = {"priors": self._chosen, "library": self._library.description}
        return told if self._learned is None else told | {"model": self._learned.provenance}

    def _all_planes(self) -> Iterator[Event]:
        problem = self._problem
        factors = prior_factors(problem, self._library)
        planes = problem.plane_count
        phases = self._phases(len(factors))
        quick = quick_normal(problem)
        solves: dict[str, PriorSolve] = {}
        ignorant: list[Posterior] = []
        sizes = None
        for name, factor in factors.items():
            solves[name] = PriorSolve(problem, factor, quick, sizes)
            phases.begin("probe")
            for _ in solves[name].probe():
                yield phases.step("Probing how well the defects determine the kernel")
            if name != IGNORANT:
                continue
            for index in range(planes):
                phases.begin("solve")
                for _ in solves[name].solve(self._left(index)):
                    yield phases.step(f"Solving for the kernel{self._of(index)}, no prior")
                ignorant.append(solves[name].posterior)
            sizes = _sizes(ignorant)
        if self._learned is not None:
            phases.begin("encode")
            for _ in self._learned.prepare():
                yield phases.step("Showing simulated kernels to the network")
        for index in range(planes):
            if self._learned is not None:
                solves = {IGNORANT: solves[IGNORANT]}
                solves |= yield from self._learned_solves(index, ignorant[index], quick, phases)
            candidates = [_Candidate(IGNORANT, solves[IGNORANT], ignorant[index])]
            for name in [name for name in solves if name != IGNORANT]:
                phases.begin("solve")
                for _ in solves[name].solve(self._left(index)):
                    yield phases.step(f"Solving for the kernel{self._of(index)}, prior: {name}")
                candidates.append(_Candidate(name, solves[name], solves[name].posterior))
            best = min(candidates, key=_cost)
            phases.begin("draw")
            for _ in best.solve.draw(best.posterior):
                yield phases.step(f"Estimating its standard deviation{self._of(index)}")
            self._add(index, candidates, best)
            _drop_hopeless(solves, candidates, best)
        self._result = self._outcome.result()
        yield phases.end("Done")

    def _phases(self, factors: int) -> Phases:
        planes, learned = self._problem.plane_count, self._learned is not None
        each = planes * len(LEARNED) if learned else 0
        return Phases(
            {"probe": 40, "solve": 60, "draw": 80, "encode": 64, "decode": 60},
            {
                "probe": factors + each,
                "solve": factors * planes + each,
                "draw": planes,
                "encode": int(learned),
                "decode": planes if learned else 0,
            },
        )

    def _learned_solves(
        self, index: int, ignorant: Posterior, quick: Normal, phases: Phases
    ) -> Generator[Event, None, dict[str, PriorSolve]]:
        """Make the learned priors of a plane and learn the spectra of their operators."""
        assert self._learned is not None
        phases.begin("decode")
        for _ in self._learned.fit(self._left(index), ignorant.kernels, quick):
            yield phases.step(f"Looking for the network's kernel{self._of(index)}")
        solves = {}
        for name, prior in self._learned.found.items():
            solves[name] = PriorSolve(self._problem, prior.factor, quick, mean=prior.mean)
            phases.begin("probe")
            for _ in solves[name].probe():
                yield phases.step("Probing how well the defects determine the kernel")
        return solves

    def _left(self, index: int) -> torch.Tensor:
        planes = self._problem.planes(index, index + 1)
        return self._problem.background.remove(planes.values)[0]

    def _of(self, index: int) -> str:
        count = self._problem.plane_count
        return f" of bias {index + 1} of {count}" if count > 1 else ""

    def _add(self, index: int, candidates: list[_Candidate], best: _Candidate) -> None:
        found = best.posterior
        lost = {each.name: (each.posterior.cost - found.cost) / 2 for each in candidates}
        self._chosen.append({"prior": best.name, "log_evidence_lost": _rounded(lost)})
        self._judge.take(best.name, found.determined, best.solve.free)
        self._outcome.add(
            index,
            self._problem.planes(index, index + 1),
            found.kernels[None],
            std=best.solve.std[None],
            ridge=np.array([found.ridge]),
            freedom=np.array([found.determined]),
            solution_size=best.solve.free,
            condition=found.condition,
            iterations=found.iterations,
            converged=found.converged,
        )


def _sizes(ignorant: list[Posterior]) -> torch.Tensor | None:
    """Relative sizes of the kernels of each kind, (kind,), from what least squares finds."""
    squares = torch.stack([found.kernels.square().sum(dim=(-2, -1)) for found in ignorant])
    size = squares.mean(dim=0).sqrt()
    largest = size.max()
    if len(size) == 1 or not largest > 0:
        return None
    return (size / largest).clamp(min=_SMALLEST)


def _cost(candidate: _Candidate) -> float:
    """What decides; a prior that is no better than none is not taken."""
    return candidate.posterior.cost - (_BETTER if candidate.name == IGNORANT else 0.0)


def _drop_hopeless(
    solves: dict[str, PriorSolve], candidates: list[_Candidate], best: _Candidate
) -> None:
    """Let go of priors that the biases to come will not prefer either; least squares stays."""
    for each in candidates:
        hopeless = each.posterior.cost - best.posterior.cost > 2 * _HOPELESS
        if hopeless and each.name != IGNORANT:
            del solves[each.name]


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 1) for name, value in values.items()}
