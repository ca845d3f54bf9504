"""`PriorSelection`: candidate priors of a plane compared by their evidence."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from qpi_kernels.extraction.bayes.convolution_normal import (
    normal_operators,
    operators_for_priors,
)
from qpi_kernels.extraction.bayes.noise_model import NoiseModel
from qpi_kernels.extraction.bayes.parameters import PriorParameters
from qpi_kernels.extraction.bayes.posterior import Posterior, PosteriorSample, kind_sizes
from qpi_kernels.extraction.bayes.posterior_solver import PosteriorSolver
from qpi_kernels.extraction.bayes.priors.covariance_roots import CovarianceRoot, WhiteRoot
from qpi_kernels.extraction.bayes.priors.library_priors import (
    BROAD_PRIOR,
    WHITE_PRIOR,
    broad_prior,
    narrow_prior,
)
from qpi_kernels.extraction.bayes.priors.map_waves import MAP_PRIORS, fitted_numbers, map_waves
from qpi_kernels.extraction.bayes.selection.discrepancy_fits import DiscrepancyFits
from qpi_kernels.extraction.bayes.selection.family_selection import (
    PLANES_AT_ONCE,
    FamilySelection,
    prepare_families,
)
from qpi_kernels.extraction.bayes.selection.findings import SelectedPosterior, StackFindings
from qpi_kernels.extraction.bayes.selection.rules import (
    FITS,
    close_to_best,
    is_enough,
    most_likely,
    possible_gain,
    representatives,
    wants_broad,
    winners,
)
from qpi_kernels.extraction.normal_operator import NormalOperators
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.models.kernel_prior import KernelPrior
from qpi_kernels.progress import Event, portion

if TYPE_CHECKING:
    # Its networks take seconds to import, and most extractions do without.
    from qpi_kernels.extraction.bayes.learned.priors import LearnedPriors

__all__ = ["PriorSelection", "Signal"]

Signal = Callable[[int], torch.Tensor]

# Memory for Krylov spaces, and planes that are solved together.
_KRYLOV_BYTES, _MAX_PLANES = 2**28, 16


class PriorSelection:
    """Solves planes under candidate priors, for one model of the noise, and takes the best.

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

    @cached_property
    def _prior_operators(self) -> NormalOperators:
        """The normal operators for kernels of which a prior knows something."""
        return operators_for_priors(self._problem, self._operators, self._library, self._noise)

    @cached_property
    def _discrepancy_fits(self) -> DiscrepancyFits:
        """The fits of what priors lack, to the first planes that take them."""
        return DiscrepancyFits(self._problem, self._prior_operators, self._solvers[WHITE_PRIOR])

    def solve_white(
        self, planes: Sequence[int], signal: Signal
    ) -> Generator[Event, None, list[Posterior]]:
        """Solve planes under the white prior, which is least squares.

        Parameters
        ----------
        planes : sequence of int
            Their indices.
        signal : callable
            From an index to the plane (rows, columns) without background.
        """
        posteriors: list[Posterior] = []
        for some, start, stop in self._batches(planes):
            work = self._solvers[WHITE_PRIOR].solve(
                _stack(some, signal), self._solving(WHITE_PRIOR, some)
            )
            posteriors += yield from portion(work, start, stop)
        return posteriors

    def prepare_families(
        self, sizes: torch.Tensor | None
    ) -> Generator[Event, None, FamilySelection]:
        """Prepare the comparison of the library's families for this noise."""
        return prepare_families(self._problem, self._library, self._operators, sizes)

    def compare_planes(
        self, planes: Sequence[int], signal: Signal, white: Sequence[Posterior]
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
        costs: list[dict[str, float]] = []
        for start in range(0, len(planes), PLANES_AT_ONCE):
            some = slice(start, start + PLANES_AT_ONCE)
            kernels = torch.stack([one.kernels for one in white[some]])
            costs += screen.costs(_stack(planes[some], signal), kernels)
            share = 0.8 + 0.2 * len(costs) / len(planes)
            yield Event("Comparing families of simulated kernels", round(1000 * share), 1000)
        return StackFindings.of(planes, white, costs)

    def select(
        self,
        planes: Sequence[int],
        signal: Signal,
        white: Sequence[Posterior],
        findings: StackFindings,
    ) -> Generator[Event, None, list[SelectedPosterior]]:
        """Solve planes under the candidate priors and sample the best posterior of each.

        A few planes of a stack try all priors, the others those that won there.

        Parameters
        ----------
        planes, signal
            As in `solve_white`.
        white : sequence of Posterior
            From `solve_white`, of each plane.
        findings : StackFindings
            From `compare_planes`, possibly with white noise.
        """
        first = representatives(planes, white) if self._learned is None else list(planes)
        by_index = dict(zip(planes, white, strict=True))
        chosen: dict[int, SelectedPosterior] = {}
        start = 0.0
        for group in (first, [index for index in planes if index not in first]):
            stop = start + len(group) / len(planes)
            for some, low, high in self._batches(group, start, stop):
                known = [by_index[index] for index in some]
                work = self._select_together(some, _stack(some, signal), known, findings)
                found = yield from portion(work, low, high)
                chosen |= dict(zip(some, found, strict=True))
            if findings.priors is None:
                findings = replace(findings, priors=winners(chosen.values()))
            start = stop
        return [chosen[index] for index in planes]

    def _select_together(
        self,
        planes: Sequence[int],
        signals: torch.Tensor,
        white: Sequence[Posterior],
        findings: StackFindings,
    ) -> Generator[Event, None, list[SelectedPosterior]]:
        """Select the priors of planes whose Krylov spaces fit into memory together."""
        candidates = [{WHITE_PRIOR: one} for one in white]
        if self._learned is not None:
            trials = self._try_learned(planes, signals, candidates, self._learned)
        else:
            trials = self._try_all(planes, signals, candidates, findings)
        solvers = yield from portion(trials, 0.0, 0.6)
        fits, close = self._discrepancy_fits, [close_to_best(one) for one in candidates]
        work = fits.keep(signals, close, solvers, candidates, self._of(planes))
        solvers = yield from portion(work, 0.6, 0.8)
        # Planes that follow are of the same host, however many are solved together.
        self._solvers = {name: fits.latest(one) for name, one in self._solvers.items()}
        best = [close_to_best(one)[0] for one in candidates]
        samples: dict[int, PosteriorSample] = {}
        # Priors of a network belong to one plane, all others to all.
        shared = {id(own[name]): own[name] for own, name in zip(solvers, best, strict=True)}
        for number, solver in enumerate(shared.values()):
            rows = [row for row, name in enumerate(best) if solvers[row][name] is solver]
            message = f"Estimating its standard deviation{self._of([planes[row] for row in rows])}"
            drawing = solver.sample([candidates[row][best[row]] for row in rows], message)
            part = tuple(0.8 + 0.2 * (number + more) / len(shared) for more in (0, 1))
            drawn = yield from portion(drawing, *part)
            samples |= dict(zip(rows, drawn, strict=True))
        return [
            SelectedPosterior(
                name,
                one[name],
                samples[row].deviations,
                samples[row].std,
                one,
                findings.sizes,
                self._noise,
            )
            for row, (name, one) in enumerate(zip(best, candidates, strict=True))
        ]

    def _try_all(
        self,
        planes: Sequence[int],
        signals: torch.Tensor,
        candidates: list[dict[str, Posterior]],
        findings: StackFindings,
    ) -> Generator[Event, None, list[dict[str, PosteriorSolver]]]:
        """Add the posteriors of planes under priors from narrow to broad, as far as they matter."""
        problem, library = self._problem, self._library
        solvers: list[dict[str, PosteriorSolver]] = [self._solvers] * len(planes)
        by_library = problem.parameters.prior == "library"
        narrow = [narrow_prior(problem, library, findings.families.get(one, "")) for one in planes]
        by_name = dict(narrow)
        # A library without families was not compared.
        fits = [findings.fit.get(one, 1.0) > FITS for one in planes]

        def try_narrow(wanted: Sequence[bool]) -> Generator[Event, None, None]:
            """Try the narrow priors of some rows."""
            for number, (name, make_root) in enumerate(by_name.items()):
                rows = [row for row, (own, _) in enumerate(narrow) if own == name and wanted[row]]
                part = tuple((number + more) / len(by_name) for more in (0, 1))
                work = self._try(name, make_root, planes, rows, signals, candidates, findings)
                yield from portion(work, *part)

        if not by_library:
            yield from try_narrow([True] * len(planes))
            return [self._solvers] * len(planes)
        yield from portion(try_narrow(fits), 0.0, 0.2)
        open_rows = [row for row, one in enumerate(candidates) if not is_enough(one)]
        waves = self._try_waves(planes, open_rows, signals, candidates, findings)
        solvers = yield from portion(waves, 0.2, 0.5)
        alone = [len(one) == 1 for one in candidates]
        yield from portion(try_narrow(alone), 0.5, 0.7)
        rows = [
            row
            for row, (one, (name, _)) in enumerate(zip(candidates, narrow, strict=True))
            if fits[row] and not is_enough(one) and wants_broad(one, name)
        ]

        def broad() -> CovarianceRoot:
            return broad_prior(problem, library)

        work = self._try(BROAD_PRIOR, broad, planes, rows, signals, candidates, findings)
        yield from portion(work, 0.7, 1.0)
        return [self._solvers | one for one in solvers]

    def _try_waves(
        self,
        planes: Sequence[int],
        rows: Sequence[int],
        signals: torch.Tensor,
        candidates: list[dict[str, Posterior]],
        findings: StackFindings,
    ) -> Generator[Event, None, list[dict[str, PosteriorSolver]]]:
        """Add the posteriors of rows that show something under waves as in their own maps."""
        problem = self._problem
        solvers: list[dict[str, PosteriorSolver]] = [{} for _ in planes]
        names = MAP_PRIORS if findings.priors is None else MAP_PRIORS & findings.priors
        # What is fitted must be paid for.
        fitted = fitted_numbers(problem.parameters.kernel_shape, len(problem.model.kinds))
        rows = [row for row in rows if names and possible_gain(candidates[row]) > 2 * fitted]
        white = [candidates[row][WHITE_PRIOR] for row in rows]
        if not rows:
            return solvers
        samples = yield from portion(self._solvers[WHITE_PRIOR].sample(white), 0.0, 0.2)
        for number, (row, sample) in enumerate(zip(rows, samples, strict=True)):
            found = map_waves(candidates[row][WHITE_PRIOR], sample, problem.coverage, names)
            for index, (name, waves) in enumerate(found.items()):
                solver = PosteriorSolver(problem, waves.root, self._prior_operators)
                message, near = self._solving(name, [planes[row]]), [most_likely(candidates[row])]
                work = solver.solve(signals[row, None], message, near=near)
                done = (number + (index + np.arange(2)) / len(found)) / len(rows)
                (posterior,) = yield from portion(work, *(0.2 + 0.8 * done).tolist())
                # Each number that was fitted to the map gains one by chance, and costs one more.
                candidates[row][name] = replace(posterior, cost=posterior.cost + 2 * waves.fitted)
                solvers[row][name] = solver
        return solvers

    def _try(
        self,
        name: str,
        make_root: Callable[[], CovarianceRoot],
        planes: Sequence[int],
        rows: Sequence[int],
        signals: torch.Tensor,
        candidates: list[dict[str, Posterior]],
        findings: StackFindings,
    ) -> Generator[Event, None, None]:
        """Add the posteriors of some rows of the planes under one prior."""
        if findings.priors is not None and name not in findings.priors:
            rows = []
        if not rows:
            return
        if name not in self._solvers:
            self._solvers[name] = PosteriorSolver(
                self._problem, make_root(), self._prior_operators, sizes=findings.sizes
            )
        message = self._solving(name, [planes[row] for row in rows])
        some = signals if len(rows) == len(signals) else signals[list(rows)]
        best = [most_likely(candidates[row]) for row in rows]
        work = self._solvers[name].solve(some, message, near=best, candidates=best)
        for row, posterior in zip(rows, (yield from work), strict=True):
            candidates[row][name] = posterior

    def _try_learned(
        self,
        planes: Sequence[int],
        signals: torch.Tensor,
        candidates: list[dict[str, Posterior]],
        learned: LearnedPriors,
    ) -> Generator[Event, None, list[dict[str, PosteriorSolver]]]:
        """Add the posteriors of planes under the network's priors, each plane's own."""
        solvers = []
        for row, index in enumerate(planes):
            start, stop = row / len(planes), (row + 1) / len(planes)
            message = f"Fitting the network's kernel{self._of([index])}"
            white = candidates[row][WHITE_PRIOR]
            work = learned.fit(signals[row], white.kernels, self._operators, message)
            priors = yield from portion(work, start, start + 0.6 * (stop - start))
            own = dict(self._solvers)
            for name, prior in priors.items():
                own[name] = PosteriorSolver(
                    self._problem, prior.root, self._operators, mean=prior.mean
                )
                message = self._solving(name, [index])
                solving = own[name].solve(signals[row, None], message, near=[white])
                (candidates[row][name],) = yield from portion(solving, stop, stop)
            solvers.append(own)
        return solvers

    def _batches(
        self, planes: Sequence[int], start: float = 0.0, stop: float = 1.0
    ) -> list[tuple[list[int], float, float]]:
        """Divide planes into batches that memory holds, with their shares of the progress."""
        problem = self._problem
        numbers = 2 * len(problem.model.kinds) * int(np.prod(problem.parameters.kernel_shape))
        itemsize = 4 if problem.dtype == torch.float32 else 8
        each = numbers * itemsize * min(problem.parameters.max_iterations, numbers)
        more = problem.memory_share * (1 if problem.device.type == "cpu" else 16)
        count = max(1, int(more * min(_KRYLOV_BYTES / each, _MAX_PLANES)))
        step = (stop - start) / max(len(planes), 1)
        return [
            (
                list(planes[first : first + count]),
                start + step * first,
                start + step * min(first + count, len(planes)),
            )
            for first in range(0, len(planes), count)
        ]

    def _solving(self, name: str, planes: Sequence[int]) -> str:
        """Word the message of a solution."""
        return f"Solving for the kernel{self._of(planes)}, prior: {name}"

    def _of(self, planes: Sequence[int]) -> str:
        """Name planes in messages, where there are several."""
        count = self._problem.plane_count
        if count == 1:
            return ""
        first, last = min(planes) + 1, max(planes) + 1
        return f" of bias {first}{f'-{last}' if last > first else ''} of {count}"


def _stack(planes: Sequence[int], signal: Signal) -> torch.Tensor:
    """Load planes, (plane, rows, columns)."""
    return torch.stack([signal(index) for index in planes])
