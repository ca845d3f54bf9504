"""How badly kernels explain a plane, at the cost of the kernel's size."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from qpi_kernels.extraction.bayes.noise_model import NoiseModel
from qpi_kernels.extraction.bayes.normal_operator import ExactNormal, NormalOperator
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.extraction.symmetrisation import Symmetrisation

__all__ = ["FittedShapes", "QuadraticMisfit"]


@dataclass(frozen=True, eq=False)
class FittedShapes:
    """Shapes with the amounts that explain a plane best.

    Parameters
    ----------
    amounts : tensor, (kind,)
        Of either sign.
    misfit : float
        Sum of squares that is left.
    gradient : tensor, (kind, h, w)
        Of the misfit with respect to the shapes.
    """

    amounts: torch.Tensor
    misfit: float
    gradient: torch.Tensor


class QuadraticMisfit:
    r"""Sum of squares :math:`|R(y - H A)|^2` that kernels A leave of a plane.

    With an approximate normal operator G it is expanded about kernels :math:`A_0` at which value
    and gradient are exact,

    .. math:: S(A) = S_0 - 2 (A - A_0)^T H^T R (y - H A_0) + (A - A_0)^T G (A - A_0) .

    The symmetry that the parameters impose is imposed on all kernels.

    Parameters
    ----------
    problem : Problem
        The checked input.
    quick : NormalOperator
        G, from `choose_normal_operator`.
    left : tensor, (rows, columns)
        The plane without background.
    noise : NoiseModel, optional
        Of which G knows; white noise when left out.
    """

    def __init__(
        self,
        problem: Problem,
        quick: NormalOperator,
        left: torch.Tensor,
        noise: NoiseModel | None = None,
    ) -> None:
        self._exact = ExactNormal(problem, noise)
        self._quick = quick
        self._symmetrisation = Symmetrisation(problem)
        self._left = self._exact.whiten(left)
        self._floor = 1e-9 * float(self._left.square().sum())
        self.exact = isinstance(quick, ExactNormal)

    def expand(self, kernels: torch.Tensor) -> None:
        """Make value and gradient exact at kernels (kind, h, w)."""
        kernels = self._symmetric(kernels)
        left = self._left - self._exact.forward(kernels[None])[0]
        image = self._quick.apply(kernels[None])[0]
        slope = self._exact.adjoint(left[None])[0]
        self._right = slope + image
        self._constant = float(left.square().sum() + (kernels * (2 * slope + image)).sum())

    def fit(self, shapes: torch.Tensor) -> FittedShapes:
        """Fit the amounts of shapes (kind, h, w), by variable projection (Golub and Pereyra 1973).

        Amounts that are not determined are zero.
        """
        kinds, shapes = range(len(shapes)), self._symmetric(shapes)
        alone = torch.zeros((len(shapes), *shapes.shape), dtype=shapes.dtype, device=shapes.device)
        alone[kinds, kinds] = shapes
        images = self._quick.apply(alone)
        gram = torch.einsum("ijyx,jyx->ij", images, shapes)
        right = (self._right * shapes).sum(dim=(-2, -1))
        inverse = torch.linalg.pinv(gram.cpu().double(), hermitian=True).to(gram)
        amounts = inverse @ right
        slope = torch.einsum("i,ijyx->jyx", amounts, images) - self._right
        misfit = self._constant - float(amounts @ right)
        gradient = self._symmetrisation.adjoint((2 * amounts[:, None, None] * slope).flatten(1))
        return FittedShapes(amounts, max(misfit, self._floor), gradient.view(shapes.shape))

    def _symmetric(self, kernels: torch.Tensor) -> torch.Tensor:
        return self._symmetrisation.apply(kernels.flatten(1)).view(kernels.shape)
