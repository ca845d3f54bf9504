"""Smooth backgrounds that are fitted together with kernels."""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import torch

__all__ = ["Background", "BackgroundKind"]

BackgroundKind = Literal["none", "offset", "plane", "quadratic", "rows", "rows+quadratic"]

_OF_ROWS = ("rows", "rows+quadratic")


class Background:
    """A smooth background that is fitted together with the kernels.

    Being linear it is eliminated exactly: `remove` projects it out of images, so the normal
    operator ``H^T R H`` with ``R`` = `remove` gives the kernel of the joint fit. The same operator
    is ``H^T P H - U U^T`` with ``P`` = `remove_rows` and ``U = H^T`` `functions`, which costs no
    pass over the image.

    Parameters
    ----------
    kind : str
        ``none``; ``offset``, a constant; ``plane``; ``quadratic``, a polynomial of order 2;
        ``rows``, an offset for each scan line (row) plus one common slope along the line, for
        topographs with line-to-line height jumps; ``rows+quadratic``, an offset for each scan line
        plus a polynomial of order 2.
    mask : tensor of bool, (rows, columns)
        True where a pixel counts.
    dtype : torch.dtype
        float32 or float64.
    terraces : tensor of int, (rows, columns), optional
        Label of the terrace of each pixel, 0 where there is none. Each has an offset of its own.
    lines : tensor of int, (rows, columns), optional
        Number of the scan line that each pixel was measured in, from 0; the rows of the image
        when left out.
    """

    def __init__(
        self,
        kind: BackgroundKind,
        mask: torch.Tensor,
        dtype: torch.dtype = torch.float64,
        *,
        terraces: torch.Tensor | None = None,
        lines: torch.Tensor | None = None,
    ) -> None:
        self.kind = kind
        self.weight = mask.to(dtype)
        self._counts_everything = bool(mask.all())
        self._lines = None if lines is None else lines.to(mask.device).flatten()
        self._line_count = 0 if lines is None else int(lines.max()) + 1
        rows, columns = mask.shape
        y = torch.linspace(-1, 1, rows, dtype=torch.float64).view(-1, 1).expand(rows, columns)
        x = torch.linspace(-1, 1, columns, dtype=torch.float64).view(1, -1).expand(rows, columns)
        one = torch.ones_like(x)
        functions = {
            "none": [],
            "offset": [one],
            "plane": [one, y, x],
            "quadratic": [one, y, x, y * y, y * x, x * x],
            "rows": [x],
            "rows+quadratic": [x, y * x, x * x],
        }[kind]
        if kind in _OF_ROWS and lines is not None:
            # Offsets of lines that were turned or bent are no functions of y.
            functions += [y] if kind == "rows" else [y, y * y]
        if kind != "none" and terraces is not None:
            # On all their pixels, those that do not count too: a level is predicted there.
            terraces = terraces.to(mask.device)
            labels = torch.unique(terraces[mask]).tolist()
            functions += [(terraces == label).double() for label in labels if label > 0]
        self._row_weight = self._sum_of_lines(self.weight).clamp(min=1.0)
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
    def removes_only_smooth(self) -> bool:
        """True where every pixel counts and rows have no offsets: `remove_rows` does nothing."""
        return self._counts_everything and self.kind not in _OF_ROWS

    @cached_property
    def functions(self) -> torch.Tensor:
        """Weighted smooth background functions, (function, rows, columns), orthonormal."""
        return self._blanked(self._basis)

    def remove_rows(self, images: torch.Tensor) -> torch.Tensor:
        """Subtract row offsets if they are fitted, and blank the pixels that do not count."""
        return self._blanked(self._without_row_means(images))

    def _blanked(self, images: torch.Tensor) -> torch.Tensor:
        """Set pixels that do not count to zero."""
        return images if self._counts_everything else images * self.weight

    def _without_row_means(self, images: torch.Tensor) -> torch.Tensor:
        if self.kind not in _OF_ROWS:
            return images
        means = self._sum_of_lines(self._blanked(images)) / self._row_weight
        if self._lines is None:
            return images - means
        return images - means[..., self._lines].view(images.shape)

    def _sum_of_lines(self, images: torch.Tensor) -> torch.Tensor:
        """Sum images over each scan line, (..., rows, 1), or (..., line) by their labels."""
        if self._lines is None:
            return images.sum(dim=-1, keepdim=True)
        if images.device.type == "cpu":
            sums = images.new_zeros((*images.shape[:-2], self._line_count))
            return sums.index_add(-1, self._lines, images.flatten(-2))
        # A GPU's `index_add` adds in no fixed order; this takes three times as long on a CPU.
        blank = torch.nn.functional.pad(images.flatten(-2), (0, 1))
        return blank[..., self._pixels_of_lines].sum(dim=-1)

    @cached_property
    def _pixels_of_lines(self) -> torch.Tensor:
        """Places of the pixels of each scan line, (line, pixel); one beyond the image is none."""
        assert self._lines is not None
        lines = self._lines.cpu()
        order = torch.argsort(lines, stable=True)
        counts = torch.bincount(lines, minlength=self._line_count)
        place = torch.arange(int(counts.max())).expand(self._line_count, -1)
        first = (counts.cumsum(0) - counts)[:, None]
        found = order[(first + place).clamp(max=len(order) - 1)]
        return torch.where(place < counts[:, None], found, len(order)).to(self._lines.device)

    @cached_property
    def parameters(self) -> int:
        """Number of free numbers per image."""
        lines = int((self._sum_of_lines(self.weight) > 0).sum()) if self.kind in _OF_ROWS else 0
        return lines + len(self._basis)

    def remove(self, images: torch.Tensor) -> torch.Tensor:
        """Subtract the background that fits the counted pixels best.

        Parameters
        ----------
        images : tensor, (..., rows, columns)
            Finite everywhere; zero in the result where a pixel does not count.
        """
        remainder = self._without_row_means(images)
        if len(self._basis):
            remainder = remainder - self._smooth(remainder)
        return self._blanked(remainder)

    def fit(self, images: torch.Tensor) -> torch.Tensor:
        """Evaluate the best-fitting background on every pixel; arguments as in `remove`."""
        remainder = self._without_row_means(images)
        background = images - remainder
        return background + self._smooth(remainder) if len(self._basis) else background

    def _smooth(self, images: torch.Tensor) -> torch.Tensor:
        """Fit the smooth functions to images without row offsets."""
        flat = images.reshape(-1, self.weight.numel())
        coefficients = flat @ self.functions.flatten(1).T
        return (coefficients @ self._basis.flatten(1)).view(images.shape)
