"""The model of blind extraction: prepared maps as convolutions with an unknown activation."""

from __future__ import annotations

import copy
from collections.abc import Generator

import numpy as np
import torch
from numpy.typing import NDArray

from qpi_kernels.background import Background
from qpi_kernels.extraction.blind.noise_colour import NoiseColour
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.forward import Convolution
from qpi_kernels.linalg.conjugate_gradients import ConjugateGradients
from qpi_kernels.progress import Event

__all__ = ["ConvolutionModel"]

_MAX_COMPONENTS = 3
_MIN_SIGNAL = 0.1
_TOLERANCE = 1e-5


class ConvolutionModel:
    r"""Maps of unit variance, ``Y = sum_t A_t (*) X_t``, of unknown kernels and activations.

    The activation ``X_t`` of a kind is shared by all biases. As any mixture of biases is again a
    convolution with it, a cube is reduced to its strongest principal components, with the noise of
    each bias scaled to the same level first.

    Activations live on the sites of `Convolution`. Everything runs on the CPU in float32.

    Parameters
    ----------
    problem : Problem
        The checked input; its defects do not matter.

    Attributes
    ----------
    values : tensor, (plane, rows, columns)
        The maps without background, zero where a pixel does not count.
    mask : tensor of bool, (rows, columns)
        True where a pixel counts.
    known_noise : float
        Variance that the noise has at least, 0 where nothing is known of it.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self.known_noise = 0.0
        self.image_shape = problem.image_shape
        self.kernel_shape = problem.parameters.kernel_shape
        self._count_only(torch.from_numpy(problem.mask))
        self._convolution = Convolution(self.image_shape, self.kernel_shape)
        self.sites = self._convolution.sites
        self._phase = self._convolution.phase.to(torch.complex64)
        self.values = self.project(_principal_components(problem, self.background))

    @property
    def counted(self) -> int:
        """Number of counted pixels of all planes."""
        return int(self.mask.sum()) * len(self.values)

    def noise_variance(self, misfit: float) -> float:
        """Estimate the noise variance of a pixel from a residual's sum of squares."""
        return max(misfit / self.counted, self.known_noise, 1e-12)

    def misfit_cost(self, misfit: float) -> float:
        """Return -2 log-likelihood of a residual's sum of squares, but for a constant."""
        variance = self.noise_variance(misfit)
        return self.counted * float(np.log(variance)) + misfit / variance

    def _count_only(self, mask: torch.Tensor) -> None:
        """Take only some pixels, and the background that is fitted to them."""
        self.mask = mask
        self.background = self._problem.make_background(mask, torch.float32)
        self._smooth = self.background.functions.flatten(1)

    def without(self, pixels: NDArray[np.bool_]) -> ConvolutionModel:
        """Return the model of the same maps of which some pixels do not count."""
        other = copy.copy(self)
        other._count_only(self.mask & ~torch.from_numpy(pixels))
        other.values = other.project(self.values)
        return other

    def with_values(self, values: torch.Tensor) -> ConvolutionModel:
        """Return the model of other maps (plane, rows, columns), such as a residual.

        What was known of the noise is forgotten: another kind of defect may have been part of it.
        """
        other = copy.copy(self)
        other.values, other.known_noise = values, 0.0
        return other

    def whitened(self, colour: NoiseColour) -> ConvolutionModel:
        """Return the model of the maps in which noise of a known colour is white.

        Their kernels are filtered as the maps are; their activations are the same.
        """
        other = copy.copy(self)
        white, mask = colour.whiten(self.values.numpy(), self.mask.numpy())
        other.known_noise = colour.white_variance
        if not np.array_equal(mask, self.mask.numpy()):
            other._count_only(torch.from_numpy(mask))
        other.values = other.project(torch.from_numpy(white))
        return other

    def project(self, images: torch.Tensor) -> torch.Tensor:
        """Subtract the best-fitting background and blank the pixels that do not count."""
        levelled = self.background.remove_rows(images)
        flat = levelled.flatten(1)
        return (flat - (flat @ self._smooth.T) @ self._smooth).view(levelled.shape)

    def kernel_spectrum(self, kernels: torch.Tensor) -> torch.Tensor:
        """Transform kernels (kind, plane, h, w) for `predict` and `correlate`."""
        return self._convolution.spectrum(kernels) * self._phase

    def activation_spectrum(self, activation: torch.Tensor) -> torch.Tensor:
        """Transform activations (kind, sites)."""
        return self._convolution.spectrum(activation)

    def point_spectrum(
        self, sites: NDArray[np.float64], strengths: NDArray[np.float64]
    ) -> torch.Tensor:
        """Transform points of one kind at sub-pixel sites, see `Convolution.point_spectrum`."""
        return self._convolution.point_spectrum(sites, strengths)

    def predict(self, activation: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
        """Predict images (plane, rows, columns) from two spectra."""
        return self._convolution.image((activation[:, None] * kernels).sum(dim=0))

    def correlate(self, images: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
        """Apply the transpose of `predict` in the activations: (kind, sites), over all planes."""
        spectrum = (self._convolution.spectrum(images) * kernels.conj()).sum(dim=1)
        return self._convolution.activation(spectrum)

    def visible_energy(self, kernels: torch.Tensor) -> torch.Tensor:
        """Sum the squares that kernels at each site show on counted pixels, (kind, sites)."""
        images = self.mask.to(kernels).expand(kernels.shape[1], *self.image_shape)
        return self.correlate(images, self.kernel_spectrum(kernels.square())).clamp(min=0.0)

    def residual(self, activation: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
        """Subtract the prediction of activation spectra and kernels (kind, plane, h, w)."""
        return self.values - self.project(self.predict(activation, self.kernel_spectrum(kernels)))

    def solve_kernels(
        self, activation: torch.Tensor, start: torch.Tensor, ridge: torch.Tensor, iterations: int
    ) -> Generator[Event, None, torch.Tensor]:
        """Solve for ridge-regularised kernels of given activations, by conjugate gradients.

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

        Returns
        -------
        generator
            Yields an event for each iteration and returns the kernels, (kind, plane, h, w).
        """
        convolution = self._convolution
        shifted = (activation * self._phase)[:, None]
        pull = ridge.view(-1, 1, 1, 1)

        def adjoint(images: torch.Tensor) -> torch.Tensor:
            return convolution.kernel(convolution.spectrum(images) * shifted.conj())

        def normal(vectors: torch.Tensor) -> torch.Tensor:
            kernels = vectors.view(start.shape)
            images = convolution.image((convolution.spectrum(kernels) * shifted).sum(dim=0))
            return (adjoint(self.project(images)) + pull * kernels).reshape(1, -1)

        right = adjoint(self.values).reshape(1, -1)
        solver = ConjugateGradients(normal, right, start=start.reshape(1, -1), tolerance=_TOLERANCE)
        while solver.iterations < iterations and not solver.converged:
            solver.step()
            yield Event("Solving for the kernels", solver.iterations, iterations)
        return solver.solution.view(start.shape)


def _principal_components(problem: Problem, background: Background) -> torch.Tensor:
    """Reduce the observation to few maps of equal noise and together unit variance."""
    planes = problem.planes(0, problem.plane_count).values
    maps = background.remove(planes.to("cpu", torch.float32))
    counted = maps[:, background.weight > 0].double()
    if len(maps) > 1:
        # Differences of neighbours hold the noise and little of the signal.
        noise = (counted[:, 1:] - counted[:, :-1]).abs().median(dim=1).values.clamp(min=1e-6)
        counted = counted / noise[:, None]
        variances, vectors = torch.linalg.eigh(counted @ counted.T / counted.shape[1])
        strongest = variances[-1]
        excess = variances - variances[0]
        chosen = [i for i in range(len(maps)) if excess[i] >= _MIN_SIGNAL * excess[-1]]
        mixture = vectors[:, chosen[-_MAX_COMPONENTS:]] / strongest.sqrt() / noise[:, None]
        maps = torch.einsum("bc,byx->cyx", mixture.float(), maps)
    scale = maps[:, background.weight > 0].square().mean().sqrt()
    return maps / scale if scale > 0 else maps
