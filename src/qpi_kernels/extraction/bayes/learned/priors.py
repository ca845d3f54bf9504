"""`LearnedPriors`: kernels of a trained decoder near those of a plane, as Gaussian priors."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import torch

from qpi_kernels.extraction.bayes.learned.amount_fit import AmountFit
from qpi_kernels.extraction.bayes.learned.decoder import KernelDecoder, prepare_decoder
from qpi_kernels.extraction.bayes.learned.latent_map_estimate import (
    LatentEstimate,
    maximise_posterior,
)
from qpi_kernels.extraction.bayes.learned.simulated_latents import ENCODED_FAMILIES
from qpi_kernels.extraction.bayes.parameters import PriorParameters
from qpi_kernels.extraction.bayes.priors.covariance_roots import (
    ComponentRoot,
    CovarianceRoot,
    KindRoot,
    SumRoot,
    WaveRoot,
)
from qpi_kernels.extraction.bayes.priors.library_priors import level_prior, smooth_waves
from qpi_kernels.extraction.normal_operator import NormalOperators
from qpi_kernels.extraction.parameters import ExtractionError
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.extraction.symmetrisation import Symmetrisation
from qpi_kernels.models import KernelModel, ModelFormatError, load_model
from qpi_kernels.models.kernel_prior import KernelPrior
from qpi_kernels.progress import Event, portion

__all__ = ["LEARNED", "LearnedPrior", "LearnedPriors", "learned_model", "load_learned_priors"]

# Names, and the amplitude of what the decoder can not make, over that of what it makes. The bundled
# one makes unseen kernels of its families with an error of 8 to 34 % (median 17 %, measured).
LEARNED = {"learned kernels": 0.15, "learned kernels and smooth waves": 0.5}
# The residual of a kind is not weaker than another's by more than this.
_MIN_RELATIVE_SIZE = 0.03


@dataclass(frozen=True, eq=False)
class LearnedPrior:
    """A Gaussian: its mean (kind, h, w), in the plane's scaled units, and its square root."""

    mean: torch.Tensor
    root: CovarianceRoot


@dataclass(frozen=True, eq=False)
class LearnedPriors:
    r"""A decoder's kernels about the most likely ones, plus smooth waves and a level.

    A kernel is :math:`A = a D(u) + r`: an amount of the shape of unit numbers u, which have the
    unit Gaussian as their prior, and a smooth residual with a level that a background may hide.
    About the most likely :math:`a_*, u_*` it is linear,

    .. math:: A \approx -a_* J u_* + a_* J u + a D(u_*) + r, \quad
              J = \frac{\partial D}{\partial u}(u_*)

    so its prior is Gaussian: mean :math:`-a_* J u_*`, which is where u = 0 and a = 0, and square
    root :math:`(a_* J, a_* D(u_*), w\,|a_* D|\, L_r, |a_* D|\, L_0)`. The evidence of this linear
    model is Laplace's approximation to that of the decoder (MacKay 2003, chapter 27): the distance
    of :math:`u_*` from the middle of the prior is paid for, and so is each direction that the map
    fixes. It may be compared with the evidence of any other prior.

    Made by `load_learned_priors`.

    Parameters
    ----------
    decoder : KernelDecoder
        D.
    smooth : WaveRoot
        :math:`L_r`.
    level : ComponentRoot
        :math:`L_0`, a kernel's level and slopes; see `level_prior`.
    symmetrisation : Symmetrisation
        Imposed on all kernels.
    samples : int
        Independent numbers of a plane.
    provenance : dict
        The model, JSON-compatible.
    """

    decoder: KernelDecoder
    smooth: WaveRoot
    level: ComponentRoot
    symmetrisation: Symmetrisation
    samples: int
    provenance: dict[str, Any]

    def fit(
        self,
        signal: torch.Tensor,
        kernels: torch.Tensor,
        operators: NormalOperators,
        message: str,
    ) -> Generator[Event, None, dict[str, LearnedPrior]]:
        """Find the priors for a plane, by name; none where it shows nothing.

        Parameters
        ----------
        signal : tensor, (rows, columns)
            The plane without background.
        kernels : tensor, (kind, h, w)
            Of least squares: one of the starts. The other is the observation's encoding, if there
            is one kind.
        operators : NormalOperators
            For the noise.
        message : str
            What events say.
        """
        if not signal.any():
            return {}
        starts = [self.decoder.numbers_of_kernels(kernels)]
        if len(kernels) == 1:
            starts.append(self.decoder.numbers_of_plane(signal))
        fit = AmountFit(signal, operators, self.symmetrisation)
        work = maximise_posterior(self.decoder, fit, kernels, starts, max(self.samples, 1), message)
        estimate = yield from portion(work, 0.0, 0.8)
        if not float(estimate.kernels.square().sum()) > 0:
            return {}
        return (yield from portion(self._linearise(estimate, message), 0.8, 1.0))

    def _linearise(
        self, estimate: LatentEstimate, message: str
    ) -> Generator[Event, None, dict[str, LearnedPrior]]:
        """Make the Gaussians of the decoder's kernels about the most likely ones."""
        best = estimate.kernels
        sizes = best.square().sum(dim=(-2, -1)).sqrt()
        sizes = sizes.clamp(min=_MIN_RELATIVE_SIZE * float(sizes.max()))
        means, known = [], []
        total, done = len(best) * self.decoder.size, 0
        for numbers, amount, kernel in zip(estimate.numbers, estimate.amounts, best, strict=True):
            tangents = []
            for some in self.decoder.tangents(numbers):
                tangents.append(amount * some)
                done += len(some)
                yield Event(message, done, total)
            columns = torch.cat(tangents)
            means.append(-torch.einsum("m,myx->yx", numbers, columns))
            known.append(ComponentRoot(torch.cat([columns, kernel[None]])))
        priors = {}
        for name, strength in LEARNED.items():
            kinds = [
                SumRoot(
                    [
                        (1.0, made),
                        (strength * float(size), self.smooth),
                        (float(size), self.level),
                    ]
                )
                for made, size in zip(known, sizes, strict=True)
            ]
            priors[name] = LearnedPrior(torch.stack(means), KindRoot(kinds))
        return priors


def load_learned_priors(
    problem: Problem[PriorParameters], library: KernelPrior
) -> Generator[Event, None, LearnedPriors]:
    """Load the network of ``prior="learned"`` and learn the latents of simulated kernels.

    Parameters
    ----------
    problem : Problem
        The checked input; its parameters name the model.
    library : KernelPrior
        Its families are those that the decoder is used for, its envelope and spectrum those of the
        residual.

    Raises
    ------
    ExtractionError
        If the model can not be used.
    """
    model = learned_model(problem.parameters.model, problem.device)
    named = library.description.get("families", ())
    families = [name for name in named if name in ENCODED_FAMILIES]
    decoder = yield from prepare_decoder(problem, model, families or None)
    provenance = {
        "source": problem.parameters.model,
        "sha256": model.digest,
        "grid": list(model.grid),
        "scale_px": decoder.grid.scale,
    }
    return LearnedPriors(
        decoder,
        smooth_waves(problem, library),
        level_prior(problem, library),
        problem.symmetrisation,
        problem.samples,
        provenance,
    )


def learned_model(name: str, device: torch.device | str) -> KernelModel:
    """Load the model of a folder or hub id for ``prior="learned"``.

    Raises
    ------
    ExtractionError
        If there is none, or it is of another sort.
    """
    try:
        model = load_model(name, method="two_step", device=device)
    except ModelFormatError as error:
        raise ExtractionError(f"prior='learned' needs a two_step model: {error}") from error
    if model.representation.kind != "asinh":
        raise ExtractionError(
            f"prior='learned' needs a model that keeps the zero of kernels, and {name} "
            "was trained on min-max kernels: take model='bundled', or train one with the "
            "representation asinh"
        )
    return model
