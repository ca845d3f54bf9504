"""One attempt at blind extraction, from one first guess of the kernels."""

from __future__ import annotations

import numpy as np
import scipy.ndimage
import torch
from numpy.typing import NDArray

from qpi_kernels.extraction.blind.convolution_model import ConvolutionModel
from qpi_kernels.extraction.blind.fista import sparse_activation
from qpi_kernels.extraction.blind.gibbs_sampler import GibbsSampler, Points
from qpi_kernels.extraction.blind.kernel_centre import centre_offset, shifted

__all__ = ["AlternatingFit"]

_FISTA_STEPS = 10
_KERNEL_STEPS = 6
_WEAKEST_PEAK = 0.15
_RELATIVE_RIDGE = 0.01


class AlternatingFit:
    """Alternates between kernels and defects, first with dense activations, then with points.

    Kernels are scaled so that strengths of each kind are 1 on average.

    Parameters
    ----------
    seen : ConvolutionModel
        The maps.
    start : tensor, (kind, plane, h, w)
        First guess of the kernels.
    seed : int
        Of the sampler.
    """

    def __init__(self, seen: ConvolutionModel, start: torch.Tensor, seed: int) -> None:
        self.seen = seen
        self.kernels = start / _norms(start).clamp(min=1e-12)
        self._activation = torch.zeros(len(start), *seen.sites)
        self.sampler = GibbsSampler(seen, len(start), seed)
        self._misfit = float(seen.values.square().sum())

    def relax(self, threshold: float) -> None:
        """One round of sparse activations and kernels, with re-centring.

        Parameters
        ----------
        threshold : float
            As a share of the largest correlation of the maps with each kernel.
        """
        seen = self.seen
        correlation = seen.correlate(seen.values, seen.kernel_spectrum(self.kernels))
        level = threshold * correlation.amax(dim=(1, 2))
        found = sparse_activation(seen, self.kernels, self._activation, level, _FISTA_STEPS)
        sizes = found.square().sum(dim=(1, 2))
        if not sizes.any():
            return
        spectrum = seen.map_spectrum(found)
        start = torch.zeros_like(self.kernels)
        kernels = seen.solve_kernels(spectrum, start, _RELATIVE_RIDGE * sizes, _KERNEL_STEPS)
        norms = _norms(kernels)
        # Kinds that are not seen at this threshold wait for a lower one.
        seen_now = norms > 0
        self.kernels = torch.where(seen_now, kernels / norms.clamp(min=1e-12), self.kernels)
        self._activation = torch.where(seen_now[..., 0], found * norms[..., 0], self._activation)
        for activation, (rows, cols) in zip(self._activation, self._recentred(), strict=True):
            if rows or cols:
                activation.copy_(_moved(activation, int(rows), int(cols)))

    def begin_sampling(self) -> None:
        """Turn the peaks of the activations into points."""
        found = [_peaks(activation.numpy()) for activation in self._activation]
        counts = [len(strengths) for _, strengths in found]
        points = Points(
            np.concatenate([sites for sites, _ in found]),
            np.concatenate([strengths for _, strengths in found]),
            np.repeat(np.arange(len(found)), counts),
        )
        self.sampler.place(points)
        spectrum = self.seen.map_spectrum(self._activation)
        misfit = self.seen.residual(spectrum, self.kernels).square().sum()
        self._normalise()
        self.sampler.learn(float(misfit))

    def sample(self, *, settle: bool = False) -> None:
        """One round of sampling points, kernels, and the noise; see `GibbsSampler.sweep`."""
        self.sampler.sweep(self.kernels, settle=settle)
        if not len(self.sampler.points):
            self._misfit = float(self.seen.values.square().sum())
            return
        self._normalise()
        seen, spectrum = self.seen, self.sampler.spectrum
        # A kind without points is gone for good.
        gone = np.setdiff1d(np.arange(len(self.kernels)), self.sampler.points.kinds)
        self.kernels[torch.from_numpy(gone)] = 0.0
        variances = self.kernels.square().mean(dim=(1, 2, 3))
        ridge = self.sampler.noise_variance / variances.clamp(min=1e-12)
        self.kernels = seen.solve_kernels(spectrum, self.kernels, ridge, _KERNEL_STEPS)
        self._misfit = float(seen.residual(spectrum, self.kernels).square().sum())
        self.sampler.learn(self._misfit)
        self.sampler.move(self._recentred())

    @property
    def cost(self) -> float:
        """Lower is better; see `GibbsSampler.cost`."""
        return self.sampler.cost(self._misfit)

    @property
    def noise(self) -> float:
        """Standard deviation of the residual, as a share of that of the maps."""
        return float(np.sqrt(self._misfit / self.seen.counted))

    def _normalise(self) -> None:
        """Bring the typical strength to 1; weak points, some of them no defects, count less."""
        points = self.sampler.points
        typical = np.ones(len(self.kernels))
        for kind in np.unique(points.kinds):
            strengths = points.strengths[points.kinds == kind]
            typical[kind] = np.square(strengths).sum() / strengths.sum()
        self.sampler.rescale(1 / typical)
        self.kernels = self.kernels * torch.from_numpy(typical).float().view(-1, 1, 1, 1)

    def _recentred(self) -> NDArray[np.int64]:
        """Move the kernels to the middle of their window; how far the points have to follow."""
        steps = []
        for kernels in self.kernels:
            rows, cols = (round(offset) for offset in centre_offset(kernels.numpy()))
            if rows or cols:
                kernels.copy_(_moved(kernels, -rows, -cols))
            steps.append((rows, cols))
        return np.array(steps, np.int64)


def _norms(kernels: torch.Tensor) -> torch.Tensor:
    """Of the kernels of each kind, (kind, 1, 1, 1)."""
    return kernels.square().sum(dim=(1, 2, 3), keepdim=True).sqrt()


def _moved(images: torch.Tensor, rows: int, cols: int) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(shifted(images.numpy(), rows, cols)))


def _peaks(activation: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sites of local maxima, each with the strength of the eight sites around it."""
    highest = scipy.ndimage.maximum_filter(activation, 3)
    floor = _WEAKEST_PEAK * float(activation.max(initial=0.0))
    sites = np.argwhere((activation == highest) & (activation > floor))
    sums = scipy.ndimage.uniform_filter(activation, 3, mode="constant") * 9
    return sites.astype(float), sums[tuple(sites.T)].astype(float)
