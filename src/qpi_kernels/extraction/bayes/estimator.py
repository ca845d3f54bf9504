"""Kernels under the prior of the largest evidence: simulated ones as far as the map allows."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from qpi_kernels.extraction.bayes.bias_transform import (
    BiasTransform,
    fits_memory,
    have_similar_noise,
    select_bias_transform,
)
from qpi_kernels.extraction.bayes.error_draws import error_draws
from qpi_kernels.extraction.bayes.noise_model import NoiseModel
from qpi_kernels.extraction.bayes.parameters import PriorParameters
from qpi_kernels.extraction.bayes.posterior import Posterior, kind_sizes
from qpi_kernels.extraction.bayes.priors.library_priors import load_prior
from qpi_kernels.extraction.bayes.quality_report import BayesAssessor
from qpi_kernels.extraction.bayes.selection.findings import SelectedPosterior, StackFindings
from qpi_kernels.extraction.bayes.selection.prior_selection import PriorSelection, Signal
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.extraction.result_builder import ResultBuilder
from qpi_kernels.models.kernel_prior import KernelPrior
from qpi_kernels.progress import Event, GeneratorStepper, portion
from qpi_kernels.result import KernelResult

if TYPE_CHECKING:
    from qpi_kernels.extraction.bayes.learned.priors import LearnedPriors

__all__ = ["BayesExtraction"]

# How often the noise's spectrum is learnt anew, and the change in its logarithm that ends it.
_MAX_ROUNDS, _SETTLED = 2, 0.15
# Noise variance, of a plane's mean square, below which evidence needs double precision.
_FAINT_NOISE = 1e-3
# Planes whose residuals give a stack's noise spectrum.
_NOISE_PLANES = 16
# Draws of all these planes together that tell what their kernels leave open, and of each at least.
_NOISE_DRAWS, _MIN_NOISE_DRAWS = 16, 2
# Libraries of the network in the order of their imports, each a second or less.
_LIBRARIES = ("sympy", "torch._dynamo", "diffusers.utils", "diffusers.models.autoencoders")


@dataclass(frozen=True, eq=False)
class _Priors:
    """Simulated kernels, and a network's for the prior ``learned``."""

    library: KernelPrior
    learned: LearnedPriors | None


@dataclass(frozen=True, eq=False)
class _Combined:
    """Planes, or combinations of them, with their kernels under the white prior."""

    problem: Problem[PriorParameters]
    signal: Signal
    transform: BiasTransform | None
    selection: PriorSelection
    white: list[Posterior]
    findings: StackFindings | None = None


class BayesExtraction(GeneratorStepper[KernelResult]):
    r"""Posterior kernels under the prior of the largest evidence, as a stepper.

    Priors are Gaussian, so each posterior is exact for white noise: for a kernel :math:`A = L x`
    with unit numbers x of variance :math:`\tau^2`, and noise of variance :math:`\sigma^2`,

    .. math:: \hat A = L (L^T H^T R H L + \sigma^2/\tau^2)^{-1} L^T H^T R\, y

    with ``H`` the `ForwardModel` and ``R`` the removal of the background. Noise, :math:`\tau`, and
    the prior itself follow from the evidence :math:`p(y)`. One candidate is always the white prior,
    the ridge of least squares: where a map contradicts all other priors, the answer is that of
    `LeastSquares`.

    Parameters
    ----------
    problem : Problem
        The checked input; its parameters name the priors.
    library : KernelPrior, optional
        Simulated kernels instead of those that the parameters name.

    Notes
    -----
    `ExtractionError` is raised while it runs if the library cannot be read, or the network that
    ``prior="learned"`` needs.
    """

    def __init__(
        self, problem: Problem[PriorParameters], library: KernelPrior | None = None
    ) -> None:
        self._problem = problem
        self._library = library

    def _run(self) -> Generator[Event, None, KernelResult]:
        """Select combinations of biases, then priors and noise by the evidence."""
        loaded = 0.3 if self._problem.parameters.prior == "learned" else 0.02
        priors = yield from portion(self._load_priors(), 0.0, loaded)
        combined = yield from portion(self._combine_biases(priors), loaded, loaded + 0.08)
        selected = yield from portion(self._select(priors, combined), loaded + 0.08, 0.9)
        return (yield from portion(self._assemble(priors, combined.transform, selected), 0.9, 1.0))

    def _load_priors(self) -> Generator[Event, None, _Priors]:
        """Read the simulated kernels, and the network if the prior is learned."""
        parameters = self._problem.parameters
        library = self._library or load_prior(parameters.library)
        yield Event("Reading simulated kernels", 1, 20)
        if parameters.prior != "learned":
            return _Priors(library, None)
        for number, name in enumerate(_LIBRARIES, 2):
            import_module(name)
            yield Event("Loading the libraries of networks", number, 20)
        from qpi_kernels.extraction.bayes.learned.priors import load_learned_priors

        work = load_learned_priors(self._problem, library)
        return _Priors(library, (yield from portion(work, 0.25, 1.0)))

    def _combine_biases(self, priors: _Priors) -> Generator[Event, None, _Combined]:
        """Solve for the white prior, and combine biases if that explains the stack better."""
        single = yield from portion(self._solve_white(priors), 0.0, 0.4)
        problem, planes = single.problem, range(single.problem.plane_count)
        # Sums of kernels are no kernels to a network.
        several = problem.plane_count > 1 and fits_memory(problem)
        if priors.learned or not (several and have_similar_noise(single.white)):
            return single
        sizes = kind_sizes(single.white)
        families = yield from portion(single.selection.prepare_families(sizes), 0.4, 0.5)
        stack = torch.stack([single.signal(index) for index in planes])
        work = select_bias_transform(stack, single.white, families)
        transform, costs = yield from portion(work, 0.5, 0.6)
        if transform is None:
            return replace(single, findings=StackFindings.of(planes, single.white, costs))
        signal = transform.forward(stack).__getitem__
        white = yield from portion(single.selection.solve_white(planes, signal), 0.6, 1.0)
        findings = StackFindings.of(planes, white, costs)
        return _Combined(problem, signal, transform, single.selection, white, findings)

    def _solve_white(self, priors: _Priors) -> Generator[Event, None, _Combined]:
        """Solve all planes under the white prior, in the precision that their noise needs."""
        problem, precisions = self._problem, [torch.float32, torch.float64]
        # The network's kernels are in the problem's precision.
        if problem.parameters.dtype != "auto" or problem.device.type == "mps" or priors.learned:
            precisions = [problem.dtype]
        for number, precision in enumerate(precisions):
            single = problem.in_precision(precision)
            # Planes are asked for several times; a stack beyond memory is loaded anew.
            signal = lru_cache(maxsize=None if fits_memory(single) else 1)(single.signal)
            selection = PriorSelection(single, priors.library, priors.learned)
            work = selection.solve_white(range(single.plane_count), signal)
            part = (number / len(precisions), (number + 1) / len(precisions))
            white = yield from portion(work, *part)
            noise = [one.noise_variance for one in white if one.determined >= 1]
            if min(noise, default=1.0) > _FAINT_NOISE:
                break
        return _Combined(single, signal, None, selection, white)

    def _select(
        self, priors: _Priors, combined: _Combined
    ) -> Generator[Event, None, list[SelectedPosterior]]:
        """Select the priors of planes, then again with the spectrum of their residuals as noise.

        White noise may be right after all: its answer counts in the standard deviation.
        """
        problem, signal = combined.problem, combined.signal
        planes, selection = range(problem.plane_count), combined.selection
        findings = combined.findings
        if findings is None:
            comparison = selection.compare_planes(planes, signal, combined.white)
            findings = yield from portion(comparison, 0.0, 0.1)
        work = selection.select(planes, signal, combined.white, findings)
        white_noise = yield from portion(work, 0.1, 0.5)
        selected, noise = white_noise, None
        choice = problem.parameters.noise
        if choice == "white":
            return selected
        any_colour = choice == "coloured" or problem.noise_covariance is not None
        for number in range(_MAX_ROUNDS):
            estimate = _residual_noise(problem, signal, selected)
            settled = noise is not None and estimate.difference(noise) < _SETTLED
            if settled or not (estimate.coloured or any_colour):
                break
            noise = estimate
            selection = PriorSelection(problem, priors.library, priors.learned, noise)
            work = _select_under(selection, planes, signal)
            start, stop = (0.5 + 0.25 * (number + more) for more in (0, 1))
            selected = yield from portion(work, start, stop)
        # The colour of interpolated noise is known, not learnt from a residual of other structure.
        if noise is None or not noise.coloured:
            return selected
        return [
            one.with_model_uncertainty(other)
            for one, other in zip(selected, white_noise, strict=True)
        ]

    def _assemble(
        self,
        priors: _Priors,
        transform: BiasTransform | None,
        selected: list[SelectedPosterior],
    ) -> Generator[Event, None, KernelResult]:
        """Take combinations apart to planes and put everything together."""
        kernels = torch.stack([one.posterior.kernels for one in selected])
        kernels = kernels.to(self._problem.dtype)
        variances = torch.stack([one.std.square() for one in selected]).to(kernels)
        ridge = np.array([one.posterior.ridge for one in selected])
        freedom = np.array([one.posterior.determined for one in selected])
        if transform is not None:
            kernels = transform.inverse(kernels)
            variances = transform.inverse_variance(variances)
            # Combinations in which nothing shows have a ridge beyond all bounds, and no weight.
            ridge = transform.inverse_mean(ridge * freedom)
            freedom = transform.inverse_mean(freedom)
            ridge /= np.maximum(freedom, 1e-300)
        draws = error_draws([one.deviations for one in selected], transform, variances)
        provenance = _provenance(priors, transform, selected)
        builder = ResultBuilder(self._problem, provenance=provenance)
        for index, one in enumerate(selected):
            builder.add(
                index,
                self._problem.planes(index, index + 1),
                kernels[index, None],
                std=variances[index, None].sqrt(),
                draws=draws[index, None],
                ridge=ridge[index, None],
                freedom=freedom[index, None],
                solution_size=one.posterior.free,
                condition=one.posterior.condition,
                iterations=one.posterior.iterations,
                converged=one.posterior.converged,
            )
            yield Event("Working out the residual", index + 1, len(selected))
        # Combinations in which nothing shows say nothing of the prior.
        shown = [
            index
            for index, one in enumerate(selected)
            if transform is None or one.posterior.determined >= 1
        ]
        return builder.result(
            BayesAssessor(
                [selected[index] for index in shown], [float(freedom[index]) for index in shown]
            )
        )


def _residual_noise(
    problem: Problem, signal: Signal, selected: Sequence[SelectedPosterior]
) -> NoiseModel:
    """Estimate the noise spectrum of planes from their residuals.

    The spectrum is the mean over kernels as likely as the found ones: the step of expectation
    maximisation (Dempster, Laird and Rubin 1977) for the noise. Planes of a stack share it; one
    with a fault of its own does not count, as the median is taken.
    """
    step = -(-len(selected) // _NOISE_PLANES)
    indices = range(0, len(selected), step)
    draws = max(_MIN_NOISE_DRAWS, _NOISE_DRAWS // len(indices))
    powers = []
    for index in indices:
        one = selected[index]
        shown = problem.background.remove(problem.model.apply(one.posterior.kernels))
        uncertain = problem.background.remove(problem.model.apply(one.deviations[:draws]))
        power = torch.fft.rfft2(signal(index) - shown).abs().square()
        power += torch.fft.rfft2(uncertain).abs().square().mean(dim=0)
        # A plane in which all is zero says nothing.
        if bool(power.any()):
            powers.append(power / power.mean())
    measured = torch.stack(powers or [torch.ones_like(power)])
    # The mean of a few, the median of many.
    power = measured.mean(dim=0) if len(powers) < 3 else measured.median(dim=0).values
    return NoiseModel(
        _whole_spectrum(power.cpu().double().numpy(), problem.image_shape),
        problem.parameters.kernel_shape,
        problem.known_noise_power,
        problem.mask_tensor.cpu().numpy(),
    )


def _whole_spectrum(half: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Complete the power of a real map, which is that of the opposite wave vector."""
    rows, columns = shape
    opposite = half[-np.arange(rows) % rows][:, columns - np.arange(half.shape[1], columns)]
    return np.concatenate([half, opposite], axis=1)


def _select_under(
    selection: PriorSelection, planes: Sequence[int], signal: Signal
) -> Generator[Event, None, list[SelectedPosterior]]:
    """Select the priors of planes under another noise."""
    white = yield from portion(selection.solve_white(planes, signal), 0.0, 0.3)
    # Families that do not fit under one noise may under another.
    findings = yield from portion(selection.compare_planes(planes, signal, white), 0.3, 0.4)
    return (yield from portion(selection.select(planes, signal, white, findings), 0.4, 1.0))


def _provenance(
    priors: _Priors, transform: BiasTransform | None, selected: list[SelectedPosterior]
) -> dict[str, Any]:
    """Record priors, noise and combinations, JSON-compatible."""
    provenance: dict[str, Any] = {
        "priors": [_describe(one) for one in selected],
        "library": priors.library.description,
    }
    if priors.learned is not None:
        provenance["model"] = priors.learned.provenance
    if transform is not None:
        provenance["biases"] = transform.name
    return provenance


def _describe(selected: SelectedPosterior) -> dict[str, Any]:
    """Record the prior of a plane and by how much log-evidence it leads, JSON-compatible."""
    gap = {name: round(value) for name, value in selected.log_evidence_gap.items()}
    record: dict[str, Any] = {"prior": selected.prior, "log_evidence_gap": gap}
    if selected.sizes is not None:
        record["kind_sizes"] = [round(float(size), 4) for size in selected.sizes]
    if selected.noise is not None:
        record["noise"] = {"strongest_over_faintest": float(f"{selected.noise.range:.3g}")}
    return record
