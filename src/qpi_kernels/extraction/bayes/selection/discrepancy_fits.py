"""`DiscrepancyFits`: the best prior of each plane, with what it lacks fitted to the map."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace

import torch

from qpi_kernels.extraction.bayes.parameters import PriorParameters
from qpi_kernels.extraction.bayes.posterior import Posterior
from qpi_kernels.extraction.bayes.posterior_solver import PosteriorSolver
from qpi_kernels.extraction.bayes.priors.discrepancy import fit_discrepancy, has_waves
from qpi_kernels.extraction.normal_operator import NormalOperators
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.progress import Event

__all__ = ["DiscrepancyFits"]


class DiscrepancyFits:
    """Fits what priors lack to planes, see `fit_discrepancy`.

    Parameters
    ----------
    problem : Problem
        The checked input.
    operators : NormalOperators
        For the noise.
    """

    def __init__(self, problem: Problem[PriorParameters], operators: NormalOperators) -> None:
        self._problem = problem
        self._operators = operators

    def keep(
        self,
        signals: torch.Tensor,
        best: Sequence[str],
        solvers: Sequence[dict[str, PosteriorSolver]],
        candidates: Sequence[dict[str, Posterior]],
        planes: str,
    ) -> Generator[Event, None, list[dict[str, PosteriorSolver]]]:
        """Fit the best prior of each plane, and keep what came of it where that pays.

        Parameters
        ----------
        signals : tensor, (plane, rows, columns)
            Planes without background.
        best : sequence of str
            Name of the best prior of each.
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
        kinds = len(self._problem.model.kinds)
        kept = [dict(one) for one in solvers]
        for row, name in enumerate(best):
            before, solver = candidates[row][name], solvers[row][name]
            if before.determined < 1 or not has_waves(solver.prior):
                continue
            sample = yield from solver.sample_roughly(before)
            found = fit_discrepancy(solver.prior, kinds, before, sample)
            changed = PosteriorSolver(
                self._problem, found.root, self._operators, sizes=solver.sizes
            )
            message = f"Solving for the kernel{planes}, prior: {name}, fitted"
            (posterior,) = yield from changed.solve(signals[row, None], message)
            posterior = replace(posterior, cost=posterior.cost + 2 * found.fitted)
            if posterior.cost < before.cost:
                candidates[row][name], kept[row][name] = posterior, changed
        return kept
