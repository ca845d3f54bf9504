"""`QuadraticMisfit`: the sum of squares that kernels leave of a plane, as a quadratic form."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from qpi_kernels.extraction.normal_operator import NormalOperator, NormalOperators

__all__ = ["QuadraticMisfit"]


@dataclass(frozen=True, eq=False)
class QuadraticMisfit:
    r"""Sum of squares :math:`S(A) = |R(y - H A)|^2 = c - 2\, b \cdot A + A \cdot G A`.

    Parameters
    ----------
    constant : float
        c.
    right : tensor, (kind, h, w)
        b.
    normal : NormalOperator
        G.
    """

    constant: float
    right: torch.Tensor
    normal: NormalOperator

    @classmethod
    def about(
        cls,
        kernels: torch.Tensor,
        signal: torch.Tensor,
        operators: NormalOperators,
    ) -> QuadraticMisfit:
        r"""Expand the misfit about kernels :math:`A_0`, at which value and gradient are exact.

        An approximate operator then acts on small differences only,

        .. math:: S(A) = S_0 - 2 (A - A_0)^T H^T R (y - H A_0) + (A - A_0)^T G (A - A_0) .

        Parameters
        ----------
        kernels : tensor, (kind, h, w)
            :math:`A_0`.
        signal : tensor, (rows, columns)
            The plane without background.
        operators : NormalOperators
            The quick one is G.
        """
        exact, normal = operators.exact, operators.quick
        residual = exact.whiten(signal) - exact.forward(kernels[None])[0]
        slope = exact.adjoint(residual[None])[0]
        image = normal.apply(kernels[None])[0]
        constant = residual.square().sum() + (kernels * (2 * slope + image)).sum()
        return cls(float(constant), slope + image, normal)
