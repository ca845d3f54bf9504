"""Estimates of a kernel before any network: early iterates of least squares."""

from __future__ import annotations

from functools import lru_cache

import torch

from qpi_kernels.forward import Convolution
from qpi_kernels.linalg.conjugate_gradients import ConjugateGradients
from qpi_kernels.models.representation import normalised_observation

__all__ = ["ESTIMATE_CHANNELS", "kernel_estimates"]

# After so many iterations an image is taken: from a blurred estimate with little noise to a sharp
# one with much.
_TAKEN = (1, 2, 4, 8)
# Iterations beyond this residual would only add rounding.
_TOLERANCE = 1e-5

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
    measured = observation.isfinite()
    rows, columns = activation.shape[-2:]
    convolution, phase = _frame((rows, columns), window, activation.device)
    spectrum = convolution.spectrum(convolution.on_sites(activation))
    spectrum = spectrum * phase.to(spectrum)

    def apply(kernels: torch.Tensor) -> torch.Tensor:
        return convolution.image(convolution.spectrum(kernels) * spectrum)

    def adjoint(images: torch.Tensor) -> torch.Tensor:
        return convolution.kernel(convolution.spectrum(images) * spectrum.conj())

    def normal(vectors: torch.Tensor) -> torch.Tensor:
        kernels = vectors.view(-1, 1, *window)
        return adjoint(torch.where(measured, apply(kernels), 0.0)).flatten(1)

    right = adjoint(normalised_observation(observation)).flatten(1)
    solver = ConjugateGradients(normal, right, tolerance=_TOLERANCE, recorded=False)
    taken = []
    while solver.iterations < max(_TAKEN):
        solver.step()
        if solver.iterations in _TAKEN:
            taken.append(_compressed(solver.solution.view(-1, 1, *window)))
    return torch.cat([*taken, _neighbours(adjoint(activation))], dim=1)


@lru_cache(maxsize=8)
def _frame(
    image_shape: tuple[int, int], window: tuple[int, int], device: torch.device
) -> tuple[Convolution, torch.Tensor]:
    """Make the convolution of one size with its phase on a device: training needs it every step."""
    convolution = Convolution(image_shape, window)
    exact = device.type in ("cpu", "cuda")
    return convolution, convolution.phase.to(device, torch.complex128 if exact else torch.complex64)


def _compressed(kernels: torch.Tensor) -> torch.Tensor:
    """Divide kernels by their root mean square and compress them by asinh."""
    spread = kernels.square().mean(dim=(-2, -1), keepdim=True).sqrt().clamp(min=1e-12)
    return torch.asinh(kernels / spread)


def _neighbours(autocorrelation: torch.Tensor) -> torch.Tensor:
    """Compress the autocorrelation to the share of defects with a neighbour at each distance."""
    height, width = autocorrelation.shape[-2:]
    own = autocorrelation[..., height // 2, width // 2, None, None].clamp(min=1e-12)
    return torch.asinh(10 * autocorrelation / own)
