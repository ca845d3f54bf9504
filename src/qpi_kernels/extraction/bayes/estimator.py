"""Data-consistent kernels: what simulated kernels suggest, as far as the map does not say more."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from qpi_kernels.extraction.bayes.bias_transform import BiasTransform, BiasTransformSelection
from qpi_kernels.extraction.bayes.learned.priors import LearnedPriors
from qpi_kernels.extraction.bayes.model_selection import PriorSelection, SelectedPosterior
from qpi_kernels.extraction.bayes.noise_model import NoiseModel
from qpi_kernels.extraction.bayes.parameters import PriorParameters
from qpi_kernels.extraction.bayes.priors import load_prior
from qpi_kernels.extraction.bayes.progress_estimate import ProgressEstimator
from qpi_kernels.extraction.bayes.quality_report import BayesAssessor
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.extraction.result_builder import ResultBuilder
from qpi_kernels.models.kernel_prior import KernelPrior
from qpi_kernels.progress import Event
from qpi_kernels.result import KernelResult

__all__ = ["BayesExtraction"]

_STEPS = {"probe": 40, "solve": 60, "draw": 80, "screen": 40, "encode": 64, "decode": 60}
# How often the noise's spectrum is learnt anew, and the change in its logarithm that ends it.
_MAX_ROUNDS, _SETTLED = 2, 0.15


class BayesExtraction:
    r"""Posterior kernels under the prior of the largest evidence, as a stepper.

    Priors are Gaussian, so each posterior is exact for white noise: for a kernel :math:`A = L x`
    with unit numbers x of variance :math:`\tau^2`, and noise of variance :math:`\sigma^2`,

    .. math:: \hat A = L (L^T H^T R H L + \sigma^2/\tau^2)^{-1} L^T H^T R\, y

    with ``H`` the `ForwardModel` and ``R`` what removes the background. Noise, :math:`\tau`, and
    which prior it is follow from the evidence :math:`p(y)`. One candidate is always the ridge of
    least squares, which knows nothing: where a map contradicts all other priors, the answer is
    that of `LeastSquares`.

    Parameters
    ----------
    problem : Problem
        The checked input; its parameters tell the priors.
    library : KernelPrior, optional
        Simulated kernels instead of those that the parameters name.

    Raises
    ------
    ExtractionError
        If the library cannot be read, or the network that ``prior="learned"`` needs.
    """

    def __init__(
        self, problem: Problem[PriorParameters], library: KernelPrior | None = None
    ) -> None:
        self._problem = problem
        self._library = library or load_prior(problem.parameters.library)
        learned = problem.parameters.prior == "learned"
        self._learned = LearnedPriors(problem, self._library) if learned else None
        self._told: list[dict[str, object]] = []
        self._phases = ProgressEstimator(_STEPS, {})
        self._judge = BayesAssessor()
        self._builder = ResultBuilder(problem, judge=self._judge, provenance=self._provenance())
        self._rotation: BiasTransform | None = None
        self._combined: torch.Tensor | None = None
        self._latest: SelectedPosterior
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
        told: dict[str, object] = {"priors": self._told, "library": self._library.description}
        return told if self._learned is None else told | {"model": self._learned.provenance}

    def _all_planes(self) -> Iterator[Event]:
        problem = self._problem
        planes = range(problem.plane_count)
        # Sums of kernels are no kernels to a network.
        if self._learned is None and BiasTransformSelection.worthwhile(problem):
            yield from self._rotate(planes)
        self._phases.plan(_planned(len(planes)))
        rivals = self._rivals(None)
        yield from rivals.prepare(planes)
        found: list[SelectedPosterior] = []
        for index in planes:
            yield from rivals.solve(index)
            yield from self._learn_noise(index, rivals)
            found.append(self._latest)
        self._add(found)
        self._result = self._builder.result()
        yield self._phases.end("Done")

    def _rotate(self, planes: range) -> Iterator[Event]:
        """Combine biases, if that explains the stack better than each on its own."""
        left = torch.stack([self._left(index) for index in planes])
        choice = BiasTransformSelection(self._problem, self._library, self._phases)
        yield from choice.run(left)
        self._rotation = choice.chosen
        if self._rotation is not None:
            self._combined = self._rotation.combine(left)

    def _rivals(self, noise: NoiseModel | None) -> PriorSelection:
        return PriorSelection(
            self._problem, self._library, self._left, self._phases, noise, self._learned
        )

    def _learn_noise(self, index: int, white: PriorSelection) -> Iterator[Event]:
        """Where the rest of a plane is not white, solve again with the spectrum that it has."""
        noise: NoiseModel | None = None
        chosen, stack = white.chosen, white if self._problem.plane_count > 1 else None
        for _ in range(_MAX_ROUNDS):
            found = self._noise_left(index, chosen)
            if not found.coloured or (noise is not None and found.difference(noise) < _SETTLED):
                break
            noise = found
            self._phases.plan(_planned(1))
            rivals = self._rivals(noise)
            yield from rivals.prepare([index], stack)
            yield from rivals.solve(index)
            chosen = rivals.chosen
        # Which is right nobody knows: what white noise would make of the map counts as doubt.
        self._latest = chosen if noise is None else chosen.with_model_uncertainty(white.chosen)

    def _noise_left(self, index: int, chosen: SelectedPosterior) -> NoiseModel:
        """The spectrum of what the kernels leave of a plane.

        Less what they wrongly explain, so of what kernels as likely as these would leave: the
        step of expectation maximisation (Dempster, Laird and Rubin 1977) for the noise.
        """
        problem = self._problem
        shown = problem.background.remove(problem.model.apply(chosen.posterior.kernels))
        doubt = problem.background.remove(problem.model.apply(chosen.deviations))
        power = torch.fft.fft2(self._left(index) - shown).abs().square()
        power += torch.fft.fft2(doubt).abs().square().mean(dim=0)
        return NoiseModel(power.cpu().double().numpy(), problem.parameters.kernel_shape)

    def _left(self, index: int) -> torch.Tensor:
        """A plane, or a combination of planes, without background."""
        if self._combined is not None:
            return self._combined[index]
        planes = self._problem.planes(index, index + 1)
        return self._problem.background.remove(planes.values)[0]

    def _add(self, found: list[SelectedPosterior]) -> None:
        kernels = torch.stack([one.posterior.kernels for one in found])
        variances = torch.stack([one.std.square() for one in found])
        ridge = np.array([one.posterior.ridge for one in found])
        freedom = np.array([one.posterior.determined for one in found])
        if self._rotation is not None:
            kernels = self._rotation.part(kernels)
            variances = self._rotation.part_variance(variances)
            # Of combinations in which nothing shows the ridge is beyond all bounds, and no matter.
            ridge = self._rotation.part_mean(ridge * freedom)
            freedom = self._rotation.part_mean(freedom)
            ridge /= np.maximum(freedom, 1e-300)
            self._builder.note("biases", self._rotation.name)
        for index, one in enumerate(found):
            chosen = one.posterior
            self._told.append(_told(one))
            if self._rotation is None or chosen.determined >= 1:
                self._judge.take(one, freedom[index])
            self._builder.add(
                index,
                self._problem.planes(index, index + 1),
                kernels[index, None],
                std=variances[index, None].sqrt(),
                ridge=ridge[index, None],
                freedom=freedom[index, None],
                solution_size=one.free,
                condition=chosen.condition,
                iterations=chosen.iterations,
                converged=chosen.converged,
            )


def _told(one: SelectedPosterior) -> dict[str, object]:
    lost = {name: round(value) for name, value in one.log_evidence_gap.items()}
    told: dict[str, object] = {"prior": one.prior, "log_evidence_gap": lost}
    if one.sizes is not None:
        told["kind_sizes"] = [round(float(size), 4) for size in one.sizes]
    if one.noise is not None:
        told["noise"] = {"strongest_over_faintest": float(f"{one.noise.range:.3g}")}
    return told


def _planned(planes: int) -> dict[str, int]:
    return {"probe": 3, "solve": 3 * planes, "draw": planes, "screen": 1}
