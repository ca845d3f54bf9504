"""`PriorSelection`: candidate priors of a plane compared by their evidence."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from qpi_kernels.extraction.bayes.convolution_normal import normal_operators
from qpi_kernels.extraction.bayes.covariance_roots import CovarianceRoot, WhiteRoot
from qpi_kernels.extraction.bayes.family_selection import (
    FamilySelection,
    likely_families,
    prepare_families,
)
from qpi_kernels.extraction.bayes.map_waves import MAP_WAVES, fitted_numbers, map_waves
from qpi_kernels.extraction.bayes.noise_model import NoiseModel
from qpi_kernels.extraction.bayes.parameters import PriorParameters
from qpi_kernels.extraction.bayes.posterior import (
    Posterior,
    PosteriorSample,
    kind_sizes,
    smoothed,
)
from qpi_kernels.extraction.bayes.posterior_solver import PosteriorSolver
from qpi_kernels.extraction.bayes.priors import (
    BROAD_PRIOR,
    WHITE_PRIOR,
    broad_prior,
    narrow_prior,
)
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.models.kernel_prior import KernelPrior
from qpi_kernels.progress import Event, portion

if TYPE_CHECKING:
    # Its networks take seconds to import, and most extractions do without.
    from qpi_kernels.extraction.bayes.learned.priors import LearnedPriors

__all__ = ["PriorSelection", "SelectedPosterior", "Signal", "StackFindings"]

Signal = Callable[[int], torch.Tensor]

# Priors for other kernels are tried unless the narrow one leads them by so much log-evidence.
_CLEAR_GAP = 5.0
# Gain over least squares, as a share of the largest possible: of a family's strongest components if
# it is to be tried first, or not at all; and of a prior beside which no other is tried.
_FITS, _DOES_NOT_FIT, _ENOUGH = 0.8, -5.0, 0.9
# Log-evidence that a broad prior does not make up for what the narrow one loses to waves.
_HOPELESS = 250.0
# What a prior must gain over none, as -2 log-evidence.
_MIN_GAIN = 2.0
# Planes of a stack that try all priors; the others try those that were the best of one of these.
_REPRESENTATIVES = 4
# Memory for Krylov spaces, and planes that are solved together.
_KRYLOV_BYTES, _MAX_PLANES = 2**28, 16


@dataclass(frozen=True, eq=False)
class StackFindings:
    """Findings that the planes of a stack share.

    Parameters
    ----------
    sizes : tensor, (kind,), optional
        Relative size of the kernels of each kind, where there are several.
    families : dict of int to str
        Family of simulated kernels of each plane, by its index; without one, all families.
    fit : dict of int to float
        How well that family fits each plane: what it gains over least squares, over what the best
        prior could gain.
    priors : frozenset of str
        Names of the priors to try; all when left out.
    """

    sizes: torch.Tensor | None
    families: dict[int, str]
    fit: dict[int, float] = field(default_factory=dict)
    priors: frozenset[str] | None = None

    @classmethod
    def of(
        cls,
        planes: Sequence[int],
        white: Sequence[Posterior],
        costs: Sequence[Mapping[str, float]],
    ) -> StackFindings:
        """Take the likely families from the costs of all, see `FamilySelection.costs`."""
        families = dict(zip(planes, likely_families(costs)[0], strict=True))
        fit = {
            index: (one.cost - cost[families[index]]) / max(one.volume, 1.0)
            for index, one, cost in zip(planes, white, costs, strict=True)
        }
        return cls(kind_sizes(white), families, fit)


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
    candidates : dict of str to Posterior
        Of each prior that was tried.
    sizes : tensor, (kind,), optional
        Relative size of the kernels of each kind, where there are several.
    noise : NoiseModel, optional
        White when left out.
    """

    prior: str
    posterior: Posterior
    deviations: torch.Tensor
    std: torch.Tensor
    candidates: dict[str, Posterior]
    sizes: torch.Tensor | None = None
    noise: NoiseModel | None = None

    @property
    def log_evidence_gap(self) -> dict[str, float]:
        """Log-evidence that each prior loses to the chosen one."""
        cost = self.posterior.cost
        return {name: (one.cost - cost) / 2 for name, one in self.candidates.items()}

    @property
    def free(self) -> int:
        """Number of free kernel numbers."""
        return self.posterior.free

    def with_model_uncertainty(self, other: SelectedPosterior) -> SelectedPosterior:
        """Widen the standard deviation by the difference to the answer under another noise.

        Answers of one prior are compared: another prior may take the structure that one model
        calls noise for kernels.
        """
        same = other.candidates.get(self.prior, other.posterior)
        difference = smoothed((self.posterior.kernels - same.kernels).square())
        variance = self.std.square()
        if same is other.posterior:
            variance = torch.maximum(variance, other.std.square())
        return replace(self, std=(variance + difference).sqrt())


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
        costs = []
        for number, (index, posterior) in enumerate(zip(planes, white, strict=True), 1):
            costs.append(screen.costs(signal(index), posterior.kernels))
            share = 0.8 + 0.2 * number / len(planes)
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
        first = _representatives(planes, white) if self._learned is None else list(planes)
        chosen: dict[int, SelectedPosterior] = {}
        start = 0.0
        for group in (first, [index for index in planes if index not in first]):
            stop = start + len(group) / len(planes)
            by_index = dict(zip(planes, white, strict=True))
            for some, low, high in self._batches(group, start, stop):
                known = [by_index[index] for index in some]
                work = self._select_together(some, _stack(some, signal), known, findings)
                found = yield from portion(work, low, high)
                chosen |= dict(zip(some, found, strict=True))
            if findings.priors is None:
                findings = replace(findings, priors=_winners(chosen.values()))
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
        solvers = yield from portion(trials, 0.0, 0.8)
        best = [min(one, key=lambda name: _cost(name, one[name])) for one in candidates]
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
        fit = [findings.fit.get(one, 0.0) for one in planes]

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
        first = [one > _FITS for one in fit]
        yield from portion(try_narrow(first), 0.0, 0.2)
        open_rows = [row for row, one in enumerate(candidates) if not _is_enough(one)]
        waves = self._try_waves(planes, open_rows, signals, candidates, findings)
        solvers = yield from portion(waves, 0.2, 0.5)
        second = [_DOES_NOT_FIT < one <= _FITS for one in fit]
        yield from portion(try_narrow(second), 0.5, 0.7)
        rows = [
            row
            for row, (one, (name, _)) in enumerate(zip(candidates, narrow, strict=True))
            if fit[row] > _DOES_NOT_FIT and not _is_enough(one) and _wants_broad(one, name)
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
        if findings.priors is not None and MAP_WAVES not in findings.priors:
            return solvers
        fitted = fitted_numbers(problem.parameters.kernel_shape, len(problem.model.kinds))
        rows = [row for row in rows if candidates[row][WHITE_PRIOR].determined >= 1]
        white = [candidates[row][WHITE_PRIOR] for row in rows]
        samples = []
        if white:
            samples = yield from portion(self._solvers[WHITE_PRIOR].sample(white), 0.0, 0.2)
        for number, (row, sample) in enumerate(zip(rows, samples, strict=True)):
            root = map_waves(candidates[row][WHITE_PRIOR], sample, problem.coverage)
            solver = PosteriorSolver(problem, root, self._operators)
            work = solver.solve(signals[row, None], self._solving(MAP_WAVES, [planes[row]]))
            part = tuple(0.2 + 0.8 * (number + more) / len(rows) for more in (0, 1))
            (posterior,) = yield from portion(work, *part)
            # Each number that was fitted to the map gains one by chance, and costs one more.
            candidates[row][MAP_WAVES] = replace(posterior, cost=posterior.cost + 2 * fitted)
            solvers[row][MAP_WAVES] = solver
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
                self._problem, make_root(), self._operators, sizes=findings.sizes
            )
        message = self._solving(name, [planes[row] for row in rows])
        some = signals if len(rows) == len(signals) else signals[list(rows)]
        rivals = [min(candidates[row].values(), key=lambda one: one.cost) for row in rows]
        posteriors = yield from self._solvers[name].solve(some, message, rivals)
        for row, posterior in zip(rows, posteriors, strict=True):
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
                (candidates[row][name],) = yield from portion(
                    own[name].solve(signals[row, None], self._solving(name, [index])), stop, stop
                )
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
        more = 1 if problem.device.type == "cpu" else 16
        count = int(np.clip(more * _KRYLOV_BYTES // each, 1, more * _MAX_PLANES))
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


def _representatives(planes: Sequence[int], white: Sequence[Posterior]) -> list[int]:
    """Choose planes that stand for a stack: those that determine most, of each part of it."""
    parts = np.array_split(np.arange(len(planes)), min(_REPRESENTATIVES, len(planes)))
    return [planes[max(part, key=lambda row: white[row].determined)] for part in parts]


def _winners(selected: Iterable[SelectedPosterior]) -> frozenset[str]:
    """Name the priors that are the best for one of some planes, or nearly."""
    return frozenset(
        name
        for one in selected
        for name, gap in one.log_evidence_gap.items()
        if gap < 4 * _CLEAR_GAP
    )


def _is_enough(candidates: dict[str, Posterior]) -> bool:
    """Tell that a prior gains over least squares nearly all that a prior can."""
    white, *others = candidates.values()
    return any(white.cost - one.cost > _ENOUGH * white.volume for one in others)


def _wants_broad(candidates: dict[str, Posterior], narrow: str) -> bool:
    """Tell that a plane shows something, and that neither prior tried so far is clearly right."""
    costs = {name: one.cost for name, one in candidates.items()}
    if narrow not in costs:
        return True
    first = costs.pop(narrow)
    if abs(first - costs[WHITE_PRIOR]) < 2 * _CLEAR_GAP:
        return False
    # The broad prior lies between the two.
    return -2 * _HOPELESS < min(costs.values()) - first < 2 * _CLEAR_GAP


def _cost(name: str, posterior: Posterior) -> float:
    """Return -2 log evidence, with the gain that a prior must have to replace least squares."""
    return posterior.cost - (_MIN_GAIN if name == WHITE_PRIOR else 0.0)
