"""Checks of an extraction's residual: which assumption of the sum of kernels fails, if any.

Begin at `check_residual`; each other file holds one alternative, or what they share.
"""

from qpi_kernels.extraction.residual_checks.check import check_residual

__all__ = ["check_residual"]
