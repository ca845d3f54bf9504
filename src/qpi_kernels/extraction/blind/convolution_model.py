"""What blind extraction sees: prepared maps, and the convolution with an unknown activation."""

from __future__ import annotations

import numpy as np
import scipy.fft
import torch
from numpy.typing import NDArray

from qpi_kernels.extraction.problem import Problem
from qpi_kernels.forward import Background

__all__ = ["ConvolutionModel"]

_MAX_COMPONENTS = 3
_MIN_SIGNAL = 0.1


class ConvolutionModel:
    r"""Maps of unit variance, ``Y = sum_t A_t (*) X_t``, of unknown kernels and activations.

    The activation ``X_t`` of a kind is shared by all biases. As any mixture of biases is again a
    convolution with it, a cube is reduced to its strongest principal components, with the noise of
    each bias scaled to the same level first.

    Activations live on *sites*: the ``n + k - 1`` pixels per axis from which a kernel reaches into
    the image. A kernel at site ``e`` has its first pixel at image pixel ``e - (k - 1)``. Everything
    runs on the CPU in float32.

    Parameters
    ----------
    problem : Problem
        The checked input; its defects do not matter.
    """

    def __init__(self, problem: Problem) -> None:
        self.image_shape = problem.image_shape
        self.kernel_shape = problem.parameters.kernel_shape
        self.mask = torch.from_numpy(problem.mask)
        self.background = Background(problem.parameters.background, self.mask, torch.float32)
        rows, cols = (n + k - 1 for n, k in zip(self.image_shape, self.kernel_shape, strict=True))
        self.sites = (rows, cols)
        self.fft_shape = tuple(scipy.fft.next_fast_len(n, real=True) for n in self.sites)
        self._frequencies = [
            2 * np.pi * scipy.fft.fftfreq(self.fft_shape[0]),
            2 * np.pi * scipy.fft.rfftfreq(self.fft_shape[1]),
        ]
        # Moves the image to index (0, 0), so that cropping is slicing.
        phase = [
            np.exp(1j * q * (k - 1))
            for q, k in zip(self._frequencies, self.kernel_shape, strict=True)
        ]
        self._phase = torch.from_numpy(phase[0][:, None] * phase[1]).to(torch.complex64)
        self._smooth = self.background.functions.flatten(1)
        self.values = self.project(_components(problem, self.background))
        self.counted = int(problem.mask.sum()) * len(self.values)

    def project(self, images: torch.Tensor) -> torch.Tensor:
        """Take off the best background and blank the pixels that do not count."""
        left = self.background.remove_rows(images)
        flat = left.flatten(1)
        return (flat - (flat @ self._smooth.T) @ self._smooth).view(left.shape)

    def kernel_spectrum(self, kernels: torch.Tensor) -> torch.Tensor:
        """Spectrum of kernels (kind, plane, h, w), for `predict` and `correlate`."""
        spectrum: torch.Tensor = torch.fft.rfft2(kernels, s=self.fft_shape) * self._phase
        return spectrum

    def map_spectrum(self, activation: torch.Tensor) -> torch.Tensor:
        """Spectrum of activations (kind, sites)."""
        spectrum: torch.Tensor = torch.fft.rfft2(activation, s=self.fft_shape)
        return spectrum

    def point_spectrum(
        self, sites: NDArray[np.float64], strengths: NDArray[np.float64]
    ) -> torch.Tensor:
        """Spectrum of points of one kind at sub-pixel sites, (N, 2), as a plain sum of waves."""
        whole = np.rint(sites).astype(np.int64)
        if (whole == sites).all():
            activation = np.zeros(self.sites, np.float32)
            np.add.at(activation, tuple(whole.T), strengths)
            return self.map_spectrum(torch.from_numpy(activation))
        waves = [
            torch.from_numpy(np.exp(-1j * np.outer(q, sites[:, axis]))).to(torch.complex64)
            for axis, q in enumerate(self._frequencies)
        ]
        weights = torch.from_numpy(strengths).to(torch.complex64)
        return (waves[0] * weights) @ waves[1].T

    def predict(self, activation: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
        """Images (plane, rows, columns) from two spectra."""
        return self._image((activation[:, None] * kernels).sum(dim=0))

    def correlate(self, images: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
        """Transpose of `predict` in the activations: (kind, sites), summed over planes."""
        spectrum = (torch.fft.rfft2(images, s=self.fft_shape) * kernels.conj()).sum(dim=1)
        return _crop(torch.fft.irfft2(spectrum, s=self.fft_shape), self.sites)

    def reach(self, kernels: torch.Tensor) -> torch.Tensor:
        """Sum of squares that kernels show on counted pixels, (kind, sites)."""
        images = self.mask.to(kernels).expand(kernels.shape[1], *self.image_shape)
        return self.correlate(images, self.kernel_spectrum(kernels.square())).clamp(min=0.0)

    def residual(self, activation: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
        """What spectra of activations and kernels (kind, plane, h, w) leave of the maps."""
        return self.values - self.project(self.predict(activation, self.kernel_spectrum(kernels)))

    def solve_kernels(
        self, activation: torch.Tensor, start: torch.Tensor, ridge: torch.Tensor, iterations: int
    ) -> torch.Tensor:
        """Ridge-regularised kernels for activations, by conjugate gradients.

        Parameters
        ----------
        activation : tensor
            Their spectra.
        start : tensor, (kind, plane, h, w)
            Where to start.
        ridge : tensor, (kind,)
            Strength of the pull to zero, in squared strengths.
        iterations : int
            Steps of the solver; few are enough when it starts close.
        """
        shifted = (activation * self._phase)[:, None]
        pull = ridge.view(-1, 1, 1, 1)

        def back(images: torch.Tensor) -> torch.Tensor:
            spectrum = torch.fft.rfft2(images, s=self.fft_shape) * shifted.conj()
            return _crop(torch.fft.irfft2(spectrum, s=self.fft_shape), self.kernel_shape)

        def normal(kernels: torch.Tensor) -> torch.Tensor:
            spectrum = (torch.fft.rfft2(kernels, s=self.fft_shape) * shifted).sum(dim=0)
            return back(self.project(self._image(spectrum))) + pull * kernels

        wanted = back(self.values)
        kernels = start.clone()
        left = wanted - normal(kernels)
        direction, size = left.clone(), left.square().sum()
        for _ in range(iterations):
            if float(size) <= 1e-10 * float(wanted.square().sum()):
                break
            image = normal(direction)
            step = size / (direction * image).sum()
            kernels += step * direction
            left -= step * image
            before, size = size, left.square().sum()
            direction = left + size / before * direction
        return kernels

    def _image(self, spectrum: torch.Tensor) -> torch.Tensor:
        return _crop(torch.fft.irfft2(spectrum, s=self.fft_shape), self.image_shape)


def _crop(images: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    return images[..., : shape[0], : shape[1]]


def _components(problem: Problem, background: Background) -> torch.Tensor:
    """The observation as few maps of equal noise and together unit variance."""
    planes = problem.planes(0, problem.plane_count).values
    left = background.remove(planes.to("cpu", torch.float32))
    counted = left[:, background.weight > 0].double()
    if len(left) > 1:
        # Differences of neighbours hold the noise and little of the signal.
        noise = (counted[:, 1:] - counted[:, :-1]).abs().median(dim=1).values.clamp(min=1e-6)
        counted = counted / noise[:, None]
        variances, vectors = torch.linalg.eigh(counted @ counted.T / counted.shape[1])
        strongest = variances[-1]
        excess = variances - variances[0]
        chosen = [i for i in range(len(left)) if excess[i] >= _MIN_SIGNAL * excess[-1]]
        mixture = vectors[:, chosen[-_MAX_COMPONENTS:]] / strongest.sqrt() / noise[:, None]
        left = torch.einsum("bc,byx->cyx", mixture.float(), left)
    scale = left[:, background.weight > 0].square().mean().sqrt()
    return left / scale if scale > 0 else left
