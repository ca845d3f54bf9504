"""Kernels of least squares without any prior, and their noise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.ndimage
import torch
from numpy.typing import NDArray

from qpi_kernels.extraction.bayes.posterior import Posterior, PosteriorSample

__all__ = ["FreeKernels"]

# Pixels that fewer defects show than this share of the maximum count as if these did.
_MIN_COVERAGE = 0.02
# The variance of the noise, known from a few draws, is averaged over so many pixels.
_NOISE_WIDTH = 1.5


@dataclass(frozen=True, eq=False)
class FreeKernels:
    """Kernels of least squares of all kinds, without the bias that a prior gives them.

    Parameters
    ----------
    kernels : array, (kind, h, w)
        The kernels.
    noise : array, (draw, kind, h, w)
        Errors drawn from their distribution.
    """

    kernels: NDArray[np.float64]
    noise: NDArray[np.float64]

    @classmethod
    def of(cls, white: Posterior, sample: PosteriorSample, coverage: torch.Tensor) -> FreeKernels:
        """Undo what the ridge took away from kernels under the white prior.

        Parameters
        ----------
        white : Posterior
            The kernels.
        sample : PosteriorSample
            Drawn from it.
        coverage : tensor, (kind, h, w)
            Squared strengths of the defects that show each kernel pixel.
        """
        counted = coverage.clamp(min=_MIN_COVERAGE * float(coverage.max()))
        unshrunk = (counted + white.ridge) / counted
        return cls(_numpy(white.kernels * unshrunk), _numpy(sample.deviations * unshrunk.sqrt()))

    @cached_property
    def variance(self) -> NDArray[np.float64]:
        """Variance of the draws at each pixel, (kind, h, w)."""
        return np.asarray(np.square(self.noise).mean(axis=0))

    @cached_property
    def smooth_variance(self) -> NDArray[np.float64]:
        """Variance of the noise, averaged over neighbouring pixels, (kind, h, w)."""
        widths = (0.0, _NOISE_WIDTH, _NOISE_WIDTH)
        return np.asarray(scipy.ndimage.gaussian_filter(self.variance, widths, mode="nearest"))

    def local_ratio(
        self, index: int, values: NDArray[np.float64], width: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Average the squares of an image over the noise's variance over neighbouring pixels.

        Parameters
        ----------
        index : int
            The kind whose noise it has.
        values : array, (h, w)
            The image.
        width : float
            Standard deviation of the average's Gaussian weights, in pixels.

        Returns
        -------
        array, (h, w)
            The averages: of noise alone about 1.
        array, (h, w)
            How many independent pixels each is the average of.
        """
        inside = np.ones(values.shape)
        ratio = values**2 / np.maximum(self.smooth_variance[index], 1e-300)
        total, weight = (
            scipy.ndimage.gaussian_filter(one, width, mode="constant") for one in (ratio, inside)
        )
        # Squares of Gaussian weights are Gaussian weights of a smaller width.
        squares = scipy.ndimage.gaussian_filter(inside, width / 2**0.5, mode="constant")
        return total / weight, 4 * np.pi * width**2 * weight**2 / squares


def _numpy(values: torch.Tensor) -> NDArray[np.float64]:
    return values.cpu().double().numpy()
