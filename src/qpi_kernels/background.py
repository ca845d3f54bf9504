"""Smooth backgrounds that are fitted together with kernels."""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import torch

__all__ = ["Background", "BackgroundKind"]

BackgroundKind = Literal["none", "offset", "plane", "rows"]


class Background:
    """A smooth background that is fitted together with the kernels.

    Being linear it is eliminated exactly: `remove` projects it out of images, so the normal
    operator ``H^T R H`` with ``R`` = `remove` gives the kernel of the joint fit. The same operator
    is ``H^T P H - U U^T`` with ``P`` = `remove_rows` and ``U = H^T`` `functions`, which costs no
    pass over the image.

    Parameters
    ----------
    kind : str
        ``none``; ``offset``, a constant; ``plane``; ``rows``, an offset for each scan line (row)
        plus one common slope along the line, for topographs with line-to-line height jumps.
    mask : tensor of bool, (rows, columns)
        True where a pixel counts.
    dtype : torch.dtype
        float32 or float64.
    """

    def __init__(
        self, kind: BackgroundKind, mask: torch.Tensor, dtype: torch.dtype = torch.float64
    ) -> None:
        self.kind = kind
        self.weight = mask.to(dtype)
        self._counts_everything = bool(mask.all())
        rows, columns = mask.shape
        y = torch.linspace(-1, 1, rows, dtype=torch.float64).view(-1, 1).expand(rows, columns)
        x = torch.linspace(-1, 1, columns, dtype=torch.float64).view(1, -1).expand(rows, columns)
        functions = {
            "none": [],
            "offset": [torch.ones_like(x)],
            "plane": [torch.ones_like(x), y, x],
            "rows": [x],
        }[kind]
        self._row_weight = self.weight.sum(dim=-1, keepdim=True).clamp(min=1.0)
        self._basis = self._orthonormalise([f.to(mask.device, dtype) for f in functions])

    def _orthonormalise(self, functions: list[torch.Tensor]) -> torch.Tensor:
        """Make functions orthonormal on the counted pixels (and to the row offsets)."""
        basis: list[torch.Tensor] = []
        for function in functions:
            remainder = self._without_row_means(function)
            for _ in range(2):
                for other in basis:
                    remainder = remainder - (self.weight * other * remainder).sum() * other
            norm = (self.weight * remainder * remainder).sum().sqrt()
            if norm > 1e-4 * (self.weight * function * function).sum().sqrt():
                basis.append(remainder / norm)
        return torch.stack(basis) if basis else self.weight.new_zeros((0, *self.weight.shape))

    @property
    def functions(self) -> torch.Tensor:
        """Weighted smooth background functions, (function, rows, columns), orthonormal."""
        return self._basis * self.weight

    def remove_rows(self, images: torch.Tensor) -> torch.Tensor:
        """Subtract row offsets if they are fitted, and blank the pixels that do not count."""
        remainder = self._without_row_means(images)
        return remainder if self._counts_everything else remainder * self.weight

    def _without_row_means(self, images: torch.Tensor) -> torch.Tensor:
        if self.kind != "rows":
            return images
        return images - (self.weight * images).sum(dim=-1, keepdim=True) / self._row_weight

    @cached_property
    def parameters(self) -> int:
        """Number of free numbers per image."""
        rows = int((self.weight.sum(dim=-1) > 0).sum()) if self.kind == "rows" else 0
        return rows + len(self._basis)

    def remove(self, images: torch.Tensor) -> torch.Tensor:
        """Subtract the background that fits the counted pixels best.

        Parameters
        ----------
        images : tensor, (..., rows, columns)
            Finite everywhere; zero in the result where a pixel does not count.
        """
        remainder = self._without_row_means(images)
        if len(self._basis):
            coefficients = torch.einsum("...yx,fyx->...f", remainder, self.functions)
            remainder = remainder - torch.einsum("...f,fyx->...yx", coefficients, self._basis)
        return remainder * self.weight

    def fit(self, images: torch.Tensor) -> torch.Tensor:
        """Evaluate the best-fitting background on every pixel; arguments as in `remove`."""
        remainder = self._without_row_means(images)
        background = images - remainder
        if len(self._basis):
            coefficients = torch.einsum("...yx,fyx->...f", remainder, self.functions)
            background = background + torch.einsum("...f,fyx->...yx", coefficients, self._basis)
        return background
