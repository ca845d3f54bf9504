"""The normal operator for what all planes share: exact, or at the cost of the kernel's size."""

from __future__ import annotations

from typing import Protocol

import scipy.fft
import torch

from qpi_kernels.extraction.bayes.noise_model import NoiseModel
from qpi_kernels.extraction.problem import Problem

__all__ = ["ConvolutionNormal", "ExactNormal", "NormalOperator", "choose_normal_operator"]

# How much larger the map's transforms must be for the approximation to be worth it.
_WORTH = 2.0
# When the approximation is not taken: it loses much of its spectrum, as for ordered defects, or is
# far from the exact one, as behind a mask of stripes.
_MAX_LOST, _FAR = 0.02, 0.2


class NormalOperator(Protocol):
    """A normal operator, and a square root of it."""

    @property
    def noise_shape(self) -> tuple[int, int]:
        """Size of the noise that `noise` takes, for each of its `noise_layers`."""
        ...

    @property
    def noise_layers(self) -> int:
        """Independent images of noise that one draw takes."""
        ...

    def apply(self, kernels: torch.Tensor) -> torch.Tensor:
        """From kernels (v, kind, h, w) to kernels."""
        ...

    def noise(self, white: torch.Tensor) -> torch.Tensor:
        """From unit noise (v, noise_layers, *noise_shape) to kernels with covariance `apply`."""
        ...


def choose_normal_operator(problem: Problem, noise: NoiseModel | None = None) -> NormalOperator:
    """Choose the exact operator, unless transforms of the kernel's size cost far less and do."""
    rows, columns = problem.model.fft_shape
    height, width = problem.parameters.kernel_shape
    exact = ExactNormal(problem, noise)
    if rows * columns <= _WORTH * (2 * height) * (2 * width):
        return exact
    near = ConvolutionNormal(problem, noise)
    return (
        near
        if near.negative_share < _MAX_LOST and _difference(near, exact, problem) < _FAR
        else exact
    )


def _difference(near: NormalOperator, exact: NormalOperator, problem: Problem) -> float:
    """How far one operator is from another on random kernels, relative to it."""
    generator = torch.Generator().manual_seed(problem.parameters.seed)
    size = (2, len(problem.model.kinds), *problem.parameters.kernel_shape)
    kernels = torch.randn(size, generator=generator).to(problem.device, problem.dtype)
    image = exact.apply(kernels)
    return float((near.apply(kernels) - image).norm() / image.norm().clamp(min=1e-300))


class ExactNormal:
    """The exact normal operator, through the whole map.

    Parameters
    ----------
    problem : Problem
        The checked input.
    noise : NoiseModel, optional
        White noise when left out.
    """

    noise_layers = 1

    def __init__(self, problem: Problem, noise: NoiseModel | None = None) -> None:
        self._problem = problem
        self._noise = noise
        self.noise_shape = problem.image_shape

    def apply(self, kernels: torch.Tensor) -> torch.Tensor:
        """See `NormalOperator`."""
        return self.adjoint(self.forward(kernels))

    def noise(self, white: torch.Tensor) -> torch.Tensor:
        """See `NormalOperator`."""
        return self.adjoint(white[:, 0])

    def forward(self, kernels: torch.Tensor) -> torch.Tensor:
        """From kernels (v, kind, h, w) to whitened maps (v, rows, columns)."""
        return self.whiten(self._problem.background.remove(self._problem.model.apply(kernels)))

    def adjoint(self, images: torch.Tensor) -> torch.Tensor:
        """The transpose of `forward`."""
        return self._problem.model.adjoint(self._problem.background.remove(self.whiten(images)))

    def whiten(self, images: torch.Tensor) -> torch.Tensor:
        """From maps without background to maps with white noise."""
        return images if self._noise is None else self._noise.whiten(images)


class ConvolutionNormal:
    r"""What the normal operator does to kernels, but for the details of the image's edges.

    Far from edges and mask :math:`H^T W H` is a convolution with the correlation of the activation
    maps, T. Here each kernel pixel is weighed by the share of defects that show it on a counted
    pixel: :math:`D^{1/2} T D^{1/2}`, whose diagonal is the true one, the coverage. Serves where an
    average over pixels or directions is wanted: determinants, traces, standard deviations.

    Parameters
    ----------
    problem : Problem
        The checked input.
    noise : NoiseModel, optional
        White noise when left out.
    """

    def __init__(self, problem: Problem, noise: NoiseModel | None = None) -> None:
        self._shape = problem.parameters.kernel_shape
        self._size = [scipy.fft.next_fast_len(2 * side - 1, real=True) for side in self._shape]
        lags = self._lags(problem, noise)
        # A spectrum that is cut to a window of lags may dip below zero.
        spectrum = torch.fft.rfft2(lags).permute(2, 3, 0, 1)
        values, vectors = torch.linalg.eigh((spectrum + spectrum.mH) / 2)
        self.negative_share = float(
            -values.clamp(max=0.0).sum() / values.abs().sum().clamp(min=1e-300)
        )
        root = vectors * values.clamp(min=0.0).sqrt().unsqueeze(-2)
        precision = torch.complex64 if problem.dtype == torch.float32 else torch.complex128
        self._root = (root @ vectors.mH).permute(2, 3, 0, 1).to(problem.device, precision)
        total = problem.model.activation.square().sum(dim=(-2, -1)).view(-1, 1, 1)
        total = total.to(problem.coverage)
        self.noise_layers = len(lags)
        self._weight = (problem.coverage / total.clamp(min=1e-300)).sqrt()

    def _lags(self, problem: Problem, noise: NoiseModel | None) -> torch.Tensor:
        """Correlation of the activation maps, (kind, kind, lag rows, lag columns), lag 0 first."""
        activation = problem.model.activation.double().cpu()
        extent = [
            scipy.fft.next_fast_len(have + side - 1, real=True)
            for have, side in zip(activation.shape[-2:], self._shape, strict=True)
        ]
        spectrum = torch.fft.rfft2(activation, s=extent)
        product = spectrum[:, None].conj() * spectrum[None, :]
        if noise is not None:
            product = product * noise.inverse_on((extent[0], extent[1]))
        whole = torch.fft.irfft2(product, s=extent)
        rows, columns = (
            torch.cat([torch.arange(side), torch.arange(1 - side, 0)]) for side in self._shape
        )
        inside: torch.Tensor = whole[..., rows[:, None] % extent[0], columns[None, :] % extent[1]]
        found: torch.Tensor = whole.new_zeros((*whole.shape[:2], *self._size))
        found[..., rows[:, None] % self._size[0], columns[None, :] % self._size[1]] = inside
        return found

    def apply(self, kernels: torch.Tensor) -> torch.Tensor:
        """See `NormalOperator`."""
        spectrum = self._mixed(torch.fft.rfft2(kernels * self._weight, s=self._size))
        return self._cut(self._mixed(spectrum))

    def noise(self, white: torch.Tensor) -> torch.Tensor:
        """See `NormalOperator`."""
        return self._cut(self._mixed(torch.fft.rfft2(white)))

    @property
    def noise_shape(self) -> tuple[int, int]:
        """See `NormalOperator`."""
        rows, columns = self._size
        return rows, columns

    def _mixed(self, spectrum: torch.Tensor) -> torch.Tensor:
        if len(self._root) == 1:
            single: torch.Tensor = spectrum * self._root[0, 0]
            return single
        mixed: torch.Tensor = torch.einsum("tsyx,vsyx->vtyx", self._root, spectrum)
        return mixed

    def _cut(self, spectrum: torch.Tensor) -> torch.Tensor:
        rows, columns = self._shape
        images: torch.Tensor = torch.fft.irfft2(spectrum, s=self._size)
        cut: torch.Tensor = images[..., :rows, :columns] * self._weight
        return cut
