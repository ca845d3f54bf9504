"""`AmountFit`: the amounts of kernel shapes that explain a plane best."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from qpi_kernels.extraction.bayes.quadratic_misfit import QuadraticMisfit
from qpi_kernels.extraction.normal_operator import ExactNormal, NormalOperators
from qpi_kernels.extraction.symmetrisation import Symmetrisation

__all__ = ["AmountFit", "FittedShapes"]

# Of the plane's energy: misfits below it are rounding.
_MIN_MISFIT = 1e-9


@dataclass(frozen=True, eq=False)
class FittedShapes:
    """Shapes with the amounts that explain a plane best.

    Parameters
    ----------
    amounts : tensor, (kind,)
        Of either sign.
    misfit : float
        Sum of squares of the residual.
    gradient : tensor, (kind, h, w)
        Of the misfit with respect to the shapes.
    """

    amounts: torch.Tensor
    misfit: float
    gradient: torch.Tensor


class AmountFit:
    """Fits the amounts of shapes to a plane, by variable projection (Golub and Pereyra 1973).

    Parameters
    ----------
    signal : tensor, (rows, columns)
        The plane without background.
    operators : NormalOperators
        For the noise.
    symmetrisation : Symmetrisation
        Imposed on all kernels.
    """

    def __init__(
        self,
        signal: torch.Tensor,
        operators: NormalOperators,
        symmetrisation: Symmetrisation,
    ) -> None:
        self._signal = signal
        self._operators = operators
        self._symmetrisation = symmetrisation
        self._min_misfit = _MIN_MISFIT * float(operators.exact.whiten(signal).square().sum())

    @property
    def is_exact(self) -> bool:
        """True where an expansion holds for all kernels, not only near those it is about."""
        return isinstance(self._operators.quick, ExactNormal)

    def about(self, kernels: torch.Tensor) -> QuadraticMisfit:
        """Expand the misfit about kernels (kind, h, w)."""
        symmetric = self._symmetrisation.symmetrise(kernels)
        return QuadraticMisfit.about(symmetric, self._signal, self._operators)

    def fit(self, misfit: QuadraticMisfit, shapes: torch.Tensor) -> FittedShapes:
        """Fit the amounts of shapes (kind, h, w); amounts that are not determined are zero.

        Parameters
        ----------
        misfit : QuadraticMisfit
            From `about`.
        shapes : tensor, (kind, h, w)
            Without gradients.
        """
        kinds, shapes = range(len(shapes)), self._symmetrisation.symmetrise(shapes)
        alone = torch.zeros((len(shapes), *shapes.shape), dtype=shapes.dtype, device=shapes.device)
        alone[kinds, kinds] = shapes
        images = misfit.normal.apply(alone)
        gram = torch.einsum("ijyx,jyx->ij", images, shapes)
        right = (misfit.right * shapes).sum(dim=(-2, -1))
        inverse = torch.linalg.pinv(gram.cpu().double(), hermitian=True).to(gram)
        amounts = inverse @ right
        slope = torch.einsum("i,ijyx->jyx", amounts, images) - misfit.right
        value = misfit.constant - float(amounts @ right)
        gradient = self._symmetrisation.adjoint((2 * amounts[:, None, None] * slope).flatten(1))
        return FittedShapes(amounts, max(value, self._min_misfit), gradient.view(shapes.shape))
