"""One attempt at blind extraction, from one first guess of the kernels."""

from __future__ import annotations

from collections.abc import Generator
from itertools import pairwise

import numpy as np
import scipy.ndimage
import torch
from numpy.typing import NDArray

from qpi_kernels.extraction.blind.convolution_model import ConvolutionModel
from qpi_kernels.extraction.blind.fista import sparse_activation
from qpi_kernels.extraction.blind.gibbs_sampler import GibbsSampler, Points
from qpi_kernels.extraction.blind.kernel_centre import centre_offset, shifted
from qpi_kernels.progress import Event, portion

__all__ = ["FINE_PITCH", "FINE_REACH", "AlternatingFit"]

# Of sweeps with points between pixels: grid points per pixel, and longest move in px.
FINE_PITCH, FINE_REACH = 4, 2

_FISTA_STEPS = 10
_KERNEL_STEPS = 6
_MIN_PEAK = 0.15
_RELATIVE_RIDGE = 0.01
_FIRST_KERNEL_STEPS, _POINTS_PITCH = 30, 8
# Time of the first kernels of known points, in sweeps.
_FIRST_TIME = 2


class AlternatingFit:
    """Alternate between kernels and defects, first with dense activations, then with points.

    Kernels are scaled so that strengths of each kind are 1 on average.

    Parameters
    ----------
    model : ConvolutionModel
        The maps.
    start : tensor, (kind, plane, h, w)
        First guess of the kernels.
    seed : int
        Seed of the sampler.

    Attributes
    ----------
    kernels : tensor, (kind, plane, h, w)
        The present kernels.
    sampler : GibbsSampler
        The present points.
    misfit : float
        Sum of squares of the residual of the present fit.
    """

    def __init__(self, model: ConvolutionModel, start: torch.Tensor, seed: int) -> None:
        self.model = model
        self.kernels = start / _norms(start).clamp(min=1e-12)
        self._activation = torch.zeros(len(start), *model.sites)
        self.sampler = GibbsSampler(model, len(start), seed)
        self.misfit = float(model.values.square().sum())

    @classmethod
    def of_points(
        cls,
        model: ConvolutionModel,
        points: Points,
        kinds: int,
        seed: int,
        *,
        sweeps: int = 0,
    ) -> Generator[Event, None, AlternatingFit]:
        """Begin with known points rather than with known kernels.

        Parameters
        ----------
        model : ConvolutionModel
            The maps.
        points : Points
            Where the defects are.
        kinds : int
            Number of kernels.
        seed : int
            Seed of the sampler.
        sweeps : int
            Fine sweeps that follow.

        Returns
        -------
        generator
            Yields events and returns the fit.
        """
        start = torch.zeros(kinds, len(model.values), *model.kernel_shape)
        fit = cls(model, start, seed)
        fit.sampler.place(points, _POINTS_PITCH)
        fit._normalise()
        points = fit.sampler.points
        sizes = np.bincount(points.kinds, points.strengths**2, minlength=kinds)
        ridge = torch.from_numpy(_RELATIVE_RIDGE * np.maximum(sizes, 1.0)).float()
        first = _FIRST_TIME / (_FIRST_TIME + sweeps)
        work = model.solve_kernels(fit.sampler.spectrum, start, ridge, _FIRST_KERNEL_STEPS)
        fit.kernels = yield from portion(work, 0.0, first)
        fit._measure()
        for share in pairwise(np.linspace(first, 1.0, sweeps + 1).tolist()):
            yield from portion(fit.sweep(), *share)
        return fit

    def relax(self, threshold: float) -> Generator[Event, None, None]:
        """Fit sparse activations, then kernels, once, and centre the kernels.

        Parameters
        ----------
        threshold : float
            As a share of the largest correlation of the maps with each kernel.
        """
        model = self.model
        correlation = model.correlate(model.values, model.kernel_spectrum(self.kernels))
        level = threshold * correlation.amax(dim=(1, 2))
        activation = yield from portion(
            sparse_activation(model, self.kernels, self._activation, level, _FISTA_STEPS), 0.0, 0.6
        )
        sizes = activation.square().sum(dim=(1, 2))
        if not sizes.any():
            return
        spectrum = model.activation_spectrum(activation)
        start = torch.zeros_like(self.kernels)
        kernels = yield from portion(
            model.solve_kernels(spectrum, start, _RELATIVE_RIDGE * sizes, _KERNEL_STEPS), 0.6, 1.0
        )
        norms = _norms(kernels)
        # Kinds that do not show at this threshold wait for a lower one.
        shown = norms > 0
        self.kernels = torch.where(shown, kernels / norms.clamp(min=1e-12), self.kernels)
        self._activation = torch.where(shown[..., 0], activation * norms[..., 0], self._activation)
        for one, (rows, cols) in zip(self._activation, self._centre_kernels(), strict=True):
            if rows or cols:
                one.copy_(_shifted(one, int(rows), int(cols)))
        spectrum = model.activation_spectrum(self._activation)
        self.misfit = float(model.residual(spectrum, self.kernels).square().sum())

    def begin_sampling(self) -> None:
        """Turn the peaks of the activations into points."""
        peaks = [_peaks(activation.numpy()) for activation in self._activation]
        counts = [len(strengths) for _, strengths in peaks]
        points = Points(
            np.concatenate([sites for sites, _ in peaks]),
            np.concatenate([strengths for _, strengths in peaks]),
            np.repeat(np.arange(len(peaks)), counts),
        )
        self.sampler.place(points)
        self._normalise()
        self.sampler.learn(self.misfit)

    def sample(self, *, settle: bool = False) -> Generator[Event, None, None]:
        """Sample points, kernels and noise once, see `GibbsSampler.sweep`."""
        yield from portion(self.sampler.sweep(self.kernels, settle=settle), 0.0, 0.8)
        model = self.model
        if not len(self.sampler.points):
            self.misfit = float(model.values.square().sum())
            return
        self._normalise()
        spectrum = self.sampler.spectrum
        yield Event("Solving for the kernels", 8, 10)
        # A kind without points stays without.
        empty = np.setdiff1d(np.arange(len(self.kernels)), self.sampler.points.kinds)
        self.kernels[torch.from_numpy(empty)] = 0.0
        variances = self.kernels.square().mean(dim=(1, 2, 3))
        ridge = self.sampler.noise_variance / variances.clamp(min=1e-12)
        self.kernels = yield from portion(
            model.solve_kernels(spectrum, self.kernels, ridge, _KERNEL_STEPS), 0.8, 1.0
        )
        self._measure()
        yield Event("Solving for the kernels", 10, 10)
        self.sampler.move(self._centre_kernels())

    def sweep(
        self, pitch: int = FINE_PITCH, reach: int = FINE_REACH
    ) -> Generator[Event, None, None]:
        """Sample once with points on a grid; between pixels, close points become one.

        Parameters
        ----------
        pitch : int
            Grid points per pixel.
        reach : int
            Longest move, in px.
        """
        self.sampler.place(self.sampler.points, pitch, reach, reach if pitch > 1 else 0)
        yield from self.sample()

    @property
    def predicted(self) -> torch.Tensor:
        """Maps that the present fit predicts, on all pixels, (plane, rows, columns)."""
        return self.model.predict(self.sampler.spectrum, self.model.kernel_spectrum(self.kernels))

    @property
    def residual(self) -> torch.Tensor:
        """Residual maps of the present fit, (plane, rows, columns)."""
        return self.model.residual(self.sampler.spectrum, self.kernels)

    @property
    def cost(self) -> float:
        """Cost of the present fit, the lower the better; see `GibbsSampler.cost`."""
        return self.sampler.cost(self.misfit)

    @property
    def cost_of_nothing(self) -> float:
        """Cost of the same maps without any defect."""
        return self.model.misfit_cost(float(self.model.values.square().sum()))

    @property
    def noise(self) -> float:
        """Standard deviation of the residual, as a share of that of the maps."""
        return float(np.sqrt(self.misfit / self.model.counted))

    def _measure(self) -> None:
        """Measure the residual, and learn the noise from it."""
        self.misfit = float(self.residual.square().sum())
        self.sampler.learn(self.misfit)

    def _normalise(self) -> None:
        """Scale the typical strength to 1; weak points, some of them no defects, count less."""
        points = self.sampler.points
        typical = np.ones(len(self.kernels))
        for kind in np.unique(points.kinds):
            strengths = points.strengths[points.kinds == kind]
            typical[kind] = np.square(strengths).sum() / strengths.sum()
        self.sampler.rescale(1 / typical)
        self.kernels = self.kernels * torch.from_numpy(typical).float().view(-1, 1, 1, 1)

    def _centre_kernels(self) -> NDArray[np.int64]:
        """Move kernels to the middle of their window, and return the moves owed to the points."""
        steps = []
        for kernels in self.kernels:
            rows, cols = (round(offset) for offset in centre_offset(kernels.numpy()))
            if rows or cols:
                kernels.copy_(_shifted(kernels, -rows, -cols))
            steps.append((rows, cols))
        return np.array(steps, np.int64)


def _norms(kernels: torch.Tensor) -> torch.Tensor:
    """Return the norm of the kernels of each kind, (kind, 1, 1, 1)."""
    return kernels.square().sum(dim=(1, 2, 3), keepdim=True).sqrt()


def _shifted(images: torch.Tensor, rows: int, cols: int) -> torch.Tensor:
    """Shift images by whole pixels."""
    return torch.from_numpy(np.ascontiguousarray(shifted(images.numpy(), rows, cols)))


def _peaks(activation: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find sites of local maxima, each with the strength of the eight sites around it."""
    highest = scipy.ndimage.maximum_filter(activation, 3)
    floor = _MIN_PEAK * float(activation.max(initial=0.0))
    sites = np.argwhere((activation == highest) & (activation > floor))
    sums = scipy.ndimage.uniform_filter(activation, 3, mode="constant") * 9
    return sites.astype(float), sums[tuple(sites.T)].astype(float)
