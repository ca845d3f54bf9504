"""`DiscrepancyFits`: the best prior of each plane, with what it lacks fitted to the map."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace

import torch

from qpi_kernels.extraction.bayes.parameters import PriorParameters
from qpi_kernels.extraction.bayes.posterior import Posterior, PosteriorSample
from qpi_kernels.extraction.bayes.posterior_solver import PosteriorSolver
from qpi_kernels.extraction.bayes.priors.discrepancy import fit_discrepancy, has_waves
from qpi_kernels.extraction.bayes.priors.free_kernels import FreeKernels
from qpi_kernels.extraction.bayes.priors.freed_pixels import free_pixels
from qpi_kernels.extraction.bayes.priors.library_priors import WHITE_PRIOR
from qpi_kernels.extraction.bayes.priors.map_waves import MAP_PRIORS
from qpi_kernels.extraction.normal_operator import NormalOperators
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.progress import Event, portion

__all__ = ["DiscrepancyFits"]

# Planes of a stack whose kernels are compared with their prior.
_MAX_COMPARED = 3


class DiscrepancyFits:
    """Fits what priors lack to planes, see `fit_discrepancy`.

    Parameters
    ----------
    problem : Problem
        The checked input.
    operators : NormalOperators
        For the noise.
    white : PosteriorSolver
        Of least squares.
    """

    def __init__(
        self,
        problem: Problem[PriorParameters],
        operators: NormalOperators,
        white: PosteriorSolver,
    ) -> None:
        self._problem = problem
        self._operators = operators
        self._white = white
        self._latest: dict[PosteriorSolver, PosteriorSolver] = {}

    def latest(self, solver: PosteriorSolver) -> PosteriorSolver:
        """Return the solver of the fitted prior, where a fit paid, for planes that come later."""
        return self._latest.get(solver, solver)

    def keep(
        self,
        signals: torch.Tensor,
        names: Sequence[Sequence[str]],
        solvers: Sequence[dict[str, PosteriorSolver]],
        candidates: Sequence[dict[str, Posterior]],
        planes: str,
    ) -> Generator[Event, None, list[dict[str, PosteriorSolver]]]:
        """Fit the likely priors of each plane, and keep what came of it where that pays.

        Parameters
        ----------
        signals : tensor, (plane, rows, columns)
            Planes without background.
        names : sequence of sequence of str
            Those of each, see `close_to_best`.
        solvers : sequence of dict of str to PosteriorSolver
            By which each plane was solved.
        candidates : sequence of dict of str to Posterior
            Of each plane under each prior; those of fits that pay replace the others.
        planes : str
            What messages add.

        Returns
        -------
        list of dict of str to PosteriorSolver
            The solvers, with those of fits that pay.
        """
        kept = [dict(one) for one in solvers]
        # Planes under one prior are of one host, and share what it lacks.
        shared: dict[tuple[str, PosteriorSolver], list[int]] = {}
        for row, name in ((row, name) for row, some in enumerate(names) for name in some):
            solver = solvers[row][name]
            open_one = solver not in self._latest and has_waves(solver.prior)
            if open_one and candidates[row][name].determined >= 1:
                shared.setdefault((name, solver), []).append(row)
        for number, ((name, solver), rows) in enumerate(shared.items()):
            before = [candidates[row][name] for row in rows]
            own = [candidates[row] for row in rows]
            work = self._fit(signals[rows], name, solver, own, planes)
            part = (number / len(shared), (number + 1) / len(shared))
            changed, after, cost = yield from portion(work, *part)
            if cost >= sum(one.cost for one in before):
                self._latest[solver] = solver
                continue
            self._latest[solver] = self._latest[changed] = changed
            for row, posterior in zip(rows, after, strict=True):
                candidates[row][name], kept[row][name] = posterior, changed
        return kept

    def _fit(
        self,
        signals: torch.Tensor,
        name: str,
        solver: PosteriorSolver,
        candidates: Sequence[dict[str, Posterior]],
        planes: str,
    ) -> Generator[Event, None, tuple[PosteriorSolver, list[Posterior], float]]:
        """Fit the prior that some planes share, and solve them under it."""
        before = [one[name] for one in candidates]
        some = slice(None, None, -(-len(before) // _MAX_COMPARED))
        compared = before[some]
        samples: list[PosteriorSample] = []
        for one in compared:
            sample = yield from solver.draw_numbers(one)
            samples.append(sample)
        kinds = len(self._problem.model.kinds)
        found = fit_discrepancy(solver.prior, kinds, compared, samples)
        free = yield from self._free_kernels(candidates[some])
        if free:
            coverage = self._problem.coverage
            found = free_pixels(found, compared, free, solver.sizes, coverage)
        changed = PosteriorSolver(
            self._problem, found.root, self._operators, sizes=solver.sizes, mean=solver.mean
        )
        message = f"Solving for the kernel{planes}, prior: {name}, fitted"
        after = yield from changed.solve(signals, message, near=before)
        # Each number that was fitted to the planes gains one by chance, and costs one more.
        each = 2 * found.fitted / len(after)
        after = [replace(one, cost=one.cost + each) for one in after]
        return changed, after, sum(one.cost for one in after)

    def _free_kernels(
        self, candidates: Sequence[dict[str, Posterior]]
    ) -> Generator[Event, None, list[FreeKernels]]:
        """Take the kernels of least squares of planes for which waves as in their maps were tried.

        Their noise is known then, and elsewhere a family of the library explains nearly all.
        """
        if not all(MAP_PRIORS & one.keys() for one in candidates):
            return []
        white = [one[WHITE_PRIOR] for one in candidates]
        samples = yield from self._white.sample(white)
        coverage = self._problem.coverage
        pairs = zip(white, samples, strict=True)
        return [FreeKernels.of(one, sample, coverage) for one, sample in pairs]
