"""One attempt at blind extraction, from one first guess of the kernel."""

from __future__ import annotations

import numpy as np
import scipy.ndimage
import torch
from numpy.typing import NDArray

from qpi_kernels.extraction.activation_fista import sparse_activation
from qpi_kernels.extraction.blind_centre import centre_offset, shifted
from qpi_kernels.extraction.blind_map import BlindMap
from qpi_kernels.extraction.blind_sampler import Points, PointSampler

__all__ = ["BlindRun"]

_FISTA_STEPS = 10
_KERNEL_STEPS = 6
_WEAKEST_PEAK = 0.15
_RELATIVE_RIDGE = 0.01


class BlindRun:
    """Alternates between kernel and defects, first with a dense activation, then with points.

    The kernel is scaled so that strengths are 1 on average.

    Parameters
    ----------
    seen : BlindMap
        The maps.
    start : tensor, (plane, h, w)
        First guess of the kernels.
    seed : int
        Of the sampler.
    """

    def __init__(self, seen: BlindMap, start: torch.Tensor, seed: int) -> None:
        self._seen = seen
        self.kernels = start / start.norm().clamp(min=1e-12)
        self._activation = torch.zeros(seen.sites)
        self.sampler = PointSampler(seen, seed)
        self._misfit = float(seen.values.square().sum())

    def relax(self, threshold: float) -> None:
        """One round of sparse activation and kernel, with re-centring.

        Parameters
        ----------
        threshold : float
            As a share of the largest correlation of the maps with the kernel.
        """
        seen = self._seen
        correlation = seen.correlate(seen.values, seen.kernel_spectrum(self.kernels))
        level = threshold * float(correlation.max())
        found = sparse_activation(seen, self.kernels, self._activation, level, _FISTA_STEPS)
        size = float(found.square().sum())
        if size == 0.0:
            return
        spectrum = seen.map_spectrum(found)
        start = torch.zeros_like(self.kernels)
        kernels = seen.solve_kernels(spectrum, start, _RELATIVE_RIDGE * size, _KERNEL_STEPS)
        norm = float(kernels.norm())
        if norm == 0.0:
            return
        self.kernels, self._activation = kernels / norm, found * norm
        rows, cols = self._recentred()
        self._activation = _moved(self._activation, rows, cols)

    def begin_sampling(self) -> None:
        """Turn the peaks of the activation into points."""
        points = _peaks(self._activation.numpy())
        self.sampler.place(points)
        spectrum = self._seen.map_spectrum(self._activation)
        misfit = self._seen.residual(spectrum, self.kernels).square().sum()
        self._normalise()
        self.sampler.learn(float(misfit))

    def sample(self, *, settle: bool = False) -> None:
        """One round of sampling all points, the kernel, and the noise; see `PointSampler.sweep`."""
        self.sampler.sweep(self.kernels, settle=settle)
        points = self.sampler.points
        if not len(points):
            return
        self._normalise()
        points = self.sampler.points
        seen = self._seen
        spectrum = seen.point_spectrum(points.sites, points.strengths)
        variance = float(self.kernels.square().mean())
        ridge = self.sampler.noise_variance / max(variance, 1e-12)
        self.kernels = seen.solve_kernels(spectrum, self.kernels, ridge, _KERNEL_STEPS)
        self._misfit = float(seen.residual(spectrum, self.kernels).square().sum())
        self.sampler.learn(self._misfit)
        self.sampler.move(*self._recentred())

    @property
    def cost(self) -> float:
        """Lower is better; see `PointSampler.cost`."""
        return self.sampler.cost(self._misfit)

    @property
    def noise(self) -> float:
        """Standard deviation of the residual, as a share of that of the maps."""
        return float(np.sqrt(self._misfit / self._seen.counted))

    def _normalise(self) -> None:
        """Bring the typical strength to 1; weak points, some of them no defects, count less."""
        strengths = self.sampler.points.strengths
        if len(strengths):
            typical = float(np.square(strengths).sum() / strengths.sum())
            self.sampler.rescale(1 / typical)
            self.kernels = self.kernels * typical

    def _recentred(self) -> tuple[int, int]:
        """Move the kernels to the middle of their window; how far the points have to follow."""
        kernels = self.kernels.numpy()
        rows, cols = (round(offset) for offset in centre_offset(kernels))
        if rows or cols:
            self.kernels = torch.from_numpy(np.ascontiguousarray(shifted(kernels, -rows, -cols)))
        return rows, cols


def _moved(activation: torch.Tensor, rows: int, cols: int) -> torch.Tensor:
    if not (rows or cols):
        return activation
    return torch.from_numpy(np.ascontiguousarray(shifted(activation.numpy(), rows, cols)))


def _peaks(activation: NDArray[np.float32]) -> Points:
    """Local maxima, each with the strength of the eight sites around it."""
    highest = scipy.ndimage.maximum_filter(activation, 3)
    floor = _WEAKEST_PEAK * float(activation.max(initial=0.0))
    sites = np.argwhere((activation == highest) & (activation > floor))
    sums = scipy.ndimage.uniform_filter(activation, 3, mode="constant") * 9
    return Points(sites.astype(float), sums[tuple(sites.T)].astype(float))
