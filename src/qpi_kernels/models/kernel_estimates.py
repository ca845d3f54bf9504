"""What a map says about its kernel before any network: unfinished least squares."""

from __future__ import annotations

import torch
from scipy.fft import next_fast_len

from qpi_kernels.models.representation import normalised_observation

__all__ = ["ESTIMATE_CHANNELS", "kernel_estimates"]

# After so many iterations an image is taken: from a blurred estimate with little noise to a sharp
# one with much.
_TAKEN = (1, 2, 4, 8)

ESTIMATE_CHANNELS = len(_TAKEN) + 1
"""Channels that `kernel_estimates` gives."""


@torch.no_grad()
def kernel_estimates(
    observation: torch.Tensor, activation: torch.Tensor, window: tuple[int, int]
) -> torch.Tensor:
    r"""Estimate kernels from maps of any size, in the frame of the kernel.

    Conjugate gradients on the least-squares problem

    .. math:: \min_A \sum_r W(r) \, |Y(r) - (M * A)(r)|^2

    with linear boundaries, W = 0 at missing pixels. Early iterates are regularised: the first is
    the adjoint :math:`M \star Y` (the average over the defects), later ones come apart from their
    neighbours but gather noise. Each is divided by its root mean square and compressed by asinh,
    for kernels are spiky. The last channel is the autocorrelation of the activation, which tells
    where neighbours leak into the estimates.

    Parameters
    ----------
    observation, activation : tensor, (B, 1, rows, columns)
        Missing pixels are NaN.
    window : tuple of int
        Height and width of the kernel; its centre is at ``(h//2, w//2)``.

    Returns
    -------
    tensor, (B, 5, h, w)
    """
    seen = observation.isfinite()
    image = normalised_observation(observation)
    operator = _Convolution(activation, window)
    residual = operator.adjoint(image)
    direction = residual
    kernel = torch.zeros_like(residual)
    size = _energy(residual)
    smallest = 1e-10 * size
    taken = []
    for iteration in range(1, max(_TAKEN) + 1):
        image = operator.adjoint(torch.where(seen, operator.apply(direction), 0.0))
        curvature = (direction * image).sum(dim=(-2, -1), keepdim=True)
        going = size > smallest
        length = torch.where(going, size / torch.where(going, curvature, 1.0), 0.0)
        kernel = kernel + length * direction
        residual = residual - length * image
        before, size = size, _energy(residual)
        direction = residual + torch.where(going, size / torch.where(going, before, 1.0), 0) * (
            direction
        )
        if iteration in _TAKEN:
            taken.append(_compressed(kernel))
    return torch.cat([*taken, _neighbours(operator.adjoint(activation))], dim=1)


class _Convolution:
    """Kernels (B, 1, h, w) to images (B, 1, rows, columns) and back, by padded FFT."""

    def __init__(self, activation: torch.Tensor, window: tuple[int, int]) -> None:
        self._window = window
        self._image = activation.shape[-2:]
        self._size = [
            next_fast_len(one + other - 1, real=True)
            for one, other in zip(self._image, window, strict=True)
        ]
        self._spectrum = torch.fft.rfft2(activation, s=self._size)
        self._first = tuple(side // 2 for side in window)

    def apply(self, kernels: torch.Tensor) -> torch.Tensor:
        product = self._spectrum * torch.fft.rfft2(kernels, s=self._size)
        whole: torch.Tensor = torch.fft.irfft2(product, s=self._size)
        (top, left), (rows, columns) = self._first, self._image
        return whole[..., top : top + rows, left : left + columns]

    def adjoint(self, images: torch.Tensor) -> torch.Tensor:
        (top, left), (rows, columns) = self._first, self._image
        placed = images.new_zeros(*images.shape[:-2], *self._size)
        placed[..., top : top + rows, left : left + columns] = images
        product = self._spectrum.conj() * torch.fft.rfft2(placed)
        whole: torch.Tensor = torch.fft.irfft2(product, s=self._size)
        return whole[..., : self._window[0], : self._window[1]]


def _energy(images: torch.Tensor) -> torch.Tensor:
    return images.square().sum(dim=(-2, -1), keepdim=True)


def _compressed(kernels: torch.Tensor) -> torch.Tensor:
    spread = kernels.square().mean(dim=(-2, -1), keepdim=True).sqrt().clamp(min=1e-12)
    return torch.asinh(kernels / spread)


def _neighbours(autocorrelation: torch.Tensor) -> torch.Tensor:
    """Share of the defects that have a neighbour at each distance."""
    height, width = autocorrelation.shape[-2:]
    own = autocorrelation[..., height // 2, width // 2, None, None].clamp(min=1e-12)
    return torch.asinh(10 * autocorrelation / own)
