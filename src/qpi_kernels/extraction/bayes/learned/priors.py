"""`LearnedPriors`: what a trained decoder makes of a plane, as Gaussian priors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from qpi_kernels.extraction.bayes.covariance_roots import (
    ComponentRoot,
    CovarianceRoot,
    KindRoot,
    SumRoot,
)
from qpi_kernels.extraction.bayes.learned.decoder import KernelDecoder
from qpi_kernels.extraction.bayes.learned.latent_map_estimate import LatentMapEstimate
from qpi_kernels.extraction.bayes.learned.quadratic_misfit import QuadraticMisfit
from qpi_kernels.extraction.bayes.noise_model import NoiseModel
from qpi_kernels.extraction.bayes.normal_operator import NormalOperator
from qpi_kernels.extraction.bayes.parameters import PriorParameters
from qpi_kernels.extraction.bayes.priors import smooth_waves
from qpi_kernels.extraction.parameters import ExtractionError
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.models import KernelModel, ModelFormatError, load_model
from qpi_kernels.models.kernel_prior import KernelPrior
from qpi_kernels.simulate.families import FAMILIES

__all__ = ["LEARNED", "LearnedPrior", "LearnedPriors", "learned_model"]

# Names, and the amplitude of what the decoder can not make, over that of what it makes. The bundled
# one makes unseen kernels of its families with an error of 8 to 34 % (median 17 %, measured).
LEARNED = {"learned kernels": 0.15, "learned kernels and smooth waves": 0.5}
# The residual of a kind is not weaker than another's by more than this.
_SMALLEST = 0.03


@dataclass(frozen=True, eq=False)
class LearnedPrior:
    """A Gaussian: its mean (kind, h, w), in the plane's scaled units, and its square root."""

    mean: torch.Tensor
    factor: CovarianceRoot


class LearnedPriors:
    r"""A decoder's kernels about the most likely ones, plus smooth waves.

    A kernel is :math:`A = a D(u) + r`: an amount of the shape of unit numbers u, which have the
    unit Gaussian as their prior, and a smooth residual. About the most likely
    :math:`a_*, u_*` it is linear,

    .. math:: A \approx -a_* J u_* + a_* J u + a D(u_*) + r, \quad
              J = \frac{\partial D}{\partial u}(u_*)

    so its prior is Gaussian: mean :math:`-a_* J u_*`, which is where u = 0 and a = 0, and square
    root :math:`(a_* J, a_* D(u_*), w\,|a_* D|\, L_r)`. The evidence of this linear model is
    Laplace's approximation to that of the decoder (MacKay 2003, chapter 27): the distance of
    :math:`u_*` from the middle of the prior is paid for, and so is each direction that the map
    fixes. It may be compared with the evidence of any other prior.

    Parameters
    ----------
    problem : Problem
        The checked input; its parameters tell the model.
    library : KernelPrior
        Its families are those that the decoder is used for, its envelope and spectrum those of the
        residual.

    Raises
    ------
    ExtractionError
        If the model can not be used.
    """

    def __init__(self, problem: Problem[PriorParameters], library: KernelPrior) -> None:
        parameters = problem.parameters
        model = learned_model(parameters.model, problem.device)
        self._problem = problem
        self._smooth = smooth_waves(problem, library)
        told = library.description.get("families", ())
        families = [name for name in told if name in FAMILIES]
        self._family = KernelDecoder(problem, model, families or None)
        self.provenance = {
            "source": parameters.model,
            "sha256": model.digest,
            "grid": list(model.grid),
            "scale_px": self._family.grid.scale,
        }
        self._prepared = False
        self.found: dict[str, LearnedPrior] = {}

    def prepare(self) -> Iterator[int]:
        """Learn what latents simulated kernels have, once."""
        if not self._prepared:
            yield from self._family.prepare()
            self._prepared = True

    def fit(
        self,
        left: torch.Tensor,
        kernels: torch.Tensor,
        quick: NormalOperator,
        noise: NoiseModel | None = None,
    ) -> Iterator[int]:
        """Find the priors for a plane, by name.

        Parameters
        ----------
        left : tensor, (rows, columns)
            The plane without background.
        kernels : tensor, (kind, h, w)
            What least squares finds in it: one of the starts. The other is what the network sees
            in the map, if there is one kind.
        quick : NormalOperator
            From `choose_normal_operator`.
        noise : NoiseModel, optional
            White noise when left out.
        """
        self.found = {}
        if not left.any():
            return
        misfit = QuadraticMisfit(self._problem, quick, left, noise)
        misfit.expand(kernels)
        samples = int(self._problem.mask.sum()) - self._problem.background.parameters
        fit = LatentMapEstimate(self._family, misfit, max(samples, 1))
        starts = [self._family.numbers_of_kernels(kernels)]
        if len(kernels) == 1:
            starts.append(self._family.numbers_of_plane(left))
        yield from fit.solve(starts)
        best = fit.amounts[:, None, None] * fit.shapes
        sizes = best.square().sum(dim=(-2, -1)).sqrt()
        sizes = sizes.clamp(min=_SMALLEST * float(sizes.max()))
        if not float(sizes.max()) > 0:
            return
        means, known = [], []
        for numbers, amount, kernel in zip(fit.numbers, fit.amounts, best, strict=True):
            tangents = []
            for some in self._family.tangents(numbers):
                tangents.append(amount * some)
                yield 1
            columns = torch.cat(tangents)
            means.append(-torch.einsum("m,myx->yx", numbers, columns))
            known.append(ComponentRoot(torch.cat([columns, kernel[None]])))
        for name, strength in LEARNED.items():
            kinds = [
                SumRoot([(1.0, made), (strength * float(size), self._smooth)])
                for made, size in zip(known, sizes, strict=True)
            ]
            self.found[name] = LearnedPrior(torch.stack(means), KindRoot(kinds))


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
